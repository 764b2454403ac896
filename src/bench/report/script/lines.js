// Charts of lines: latency against load, percentile curves, throughput and p99 over time.
const SPANS = [["latency", "to acknowledgement"], ["end_to_end", "end to end"], ["request_latency", "request"]];
const spansOf = (indices) => SPANS.filter(([span]) => indices.some((index) => runs[index][span].count > 0));

// Which runs a chart shows, in a fold below it, and the settings that they share.
function picker(chosen, change) {
  const body = h("div", { class: "picks" });
  const fold = h("details", { class: "behind" });
  const refresh = () => {
    fold.replaceChildren(h("summary", {}, `Settings behind this chart, and other runs (${chosen.size} of ${runs.length} shown)`), facts(), body);
  };
  const facts = () => {
    const { common } = labels([...chosen]);
    const first = runs[[...chosen][0]];
    return h("p", { class: "how" }, common ? h("span", {}, "All: ", bdi(common), ". ") : null, first ? bdi(workloadText(first)) : null);
  };
  runs.forEach((run, index) => {
    const box = h("input", { type: "checkbox", checked: chosen.has(index), onchange: () => {
      box.checked ? chosen.add(index) : chosen.delete(index);
      refresh();
      change();
    } });
    body.append(h("label", {}, box, h("span", {}, bdi(runLabel(run)), run.repetition ? ` #${run.repetition + 1}` : "", run.faults.length ? h("span", {}, " ", bdi(run.faults.map((it) => it.fault).join(" "))) : "",
      isValid(run) ? null : h("span", { class: "tag bad", style: { marginLeft: "6px" } }, "INVALID"))));
  });
  refresh();
  return fold;
}

// The workload of a run in one line.
function workloadText(run) {
  return (run.workload.flows || []).map((flow) => {
    const size = flow.value.size;
    const sizes = size.kind === "fixed" ? `${size.bytes} B values` : `${size.kind} sizes`;
    const settings = Object.entries(flow.producer).map(([name, value]) => `${name}=${value}`).join(" ");
    const readers = flow.consumers.groups ? `${flow.consumers.groups} consumer group${flow.consumers.groups > 1 ? "s" : ""}` : "no consumers";
    const arrival = flow.arrival.process === "closed" ? "closed loop" : `${flow.arrival.process} arrivals`;
    return `${flow.topics} topic${flow.topics === 1 ? "" : "s"} of ${flow.partitions} partition${flow.partitions === 1 ? "" : "s"}, ${flow.producers} producer${flow.producers === 1 ? "" : "s"}, ${arrival}, ${sizes}, ${readers}; ${settings}`;
  }).join(" | ");
}

const DASH = [6, 4];

function percentileChart(host) {
  const chosen = new Set(firstChoice(6));
  let span = (spansOf([...runs.keys()])[0] || SPANS[0])[0];
  const area = h("div", {});
  const refresh = () => {
    dropPlots(area);
    const indices = [...chosen].filter((index) => runs[index][span].curve.length > 1);
    if (!indices.length) { area.append(h("p", { class: "empty" }, "No run with such latencies is chosen below.")); return; }
    const { label, common } = labels(indices);
    // Curves have points at the same quantiles mostly; where one has none, its line goes on to its next.
    const rest = (quantile) => 1 / Math.max(1e-9, 1 - quantile);
    const key = (quantile) => Number(rest(quantile).toPrecision(5));
    const xs = [...new Set(indices.flatMap((index) => runs[index][span].curve.map(([quantile]) => key(quantile))))].filter((x) => x < 1e8).sort((a, b) => a - b);
    const lines = indices.map((index, position) => {
      const points = new Map(runs[index][span].curve.map(([quantile, ms]) => [key(quantile), ms]));
      return {
        name: label(index), color: `--s${position % SERIES_COLORS}`, invalid: !isValid(runs[index]), faint: !isValid(runs[index]), dash: isValid(runs[index]) ? undefined : DASH,
        values: xs.map((x) => points.get(x) ?? null),
      };
    });
    const ticks = [2, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].filter((tick) => tick >= xs[0] * 0.99 && tick <= xs.at(-1));
    const text = (x) => `${Number((100 - 100 / x).toPrecision(9))}`;
    const item = plot(area, {
      height: 340, sparse: true, x: { values: xs, log: true, ticks, text, label: "percentile" }, y: { log: true, text: time, tick: short(time) }, lines,
      title: (x) => `p${Number((100 - 100 / x).toPrecision(Math.max(3, Math.ceil(Math.log10(x)) + 2)))} · 1 in ${count(x)}`,
    });
    const from = span === "request_latency" ? [...new Set(indices.map((index) => runs[index].request_latency_from).filter(Boolean))] : [];
    area.append(legend(lines, [item]), common ? h("p", { class: "how", style: { margin: "6px 0 0" } }, "All: ", bdi(common)) : "", ...from.map((text) => h("p", { class: "how", style: { margin: "6px 0 0" } }, bdi(capital(text)), ".")));
  };
  const controls = h("div", { class: "controls" }, segments(spansOf([...runs.keys()]), span, (value) => { span = value; refresh(); }));
  host.append(controls, area, picker(chosen, refresh));
  refresh();
}

