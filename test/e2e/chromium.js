// Drives headless Chromium (from the distribution) through one WebSocket session from a real page.
// Options (JSON): url, subprotocol, sizes, browser (path), profile (folder).
// Prints {protocol, extensions, echoed, closed: {code, reason, clean}}.
'use strict';
const { chromium } = require('playwright-core');

const options = JSON.parse(process.argv[2]);

// Runs inside the page.
async function session({ url, subprotocol, sizes }) {
  const socket = new WebSocket(url, subprotocol);
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('the browser could not open ' + url));
  });
  const echo = (value) => new Promise((resolve) => {
    socket.onmessage = (event) => resolve(event.data);
    socket.send(value);
  });
  let echoed = 0;
  for (const size of sizes) {
    const text = 'häß€😀 '.repeat(size / 6 + 1).slice(0, size);
    if (await echo(text) !== text) throw new Error('text differs at ' + size);
    const bytes = new Uint8Array(size).map((_, index) => (index * 7919) & 255);
    const answer = new Uint8Array(await echo(bytes.buffer));
    if (answer.length !== size || answer.some((byte, index) => byte !== bytes[index])) {
      throw new Error('bytes differ at ' + size);
    }
    echoed += 2;
  }
  const closed = new Promise((resolve) => {
    socket.onclose = (event) => resolve({ code: event.code, reason: event.reason, clean: event.wasClean });
  });
  socket.close(3456, 'thanks');
  return { protocol: socket.protocol, extensions: socket.extensions, echoed, closed: await closed };
}

(async () => {
  const browser = await chromium.launchPersistentContext(options.profile, {
    executablePath: options.browser,
    headless: true,
    ignoreHTTPSErrors: true, // the test's own authority; verification is tested by the other clients
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--ignore-certificate-errors'],
  });
  try {
    const page = await browser.newPage();
    console.log(JSON.stringify(await page.evaluate(session, options)));
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.log(error.stack);
  process.exit(1);
});
