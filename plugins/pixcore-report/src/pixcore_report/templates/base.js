"use strict";
// Shared by every page. All text reaches the page through `textContent`: model output is never parsed as HTML.
const pixcore = {};

/** Control characters, and marks that turn the direction of writing and reach beyond their text, made visible. */
pixcore.visible = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (one) =>
  one < " " ? String.fromCharCode(0x2400 + one.charCodeAt(0)) : `\u27e8${one.charCodeAt(0).toString(16)}\u27e9`);

/** Make an element: el("b.name", {title: "…", onclick: f}, "text", child, …); null children are left out. */
pixcore.el = (spec, attributes = {}, ...children) => {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(typeof child === "string" ? pixcore.visible(child) : child);
  return node;
};

/** A row of buttons of which one is pressed. `choices`: [[value, label, title?], …]. */
pixcore.segments = (label, choices, value, changed) => {
  const group = pixcore.el("div.segments", { role: "group", "aria-label": label });
  const press = (chosen) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === chosen));
  };
  for (const [choice, text, title] of choices) {
    const click = () => { press(choice); changed(choice); };
    group.append(pixcore.el("button", { type: "button", value: choice, title, onclick: click }, text));
  }
  press(value);
  group.press = press;
  return group;
};

(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const keep = (action) => { try { return action(); } catch { return null; } }; // no storage for some local files
  const kept = keep(() => localStorage.getItem("pixcore-theme"));
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    keep(() => localStorage.setItem("pixcore-theme", root.dataset.theme));
    dispatchEvent(new Event("theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("theme")));
})();

// breakdowns: one figure at a time, at first M, or where no mask was measured the first that was
(() => {
  const group = document.getElementById("figure");
  if (!group) return;
  const show = (name) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === name));
    for (const table of document.querySelectorAll("[data-figure]")) table.hidden = table.dataset.figure !== name;
  };
  for (const button of group.children) button.addEventListener("click", () => show(button.value));
  const cells = [...document.querySelectorAll("[data-figure] td.figure:not(.none)")];
  const measured = new Set(cells.map((cell) => cell.closest("[data-figure]").dataset.figure));
  const names = [...group.children].map((button) => button.value);
  show(["M", ...names].find((name) => measured.has(name)) ?? names[0]);
})();

// tables sort by a click on a head: figures from the highest, names from A; a third click brings the order of the run back
(() => {
  const numberOf = (cell) => {
    const text = cell.dataset.value ?? cell.textContent.match(/[-+]?\d+(\.\d+)?/)?.[0];
    return text === undefined ? null : Number(text);
  };
  for (const table of document.querySelectorAll("table.results")) {
    const body = table.tBodies[0], order = [...(body?.rows ?? [])], [above, below] = table.tHead?.rows ?? [], under = [...(below?.cells ?? [])];
    const heads = [...(above?.cells ?? [])].flatMap((head) => (below && head.rowSpan === 1 ? under.splice(0, head.colSpan) : [head]));
    if (order.length < 2 || order.some((row) => row.cells.length !== heads.length)) continue;
    const sort = (head, place) => {
      const figures = head.classList.contains("figure"), ways = figures ? ["descending", "ascending"] : ["ascending", "descending"];
      const way = ways[ways.indexOf(head.getAttribute("aria-sort")) + 1];
      for (const other of heads) other.removeAttribute("aria-sort");
      const key = (row) => (figures ? numberOf(row.cells[place]) : row.cells[place].textContent.trim());
      const keys = new Map(order.map((row) => [row, key(row)])), sign = way === "ascending" ? 1 : -1;
      const compare = (a, b) => { // what was not measured stands last, whichever way
        const [x, y] = [keys.get(a), keys.get(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (figures ? x - y : x.localeCompare(y, undefined, { numeric: true }));
      };
      if (way) head.setAttribute("aria-sort", way);
      body.append(...(way ? [...order].sort(compare) : order));
    };
    heads.forEach((head, place) => {
      if (!head.textContent.trim()) return;
      const button = pixcore.el("button.sort", { type: "button", onclick: () => sort(head, place) }, ...head.childNodes);
      head.append(button);
    });
  }
  // what is laid out as a grid on a phone stays a table for who hears it
  const roles = { "": "table", " thead": "rowgroup", " tbody": "rowgroup", " tr": "row", " td": "cell", " thead th": "columnheader", " tbody th": "rowheader" };
  for (const [part, role] of Object.entries(roles)) {
    for (const node of document.querySelectorAll(`table.main${part}`)) node.setAttribute("role", role);
  }
})();

// what scrolls aside or down can be scrolled by the keyboard
(() => {
  const check = (node) => {
    const scrolls = node.scrollWidth > node.clientWidth || node.scrollHeight > node.clientHeight;
    if (!scrolls) { node.removeAttribute("tabindex"); node.removeAttribute("role"); node.removeAttribute("aria-label"); return; }
    node.tabIndex = 0;
    node.setAttribute("role", "region");
    const names = [];
    for (let around = node; (around = around.parentElement?.closest("section, details, article"));) {
      names.unshift(around.querySelector(":scope > summary, :scope > h1, :scope > h2, :scope > header")?.textContent.trim());
    }
    node.setAttribute("aria-label", `${names.filter(Boolean).join(", ")} (scrolls)`);
  };
  const watch = new ResizeObserver((entries) => { for (const { target } of entries) check(target); });
  document.querySelectorAll(".scroll, pre, .said, .figure.plot").forEach((node) => watch.observe(node));
  /** Make a block of text that was written as a program writes it. */
  pixcore.pre = (text) => {
    const node = pixcore.el("pre", {}, text);
    watch.observe(node);
    return node;
  };
})();
