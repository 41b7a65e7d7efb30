// Looks at pages of forms in a real browser, and says what it found as JSON on standard output.
//
// The argument is a file of JSON: {"browser": path, "pages": [{"name", "file", "thorough"}], "filled": [{"name", "file"}], "flow":
// {"file"}}. `pages` are audited, of `filled` only what they send is looked at, and `flow` is filled by hand.
// `tests/tests/forms.rs` writes it and judges.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const task = JSON.parse(await readFile(process.argv[2], "utf8"));
const browser = await chromium.launch({
  executablePath: task.browser,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

/** A page in a context of its own, and what its console complained about. */
async function open(file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 900, height: 1000 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(pathToFileURL(file).href);
  return { context, page, complaints };
}

/** What axe finds, a line each. */
async function axe(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations", "incomplete"] }));
  const lines = (results) =>
    results.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
  return { violations: lines(found.violations), incomplete: lines(found.incomplete), passes: found.passes.length };
}

const unfold = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));

const result = { axe: {}, pairs: {}, complaints: [] };
for (const { name, file, thorough } of task.pages) {
  // One style sheet draws all pages: whether it is readable in the dark, and folded, is seen on those that have every kind of field.
  for (const colorScheme of thorough ? ["light", "dark"] : ["light"]) {
    // The audit's own script is none of the page's: its policy would refuse it.
    const { context, page } = await open(file, { bypassCSP: true, colorScheme });
    if (thorough && colorScheme === "light") {
      result.axe[`${name} folded`] = await axe(page);
    }
    await unfold(page);
    result.axe[`${name} unfolded ${colorScheme}`] = await axe(page);
    await context.close();
  }
}

// What each page sends as it is.
{
  const { context, page, complaints } = await open(task.pages[0].file);
  for (const { name, file } of [...task.pages, ...task.filled]) {
    await page.goto(pathToFileURL(file).href);
    result.pairs[name] = await page.evaluate(() => new URLSearchParams(new FormData(document.getElementById("form"))).toString());
    result.complaints.push(...complaints.splice(0).map((complaint) => `${name}: ${complaint}`));
  }
  await context.close();
}

/** The control of this name. */
function at(page, name) {
  return page.locator(`[name="${name}"]`);
}

/** Fills the form as somebody would, and gives the address that a browser without script goes to. */
async function fill(page) {
  await at(page, "/topic").fill("Filled in a browser");
  await at(page, "/type").selectOption({ label: "Recurring meeting with fixed time: Has a start time and a recurrence" });
  await at(page, "/start_time").fill("2030-01-07T09:30:00");
  await at(page, "/timezone").fill("Europe/Berlin");
  await at(page, "/recurrence/type").selectOption({ label: "Weekly" });
  await at(page, "/recurrence/weekly_days").fill("2,4");
  await page.getByText("Settings", { exact: true }).click();
  await page.getByText("Hosts and invitees").click();
  await page.getByText("Meeting invitees", { exact: true }).click();
  await page.getByText("Add to Meeting invitees").first().click();
  await at(page, "/settings/meeting_invitees/0/email").fill("jill@example.com");
}

const flow = task.flow;
if (flow) {
  result.flow = {};
  const seen = async (page, name) => at(page, name).isVisible();

  // Without script: fields come and go by the style sheet alone, and the browser sends what was filled in.
  {
    const { context, page } = await open(flow.file, { javaScriptEnabled: false });
    result.flow.recurrenceBefore = await seen(page, "/recurrence/type");
    result.flow.starBefore = await page.locator("#" + (await at(page, "/start_time").getAttribute("id")) + "-star").isVisible();
    await fill(page);
    result.flow.recurrenceAfter = await seen(page, "/recurrence/type");
    result.flow.starAfter = await page.locator("#" + (await at(page, "/start_time").getAttribute("id")) + "-star").isVisible();
    result.flow.monthlyDay = await seen(page, "/recurrence/monthly_day");
    await page.getByRole("button", { name: "Save" }).click();
    await page.waitForURL(/%2Ftopic=/);
    result.flow.address = page.url();
    await context.close();
  }

  // With it: the same, saved as a file.
  {
    const { context, page, complaints } = await open(flow.file, { acceptDownloads: true });
    await fill(page);
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save" }).click()]);
    result.flow.fileName = download.suggestedFilename();
    result.flow.file = await readFile(await download.path(), "utf8");
    result.flow.status = await page.locator("#saved").textContent();
    result.complaints.push(...complaints);
    await context.close();
  }

  // What HTML can say is checked before anything is sent, also where it is folded away.
  {
    const { context, page } = await open(flow.file);
    const stopped = async () => {
      let sent = false;
      page.once("download", () => (sent = true));
      await page.getByRole("button", { name: "Save" }).click();
      await page.waitForTimeout(150);
      return !sent;
    };
    await at(page, "/duration").fill("0");
    result.flow.rangeStops = await stopped();
    await at(page, "/duration").fill("30");
    await page.getByText("Settings", { exact: true }).click();
    await page.getByText("Hosts and invitees").click();
    await page.getByText("Meeting invitees", { exact: true }).click();
    await page.getByText("Add to Meeting invitees").first().click();
    await at(page, "/settings/meeting_invitees/0/email").fill("nobody");
    await page.getByText("Settings", { exact: true }).click();
    result.flow.foldedStops = await stopped();
    result.flow.foldedIsShown = await seen(page, "/settings/meeting_invitees/0/email");
    await at(page, "/settings/meeting_invitees/0/email").fill("jill@example.com");
    await at(page, "/type").selectOption({ label: "Recurring meeting with fixed time: Has a start time and a recurrence" });
    result.flow.conditionStops = await stopped();
    await context.close();
  }

  // By keyboard alone: every control that is seen can be reached, and the reach goes on.
  {
    const { context, page } = await open(flow.file);
    const reached = new Set();
    for (let step = 0; step < 60; step++) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const element = document.activeElement;
        const outlined = getComputedStyle(element).outlineStyle !== "none";
        return { what: element.name || element.tagName + " " + element.textContent.trim().split("\n")[0], outlined, body: element === document.body };
      });
      if (at.body) break;
      reached.add(at.what);
      result.flow.unseenFocus ??= at.outlined ? undefined : at.what;
    }
    result.flow.reached = [...reached];
    await context.close();
  }
}

await browser.close();
process.stdout.write(JSON.stringify(result));
