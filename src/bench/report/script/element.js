// Elements, always built from text: nothing of the results is ever parsed as markup.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.setAttribute("class", value);
    else if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// An element: h("p", { class: "how" }, "text", h("b", {}, "more")).
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Text of the results, in which another direction of writing stays inside.
const bdi = (text) => h("bdi", {}, String(text));

// A row of choices of which one is on.
function segments(choices, chosen, choose) {
  const row = h("div", { class: "segments", role: "group" });
  for (const [value, name] of choices) {
    const press = () => {
      for (const other of row.children) other.setAttribute("aria-pressed", String(other === button));
      choose(value);
    };
    const button = h("button", { type: "button", "aria-pressed": String(value === chosen), onclick: press }, name);
    row.append(button);
  }
  return row;
}

// A drop-down: choices are [value, name].
function choice(name, choices, chosen, choose) {
  const select = h("select", { "aria-label": name, onchange: () => choose(select.value) },
    choices.map(([value, text]) => h("option", { value, selected: String(value) === String(chosen) }, text)));
  return h("label", {}, name, select);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { style: { position: "fixed", opacity: 0 } });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

// Buttons that copy a table; `table` gives { columns: [..], rows: [[..]] } of plain texts.
function copyButtons(table) {
  const cellOf = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  // A spreadsheet runs what begins like a formula.
  const inert = (value) => (/^[=+@\t\r]|^-(?![\d.])/.test(value) ? `'${value}` : value);
  const csv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map((value) => cellOf(inert(String(value)))).join(",")).join("\r\n") + "\r\n";
  const escaped = (value) => String(value).replace(/[|\\`*_[\]]/g, "\\$&").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/[\r\n]+/g, " ");
  const line = (row) => `| ${row.join(" | ")} |\n`;
  const markdown = ({ columns, rows }) => line(columns.map(escaped)) + line(columns.map(() => "---")) + rows.map((row) => line(row.map(escaped))).join("");
  const button = (name, write) => {
    const press = async () => {
      const copied = await copy(write(table()));
      it.textContent = copied ? "copied" : "can't copy";
      it.classList.toggle("done", copied);
      setTimeout(() => { it.textContent = name; it.classList.remove("done"); }, 1400);
    };
    const it = h("button", { type: "button", class: "button", onclick: press }, name);
    return it;
  };
  return h("span", { class: "copy" }, button("copy CSV", csv), button("copy Markdown", markdown));
}