function timeChart(host) {
  const faulty = [...runs.keys()].filter((index) => runs[index].faults.length);
  const chosen = new Set((faulty.length ? faulty : firstChoice(3)).slice(0, 3));
  const area = h("div", {});
  const refresh = () => {
    dropPlots(area);
    const indices = [...chosen].filter((index) => runs[index].timeline.length > 1);
    if (!indices.length) { area.append(h("p", { class: "empty" }, "No run with a timeline is chosen below.")); return; }
    const { label, common } = labels(indices);
    const xs = [...new Set(indices.flatMap((index) => runs[index].timeline.map((second) => second.at_s)))].sort((a, b) => a - b);
    const line = (index, position, of, extra) => {
      const seconds = new Map(runs[index].timeline.map((second) => [second.at_s, of(second)]));
      const valid = isValid(runs[index]);
      return { name: label(index), color: `--s${position % SERIES_COLORS}`, invalid: !valid, faint: !valid, dash: valid ? undefined : DASH, values: xs.map((x) => seconds.get(x) ?? null), ...extra };
    };
    const x = { values: xs, text: (value) => `${Number(digits(value))} s` };
    const title = (value) => `${digits(value)} s`;
    const marks = (u) => drawMarks(u, indices);
    const rates = indices.map((index, position) => line(index, position, (second) => second.records_s));
    const tails = indices.map((index, position) => line(index, position, (second) => (second.p99 > 0 ? second.p99 : null)));
    const values = flat(tails);
    const log = Math.max(...values) / Math.max(1e-6, Math.min(...values)) > 15;
    const items = [
      plot(area, { name: "records/s", height: 190, sparse: true, x, y: { text: count, tick: short(count) }, lines: rates, title, draw: marks, sync: "time" }),
      plot(area, { name: `p99 latency${log ? " (logarithmic)" : ""}`, height: 190, sparse: true, x, y: { log, text: time, tick: short(time) }, lines: tails, title, draw: marks, sync: "time" }),
    ];
    const notes = indices.flatMap((index) => runs[index].faults.map((fault) => h("li", {}, indices.length > 1 ? [bdi(label(index)), ": "] : null, h("b", {}, bdi(fault.fault)), ` at ${digits(fault.at_s)} s: ${digits(fault.dip_s)} s without an acknowledgement, ${fault.recovered_s === null ? "not back at nine tenths of its rate in this run" : `back at nine tenths of its rate after ${digits(fault.recovered_s)} s`}`)));
    area.append(legend(rates, items), common ? h("p", { class: "how", style: { margin: "6px 0 0" } }, "All: ", bdi(common)) : "", notes.length ? h("ul", { class: "findings", style: { marginTop: "8px" } }, notes) : "");
  };
  host.append(area, picker(chosen, refresh));
  refresh();
}

