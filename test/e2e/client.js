// An npm ws client for the tests. Options (JSON): url, ca (file), subprotocols, deflate, steps.
// A step is one of
//   {echo: "text"|"binary", size: N}    sends N bytes, expects them back
//   {fragments: [N, ...]}               sends one text message in these pieces, expects it whole
//   {ping: "payload"}                   expects the pong with the same payload
//   {say: "text"}                       sends without expecting an answer
//   {close: CODE, reason: "..."}        closes; without CODE an empty Close
// and the last output is {protocol, extensions, closed: {code, reason}, pings} once the connection ended.
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const WebSocket = require('ws');

const options = JSON.parse(process.argv[2]);
const socket = new WebSocket(options.url, options.subprotocols || [], {
  ca: options.ca ? fs.readFileSync(options.ca) : undefined,
  perMessageDeflate: Boolean(options.deflate),
  maxPayload: 64 * 1024 * 1024,
});
const result = { pings: 0 };

function once(event) {
  return new Promise((resolve) => socket.once(event, (...values) => resolve(values)));
}

function payloadOf(step) {
  if (step.echo === 'binary') return crypto.randomBytes(step.size);
  return 'häß€😀 '.repeat(Math.ceil(step.size / 6)).slice(0, step.size);
}

async function echoes(send, expected, isBinary) {
  const answer = once('message');
  send();
  const [data, binary] = await answer;
  if (binary !== isBinary) throw new Error('the message changed its type');
  if (Buffer.compare(Buffer.from(data), Buffer.from(expected)) !== 0) throw new Error('the echo differs');
}

function sendFragments(sizes) {
  const pieces = sizes.map((size, index) => String.fromCharCode(97 + (index % 26)).repeat(size));
  const send = () => pieces.forEach((piece, index) => socket.send(piece, { fin: index === pieces.length - 1 }));
  return echoes(send, pieces.join(''), false);
}

async function perform(step) {
  if (step.echo) {
    const payload = payloadOf(step);
    await echoes(() => socket.send(payload), payload, step.echo === 'binary');
  } else if (step.fragments) {
    await sendFragments(step.fragments);
  } else if (step.ping !== undefined) {
    const pong = once('pong');
    socket.ping(step.ping);
    const [payload] = await pong;
    if (payload.toString() !== step.ping) throw new Error('the pong differs');
  } else if (step.say !== undefined) {
    socket.send(step.say);
  } else {
    socket.close(step.close ?? undefined, step.reason);
  }
}

socket.on('ping', () => { result.pings += 1; });
socket.on('error', (error) => { console.log(error.stack); process.exit(1); });
socket.on('close', (code, reason) => {
  console.log(JSON.stringify({ ...result, closed: { code, reason: reason.toString() } }));
});
socket.on('open', async () => {
  result.protocol = socket.protocol;
  result.extensions = socket.extensions;
  try {
    for (const step of options.steps) await perform(step);
  } catch (error) {
    console.log(error.stack);
    process.exit(1);
  }
});
