// An npm ws client of a feed. Options (JSON): url, count, deflate, say (a list of what it says first). Prints {texts, extensions} after `count` messages.
'use strict';
const WebSocket = require('ws');

const options = JSON.parse(process.argv[2]);
const socket = new WebSocket(options.url, { perMessageDeflate: Boolean(options.deflate) });
const texts = [];
socket.on('open', () => (options.say || []).forEach((each) => socket.send(JSON.stringify(each))));
socket.on('error', (error) => { console.log(error.stack); process.exit(1); });
socket.on('close', (code) => { console.log(`closed with ${code} after ${texts.length}`); process.exit(1); });
socket.on('message', (data) => {
  texts.push(data.toString());
  if (texts.length < options.count) return;
  console.log(JSON.stringify({ texts, extensions: socket.extensions }));
  process.exit(0);
});