// Warm-up in a shade, faults as lines with names.
function drawMarks(u, indices) {
  const { ctx, bbox } = u;
  const ratio = devicePixelRatio;
  const at = (seconds) => u.valToPos(seconds, "x", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  // A run that was stopped before it was warm is warm-up and nothing else.
  const warm = Math.min(u.scales.x.max, ...indices.map((index) => (runs[index].timeline.find((second) => second.measured) || { at_s: Infinity }).at_s));
  if (warm > u.scales.x.min) {
    ctx.fillStyle = color("--grid");
    ctx.fillRect(bbox.left, bbox.top, at(warm) - bbox.left, bbox.height);
    ctx.fillStyle = color("--dim");
    ctx.fillText("warm-up", bbox.left + 5 * ratio, bbox.top + 4 * ratio);
  }
  const named = [];
  for (const index of indices) {
    for (const fault of runs[index].faults) {
      ctx.strokeStyle = ctx.fillStyle = color("--bad");
      ctx.lineWidth = 1.5 * ratio;
      ctx.setLineDash([4 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(at(fault.at_s), bbox.top);
      ctx.lineTo(at(fault.at_s), bbox.top + bbox.height);
      ctx.stroke();
      // Repetitions of a fault lie close together: one name is enough.
      if (named.some(([name, x]) => name === fault.fault && Math.abs(x - at(fault.at_s)) < 60 * ratio)) continue;
      named.push([fault.fault, at(fault.at_s)]);
      ctx.fillText(fault.fault, at(fault.at_s) + 5 * ratio, bbox.top + 4 * ratio);
    }
  }
  ctx.restore();
}

// Cells that differ in nothing but the rate, as one line each; only lines of several rates.
function loadLines() {
  const groups = new Map();
  for (const cell of cells) {
    const run = runs[cell.runs[0]];
    const target = run.rates.target_records_s;
    if (!(target > 0) || run.faults.length) continue;
    const key = JSON.stringify([run.system, run.driver, ...namesOf(run).filter((name) => name !== "rate").map((name) => [name, dimension(run, name)])]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push({ cell, target, index: cell.runs[0] });
  }
  return [...groups.values()].filter((points) => new Set(points.map((point) => point.target)).size > 1).map((points) => points.sort((a, b) => a.target - b.target));
}

function loadChart(host, groups) {
  let point = "p99";
  const area = h("div", {});
  const { label, common } = labels(groups.map((points) => points[0].index), ["rate"]);
  const refresh = () => {
    dropPlots(area);
    const xs = [...new Set(groups.flatMap((points) => points.map(({ target }) => target)))].sort((a, b) => a - b);
    const lines = groups.map((points, position) => {
      const values = new Map(points.map(({ target, cell }) => [target, cellValue(cell, ofLatency("latency", point))]));
      return { name: label(points[0].index), color: `--s${position % SERIES_COLORS}`, points: true, values: xs.map((x) => values.get(x) ?? null) };
    });
    const crosses = (u) => drawCrosses(u, groups, lines);
    const item = plot(area, { height: 320, sparse: true, x: { values: xs, fromZero: true, text: short(count), label: "records/s due" }, y: { log: true, text: time, tick: short(time) }, lines, title: (x) => `${count(x)} records/s due`, draw: crosses });
    area.append(legend(lines, [item]), common ? h("p", { class: "how", style: { margin: "6px 0 0" } }, "All: ", bdi(common)) : "");
  };
  const table = () => ({
    columns: ["line", "due records/s", "records/s", "p50 ms", "p99 ms", "p99.9 ms", "valid"],
    rows: groups.flatMap((points) => points.map(({ cell, target }) => [cell.label, plain(target), ...[(run) => run.rates.records_s, ofLatency("latency", "p50"), ofLatency("latency", "p99"), ofLatency("latency", "p999")].map((of) => plain(cellValue(cell, of) ?? NaN)), cellIsValid(cell) ? "yes" : "no"])),
  });
  host.append(h("div", { class: "controls" }, segments([["p50", "p50"], ["p99", "p99"], ["p999", "p99.9"], ["max", "max"]], point, (value) => { point = value; refresh(); }), copyButtons(table)), area,
    h("details", { class: "behind" }, h("summary", {}, "Settings behind this chart"), h("p", { class: "how" }, bdi(workloadText(runs[groups[0][0].index])))));
  refresh();
}

// Invalid points are crossed out.
function drawCrosses(u, groups, lines) {
  const { ctx } = u;
  const size = 6 * devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = color("--bad");
  ctx.lineWidth = 2 * devicePixelRatio;
  groups.forEach((points, position) => points.forEach(({ cell, target }) => {
    const value = lines[position].values[u.data[0].indexOf(target)];
    if (cellIsValid(cell) || value === null) return;
    const [x, y] = [u.valToPos(target, "x", true), u.valToPos(value, "y", true)];
    ctx.beginPath();
    ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size); ctx.lineTo(x - size, y + size);
    ctx.stroke();
  }));
  ctx.restore();
}
