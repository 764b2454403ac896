// Tables: all runs, verification, fairness, the machine.
const textClass = (text, isNumber) => (isNumber ? "number" : String(text).length < 30 ? "short" : "text");
const anchor = (run) => `run-${run.id}`;

function runTable(host) {
  const names = [...(systems.length > 1 || !DIMENSIONS.length ? ["system"] : []), ...(drivers.length > 1 ? ["driver"] : []), ...results.varied];
  const value = (run, name) => (name === "system" ? run.system : name === "driver" ? run.driver : run.varied[name]);
  const shown = ["records/s", "MB/s", "p50", "p99", "p99.9", "e2e p99", "requests/s", "compression", "CPU s/GB", "failed", "clock error p99"]
    .map(metric).filter(({ of }) => runs.some((run) => Number.isFinite(of(run))));
  const columns = [
    { name: "verdict", of: (run) => (isValid(run) ? 1 : 0), text: () => "" },
    ...names.map((name) => ({ name, of: (run) => value(run, name), text: (it) => pretty(name, it) })),
    ...(runs.some((run) => run.repetition) ? [{ name: "#", of: (run) => run.repetition + 1, text: String }] : []),
    ...shown.map((it) => ({ ...it, number: true })),
  ];
  let order = null;
  let wanted = "";
  const open = new Set();
  const body = h("tbody", {});
  const rowOf = (run) => {
    const { id } = run;
    const toggle = () => { open.has(id) ? open.delete(id) : open.add(id); draw(); };
    const cellsOf = columns.slice(1).map((column) => {
      const raw = column.of(run);
      const text = raw === undefined || (column.number && !Number.isFinite(raw)) ? "–" : column.text(raw);
      return h("td", { class: textClass(text, column.number) }, column.number ? text : bdi(text));
    });
    const key = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); } };
    const row = h("tr", { class: `run${isValid(run) ? "" : " invalid"}`, id: anchor(run), tabindex: "0", "aria-expanded": String(open.has(id)), onclick: toggle, onkeydown: key, title: "settings, costs and complaints of this run" }, h("td", {}, marks(run)), cellsOf);
    return open.has(id) ? [row, h("tr", { class: "more" }, h("td", { colspan: columns.length }, h("div", { class: "more-inner" }, details(run))))] : [row];
  };
  const sorted = () => {
    const list = runs.filter((run) => !wanted || `${run.id} ${runLabel(run)} ${whyInvalid(run)}`.toLowerCase().includes(wanted));
    if (!order) return list;
    const { column, sign } = order;
    const rank = (run) => { const raw = column.of(run); return raw !== undefined && raw !== "" && Number.isFinite(Number(raw)) ? Number(raw) : raw ?? -Infinity; };
    return [...list].sort((a, b) => { const [x, y] = [rank(a), rank(b)]; return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y))); });
  };
  const heads = columns.map((column) => h("th", { class: column.number ? "number" : null, scope: "col" }, h("button", { type: "button", onclick: () => {
    order = order && order.column === column ? { column, sign: -order.sign } : { column, sign: column.better > 0 ? -1 : 1 };
    heads.forEach((head, index) => head.setAttribute("aria-sort", columns[index] === column ? (order.sign > 0 ? "ascending" : "descending") : "none"));
    draw();
  } }, bdi(column.name))));
  const draw = () => body.replaceChildren(...sorted().flatMap(rowOf));
  const table = () => ({
    columns: ["id", ...columns.slice(1).map((column) => column.name + (column.unit ? ` ${column.unit}` : "")), "valid", "why"],
    rows: sorted().map((run) => [run.id, ...columns.slice(1).map((column) => { const raw = column.of(run); return column.number ? plain(raw ?? NaN) : String(raw ?? ""); }), isValid(run) ? "yes" : "no", whyInvalid(run)]),
  });
  const filter = h("input", { class: "filter", type: "search", placeholder: "filter runs", "aria-label": "filter runs", oninput: () => { wanted = filter.value.toLowerCase(); draw(); } });
  host.append(h("div", { class: "controls" }, filter, copyButtons(table)), h("div", { class: "scroll", style: { marginTop: "8px" } }, h("table", {}, h("thead", {}, h("tr", {}, heads)), body)));
  draw();
  // Permalinks of runs open them.
  return (id) => {
    const run = runs.find((it) => anchor(it) === id || it.id === id);
    if (!run) return false;
    wanted = filter.value = "";
    open.add(run.id);
    draw();
    const row = document.getElementById(anchor(run));
    row.classList.add("here");
    row.scrollIntoView({ block: "center", behavior: "instant" });
    return true;
  };
}

