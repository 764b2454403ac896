// The results, and numbers as people read them.
const data = JSON.parse(document.getElementById("data").textContent);
const { results, verdict, cells, shares } = data;
const runs = results.runs;
const systems = [...new Set(runs.map((run) => run.system))];
const drivers = [...new Set(runs.map((run) => run.driver))];

const isValid = (run) => !run.complaints.some((complaint) => complaint.severity === "invalid");
const remarks = (run) => run.complaints.filter((it) => it.kind === "not comparable").map((it) => it.text).join("; ");
const whyInvalid = (run) => run.complaints.filter((it) => it.severity === "invalid").map((it) => `${it.kind}: ${it.text}`).join("; ");

function digits(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 1000) return Math.round(value).toString();
  const rounded = Number(value.toPrecision(3));
  return rounded.toFixed(Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(rounded))))));
}
function count(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 999.5e6) return `${digits(value / 1e9)} G`;
  if (size >= 999.5e3) return `${digits(value / 1e6)} M`;
  if (size >= 9999.5) return `${digits(value / 1e3)} k`;
  return Number.isInteger(value) ? String(value) : digits(value);
}
function time(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms === 0) return "0";
  if (Math.abs(ms) < 0.9995) return `${digits(ms * 1e3)} µs`;
  if (Math.abs(ms) < 999.5) return `${digits(ms)} ms`;
  return `${digits(ms / 1e3)} s`;
}
function bytes(value) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (Math.abs(value) < 1023.5) return `${digits(value)} ${unit}`;
    value /= 1024;
  }
  return `${digits(value)} TiB`;
}
// For axes: `30 ms` where a table says `30.0 ms`.
const short = (text) => (value) => text(value).replace(/\.(\d*?)0+(?=\D|$)/, (_, kept) => (kept ? `.${kept}` : ""));
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const plain = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "");

const ofLatency = (span, point) => (run) => (run[span].count > 0 ? run[span][point] : undefined);
const aboveZero = (value) => (value > 0 ? value : undefined);

// Numbers of a run by name: what the heat map and the tables choose from. `better`: -1 less, 1 more, 0 depends.
const METRICS = [
  { name: "records/s", of: (run) => run.rates.records_s, text: count, better: 1 },
  { name: "MB/s", of: (run) => run.rates.mb_s, text: digits, better: 1 },
  { name: "p50", of: ofLatency("latency", "p50"), text: time, unit: "ms", better: -1 },
  { name: "p99", of: ofLatency("latency", "p99"), text: time, unit: "ms", better: -1 },
  { name: "p99.9", of: ofLatency("latency", "p999"), text: time, unit: "ms", better: -1 },
  { name: "max", of: ofLatency("latency", "max"), text: time, unit: "ms", better: -1 },
  { name: "e2e p99", of: ofLatency("end_to_end", "p99"), text: time, unit: "ms", better: -1 },
  { name: "requests/s", of: (run) => aboveZero(run.rates.produce_requests_s), text: count, better: 0 },
  { name: "records/batch", of: (run) => aboveZero(run.rates.records_per_batch), text: digits, better: 0 },
  { name: "compression", of: (run) => aboveZero(run.rates.compression_ratio), text: (value) => `${digits(value)}×`, better: 0 },
  { name: "CPU s/GB", of: (run) => aboveZero(run.broker.cpu_s_per_gb), text: digits, better: -1 },
  { name: "broker cores", of: (run) => aboveZero(run.broker.cores), text: digits, better: 0 },
  { name: "client CPU s/M", of: (run) => (run.rates.records > 0 ? aboveZero((run.client_cpu_s * 1e6) / run.rates.records) : undefined), text: digits, better: -1 },
  { name: "failed", of: (run) => aboveZero(run.rates.failed), text: count, better: -1 },
  { name: "clock error p99", of: ofLatency("clock_error", "p99"), text: time, unit: "ms", better: -1 },
];
const metric = (name) => METRICS.find((it) => it.name === name);

