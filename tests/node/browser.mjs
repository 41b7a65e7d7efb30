// A real browser (headless Chromium) that a test drives, and an app's own little site beside it.
//
// The argument is JSON: {"browser": path}. When it is ready it prints one line of JSON, {"app": origin}, where the app's site is.
// Then it takes commands from standard input, a line of JSON each, {"id", "do", …}, and answers each with a line, {"id",
// "value"} or {"id", "error"}, in the order in which they are done. It ends with its standard input.
//
//   {"do": "serve", "path", "type", "body"}     puts a file on the app's site
//   {"do": "open", "url"}                       a new page in the one context; value: its number
//   {"do": "evaluate", "page", "script", "arg"} runs the body of an async function; value: what it returns
//   {"do": "popup"}                             waits for the next page that another one has opened; value: its number
//   {"do": "click" | "text", "page", "selector"}, {"do": "fill", …, "value"}, {"do": "url", "page", "until"}, {"do": "closed", "page"}
//   {"do": "seen", "page"}                      what its console and the network had to complain of
//
// Nothing but this machine can be reached. The site has the page `/`, where `@useparagon/connect` can be imported.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const { browser: executablePath } = JSON.parse(process.argv[2]);
const PATIENCE = 30_000;

/** The SDK's own file, as it is, made a module: it expects `module` and nothing else. */
function sdk(file) {
  const text = readFileSync(new URL(`node_modules/@useparagon/connect/dist/src/${file}`, import.meta.url), "utf8");
  const names = ["paragon", "ConnectSDK", "ExternalFilePicker", "InstallFlow", "SDK_EVENT", "CredentialStatus"];
  return `const module = { exports: {} };
(function (module, exports) {
${text}
})(module, module.exports);
export default module.exports.default;
export const { ${names.join(", ")} } = module.exports;
`;
}

const page = `<!doctype html><meta charset="utf-8"><title>App</title><link rel="icon" href="data:,">
<script type="importmap">{"imports": {
  "@useparagon/connect": "/sdk/index.js",
  "@useparagon/connect/ConnectSDK": "/sdk/ConnectSDK.js"
}}</script><body></body>`;
const files = new Map([
  ["/", { type: "text/html", body: page }],
  ["/sdk/index.js", { type: "text/javascript", body: sdk("index.js") }],
  ["/sdk/ConnectSDK.js", { type: "text/javascript", body: sdk("ConnectSDK.js") }],
]);
const site = createServer((req, res) => {
  const file = files.get(new URL(req.url, "http://localhost").pathname);
  res.writeHead(file ? 200 : 404, { "content-type": file?.type ?? "text/plain" }).end(file?.body ?? "");
});
await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // No name but this machine's means anything, and no address but its own is a way out.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
  ],
});
const context = await browser.newContext();
context.setDefaultTimeout(PATIENCE);

const pages = [];
const popups = [];
const waiting = [];

function note(page) {
  const seen = { console: [], failed: [], answers: [] };
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.console.push(message.text()));
  page.on("pageerror", (error) => seen.console.push(error.message));
  page.on("requestfailed", (request) => {
    seen.failed.push(`${request.method()} ${request.url()}: ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    seen.answers.push({ method: response.request().method(), url: response.url(), status: response.status() });
  });
  return pages.push({ page, seen }) - 1;
}

context.on("page", async (page) => {
  if (!(await page.opener())) {
    return;
  }
  const number = note(page);
  const waiter = waiting.shift();
  waiter ? waiter(number) : popups.push(number);
});

const commands = {
  serve: ({ path, type, body }) => void files.set(path, { type, body }),
  open: async ({ url }) => {
    const page = await context.newPage();
    const number = note(page);
    await page.goto(url);
    return number;
  },
  // As an expression, which no policy of the page forbids.
  evaluate: ({ page, script, arg }) =>
    pages[page].page.evaluate(`(async (arg) => {\n${script}\n})(${JSON.stringify(arg ?? null)})`),
  popup: () =>
    popups.length
      ? popups.shift()
      : new Promise((resolve, reject) => {
          waiting.push(resolve);
          setTimeout(() => reject(new Error("no page was opened")), PATIENCE).unref();
        }),
  click: ({ page, selector }) => pages[page].page.click(selector),
  fill: ({ page, selector, value }) => pages[page].page.fill(selector, value),
  text: ({ page, selector }) => pages[page].page.innerText(selector),
  url: async ({ page, until }) => {
    if (until) {
      await pages[page].page.waitForURL((url) => url.href.includes(until));
    }
    return pages[page].page.url();
  },
  closed: async ({ page }) => {
    if (!pages[page].page.isClosed()) {
      await pages[page].page.waitForEvent("close");
    }
  },
  seen: ({ page }) => pages[page].seen,
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const command = JSON.parse(line);
    try {
      const value = await commands[command.do](command);
      say({ id: command.id, value: value ?? null });
    } catch (error) {
      say({ id: command.id, error: error.message });
    }
  })
  .on("close", async () => {
    await browser.close();
    process.exit(0);
  });
say({ app: `http://localhost:${site.address().port}` });
