// What pages do beyond HTML: theme, keys, local times, and the live tail. Everything else works without it.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  $("#theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    document.cookie = `millrace_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
    dispatchEvent(new Event("theme"));
  });

  const localTimes = (root) => all("time", root).forEach((time) => { time.title = `${new Date(time.dateTime).toLocaleString()} here`; });
  const paint = (root) => {
    all("[data-width]", root).forEach((part) => { part.style.width = `${part.dataset.width}%`; part.style.background = `var(--s${part.dataset.color})`; });
    all("[data-swatch]", root).forEach((part) => { part.style.background = `var(--s${part.dataset.swatch})`; });
  };
  localTimes(document);
  paint(document);
  all("button[data-fill]").forEach((button) => button.addEventListener("click", () => {
    const [name, value] = button.dataset.fill.split("=");
    const field = button.form.elements[name];
    field.value = value;
    field.focus();
  }));

  // Keys: / searches, j and k walk through rows, Enter opens, g and a letter goes to a section.
  const rows = () => all("main tbody tr").filter((row) => $("a", row));
  const select = (step) => {
    const found = rows();
    if (!found.length) return;
    const now = found.findIndex((row) => row.getAttribute("aria-selected") === "true");
    const next = Math.max(0, Math.min(found.length - 1, now < 0 ? (step > 0 ? 0 : found.length - 1) : now + step));
    found.forEach((row, index) => row.setAttribute("aria-selected", String(index === next)));
    $("a", found[next]).focus();
    found[next].scrollIntoView({ block: "nearest" });
  };
  const sections = { o: "Overview", t: "Topics", g: "Groups", l: "Clients", x: "Transactions", b: "Brokers", c: "Changes", m: "Bench" };
  const help = () => {
    const dialog = document.createElement("dialog");
    const title = document.createElement("h2");
    title.textContent = "Keys";
    const list = document.createElement("dl");
    const lines = [["/", "search or filter"], ["j k", "next and previous row"], ["Enter", "open the row"], ["[ ]", "previous and next page"], ["Space", "stop and start the live tail"], ["g + letter", "o overview, t topics, g groups, l clients, x transactions, b brokers, c changes, m bench"]];
    for (const [key, text] of lines) {
      const name = document.createElement("dt");
      const shown = document.createElement("kbd");
      shown.textContent = key;
      name.append(shown);
      const meaning = document.createElement("dd");
      meaning.textContent = text;
      list.append(name, meaning);
    }
    const close = document.createElement("button");
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    dialog.append(title, list, close);
    document.body.append(dialog);
    dialog.showModal();
  };
  let going = false;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    const done = () => event.preventDefault();
    if (going) {
      going = false;
      const link = all(".bar nav a").find((it) => it.textContent === sections[event.key]);
      if (link) { done(); link.click(); }
      return;
    }
    if (event.key === "g") going = true;
    else if (event.key === "/") { const field = $("main [data-search]"); if (field) { done(); field.focus(); field.select(); } }
    else if (event.key === "j") { done(); select(1); }
    else if (event.key === "k") { done(); select(-1); }
    else if (event.key === "[") $(".pager [rel=prev]")?.click();
    else if (event.key === "]") $(".pager [rel=next]")?.click();
    else if (event.key === "?") { done(); help(); }
    else if (event.key === " " && $("#tail") && !event.target.closest("button, a, summary")) { done(); $("#tail").click(); }
  });

  // The live tail: the server makes the rows, so that they are escaped where all others are.
  const tail = $("#tail");
  if (tail) {
    const body = $(".messages tbody");
    const status = $("#tail-status");
    const rowsMax = 500;
    let next = tail.dataset.next;
    let timer = null;
    const poll = async () => {
      try {
        const response = await fetch(`${tail.dataset.href}&cursor=${encodeURIComponent(next)}`, { credentials: "same-origin" });
        if (!response.ok) throw new Error((await response.text()).slice(0, 200) || response.status);
        next = response.headers.get("x-next") || next;
        const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = all("tbody tr", parsed);
        localTimes(parsed);
        for (const row of fresh) { row.classList.add("new"); body.prepend(row); }
        while (body.rows.length > rowsMax) body.lastElementChild.remove();
        status.textContent = fresh.length ? `${fresh.length} new` : "waiting for records";
      } catch (error) {
        status.textContent = `trying again: ${error.message}`;
      }
      if (timer !== null) timer = setTimeout(poll, document.hidden ? 5000 : 1000);
    };
    const set = (on) => {
      clearTimeout(timer);
      timer = on ? 0 : null;
      tail.textContent = on ? "Stop" : "Live tail";
      tail.setAttribute("aria-pressed", String(on));
      status.textContent = on ? "waiting for records" : "";
      if (on) poll();
    };
    tail.addEventListener("click", () => set(timer === null));
    if (tail.dataset.start) set(true);
  }

  // A part that lives is made anew by the server, where all is escaped; what the reader has opened, scrolled and focused stays.
  const fresh = $("[data-fresh]");
  const renew = async () => {
    const focused = fresh.contains(document.activeElement) ? document.activeElement : null;
    if (!document.hidden && !focused?.matches("input, select, textarea")) {
      try {
        const response = await fetch(location.href, { credentials: "same-origin" });
        const made = response.ok && $(`#${fresh.id}`, new DOMParser().parseFromString(await response.text(), "text/html"));
        if (made) {
          const scrolled = all(".scroll", fresh).map((it) => it.scrollLeft);
          const opened = all("details", fresh).map((it) => it.open);
          const href = focused?.getAttribute("href");
          fresh.replaceChildren(...made.childNodes);
          localTimes(fresh);
          paint(fresh);
          all(".scroll", fresh).forEach((it, index) => { it.scrollLeft = scrolled[index] ?? 0; });
          all("details", fresh).forEach((it, index) => { it.open = opened[index] ?? false; });
          if (href) all("a[href]", fresh).find((it) => it.getAttribute("href") === href)?.focus({ preventScroll: true });
        }
      } catch { /* The next time. */ }
    }
    setTimeout(renew, Number(fresh.dataset.fresh));
  };
  if (fresh) setTimeout(renew, Number(fresh.dataset.fresh));

  // Pages about something that is under way come again by themselves.
  const again = $("[data-again]");
  if (again) setTimeout(() => location.reload(), Number(again.dataset.again));
})();
