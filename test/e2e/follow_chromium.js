// Headless Chromium as a client of a feed. Options (JSON): url, count, browser (path), profile (folder).
// Prints {texts, extensions} after `count` messages.
'use strict';
const { chromium } = require('playwright-core');

const options = JSON.parse(process.argv[2]);

// Runs inside the page.
function follow({ url, count }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const texts = [];
    socket.onerror = () => reject(new Error('the browser could not open ' + url));
    socket.onclose = (event) => reject(new Error('closed with ' + event.code + ' after ' + texts.length));
    socket.onmessage = (event) => {
      texts.push(event.data);
      if (texts.length === count) resolve({ texts, extensions: socket.extensions });
    };
  });
}

(async () => {
  const browser = await chromium.launchPersistentContext(options.profile, {
    executablePath: options.browser,
    headless: true,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await browser.newPage();
    console.log(JSON.stringify(await page.evaluate(follow, options)));
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.log(error.stack);
  process.exit(1);
});
