// Opens reports in Chromium as a reader does, and says what is wrong with them.
//
//   node driver.js CHROMIUM DIRECTORY
//
// DIRECTORY holds sample.html, hostile.html, single.html and empty.html; screenshots and a PDF are left in DIRECTORY/shots. Problems are
// lines of standard output; none means that all is well.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const puppeteer = require("puppeteer-core");

const WIDTHS = [[390, 844], [820, 1180], [1440, 900]];
const [chromium, directory] = process.argv.slice(2);
const shots = path.join(directory, "shots");
const problems = [];

// A page of the report, with all that it logs and asks for.
async function open(browser, name, width, height, theme, hash = "") {
  const page = await browser.newPage();
  const where = `${name} at ${width} ${theme}`;
  const url = pathToFileURL(path.join(directory, `${name}.html`)).href + hash;
  page.on("console", (message) => problems.push(`${where}: console: ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(`${where}: error: ${error.message}`));
  page.on("dialog", (dialog) => { problems.push(`${where}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (request.url().split("#")[0] !== url.split("#")[0]) problems.push(`${where}: asks for ${request.url()}`);
  });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
  await page.setViewport({ width, height, deviceScaleFactor: width < 500 ? 2 : 1, isMobile: width < 500, hasTouch: width < 500 });
  await page.goto(url, { waitUntil: "load" });
  await settle(page);
  const must = (condition, problem) => { if (!condition) problems.push(`${where}: ${problem}`); };
  return { page, must };
}

// Charts draw when their width is known: two frames later at the latest.
const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))));

async function looks(browser, name, [width, height], theme) {
  const { page, must } = await open(browser, name, width, height, theme);
  const found = await page.evaluate(() => {
    const drawn = (canvas) => {
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const colors = new Set();
      for (let at = 0; at < pixels.length && colors.size < 4; at += 4) if (pixels[at + 3] > 200) colors.add(pixels[at] << 16 | pixels[at + 1] << 8 | pixels[at + 2]);
      return colors.size >= 3;
    };
    const wide = [...document.querySelectorAll("body *")].filter((node) => {
      const box = node.getBoundingClientRect();
      const scrolls = node.closest(".scroll, .multiples > div, .toc, .segments, pre, .picks, .tip");
      return !scrolls && box.width > 0 && (box.right > innerWidth + 1 || (box.left < -1 && !node.closest(".skip")));
    });
    const bottom = (selector) => document.querySelector(selector)?.getBoundingClientRect().bottom ?? Infinity;
    return {
      theme: document.documentElement.dataset.theme,
      background: getComputedStyle(document.body).backgroundColor,
      overflow: document.documentElement.scrollWidth - innerWidth,
      wide: wide.slice(0, 3).map((node) => `${node.tagName}.${node.className}`),
      headline: bottom("h1"), marks: bottom(".marks"),
      canvases: [...document.querySelectorAll("canvas")].map(drawn),
      sections: [...document.querySelectorAll("section")].map((node) => node.id),
      ids: [...document.querySelectorAll("[id]")].map((node) => node.id),
      cells: document.querySelectorAll("table.heat td").length,
      parts: document.querySelectorAll(".track span").length,
      rows: document.querySelectorAll("tr.run").length,
    };
  });
  must(found.theme === theme, `the theme is ${found.theme}`);
  must(found.background !== "rgba(0, 0, 0, 0)", "the style is not in force");
  must(found.overflow <= 0, `${found.overflow} px wider than the screen`);
  must(found.wide.length === 0, `reaches beyond the screen: ${found.wide}`);
  must(found.headline < height && found.marks < height, `the verdict ends at ${found.marks} of ${height}`);
  must(found.canvases.every(Boolean), `blank charts: ${found.canvases}`);
  must(new Set(found.ids).size === found.ids.length, "ids are not unique");
  if (name === "sample") {
    must(found.canvases.length === 4, `${found.canvases.length} line charts`);
    for (const id of ["chart-load", "chart-percentiles", "chart-sweep", "chart-cpu", "chart-time", "chart-floors", "runs", "correctness", "fairness", "findings", "machine"]) must(found.sections.includes(id), `no section ${id}`);
    must(found.cells >= 12 && found.parts >= 30 && found.rows >= 36, `${found.cells} cells of the heat map, ${found.parts} parts of bars, ${found.rows} rows`);
  }
  await page.screenshot({ path: path.join(shots, `${name}-${width}-${theme}.png`) });
  if (name === "sample") await page.screenshot({ path: path.join(shots, `${name}-${width}-${theme}-full.png`), fullPage: true });
  await page.close();
}

async function runsNoScripts(browser) {
  const { page, must } = await open(browser, "hostile", 1440, 900, "light");
  await page.evaluate(() => document.querySelectorAll("tr.run").forEach((row) => row.click()));
  await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => { fold.open = true; }));
  await settle(page);
  must(await page.evaluate(() => window.hacked === undefined), "a string of the results ran");
  must(await page.evaluate(() => document.querySelectorAll("img, iframe, #page script").length === 0), "a string of the results became an element");
  must((await page.evaluate(() => document.body.textContent)).includes("<img src=x"), "the hostile strings are not shown as text");
  // Whatever gets into the page, the policy stops.
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.hacked = 2";
    document.body.append(script);
  });
  must(await page.evaluate(() => window.hacked === undefined), "the policy lets scripts run");
  problems.splice(0, problems.length, ...problems.filter((problem) => !/^hostile at 1440 light: console: error: (Refused to execute|Executing) inline script/.test(problem)));
  await page.close();
}

