"use strict";
// Shared by every page. All text reaches the page through `textContent`: model output is never parsed as HTML.
const pixcore = {};

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
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
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

// breakdowns: one figure at a time
(() => {
  const group = document.getElementById("figure");
  if (!group) return;
  const show = (name) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === name));
    for (const table of document.querySelectorAll("[data-figure]")) table.hidden = table.dataset.figure !== name;
  };
  for (const button of group.children) button.addEventListener("click", () => show(button.value));
  show("M");
})();
