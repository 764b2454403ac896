// Bars: the broker's processor time by stage, and results as shares of their floors.
// Stages in the order in which a request passes them; those that are not known here come last.
const STAGES = ["receive", "decode", "validate", "append", "wal", "replicate", "disk", "read", "serve", "respond", "send", "event_loop", "elsewhere"];
const stageRank = (name) => (STAGES.includes(name) ? STAGES.indexOf(name) : STAGES.length);

function cpuChart(host, measured) {
  let per = "cpu_s_per_gb";
  let all = false;
  const SHOWN = 12;
  const stageNames = [...new Set(measured.flatMap((cell) => runs[cell.runs[0]].broker.stages.filter(([, seconds]) => seconds > 0).map(([name]) => name)))].sort((a, b) => stageRank(a) - stageRank(b));
  const shadeOf = (name) => {
    if (name === undefined) return "var(--rest)";
    const index = stageNames.indexOf(name);
    const full = `var(--s${index % SERIES_COLORS})`;
    return index < SERIES_COLORS ? full : `color-mix(in srgb, ${full} 45%, var(--surface))`;
  };
  const area = h("div", {});
  const pick = (cell) => runs[cell.runs.find((index) => isValid(runs[index])) ?? cell.runs[0]];
  const { label, common } = labels(measured.map((cell) => cell.runs[0]));
  const refresh = () => {
    const shown = all ? measured : preferred(measured, SHOWN);
    const most = Math.max(...shown.map((cell) => cellValue(cell, (run) => run.broker[per]) || 0));
    const rows = shown.map((cell) => {
      const run = pick(cell);
      const total = cellValue(cell, (it) => it.broker[per]);
      const staged = run.broker.stages.filter(([, seconds]) => seconds > 0).sort(([a], [b]) => stageRank(a) - stageRank(b));
      const sum = Math.max(run.broker.cpu_s, staged.reduce((known, [, seconds]) => known + seconds, 0));
      const part = (name, seconds) => h("span", {
        style: { width: `${(100 * total * seconds) / sum / most}%`, background: shadeOf(name), opacity: isValid(run) ? 1 : 0.4 },
        title: `${name ?? "the rest of the process"}: ${digits((total * seconds) / sum)} s, ${digits((100 * seconds) / sum)} %`,
      });
      const rest = sum - staged.reduce((known, [, seconds]) => known + seconds, 0);
      return h("div", { class: "barrow" },
        h("span", {}, bdi(label(cell.runs[0])), cellIsValid(cell) ? "" : h("span", { class: "tag bad", style: { marginLeft: "6px" } }, "INVALID")),
        h("div", { class: "track" }, staged.map(([name, seconds]) => part(name, seconds)), rest > sum * 0.001 ? part(undefined, rest) : null),
        h("span", {}, `${digits(total)} s`));
    });
    const more = measured.length > SHOWN ? h("button", { type: "button", class: "button", style: { marginTop: "10px" }, onclick: () => { all = !all; refresh(); } }, all ? "show fewer" : `show all ${measured.length}`) : "";
    area.replaceChildren(h("div", { class: "bars", style: { marginTop: "12px" } }, rows), more);
  };
  const key = h("div", { class: "legend" }, [...stageNames, undefined].map((name) => h("button", { type: "button", tabindex: "-1" }, h("span", { class: "swatch block", style: { background: shadeOf(name) } }), bdi(name?.replaceAll("_", " ") ?? (stageNames.length ? "not told apart" : "whole process")))));
  const table = () => ({
    columns: ["run", "CPU s", "CPU s/GB", "CPU s/million", ...stageNames.map((name) => `${name} s`)],
    rows: measured.map((cell) => { const run = pick(cell); const stages = new Map(run.broker.stages); return [cell.label, ...[run.broker.cpu_s, run.broker.cpu_s_per_gb, run.broker.cpu_s_per_million, ...stageNames.map((name) => stages.get(name) ?? NaN)].map(plain)]; }),
  });
  host.append(h("div", { class: "controls" }, segments([["cpu_s_per_gb", "per GB"], ["cpu_s_per_million", "per million records"]], per, (value) => { per = value; refresh(); }), copyButtons(table)), area, key,
    common ? h("p", { class: "how", style: { margin: "6px 0 0" } }, "All: ", bdi(common)) : "");
  refresh();
}

// Some of many cells: those of the runs that other charts begin with first, in the order of the sweep.
function preferred(list, limit) {
  if (list.length <= limit) return list;
  const first = new Set(firstChoice(limit));
  const chosen = new Set(list.filter((cell) => cell.runs.some((index) => first.has(index))));
  for (const cell of list) {
    if (chosen.size >= limit) break;
    if (cellIsValid(cell)) chosen.add(cell);
  }
  return list.filter((cell) => chosen.has(cell));
}

function floorChart(host) {
  const usable = [...runs.keys()].filter((index) => shares[index].length);
  const area = h("div", {});
  const best = systems.map((system) => usable.filter((index) => runs[index].system === system && isValid(runs[index])).sort((a, b) => runs[b].rates.mb_s - runs[a].rates.mb_s)[0]).filter((index) => index !== undefined);
  let chosen = best.length ? best : usable.slice(0, 1);
  const refresh = () => {
    const floors = [...new Set(chosen.flatMap((index) => shares[index].map((share) => share.floor)))];
    const { label } = labels(chosen);
    area.replaceChildren(...floors.map((floor) => h("div", {}, h("h3", {}, bdi(floor), " ", h("span", { class: "unit", style: { color: "var(--dim)", fontWeight: 400 } }, (chosen.flatMap((index) => shares[index]).find((it) => it.floor === floor) || {}).limit)), h("div", { class: "bars" }, chosen.map((index, position) => {
      const found = shares[index].find((it) => it.floor === floor);
      if (!found) return null;
      return h("div", { class: "barrow" }, h("span", {}, bdi(chosen.length > 1 ? label(index) : runLabel(runs[index])), h("span", { style: { color: "var(--dim)" } }, ` ${found.used}`)), h("div", { class: "track" }, h("span", { style: { width: `${Math.min(100, found.share * 100)}%`, background: `var(--s${position})` } })), h("span", {}, `${digits(found.share * 100)} %`));
    })))));
  };
  const options = [["best", best.length > 1 ? "the fastest of each system" : "the fastest"], ...usable.map((index) => [String(index), runLabel(runs[index])])];
  const table = () => ({
    columns: ["run", "floor", "limit", "used", "share"],
    rows: usable.flatMap((index) => shares[index].map((it) => [runs[index].id, it.floor, it.limit, it.used, plain(it.share)])),
  });
  host.append(h("div", { class: "controls" }, choice("run", options, "best", (value) => { chosen = value === "best" ? (best.length ? best : usable.slice(0, 1)) : [Number(value)]; refresh(); }), copyButtons(table)), area);
  refresh();
}
