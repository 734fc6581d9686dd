// An npm ws echo server for the tests. Options (JSON): host, port, deflate, noContext (asks for no context takeover),
// subprotocols, ledger (a file that each message's first two words are appended to), pieces (each answer is sent in
// so many fragments). Prints its port.
// A text "close CODE REASON" makes it close; it ends with its standard input.
'use strict';
const fs = require('fs');
const { WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2] || '{}');
const ledger = options.ledger ? fs.openSync(options.ledger, 'a') : null;

function deflate() {
  if (!options.deflate) return false;
  return { threshold: 0, serverNoContextTakeover: Boolean(options.noContext) };
}

const server = new WebSocketServer({
  host: options.host || '127.0.0.1',
  port: options.port || 0,
  backlog: 4096,
  perMessageDeflate: deflate(),
  maxPayload: 64 * 1024 * 1024,
  handleProtocols: (offered) => {
    const known = options.subprotocols || [];
    return known.find((name) => offered.has(name)) || false;
  },
});

function answer(socket, data, binary) {
  const pieces = options.pieces || 1;
  const size = Math.ceil(data.length / pieces);
  for (let at = 0, left = pieces; left > 0; at += size, left -= 1) {
    socket.send(data.subarray(at, at + size), { binary, fin: left === 1 });
  }
}

server.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => {
    const order = !isBinary && data.length < 100 ? /^close (\d+) (.*)$/.exec(data.toString()) : null;
    if (ledger !== null) {
      fs.writeSync(ledger, data.subarray(0, 40).toString().split(' ').slice(0, 2).join(' ') + '\n');
    }
    if (order) {
      socket.close(Number(order[1]), order[2]);
    } else {
      answer(socket, data, isBinary);
    }
  });
});
server.on('listening', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
