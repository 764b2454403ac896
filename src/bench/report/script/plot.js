// uPlot in the page's colours: axes, hover values, marks, legend, redrawn when width or theme changes.
const plots = new Set();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const SERIES_COLORS = 8;
const seriesColor = (index) => color(`--s${index % SERIES_COLORS}`);

// Ticks of a logarithmic axis: decades, and 2 and 5 between them when there are few decades.
function logTicks(min, max) {
  const decades = Math.log10(max / min);
  const ticks = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
    for (const digit of decades > 4 ? [1] : decades > 1.3 ? [1, 3] : [1, 2, 3, 5, 7]) {
      const tick = Number(`${digit}e${power}`);
      if (tick >= min * 0.999 && tick <= max * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}
function logRange(values, floor) {
  const above = values.filter((value) => value > 0 && Number.isFinite(value));
  if (!above.length) return [floor || 0.1, (floor || 0.1) * 10];
  const [low, high] = [Math.min(...above) * 0.85, Math.max(...above) * 1.2];
  return high / low < 4 ? [low / 1.5, high * 1.5] : [low, high];
}
const flat = (series) => series.flatMap((line) => line.values).filter((value) => value !== null && value !== undefined);

// Labels of the ticks of the x axis, without those that would run into the one before.
function spaced(u, splits, text) {
  let end = -Infinity;
  return splits.map((split) => {
    const label = text(split);
    const [middle, half] = [u.valToPos(split, "x"), label.length * 3.2 + 3];
    if (middle - half < end) return "";
    end = middle + half;
    return label;
  });
}

// A chart of lines over shared x values.
//   spec: { height, name, x: { values, log, ticks, text, label }, y: { log, text, label }, lines: [{ name, values, color, dash, faint, points }],
//           title(x), draw(u), sync }
function plot(host, spec) {
  const box = h("div", { class: "plot" });
  const tip = h("div", { class: "tip" });
  if (spec.name) box.append(h("div", { class: "name" }, spec.name));
  const canvasHost = h("div", {});
  box.append(canvasHost, tip);
  host.append(box);
  const hidden = new Set();
  let chart = null;

  const showTip = (u) => {
    const { idx, left, top } = u.cursor;
    if (idx === null || idx === undefined || left < 0) { tip.style.display = "none"; return; }
    const rows = spec.lines.map((line, index) => ({ line, index, value: nearest(u, line.values, idx) }))
      .filter((row) => row.value !== undefined && !hidden.has(row.index))
      .sort((a, b) => b.value - a.value).slice(0, 10);
    if (!rows.length) { tip.style.display = "none"; return; }
    tip.replaceChildren(h("b", {}, spec.title(spec.x.values[idx])), ...rows.map(({ line, value }) =>
      h("div", {}, h("span", { class: "swatch", style: { background: color(line.color) || line.color } }), h("span", {}, bdi(line.name)), h("span", {}, spec.y.text(value)))));
    tip.style.display = "block";
    const space = box.clientWidth - tip.offsetWidth;
    const at = left + u.bbox.left / devicePixelRatio + 16;
    tip.style.left = `${Math.max(0, at > space ? Math.min(space, at - tip.offsetWidth - 32) : at)}px`;
    tip.style.top = `${Math.max(0, Math.min(top - 10, spec.height - tip.offsetHeight))}px`;
  };

  const draw = () => {
    const width = Math.floor(box.clientWidth);
    if (width < 10) return;
    if (chart) chart.destroy();
    const narrow = width < 520;
    const axis = {
      stroke: color("--dim"), font: `${narrow ? 11 : 12}px system-ui, sans-serif`, labelFont: "12px system-ui, sans-serif",
      grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false },
    };
    const yValues = flat(spec.lines.filter((_, index) => !hidden.has(index)));
    const yRange = spec.y.log ? logRange(yValues) : [0, Math.max(1e-9, ...yValues) * 1.08];
    const xRange = [spec.x.values[0], spec.x.values.at(-1)];
    if (xRange[0] === xRange[1]) { xRange[0] -= 1; xRange[1] += 1; }
    chart = new uPlot({
      width, height: spec.height, legend: { show: false }, padding: [8, 14, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, sync: spec.sync ? { key: spec.sync } : undefined, points: { size: 7 } },
      scales: {
        x: { time: false, distr: spec.x.log ? 3 : 1, range: () => (spec.x.log ? xRange : spec.x.fromZero ? [0, xRange[1] * 1.04] : xRange) },
        y: { distr: spec.y.log ? 3 : 1, range: () => yRange },
      },
      axes: [
        {
          ...axis, label: spec.x.label, labelSize: 18, size: 30, space: narrow ? 54 : 64,
          ...(spec.x.ticks ? { splits: () => spec.x.ticks } : {}), filter: (_, splits) => splits,
          values: (u, splits) => spaced(u, splits, spec.x.text),
        },
        {
          ...axis, size: narrow ? 50 : 62, filter: (_, splits) => splits,
          ...(spec.y.log ? { splits: () => logTicks(...yRange) } : {}),
          values: (_, splits) => splits.map((value) => (spec.y.tick || spec.y.text)(value)),
        },
      ],
      series: [{}, ...spec.lines.map((line, index) => {
        const stroke = color(line.color) || line.color;
        return {
          label: line.name, stroke, width: line.faint ? 1.25 : 2, dash: line.dash, spanGaps: spec.sparse === true, show: !hidden.has(index),
          points: { show: line.points === true, size: 7, stroke, fill: color("--surface"), width: 2 }, alpha: line.faint ? 0.75 : 1,
        };
      })],
      hooks: { setCursor: [showTip], draw: spec.draw ? [spec.draw] : [] },
    }, [spec.x.values, ...spec.lines.map((line) => line.values)], canvasHost);
  };
  const item = {
    draw,
    box,
    toggle(indices) {
      const off = indices.every((index) => hidden.has(index));
      for (const index of indices) off ? hidden.delete(index) : hidden.add(index);
      draw();
      return off;
    },
  };
  plots.add(item);
  observer.observe(box);
  box.addEventListener("mouseleave", () => { tip.style.display = "none"; });
  return item;
}

// The value of a line at an index, or at a neighbour that is as good as there: lines of different runs have points of their own.
const NEAR_PIXELS = 12;
function nearest(u, values, index) {
  const at = (it) => u.valToPos(u.data[0][it], "x");
  for (let step = 0; step < values.length; step++) {
    const near = [index - step, index + step].filter((it) => it >= 0 && it < values.length && Math.abs(at(it) - at(index)) <= NEAR_PIXELS);
    if (!near.length) return undefined;
    const found = near.find((it) => values[it] !== null && values[it] !== undefined);
    if (found !== undefined) return values[found];
  }
  return undefined;
}

const widths = new WeakMap();
const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (widths.get(target) === target.clientWidth) continue;
    widths.set(target, target.clientWidth);
    for (const item of plots) if (item.box === target) item.draw();
  }
});
function dropPlots(host) {
  for (const item of plots) if (host.contains(item.box)) { observer.unobserve(item.box); plots.delete(item); }
  host.replaceChildren();
}
const redraw = () => plots.forEach((item) => item.draw());

// What belongs to which line, for all plots of a section; a press hides and shows.
function legend(lines, items) {
  const row = h("div", { class: "legend" });
  lines.forEach((line, index) => {
    const press = () => {
      const shown = items.map((item) => item.toggle(line.indices || [index])).at(-1);
      button.setAttribute("aria-pressed", String(shown));
    };
    const button = h("button", { type: "button", "aria-pressed": "true", onclick: press, title: "hide or show" },
      h("span", { class: "swatch", style: { background: `var(${line.color})` } }), bdi(line.name), line.invalid && h("span", { class: "tag bad" }, "INVALID"));
    row.append(button);
  });
  return row;
}
