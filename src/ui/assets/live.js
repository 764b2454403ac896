// The charts of the overview: asks for the counters every two seconds and draws their differences.
"use strict";
(() => {
  const host = document.getElementById("live");
  if (!host) return;
  // At least a minute is shown: of a single number a chart would make years.
  const EVERY_MS = 2000, KEPT = 150, SHOWN_S = 60;
  const color = (index) => getComputedStyle(document.documentElement).getPropertyValue(`--s${index % 8}`).trim();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => value >= 1e9 ? `${(value / 1e9).toFixed(1)}G` : value >= 1e6 ? `${(value / 1e6).toFixed(1)}M` : value >= 1e3 ? `${(value / 1e3).toFixed(1)}k` : value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(2);
  const node = (name, text, kind) => { const it = document.createElement(name); if (text !== undefined) it.textContent = text; if (kind) it.className = kind; return it; };
  const times = [];
  const charts = new Map();
  // A card that gets neighbours is narrower than it was when its chart was drawn.
  const sizes = new ResizeObserver(() => charts.forEach((it) => it.plot?.setSize({ width: it.box.clientWidth || 300, height: 186 })));
  let last = null;

  // A chart by name: lines appear when their first number does.
  const chart = (name, unit) => {
    if (charts.has(name)) return charts.get(name);
    const card = node("section", undefined, "card");
    card.append(node("h2", name));
    const box = node("div", undefined, "chart");
    const legend = node("div", undefined, "legend");
    card.append(box, legend);
    host.append(card);
    const made = { name, unit, box, legend, lines: new Map(), plot: null };
    charts.set(name, made);
    sizes.observe(box);
    return made;
  };
  const draw = (it) => {
    const names = [...it.lines.keys()];
    const data = [times, ...names.map((name) => it.lines.get(name))];
    if (it.plot && it.drawn === names.length) { it.plot.setData(data); }
    else {
      it.plot?.destroy();
      it.drawn = names.length;
      const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
      it.plot = new uPlot({
        width: it.box.clientWidth || 300, height: 186, legend: { show: false }, cursor: { y: false },
        scales: { x: { range: (u, min, max) => [Math.min(min, max - SHOWN_S), max] }, y: { range: (u, min, max) => [0, max > 0 ? max * 1.1 : 1] } },
        axes: [axis, { ...axis, size: 46, values: (u, ticks) => ticks.map(short) }],
        series: [{}, ...names.map((name, index) => ({ label: name, stroke: color(index), width: 1.5, points: { show: (u) => u.data[0].length < 2 } }))],
      }, data, it.box);
    }
    it.legend.replaceChildren(...names.map((name, index) => {
      const entry = node("span");
      const swatch = node("i");
      swatch.style.background = color(index);
      const now = it.lines.get(name).at(-1);
      entry.append(swatch, `${name} ${now === null || now === undefined ? "–" : short(now)}${it.unit}`);
      return entry;
    }));
  };
  const add = (name, unit, values) => {
    const it = chart(name, unit);
    for (const [line, value] of Object.entries(values)) {
      if (!it.lines.has(line)) it.lines.set(line, times.slice(0, -1).map(() => null));
      it.lines.get(line).push(Number.isFinite(value) ? value : null);
    }
    for (const values of it.lines.values()) {
      while (values.length < times.length) values.push(null);
      while (values.length > times.length) values.shift();
    }
    draw(it);
  };
  // The upper bound of the bucket below which this share of the answers lies.
  const quantile = (before, after, share) => {
    const counts = after.map(([, count], index) => count - (before?.[index]?.[1] ?? 0));
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (!total) return NaN;
    let seen = 0;
    for (let index = 0; index < counts.length; index++) {
      seen += counts[index];
      if (seen >= share * total) return after[index][0];
    }
    return NaN;
  };
  const show = (now) => {
    const seconds = last ? (now.at_ms - last.at_ms) / 1000 : 0;
    if (!last || seconds <= 0) { last = now; return; }
    times.push(now.at_ms / 1000);
    if (times.length > KEPT) times.shift();
    const rate = (field) => (now[field] - last[field]) / seconds;
    if (now.records !== null && last.records !== null) add("Records written", "/s", { records: Math.max(0, rate("records")) });
    if (now.broker) {
      const per = (field) => (now.broker[field] - last.broker[field]) / seconds;
      add("Bytes", "B/s", { in: per("bytes_in"), out: per("bytes_out") });
      for (const api of now.broker.apis) {
        const before = last.broker.apis.find((it) => it.name === api.name);
        add(`${api.name}: time to answer`, " ms", { p50: quantile(before?.buckets, api.buckets, 0.5), p99: quantile(before?.buckets, api.buckets, 0.99), "p99.9": quantile(before?.buckets, api.buckets, 0.999) });
      }
      const load = {}, stages = {};
      now.broker.shards.forEach((shard, index) => {
        const before = last.broker.shards[index];
        let busy = 0;
        for (const [stage, spent] of Object.entries(shard.stages)) {
          const share = 100 * (spent - (before.stages[stage] ?? 0)) / seconds;
          busy += share;
          stages[stage] = (stages[stage] ?? 0) + share / now.broker.shards.length;
        }
        load[`shard ${index}`] = busy;
      });
      add("Load of the shards", "%", load);
      add("What the shards do", "%", stages);
    }
    last = now;
  };
  const poll = async () => {
    try {
      const response = await fetch(host.dataset.href, { credentials: "same-origin" });
      if (response.ok) { show(await response.json()); document.getElementById("live-status").textContent = ""; }
      else document.getElementById("live-status").textContent = (await response.json()).error;
    } catch (error) {
      document.getElementById("live-status").textContent = `no answer: ${error.message}`;
    }
    setTimeout(poll, document.hidden ? 10000 : EVERY_MS);
  };
  const again = () => charts.forEach((it) => { it.plot?.destroy(); it.plot = null; if (times.length) draw(it); });
  addEventListener("theme", again);
  poll();
})();