async function links(browser) {
  const id = "run-14-apache-kafka-acks=all-linger=0-none-50000-0";
  const { page, must } = await open(browser, "sample", 1440, 900, "light", `#${encodeURIComponent(id)}`);
  const onScreen = (wanted) => page.evaluate((it) => {
    const box = document.getElementById(it)?.getBoundingClientRect();
    return box !== undefined && box.top >= 0 && box.top < innerHeight;
  }, wanted);
  must(await onScreen(id), "a link to a run does not lead to it");
  must(await page.evaluate((it) => document.getElementById(it).getAttribute("aria-expanded") === "true", id), "a linked run is not open");
  await page.evaluate(() => { location.hash = "#chart-time"; });
  await settle(page);
  must(await onScreen("chart-time"), "a link to a chart does not lead to it");
  await page.click("table.heat td a");
  await settle(page);
  must((await page.evaluate(() => location.hash)).startsWith("#run-"), "a cell of the heat map leads to no run");
  await page.close();
}

async function copies(browser) {
  const { page, must } = await open(browser, "sample", 1440, 900, "light");
  const press = async (section, name) => {
    // A real click: browsers let pages write to the clipboard for those alone.
    await (await page.evaluateHandle((id, text) => [...document.querySelectorAll(`#${id} .copy button`)].find((it) => it.textContent === text), section, name)).click();
    await page.waitForFunction((id) => document.querySelector(`#${id} .copy .done`), { timeout: 5000 }, section);
    const text = await page.evaluate(() => navigator.clipboard.readText());
    await page.waitForFunction((id) => !document.querySelector(`#${id} .copy .done`), { timeout: 5000 }, section);
    return text;
  };
  const csv = (await press("runs", "copy CSV")).trim().split(/\r?\n/);
  must(csv.length === 38 && csv[0].startsWith("id,system,acks,linger.ms,"), `CSV of ${csv.length} lines: ${csv[0]}`);
  must(/,no,"?backlog growing/.test(csv.join("\n")), "the CSV does not say why runs are invalid");
  const markdown = (await press("runs", "copy Markdown")).trim().split("\n");
  must(markdown.length === 39 && markdown.every((line) => line.startsWith("| ")) && markdown[1].startsWith("| --- |"), `Markdown of ${markdown.length} lines: ${markdown[0]}`);
  for (const section of ["chart-load", "chart-sweep", "chart-cpu", "chart-floors", "correctness", "fairness", "findings", "machine"]) must((await press(section, "copy CSV")).split("\n").length > 3, `the CSV of ${section} has too few lines`);
  await page.close();
}

async function uses(browser) {
  const { page, must } = await open(browser, "sample", 1440, 900, "light");
  const box = await (await page.$("#chart-percentiles .u-over")).boundingBox();
  await page.evaluate(() => document.querySelector("#chart-percentiles").scrollIntoView());
  const at = await (await page.$("#chart-percentiles .u-over")).boundingBox();
  await page.mouse.move(at.x + box.width / 2, at.y + box.height / 2);
  await settle(page);
  must(await page.evaluate(() => { const tip = document.querySelector("#chart-percentiles .tip"); return tip.style.display === "block" && /p9/.test(tip.textContent) && /(ms|µs)/.test(tip.textContent); }), "hovering shows no values");
  await page.screenshot({ path: path.join(shots, "hover.png") });
  const order = () => page.evaluate(() => [...document.querySelectorAll("tr.run")].map((row) => row.id));
  const before = await order();
  await page.evaluate(() => [...document.querySelectorAll("#runs th button")].find((it) => it.textContent === "p99").click());
  must(String(await order()) !== String(before), "a heading does not sort");
  await page.evaluate(() => document.querySelector(".bar .button").click());
  must(await page.evaluate(() => document.documentElement.dataset.theme === "dark"), "the theme does not change");
  const legend = "#chart-load .legend button";
  await page.click(legend);
  must(await page.evaluate((it) => document.querySelector(it).getAttribute("aria-pressed") === "false", legend), "the legend hides nothing");
  const select = (await page.$$("#chart-sweep select"))[0];
  const colors = () => page.evaluate(() => [...document.querySelectorAll("table.heat td")].map((it) => it.textContent).join());
  const shown = await colors();
  await select.select("records/s");
  must((await colors()) !== shown, "the heat map shows the same for another number");
  await page.close();
}

async function prints(browser) {
  const { page, must } = await open(browser, "sample", 1440, 900, "dark");
  const file = path.join(shots, "sample.pdf");
  const pdf = await page.pdf({ path: file, format: "A4", printBackground: true, margin: { top: "12mm", bottom: "12mm", left: "12mm", right: "12mm" } });
  must(Buffer.from(pdf.subarray(0, 5)).toString() === "%PDF-" && pdf.length > 30_000, `a PDF of ${pdf.length} bytes`);
  await page.close();
}

async function main() {
  fs.mkdirSync(shots, { recursive: true });
  const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--allow-file-access-from-files"] });
  try {
    await browser.defaultBrowserContext().overridePermissions("file://", ["clipboard-read", "clipboard-write"]).catch(() => {});
    for (const size of WIDTHS) for (const theme of ["light", "dark"]) for (const name of ["sample", "hostile", "single"]) await looks(browser, name, size, theme);
    await looks(browser, "empty", WIDTHS[0], "light");
    for (const check of [runsNoScripts, links, copies, uses, prints]) await check(browser).catch((error) => problems.push(`${check.name}: ${error.message}`));
  } finally {
    await browser.close();
  }
  problems.forEach((problem) => console.log(problem));
}

main().catch((error) => { console.log(`the browser: ${error.stack}`); });