function median(values) {
  const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// A cell's number: the median of its valid repetitions, or of all if none is valid.
function cellValue(cell, of) {
  const valid = cell.runs.filter((index) => isValid(runs[index]));
  return median((valid.length ? valid : cell.runs).map((index) => of(runs[index])));
}
const cellIsValid = (cell) => cell.runs.some((index) => isValid(runs[index]));

// Everything that tells runs apart, by name: system, driver, varied settings.
const DIMENSIONS = [...(systems.length > 1 ? ["system"] : []), ...(drivers.length > 1 ? ["driver"] : []), ...results.varied];
function dimension(run, name) {
  if (name === "system" && systems.length > 1) return run.system;
  if (name === "driver" && drivers.length > 1) return run.driver;
  return Object.hasOwn(run.varied, name) ? run.varied[name] : undefined;
}
const namesOf = (run) => [...new Set([...DIMENSIONS, ...Object.keys(run.varied)])].filter((name) => dimension(run, name) !== undefined);

// Values in the order of numbers if they are numbers, else as they came.
function distinct(values) {
  const found = [...new Set(values.filter((value) => value !== undefined))];
  return found.every((value) => value !== "" && Number.isFinite(Number(value))) ? found.sort((a, b) => a - b) : found;
}
const pretty = (name, value) => (name === "rate" && Number.isFinite(Number(value)) ? `${short(count)(Number(value))}/s` : value);
const setting = (name, value) => (name === "system" || name === "driver" ? value : name === "rate" ? (value === "closed" ? "closed loop" : pretty(name, value)) : `${name}=${value}`);

// What tells these runs apart, and what they share: for legends and their captions.
function labels(indices, without = []) {
  const names = [...new Set(indices.flatMap((index) => namesOf(runs[index])))].filter((name) => !without.includes(name));
  const differ = names.filter((name) => new Set(indices.map((index) => dimension(runs[index], name))).size > 1);
  const shared = names.filter((name) => !differ.includes(name));
  const repeats = new Set(indices.map((index) => runs[index].repetition)).size > 1;
  const label = (index) => {
    const run = runs[index];
    const parts = differ.filter((name) => dimension(run, name) !== undefined).map((name) => setting(name, dimension(run, name)));
    if (repeats) parts.push(`#${run.repetition + 1}`);
    return parts.join(" · ") || run.system || run.id;
  };
  const common = indices.length ? shared.map((name) => setting(name, dimension(runs[indices[0]], name))).join(", ") : "";
  return { label, common };
}
const runLabel = (run) => namesOf(run).map((name) => setting(name, dimension(run, name))).join(" · ") || run.system;

// Runs that show most at first sight: every system at the busiest settings that all of them have valid, then neighbours.
function firstChoice(limit) {
  const keyOf = (run) => JSON.stringify(namesOf(run).filter((name) => name !== "system").map((name) => [name, dimension(run, name)]));
  const groups = new Map();
  runs.forEach((run, index) => {
    if (!isValid(run) || run.faults.length) return;
    const key = keyOf(run);
    if (!groups.has(key)) groups.set(key, new Map());
    if (!groups.get(key).has(run.system)) groups.get(key).set(run.system, index);
  });
  const ranked = [...groups.values()].sort((a, b) => b.size - a.size || waits(a) - waits(b) || rateOf(b) - rateOf(a));
  // Closed loops last: their latency says nothing of an open system.
  function waits(group) { return [...group.values()].some((index) => runs[index].closed_loop) ? 1 : 0; }
  function rateOf(group) { return Math.max(...[...group.values()].map((index) => runs[index].rates.records_s)); }
  const chosen = [];
  if (ranked.length) {
    chosen.push(...ranked[0].values());
    const first = runs[chosen[0]];
    // The runs that differ from the first in one setting say what that setting does.
    for (const [index, run] of runs.entries()) {
      if (chosen.length >= limit) break;
      const names = [...new Set([...namesOf(first), ...namesOf(run)])];
      const apart = names.filter((name) => dimension(first, name) !== dimension(run, name));
      if (apart.length === 1 && apart[0] !== "system" && run.repetition === first.repetition && run.closed_loop === first.closed_loop && isValid(run) && !run.faults.length && !chosen.includes(index)) chosen.push(index);
    }
  }
  if (!chosen.length) chosen.push(...runs.keys());
  return chosen.slice(0, limit);
}
