// A feed with npm ws as its README broadcasts. Arguments (JSON): source (port), plain, tls (ports), chain, key, deflate.
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');
const WebSocket = require(path.join(__dirname, '../e2e/node_modules/ws'));

const options = JSON.parse(process.argv[2]);
const perMessageDeflate = options.deflate
  ? { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true, zlibDeflateOptions: { level: 6 } }
  : false;
const clients = new Set();

function serve(server, port) {
  new WebSocket.WebSocketServer({ server, perMessageDeflate }).on('connection', (client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    client.on('error', () => clients.delete(client));
  });
  server.listen({ port, host: '127.0.0.1', backlog: 4096 });
}

serve(http.createServer(), options.plain);
serve(https.createServer({ cert: fs.readFileSync(options.chain), key: fs.readFileSync(options.key) }), options.tls);
const source = new WebSocket(`ws://127.0.0.1:${options.source}/`, { perMessageDeflate: false });
source.on('message', (data, isBinary) => {
  for (const client of clients) {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
  }
});