function marks(run) {
  const tag = (level, text, title) => h("span", { class: `tag ${level}`, title }, text);
  const kinds = [...new Set(run.complaints.filter((it) => it.severity === "invalid").map((it) => it.kind))];
  return h("span", { style: { display: "inline-flex", gap: "4px", flexWrap: "wrap" } },
    isValid(run) ? tag("good", "VALID") : tag("bad", h("span", {}, "INVALID: ", bdi(kinds.join(", "))), whyInvalid(run)),
    run.closed_loop ? tag("mixed", "CLOSED LOOP") : null,
    remarks(run) ? tag("mixed", "NOT COMPARABLE", remarks(run)) : null,
    run.faults.map((fault) => tag("mixed", bdi(fault.fault))),
    run.verification && !run.verification.kept_promises ? tag("bad", "PROMISE BROKEN", run.verification.text) : null);
}

function details(run) {
  const facts = (rows) => h("dl", { class: "facts" }, rows.filter(([, text]) => text !== undefined && text !== "").map(([name, text]) => h("div", {}, h("dt", {}, bdi(name)), h("dd", {}, bdi(text)))));
  const { broker, rates, latency } = run;
  const complaints = run.complaints.map((it) => h("p", { class: "complaint" }, h("span", { class: `tag ${it.severity === "invalid" ? "bad" : "mixed"}` }, it.severity === "invalid" ? "INVALID" : "NOTE"), " ", bdi(`${it.kind}: ${it.text}`)));
  const cost = broker.cpu_s > 0 ? [
    ["broker CPU", `${digits(broker.cpu_s)} s, ${digits(broker.cores)} cores`], ["CPU per million records", `${digits(broker.cpu_s_per_million)} s`],
    ["written to disk", bytes(broker.disk_write_bytes)], ["read from disk", bytes(broker.disk_read_bytes)], ["resident memory", bytes(broker.resident_bytes)],
    ["context switches", `${count(broker.voluntary_switches)} asked for, ${count(broker.involuntary_switches)} suffered`], ["system calls", broker.system_calls ? count(broker.system_calls) : ""],
  ] : [];
  const asked = run.request_latency;
  const requests = [
    ["requests p50, p99, max", asked.count ? `${time(asked.p50)}, ${time(asked.p99)}, ${time(asked.max)}` : run.request_latency_from ? "not known" : ""],
    ["how that is known", run.request_latency_from || ""],
    ...(run.client_times || []).map((it) => [`${it.name} mean, max`, `${time(it.mean)}, ${time(it.max)}: ${it.what}`]),
  ];
  return h("div", {}, complaints,
    h("h3", {}, "Permalink ", h("a", { href: `#${anchor(run)}` }, bdi(run.id))),
    facts([
      ["driver", run.driver], ["warm-up, measured", `${digits(run.warmup_s)} s, ${digits(run.measured_s)} s`], ["due", rates.target_records_s === null ? "closed loop" : `${count(rates.target_records_s)} records/s`],
      ["acknowledged, failed", `${count(rates.records)}, ${count(rates.failed)}`], ["mean, max", `${time(latency.mean)}, ${time(latency.max)}`], ["p90, p99.99", `${time(latency.p90)}, ${time(latency.p9999)}`],
      ["records per batch", digits(rates.records_per_batch)], ["bytes of a batch", bytes(rates.batch_bytes)], ["fetch requests/s", rates.fetch_requests_s > 0 ? count(rates.fetch_requests_s) : ""], ["client CPU", `${digits(run.client_cpu_s)} s`],
      ["clock error p99", run.clock_error.count ? time(run.clock_error.p99) : ""], ...requests, ...cost,
      ...Object.entries(run.errors).map(([name, times]) => [name, `${count(times)} times`]),
      ["verification", run.verification ? run.verification.text : "not verified"],
    ]),
    h("h3", {}, "Workload"), h("pre", {}, JSON.stringify(run.workload, null, 1).replace(/\n\s*/g, " ")));
}

function simpleTable(columns, rows, numbers) {
  const isNumber = (index) => (numbers || []).includes(index);
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, columns.map((name, index) => h("th", { class: isNumber(index) ? "number" : null }, bdi(name))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((text, index) => h("td", { class: textClass(text instanceof Node ? text.textContent : text, isNumber(index)) }, text instanceof Node ? text : bdi(text))))))));
}

