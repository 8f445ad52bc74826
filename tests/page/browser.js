// A real browser on the page, for a test. Screenshots go to target/page/.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after } from "node:test";
import { chromium, firefox } from "playwright-core";
import { discard, makeStore, serve } from "./server.js";

const AXE = createRequire(import.meta.url)("axe-core").source;
const PICTURES = join(import.meta.dirname ?? ".", "../../target/page");
/** A folder whose files are the page's, in place of those in the tool: what is changed is seen without a build. */
const FILES = process.env.BULK_RERUN_TEST_PAGE;
const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

let browser;

/** The style that the driver itself puts into a page of Firefox for a picture, `body {}`: the page's policy refuses it. */
const DRIVERS_OWN = "sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT+SmwNZWA=";

/** Firefox as it is installed: by WebDriver BiDi, which is all that it speaks. */
export const isFirefox = process.env.BULK_RERUN_TEST_BROWSER === "firefox";

async function open() {
  mkdirSync(PICTURES, { recursive: true });
  if (isFirefox) {
    browser = await firefox.launch({ channel: "moz-firefox", executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr" });
    return;
  }
  // Chromium without its own windows, which took half of the time: the same engine shows the page.
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium-headless-shell",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

/** A store, the tool that serves it (with these options of `serve`), and a browser, for all the tests of a file. */
export async function stage(store = makeStore(), options = {}) {
  let server;
  after(async () => {
    await browser?.close();
    await server?.end();
    discard(store);
  });
  server = await serve(store, options);
  await open();
  return { store, server };
}

/** Puts a folder's files in place of the page's own, where there is one. */
export function fromFolder(page, url) {
  if (!FILES) return;
  return page.route((asked) => /^\/(page\/[a-z]+\.(js|css))?$/.test(asked.pathname) && asked.href.startsWith(url), async (route) => {
    const { pathname } = new URL(route.request().url());
    const path = join(FILES, pathname === "/" ? "index.html" : pathname.slice("/page/".length));
    const policy = (await fetch(url)).headers.get("content-security-policy");
    await route.fulfill({ path, headers: { "content-security-policy": policy } });
  });
}

/** Opens the page at `url` as somebody would, and does something there. Nothing may be fetched from outside, or fail in the page. */
export async function onPage(url, options, act) {
  const { viewport = DESKTOP, colorScheme = "light", path = "" } = options;
  const context = await browser.newContext({ viewport, colorScheme, locale: "en-GB", timezoneId: "UTC", deviceScaleFactor: options.scale ?? 1 });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const faults = [];
  const fault = (words) => words.includes(DRIVERS_OWN) || faults.push(words);
  page.on("pageerror", (error) => fault(String(error)));
  page.on("console", (message) => /Content.Security.Policy|Refused to/.test(message.text()) && fault(message.text()));
  page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") || faults.push(request.url()));
  await fromFolder(page, url);
  await options.prepare?.(page);
  await page.goto(url + path);
  try {
    await act(page);
  } catch (error) {
    await picture(page, "failed");
    throw error;
  }
  await context.close();
  assert.deepEqual(faults, []);
}

export const picture = (page, name) => page.screenshot({ path: join(PICTURES, `${isFirefox ? "firefox-" : ""}${name}.png`) });
export const title = (page) => page.locator("#summary h2");

/** The page shows what there is to say of the form as it is now, and nothing fades any more. */
export const settled = (page) => page.waitForFunction(() => !document.body.matches(".searching") && !document.getAnimations().length);

/** The same, what is on show can be re-run, as its button says where that is given, and the server has told of its store. */
export const offered = (page, label) => page.waitForFunction((label) => {
  const go = document.querySelector("#go");
  const isSettled = !document.body.matches(".searching") && !document.getAnimations().length;
  return isSettled && document.querySelector("#store").hasChildNodes() && go.checkVisibility() && !go.disabled && (!label || (label.test?.(go.textContent) ?? go.textContent === label));
}, label);

/** The rules of axe that what is on show breaks. */
export async function broken(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => (await axe.run(document)).violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`));
}

/** What failed in the last day, running by now or not: the demo has re-run one task of it. */
export async function somePlan(page) {
  await page.uncheck("[name=skip_active]");
  await offered(page);
}

/** As the button has it. */
export const planned = async (page) => Number((await page.locator("#go").textContent()).match(/\d+/)[0]);
