// An npm ws echo server for the tests. Options (JSON): deflate, subprotocols. Prints its port.
// A text "close CODE REASON" makes it close; it ends with its standard input.
'use strict';
const { WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2] || '{}');
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: options.deflate ? { threshold: 0 } : false,
  maxPayload: 64 * 1024 * 1024,
  handleProtocols: (offered) => {
    const known = options.subprotocols || [];
    return known.find((name) => offered.has(name)) || false;
  },
});

server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => {
    const order = !isBinary && data.length < 100 ? /^close (\d+) (.*)$/.exec(data.toString()) : null;
    if (order) {
      socket.close(Number(order[1]), order[2]);
    } else {
      socket.send(data, { binary: isBinary });
    }
  });
});
server.on('listening', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
