// The page: the verdict first, then a section for each question, as far as the results have an answer.
const themed = [];

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  themed.forEach((draw) => draw());
  redraw();
}
const darkWanted = matchMedia("(prefers-color-scheme: dark)");
const stored = () => { try { return localStorage.getItem("millrace-theme"); } catch { return null; } };
const store = (theme) => { try { localStorage.setItem("millrace-theme", theme); } catch { /* a file may have no storage */ } };
const preferredTheme = () => stored() || (darkWanted.matches ? "dark" : "light");

function section(id, title, how, build) {
  const card = h("section", { class: "card", id }, h("div", { class: "head" }, h("h2", {}, title, h("a", { class: "anchor", href: `#${id}`, "aria-label": "permalink" }, "#"))), how ? h("p", { class: "how" }, how) : null);
  build(card);
  // Few controls stand beside the title, many below it.
  const controls = card.querySelector(":scope > .controls");
  if (controls && controls.children.length < 4) card.querySelector(".head").append(controls);
  return { id, title, card };
}

function sections() {
  const list = [];
  const add = (condition, ...rest) => { if (condition) list.push(section(...rest)); };
  const loads = loadLines();
  add(loads.length, "chart-load", "Latency against load", "From the intended time of a record to its acknowledgement, at each rate. Where a line turns up, the system is full; crossed points are invalid.", (card) => loadChart(card, loads));
  add(runs.some((run) => run.latency.curve.length > 1), "chart-percentiles", "Percentiles", "How slow the slowest are: each step to the right is ten times rarer. Medians hide what this shows.", percentileChart);
  const dimensions = sweepDimensions();
  add(dimensions.length && cells.length > 2, "chart-sweep", "Sweep", "Every combination that was run. A cell leads to its run; hatched cells are invalid.", (card) => heatChart(card, dimensions));
  const costs = cells.filter((cell) => runs[cell.runs[0]].broker.cpu_s > 0);
  const calm = costs.filter((cell) => !runs[cell.runs[0]].faults.length);
  const measured = calm.length ? calm : costs;
  add(measured.length, "chart-cpu", "Where the broker's time goes", "Processor seconds of the broker's process. Systems that don't tell stages apart show one bar.", (card) => cpuChart(card, measured));
  add(runs.some((run) => run.timeline.length > 1), "chart-time", "Over time", runs.some((run) => run.faults.length) ? "Second by second, with what was done to the broker on purpose." : "Second by second. What is shaded is warm-up and not in the numbers.", timeChart);
  add(shares.some((list) => list.length), "chart-floors", "Shares of the floors", "What the machine itself can do, measured in the same call, and how much of it a run used. For times: how much of the wait is the device.", floorChart);
  return list;
}

function tables() {
  const list = [];
  if (runs.length) {
    const runSection = section("runs", `Runs (${runs.length})`, "A row opens to the settings, costs and complaints of its run.", (card) => { openRun = runTable(card); });
    runSection.card.classList.add("long");
    list.push(runSection);
  }
  if (runs.some((run) => run.verification)) list.push(section("correctness", "Correctness", "Every record carries its producer and number; consumers account for all of them.", verificationTable));
  if (results.systems.length) list.push(section("fairness", systems.length > 1 ? "Fairness" : "Broker", systems.length > 1 ? "What differs between the systems, and what is the same." : null, fairnessTable));
  if (results.findings?.length) list.push(section("findings", "What the machine costs", "Before the runs, the machine was looked at as a broker's: what is not fine bends every number above.", findingsTable));
  list.push(section("machine", "Machine and method", null, machineTable));
  return list;
}
let openRun = () => false;

function hero() {
  const mark = (it) => h("span", { class: `mark ${it.level}` }, bdi(capital(it.text)));
  const started = new Date(results.started_ms);
  const when = results.started_ms > 0 && !Number.isNaN(started.getTime()) ? `${started.toISOString().slice(0, 16).replace("T", " ")} UTC` : "";
  const tiles = verdict.tiles.length ? h("dl", { class: "tiles" }, verdict.tiles.map((tile) => h("div", { class: "tile" }, h("dt", {}, bdi(tile.label)), h("dd", {}, h("div", { class: "value" }, bdi(tile.value)), h("div", { class: "detail" }, bdi(tile.detail)))))) : null;
  const findings = verdict.lines.length ? h("ul", { class: "findings" }, verdict.lines.map((line) => h("li", {}, bdi(line)))) : null;
  return h("header", { class: "hero wrap", id: "verdict" },
    h("div", { class: "eyebrow" }, h("b", {}, bdi(results.title || "bench")), when ? h("span", {}, when) : null, h("span", {}, `took ${results.took_s >= 90 ? `${digits(results.took_s / 60)} min` : `${digits(results.took_s)} s`}`), results.partial ? h("span", { class: "tag bad" }, "PARTIAL") : null),
    h("h1", {}, bdi(verdict.headline)),
    h("div", { class: "marks" }, mark(verdict.validity), mark(verdict.correctness)),
    tiles || findings ? h("div", { class: `answer${tiles && findings ? " both" : ""}` }, tiles, findings) : null);
}

function advice() {
  if (results.advice.length < 2) return null;
  return section("advice", "What to change", "Each sentence was measured in the runs behind it.", (card) => card.append(h("ul", { class: "findings" }, results.advice.map((it) => h("li", {}, bdi(it.text), " ", it.runs.filter((id) => runs.some((run) => run.id === id)).slice(0, 4).map((id, index) => [index ? ", " : "", h("a", { href: `#run-${id}` }, `run ${runs.findIndex((run) => run.id === id) + 1}`)]))))));
}

function logo() {
  return svg("svg", { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "2", "stroke-linecap": "round", "aria-hidden": "true" },
    svg("circle", { cx: 12, cy: 12, r: 8.5 }), svg("circle", { cx: 12, cy: 12, r: 2 }), svg("path", { d: "M12 3.5v6.5M12 14v6.5M3.5 12H10M14 12h6.5" }));
}

function build() {
  document.documentElement.dataset.theme = preferredTheme();
  const page = document.getElementById("page");
  const all = [...sections(), advice(), ...tables()].filter(Boolean);
  const toggle = h("button", { type: "button", class: "button", "aria-label": "dark or light", onclick: () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    store(theme);
    setTheme(theme);
  } }, "light / dark");
  const bar = h("div", { class: "bar" }, h("div", { class: "wrap" }, h("a", { class: "brand", href: "#verdict" }, logo(), h("span", {}, "Millrace bench")), h("nav", { class: "toc", "aria-label": "sections" }, all.map(({ id, title }) => h("a", { href: `#${id}` }, title))), toggle));
  page.append(bar, hero(), h("main", { class: "wrap" }, all.map(({ card }) => card), h("p", { class: "footer" }, `Millrace ${results.millrace}. Latency is counted from the time at which a record was due, so that a system that stalls can't hide it. Numbers of invalid runs may not be quoted.`)));
  darkWanted.addEventListener("change", () => { if (!stored()) setTheme(preferredTheme()); });
  let before = null;
  addEventListener("beforeprint", () => { before = document.documentElement.dataset.theme; setTheme("light"); });
  addEventListener("afterprint", () => { if (before) setTheme(before); });
  follow();
  addEventListener("hashchange", follow);
}

// A link into the page: a run is opened, a section scrolled to.
function follow() {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { /* taken as it is */ }
  if (!id) return;
  document.querySelectorAll("tr.here").forEach((row) => row.classList.remove("here"));
  if (!openRun(id)) document.getElementById(id)?.scrollIntoView();
}

build();
