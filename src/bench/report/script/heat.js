// The sweep as a heat map: two varied settings across, a third as small multiples, the others held.
const valuesOf = (name) => distinct(runs.map((run) => dimension(run, name)));
const sweepDimensions = () => DIMENSIONS.filter((name) => valuesOf(name).length > 1);

// Colours from the surface to the accent; which way is good is said beside the scale.
function heatColor(share) {
  const dark = document.documentElement.dataset.theme === "dark";
  const stops = dark ? [[24, 34, 48], [26, 76, 130], [98, 168, 255]] : [[233, 242, 252], [122, 178, 235], [10, 76, 150]];
  const position = Math.min(0.9999, Math.max(0, share)) * 2;
  const [from, to] = [stops[Math.floor(position)], stops[Math.floor(position) + 1]];
  const mixed = from.map((value, index) => Math.round(value + (to[index] - value) * (position % 1)));
  const light = (0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2]) / 255;
  return { background: `rgb(${mixed.join(",")})`, color: light > 0.55 ? "#10151c" : "#f4f8fd" };
}

function heatChart(host, names) {
  const available = METRICS.filter(({ of }) => cells.some((cell) => Number.isFinite(cellValue(cell, of))));
  let current = available.find((it) => it.name === "p99") || available[0];
  const rest = names.filter((name) => name !== "system" && name !== "rate" && name !== "fault");
  const ordered = [...rest, ...names.filter((name) => !rest.includes(name))];
  const axes = { column: ordered[0], row: ordered[1], multiple: names.includes("system") && ordered[1] !== "system" ? "system" : ordered[2] };
  const held = {};
  const area = h("div", {});
  const controls = h("div", { class: "controls" });

  const others = () => names.filter((name) => !Object.values(axes).includes(name));
  // The value under which most cells are, so that the map starts full.
  const usual = (name) => valuesOf(name).map((value) => [value, cells.filter((cell) => dimension(runs[cell.runs[0]], name) === value).length]).sort((a, b) => b[1] - a[1])[0][0];
  const find = (wanted) => cells.find((cell) => Object.entries(wanted).every(([name, value]) => dimension(runs[cell.runs[0]], name) === value) && !runs[cell.runs[0]].faults.length);

  const refresh = () => {
    for (const name of others()) if (held[name] === undefined) held[name] = usual(name);
    const holding = Object.fromEntries(others().map((name) => [name, held[name]]));
    const swap = (axis) => (value) => {
      const name = value === "" ? undefined : value;
      const other = Object.keys(axes).find((it) => axes[it] === name && name !== undefined);
      if (other && other !== axis) axes[other] = axes[axis];
      axes[axis] = name;
      refresh();
    };
    const options = names.map((name) => [name, name]);
    controls.replaceChildren(
      choice("show", available.map((it) => [it.name, it.name]), current.name, (name) => { current = metric(name); refresh(); }),
      choice("across", options, axes.column, swap("column")),
      names.length > 1 ? choice("down", [["", "nothing"], ...options], axes.row ?? "", swap("row")) : "",
      names.length > 2 ? choice("side by side", [["", "nothing"], ...options], axes.multiple ?? "", swap("multiple")) : "",
      ...others().map((name) => choice(name, valuesOf(name).map((value) => [value, pretty(name, value)]), held[name], (value) => { held[name] = value; refresh(); })),
      copyButtons(table));
    const values = shown(holding).map((cell) => cellValue(cell, current.of)).filter((value) => Number.isFinite(value) && value > 0);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const share = (value) => (high > low ? Math.log(value / low) / Math.log(high / low) : 0.5);
    const multiples = axes.multiple ? valuesOf(axes.multiple) : [undefined];
    const grids = multiples.map((value) => grid(value, holding, share)).filter(Boolean);
    const sense = current.better > 0 ? "more is better" : current.better < 0 ? "less is better" : "";
    const ramp = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map((at) => heatColor(at).background).join(", ")})`;
    area.replaceChildren(h("div", { class: "multiples" }, grids), values.length ? h("div", { class: "scale" }, `${current.text(low)}`, h("i", { style: { background: ramp } }), `${current.text(high)}`, sense ? ` · ${sense}` : "") : "");
  };
  const shown = (holding) => cells.filter((cell) => Object.entries(holding).every(([name, value]) => dimension(runs[cell.runs[0]], name) === value));

  function grid(multiple, holding, share) {
    const fixed = { ...holding, ...(axes.multiple ? { [axes.multiple]: multiple } : {}) };
    const [columns, rows] = [valuesOf(axes.column), axes.row ? valuesOf(axes.row) : [undefined]];
    let any = false;
    const body = rows.map((row) => h("tr", {}, axes.row ? h("th", { scope: "row" }, bdi(pretty(axes.row, row))) : null, columns.map((column) => {
      const cell = find({ ...fixed, [axes.column]: column, ...(axes.row ? { [axes.row]: row } : {}) });
      const value = cell && cellValue(cell, current.of);
      if (!cell || !Number.isFinite(value)) return h("td", { class: "none", title: "not run" }, "–");
      any = true;
      const run = runs[cell.runs.find((index) => isValid(runs[index])) ?? cell.runs[0]];
      const hint = `${runLabel(run)}: ${current.name} ${current.text(value)}`;
      const link = (...text) => h("a", { href: `#${anchor(run)}`, title: cellIsValid(cell) ? hint : `INVALID: ${whyInvalid(run)}` }, ...text);
      if (!cellIsValid(cell)) return h("td", { class: "invalid" }, link(h("s", {}, current.text(value))));
      return h("td", { style: value > 0 ? heatColor(share(value)) : {} }, link(current.text(value)));
    })));
    if (!any) return null;
    const head = h("tr", {}, axes.row ? h("th", {}, bdi(axes.row), " ↓") : null, columns.map((column) => h("th", { scope: "col", style: { textAlign: "center" } }, bdi(pretty(axes.column, column)))));
    const title = axes.multiple ? h("h3", {}, bdi(setting(axes.multiple, multiple))) : null;
    return h("div", {}, title, h("table", { class: "heat" }, h("thead", {}, h("tr", {}, axes.row ? h("th", {}) : null, h("th", { colspan: columns.length, style: { textAlign: "center" } }, bdi(axes.column), " →")), head), h("tbody", {}, body)));
  }

  function table() {
    return {
      columns: [...names, current.name + (current.unit ? ` ${current.unit}` : ""), "valid"],
      rows: cells.map((cell) => [...names.map((name) => dimension(runs[cell.runs[0]], name) ?? ""), plain(cellValue(cell, current.of) ?? NaN), cellIsValid(cell) ? "yes" : "no"]),
    };
  }
  host.append(controls, area);
  refresh();
  themed.push(refresh);
}
