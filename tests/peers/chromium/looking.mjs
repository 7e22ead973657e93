// What a walk through the pages is made of: devices that note every fault, and a look at a page at a
// desk and on a phone, in light and dark, with axe.
//
//   node <walk>.mjs <server url> [folder for screenshots [style.css to use instead]]

import { execFileSync } from "node:child_process";
import { readFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [shots, style] = process.argv.slice(3);
export const url = process.argv[2];
const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
export const password = "tidal-Orchid-77-lantern";
const faults = [];
const looked = [];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

const wrong = (text) => { faults.push(text); console.error(text); };
export const must = (truth, text) => { if (!truth) wrong(text); };

/// A device of its own: what it says on its console, and what it asks other places for, is a fault.
export async function device(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
  if (style) {
    await context.route("**/assets/style.css*", (route) => route.fulfill({ path: style, contentType: "text/css" }));
  }
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  // Said when something types before the page has put the cursor where it wants it.
  page.expected = ["Autofocus processing was blocked"];
  page.on("console", (message) => {
    if (!page.expected.some((text) => message.text().includes(text))) {
      wrong(`console at ${page.url()}: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => wrong(`script at ${page.url()}: ${error}`));
  page.mayAsk = [url];
  page.on("request", (request) => {
    const asked = request.url();
    must(page.mayAsk.some((place) => asked.startsWith(place)), `asks ${asked}`);
  });
  await page.addInitScript(() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
  });
  return page;
}

const sizes = { desk: { width: 1280, height: 800 }, phone: { width: 375, height: 740 } };

/// Looks at the page as it is.
export async function look(page, name) {
  looked.push(name);
  must((await page.evaluate(() => window.shift)) < 0.01, `${name}: the layout shifts`);
  must((await page.locator("h1").count()) === 1, `${name}: not one heading`);
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      if (shots) {
        mkdirSync(shots, { recursive: true });
        await page.screenshot({ path: `${shots}/${name}-${size}-${colorScheme}.png` });
      }
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const { id, impact, nodes } of violations) {
        const where = nodes.map((node) => node.target.join(" ")).join(", ");
        wrong(`${name} (${size}, ${colorScheme}): ${impact}: ${id} at ${where}`);
      }
    }
    const spill = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    must(spill <= 0, `${name}: wider than a ${size} by ${spill}`);
  }
  await page.setViewportSize(sizes.desk);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
}

export const press = (page, name) => page.getByRole("button", { name, exact: true }).first().click();
export const follow = (page, name) => page.getByRole("link", { name, exact: true }).first().click();
export const sees = async (page, text) => {
  try {
    await page.getByText(text).first().waitFor();
  } catch {
    wrong(`${page.url()} does not say “${text}” but: ${await page.locator("main").innerText()}`);
  }
};
export async function signIn(page, name, secret = password) {
  await page.goto(`${url}/login`);
  await page.getByLabel("Username").fill(name);
  await page.getByLabel("Password").fill(secret);
  await press(page, "Sign in");
}
/// The status a line for the shell gets.
export const status = (line) =>
  execFileSync("sh", ["-c", `${line} -s -o /dev/null -w '%{http_code}'`], { encoding: "utf8" });

/// The end of a walk: 0 when nothing is wrong.
export async function end() {
  await browser.close();
  console.log(`${looked.length} pages looked at`);
  process.exit(faults.length === 0 ? 0 : 1);
}