function verificationTable(host) {
  const verified = runs.filter((run) => run.verification);
  const NAMES = ["acked", "lost", "duplicated", "reordered", "corrupted", "unacknowledged"];
  const columns = ["run", ...NAMES, "promise", ""];
  const eventful = (run) => run.faults.length || !run.verification.kept_promises || NAMES.slice(1).some((name) => run.verification.counts[name] > 0);
  const telling = verified.filter(eventful);
  const quiet = verified.length - telling.length;
  const row = (run) => [h("a", { href: `#${anchor(run)}` }, bdi(runLabel(run))), ...NAMES.map((name) => count(run.verification.counts[name])), h("span", { class: `tag ${run.verification.kept_promises ? "good" : "bad"}` }, run.verification.kept_promises ? "KEPT" : "BROKEN"), run.verification.text];
  const table = () => ({ columns: ["id", ...NAMES, "kept", "text"], rows: verified.map((run) => [run.id, ...NAMES.map((name) => run.verification.counts[name]), run.verification.kept_promises ? "yes" : "no", run.verification.text]) });
  host.append(h("div", { class: "controls" }, copyButtons(table)));
  if (telling.length) host.append(simpleTable(columns, telling.map(row), [1, 2, 3, 4, 5, 6]));
  if (quiet) host.append(h("p", { class: "how", style: { marginTop: "8px" } }, `${telling.length ? "In the other " : "In all "}${quiet} verified run${quiet === 1 ? "" : "s"}, ${count(verified.filter((run) => !eventful(run)).reduce((sum, run) => sum + run.verification.counts.acked, 0))} acknowledged records arrived once, in order, with the bytes that were sent.`));
  if (verified.length < runs.length) host.append(h("p", { class: "how" }, `${runs.length - verified.length} runs were not verified.`));
}

function fairnessTable(host) {
  const names = results.systems.map((system) => system.name);
  const acks = [...new Set(results.systems.flatMap((system) => Object.keys(system.acknowledgement)))];
  const rows = [
    ["version", ...results.systems.map((system) => system.version)], ["started as", ...results.systems.map((system) => system.command || "not by the bench")],
    ...acks.map((level) => [`acks=${level} promises`, ...results.systems.map((system) => system.acknowledgement[level] || "–")]),
    ...results.fairness.filter((row) => row.what !== "version" && !(/^acks=/.test(row.what) && acks.length)).map((row) => [row.what, ...names.map((name) => row.values[name] ?? "–")]),
  ];
  host.append(h("div", { class: "controls" }, copyButtons(() => ({ columns: ["", ...names], rows }))), simpleTable(["", ...names], rows));
}

function findingsTable(host) {
  const { findings } = results;
  const weights = ["stops you", "costs you", "fine"];
  const told = findings.filter((finding) => finding.verdict !== "fine").sort((one, other) => weights.indexOf(one.verdict) - weights.indexOf(other.verdict));
  const columns = ["verdict", "check", "found", "mend"];
  const tag = (finding) => h("span", { class: `tag ${finding.verdict === "fine" ? "good" : finding.verdict === "costs you" ? "mixed" : "bad"}` }, bdi(finding.verdict));
  const table = () => ({ columns, rows: findings.map((finding) => [finding.verdict, finding.check, finding.value, finding.mend]) });
  host.append(h("div", { class: "controls" }, copyButtons(table)));
  if (told.length) host.append(simpleTable(columns, told.map((finding) => [tag(finding), finding.check, finding.value, finding.mend])));
  const fine = findings.filter((finding) => finding.verdict === "fine").map((finding) => `${finding.check}: ${finding.value}`);
  if (fine.length) host.append(h("p", { class: "how", style: { marginTop: "8px" } }, bdi(`Fine: ${fine.join("; ")}.`)));
}

function machineTable(host) {
  const { machine, floors } = results;
  const rows = [
    ["processor", `${machine.cpu}, ${machine.cores} cores`], ["memory", bytes(machine.memory_bytes)], ["kernel", machine.kernel], ["file system", machine.file_system], ["device", machine.device],
    ...machine.notes.map((note) => ["note", note]), ...floors.map((floor) => [`floor: ${floor.name}`, `${digits(floor.value)} ${floor.unit}`]),
  ].filter(([, text]) => text);
  host.append(h("div", { class: "controls" }, copyButtons(() => ({ columns: ["what", "value"], rows }))), simpleTable(["", ""], rows), h("h3", {}, "Command"), h("pre", {}, results.command));
}
