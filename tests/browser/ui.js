// Uses the web UI in Chromium as a person does, and says what is wrong with it.
//
//   node ui.js CHROMIUM DIRECTORY http://host:port
//
// The cluster behind it has the topics that ui.rs made. Screenshots are left in DIRECTORY. Problems are lines of standard output;
// none means that all is well.
"use strict";
const path = require("node:path");
const puppeteer = require("puppeteer-core");

const WIDTHS = [[390, 844], [820, 1180], [1440, 900]];
const [chromium, directory, base] = process.argv.slice(2);
const problems = [];
const C = "/c/millrace";
const CLIENT = "<script>window.hacked=1</script>\u202Eproducer";
const GROUP = "<script>window.hacked=1</script>/../\u202Egroup";
const PAGES = {
  overview: C,
  topics: `${C}/topics`,
  "new-topic": `${C}/topics/new`,
  topic: `${C}/topic/orders`,
  configs: `${C}/topic/orders/configs`,
  producers: `${C}/topic/orders/producers`,
  change: `${C}/topic/orders/change`,
  produce: `${C}/topic/orders/produce`,
  messages: `${C}/topic/orders/messages`,
  message: `${C}/topic/orders/message?partition=0&offset=3`,
  batches: `${C}/topic/orders/batches?partition=0`,
  hostile: `${C}/topic/hostile/messages?form=text`,
  "hostile-one": `${C}/topic/hostile/message?partition=0&offset=0`,
  "hostile-bytes": `${C}/topic/hostile/message?partition=0&offset=1&form=text`,
  large: `${C}/topic/large/message?partition=0&offset=0`,
  "large-list": `${C}/topic/large/messages`,
  groups: `${C}/groups`,
  group: `${C}/group?id=readers`,
  "hostile-group": `${C}/group?id=${encodeURIComponent(GROUP)}`,
  reset: `${C}/group/reset?id=readers&to=earliest`,
  transactions: `${C}/transactions`,
  clients: `${C}/clients`,
  client: `${C}/client?id=CLIENT`,
  closer: `${C}/clients/closer?seconds=1`,
  brokers: `${C}/brokers`,
  broker: `${C}/broker/1`,
  "broker-configs": `${C}/broker/1/configs`,
  "configs-of-all": `${C}/configs`,
  "brokers-defaults": `${C}/configs/of?type=brokers`,
  subscription: `${C}/configs/of?type=client-metrics&name=${encodeURIComponent(GROUP)}`,
  changes: `${C}/changes`,
  bench: "/bench",
  missing: `${C}/topic/nowhere`,
  "hostile-address": `${C}/topic/%3Cscript%3Ewindow.hacked=1%3C%2Fscript%3E/messages?filter=%22%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D1%3E&in=%22onfocus=%22window.hacked=1`,
  "hostile-search": `${C}/topics?search=%22%3E%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E`,
};
const ERRORS = ["missing", "hostile-address"];

async function open(browser, name, [width, height], theme) {
  const page = await browser.newPage();
  const where = `${name} at ${width} ${theme}`;
  let bytes = 0;
  page.on("console", (message) => {
    // A page that says what is wrong has a status that says so, too; the browser logs that.
    if (!/Failed to load resource: the server responded with a status of 4/.test(message.text())) problems.push(`${where}: console: ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${where}: error: ${error.message}`));
  page.on("dialog", (dialog) => { problems.push(`${where}: a dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(base)) problems.push(`${where}: asks for ${request.url()}`); });
  page.on("response", async (response) => { bytes += Number(response.headers()["content-length"] ?? 0); });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }, { name: "prefers-reduced-motion", value: "reduce" }]);
  await page.setViewport({ width, height, deviceScaleFactor: 1, isMobile: width < 500, hasTouch: width < 500 });
  const must = (condition, problem) => { if (!condition) problems.push(`${where}: ${problem}`); };
  const go = (to) => page.goto(base + to, { waitUntil: "load" });
  return { page, must, go, bytes: () => bytes };
}

const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const shot = (page, name) => page.screenshot({ path: path.join(directory, `${name}.png`) });

async function looks(browser, name, size, theme) {
  const { page, must, go, bytes } = await open(browser, name, size, theme);
  const [width] = size;
  const response = await go(PAGES[name]);
  must((response.status() === 200) !== ERRORS.includes(name), `status ${response.status()}`);
  await settle(page);
  const found = await page.evaluate(() => {
    const wide = [...document.querySelectorAll("body *")].filter((node) => {
      const box = node.getBoundingClientRect();
      return !node.closest(".scroll, nav, pre, .skip") && box.width > 0 && box.right > innerWidth + 1;
    });
    const unnamed = [...document.querySelectorAll("input:not([type=hidden]), select, textarea")].filter((it) => !it.labels?.length && !it.getAttribute("aria-label"));
    const ids = [...document.querySelectorAll("[id]")].map((it) => it.id);
    return {
      overflow: document.documentElement.scrollWidth - innerWidth, wide: wide.slice(0, 3).map((it) => `${it.tagName}.${it.className}`),
      background: getComputedStyle(document.body).backgroundColor, hacked: window.hacked, headings: document.querySelectorAll("h1").length,
      foreign: document.querySelectorAll("main script:not([src^='/assets/']), main img, iframe, object, embed, [onerror], [onfocus], [onload]").length,
      links: [...document.querySelectorAll("a[href], form[action]")].map((it) => it.getAttribute("href") ?? it.getAttribute("action")).filter((it) => !/^(\/|#|$)/.test(it)),
      unnamed: unnamed.map((it) => it.name), unique: new Set(ids).size === ids.length,
    };
  });
  must(found.overflow <= 0 && found.wide.length === 0, `${found.overflow} px wider than the screen: ${found.wide}`);
  must(found.hacked === undefined && found.foreign === 0, "foreign content became a part of the page");
  must(found.links.length === 0, `leads to ${found.links}`);
  must(found.headings === 1, `${found.headings} main headings`);
  must(found.unnamed.length === 0, `fields without a name: ${found.unnamed}`);
  must(found.unique, "ids are not unique");
  must((found.background === "rgb(13, 17, 23)") === (theme === "dark"), `the ground is ${found.background}`);
  must(bytes() < 200_000, `${bytes()} bytes`);
  await shot(page, `${name}-${width}-${theme}`);
  await page.close();
}

async function keyboard(browser) {
  const { page, must, go } = await open(browser, "keyboard", WIDTHS[2], "light");
  await go(`${C}/topics`);
  await page.keyboard.press("/");
  must(await page.evaluate(() => document.activeElement.name === "search"), "/ does not go to the search");
  await page.keyboard.type("orders");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  await page.keyboard.press("j");
  must(await page.evaluate(() => document.activeElement.textContent.includes("orders")), "j selects no row");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  must(page.url().endsWith("/topic/orders"), `Enter opens ${page.url()}`);
  await page.keyboard.press("g");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("b")]);
  must(page.url().endsWith("/brokers"), `g b goes to ${page.url()}`);
  await page.keyboard.press("?");
  must(await page.evaluate(() => document.querySelector("dialog[open]") !== null), "? shows no keys");
  await page.keyboard.press("Escape");
  await go(C);
  await page.keyboard.press("Tab");
  must(await page.evaluate(() => document.activeElement.className === "skip"), "the first Tab is no way past the bar");
  await go(`${C}/topics`);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("]")]);
  must(page.url().includes("page=2"), "] does not turn the page");
  await page.close();
}

async function theme(browser) {
  const { page, must, go } = await open(browser, "theme", WIDTHS[2], "light");
  await go(C);
  await page.click("#theme");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  must(await ground() === "rgb(13, 17, 23)", "the theme does not change");
  await go(`${C}/topics`);
  must(await ground() === "rgb(13, 17, 23)", "the theme is forgotten");
  await page.click("#theme");
  await page.close();
}

async function forms(browser) {
  const { page, must, go } = await open(browser, "forms", WIDTHS[1], "light");
  const send = (selector) => Promise.all([page.waitForNavigation(), page.click(selector)]);
  const text = () => page.evaluate(() => document.querySelector("main").textContent);
  await go(`${C}/topics/new`);
  await page.type("[name=name]", "made-by-hand");
  await page.type("[name=partitions]", "2");
  await page.type("[name=configs]", "retention.ms=1000\nno config");
  await send("main button.primary");
  must((await text()).includes("'no config' is not key=value"), "a wrong line is not told");
  must(await page.$eval("[name=name]", (it) => it.value) === "made-by-hand", "the form forgets what was typed");
  await page.$eval("[name=configs]", (it) => { it.value = "retention.ms=1000000"; });
  await send("main button.primary");
  must((await text()).includes("made-by-hand was created"), "the topic is not made");
  await go(`${C}/topic/made-by-hand/produce`);
  await page.type("[name=key]", "key one");
  await page.type("[name=value]", "{\"a\": [1, 2]}");
  await page.type("[name=headers]", "h: <b>x</b>");
  await send("main button.primary");
  must(/"a": \[\s*1,\s*2/.test(await text()) && (await text()).includes("<b>x</b>"), "the message is not shown");
  await shot(page, "produced");
  await go(`${C}/topic/made-by-hand/configs?search=retention.ms`);
  await page.click("td details summary");
  await page.$eval("td [name=value]", (it) => { it.value = "2000000"; });
  await send("td button.primary");
  must((await text()).includes("retention.ms of topic made-by-hand is 2000000 now"), "the config is not set");
  await go(`${C}/changes`);
  must((await text()).includes("2000000"), "the change is not remembered");
  await go(`${C}/topic/made-by-hand/change`);
  await page.type("form[action$=delete] [name=confirm]", "made-by-hand");
  await send("form[action$=delete] button");
  must((await text()).includes("made-by-hand was deleted"), "the topic is not deleted");
  await go(`${C}/group/reset?id=readers&to=earliest`);
  await send("main button.danger");
  must((await text()).includes("were reset"), "the offsets are not reset");
  await page.close();
}

// From the first page to the answer by links alone: why is a producer slow?
async function slow(browser) {
  const { page, must, go } = await open(browser, "slow", WIDTHS[0], "light");
  const follow = async (text) => {
    const handle = await page.evaluateHandle((text) => [...document.querySelectorAll("main a")].find((it) => it.textContent.includes(text)), text);
    await Promise.all([page.waitForNavigation(), handle.asElement().evaluate((it) => it.click())]);
  };
  await go(C);
  await follow("Why is a producer slow?");
  await follow("window.hacked=1");
  const told = () => page.$eval(".reasons", (it) => it.textContent);
  must(/one at a time|its own pace/.test(await told()), `the reason is ${await told()}`);
  // The numbers live, and what was scrolled stays.
  const seen = () => page.$eval("#fresh", (it) => it.lastElementChild.textContent + it.querySelector(".facts").textContent);
  const before = await seen();
  await page.waitForFunction((before) => { const it = document.querySelector("#fresh"); return it.lastElementChild.textContent + it.querySelector(".facts").textContent !== before; }, { timeout: 15000 }, before).catch(() => problems.push("slow: the page does not come again"));
  must(await page.evaluate(() => window.hacked === undefined && document.querySelectorAll("main script:not([src])").length === 0), "a client id ran");
  await shot(page, "slow");
  await page.close();
}

async function tail(browser) {
  const { page, must, go } = await open(browser, "tail", WIDTHS[2], "light");
  await go(`${C}/topic/orders/messages?limit=5`);
  must(await page.$$eval("tbody tr", (rows) => rows.length) === 5, "not five messages");
  await page.click("#tail");
  await page.waitForFunction(() => document.querySelector("#tail-status").textContent === "waiting for records", { timeout: 10000 });
  // The first question has found the end when the cursor is there; what comes now is new.
  await new Promise((done) => setTimeout(done, 1500));
  const produced = await fetch(`${base}/api${C}/topic/orders/produce`, { method: "POST", headers: { "X-Millrace": "1" }, body: new URLSearchParams({ key: "<img src=x onerror=window.hacked=1>", value: "<script>window.hacked=1</script> fresh" }) });
  must(produced.ok, `the API does not produce: ${await produced.text()}`);
  await page.waitForFunction(() => [...document.querySelectorAll("tbody tr")][0].textContent.includes("fresh"), { timeout: 15000 }).catch(() => problems.push("tail: the new record does not come"));
  must(await page.evaluate(() => window.hacked === undefined && !document.querySelector("main img, main script:not([src])")), "a record of the tail ran");
  await shot(page, "tail");
  await page.click("#tail");
  must(await page.$eval("#tail", (it) => it.textContent) === "Live tail", "the tail does not stop");
  await page.close();
}

async function live(browser) {
  const { page, must, go } = await open(browser, "live", WIDTHS[2], "light");
  await go(C);
  await page.waitForFunction(() => document.querySelectorAll("#live canvas").length >= 4, { timeout: 20000 }).catch(() => problems.push("live: no charts are drawn"));
  await new Promise((done) => setTimeout(done, 4500));
  must(await page.$$eval("#live .legend span", (all) => all.length > 5), "the charts have no legends");
  await page.screenshot({ path: path.join(directory, "live.png"), fullPage: true });
  await page.click("#theme");
  await settle(page);
  await page.screenshot({ path: path.join(directory, "live-dark.png"), fullPage: true });
  await page.click("#theme");
  await page.setViewport({ width: 390, height: 844 });
  await settle(page);
  await page.screenshot({ path: path.join(directory, "live-390.png"), fullPage: true });
  await page.close();
}

async function withoutScripts(browser) {
  const { page, must, go } = await open(browser, "without scripts", WIDTHS[2], "light");
  await page.setJavaScriptEnabled(false);
  await go(`${C}/topic/orders/messages?limit=7&from=beginning`);
  must(await page.$$eval("tbody tr", (rows) => rows.length) === 7, "messages need scripts");
  await Promise.all([page.waitForNavigation(), page.click(".pager [rel=next]")]);
  must(await page.$$eval("tbody tr", (rows) => rows.length) === 7, "the next page needs scripts");
  await page.close();
}

// Whatever gets into a page, the policy stops.
async function policy(browser) {
  const { page, must, go } = await open(browser, "policy", WIDTHS[2], "light");
  await go(C);
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.hacked = 2";
    document.body.append(script);
  });
  must(await page.evaluate(() => window.hacked === undefined), "the policy lets scripts run");
  const isExpected = (problem) => /^policy at .*console: error: (Refused to execute|Executing) inline script/.test(problem);
  problems.splice(0, problems.length, ...problems.filter((problem) => !isExpected(problem)));
  await page.close();
}

async function main() {
  const browser = await puppeteer.launch({ executablePath: chromium, headless: true, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  try {
    const known = await (await fetch(`${base}/api${C}/clients`)).json();
    const client = known.clients.find((it) => it.client_id === CLIENT);
    if (!client) problems.push("the producer is not among the clients");
    PAGES.client = PAGES.client.replace("CLIENT", client?.id);
    for (const name of Object.keys(PAGES)) {
      for (const size of WIDTHS) for (const theme of size[0] === 1440 ? ["light", "dark"] : ["light"]) await looks(browser, name, size, theme).catch((error) => problems.push(`${name}: ${error.message}`));
    }
    for (const check of [keyboard, theme, slow, tail, live, withoutScripts, policy, forms]) await check(browser).catch((error) => problems.push(`${check.name}: ${error.message}`));
  } finally {
    await browser.close();
  }
  problems.forEach((problem) => console.log(problem));
}

main().catch((error) => { console.log(`the browser: ${error.stack}`); });
