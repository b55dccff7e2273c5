// One item at a time. Every decision is posted at once and the page shows what the server wrote, never what it hopes.
import { COLOURS, PAINT, View, layer, lay, layersOf, outline, painting, pairs, path, tinted } from "./canvas.js";
import { Brush, Clicks, Pick, Polygon } from "./tools.js";

const at = (id) => document.getElementById(id);
const canvas = at("canvas"), context = canvas.getContext("2d");
const view = new View(canvas, at("glass"), at("frame"));
let items = [], place = 0, item = null, picture = null, overlay = null, tints = [], hits = [];
let unseen = "";  // why the item's picture is not there, which is said as long as nothing else is
let state = null, seen = null, decisions = null, said = [], pointed = null, busy = Promise.resolve(), shown = 0, leaving = 0, tool = null, drag = null;

async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, options)
    .catch(() => { throw new Error("pixcore annotate does not answer: if it has ended, start it again"); });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error || answer.statusText);
  return data;
}

// decisions go out one after the other, so that two quick clicks can't overtake each other
function queue(work) {
  busy = busy.then(work).then(() => problem(""), (error) => {
    problem("not saved: " + error.message);
    page.strokes = [];  // a stroke that was not saved is not there
    if (item) { raster(); render(); }
  });
  return busy;
}

// from here until the other item is shown, keys and buttons mean nothing: they would be about an item nobody has seen
function leave(work) {
  if (drag?.tool) { drag = null; tool.up(); }  // what the pointer is at is about the item that is left: it ends here
  const wait = (by) => { leaving += by; document.querySelector("main").ariaBusy = String(leaving > 0); };
  wait(1);
  return queue(work).finally(() => wait(-1));
}

function problem(text) { at("problem").textContent = text || unseen; }

function load(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("can't show " + source));
    image.src = source;
  });
}

// what the tools see of the page
const page = {
  view, brush: 16, reviews: null, segments: "", layers: null, paint, render, decide, toggle, under, problem, take, keep,
  strokes: [],  // what is drawn and not sent yet
  get state() { return state; },
  get item() { return item; },
  point(index) { if (index !== pointed) { pointed = index; render(); } },
  segment(clicks) { return call(`items/${place}/segment`, { item: item.id, clicks }); },
};
const TOOLS = {
  pick: () => new Pick(page), polygon: () => new Polygon(page), clicks: () => new Clicks(page),
  brush: () => new Brush(page, false), eraser: () => new Brush(page, true),
};
tool = TOOLS.pick();

function take(name) {
  if (page.reviews || (name === "clicks" && !page.segments)) name = "pick";
  if (tool.drawn) tool.up();  // a stroke that is under way ends here
  tool = TOOLS[name]();
  drag = null;
  render();
}

async function go(where) {
  if (where < 0 || where >= items.length) return;
  const ticket = ++shown;
  const found = await call("items/" + where);
  const loaded = await Promise.all([load(`items/${where}/image`).catch(() => null),
    ...found.instances.map((_, index) => load(`items/${where}/masks/${index}`))]);
  if (ticket !== shown) return;
  place = where; item = found; pointed = null;
  picture = loaded[0] ?? layer(found.size);
  unseen = loaded[0] ? "" : `${found.image} can't be shown: skip it, or put the file right and come back`;
  tints = loaded.slice(1).map((mask, index) => tinted(mask, item.size, COLOURS[index % COLOURS.length]));
  hits = tints.map((one) => one.getContext("2d").getImageData(0, 0, ...item.size).data);
  overlay = layer(item.size);
  [canvas.width, canvas.height] = item.size;
  tool = TOOLS.pick();
  page.strokes = [];
  told(found);
  view.fit();
  at("expression").value = state.expression;  // even where somebody is typing: what they type is about another item
  at("note").value = said.find((one) => one.verdict === "returned")?.note ?? "";
  canvas.dataset.item = item.id;
  render();
}

// take over what the server says of the item
function told(answer) {
  const field = at("expression"), isShown = !typed(state);
  state = answer.state; seen = answer.seen; said = answer.said;
  if (isShown && document.activeElement !== field) field.value = state.expression;
  items[place].status = answer.status;
  at("undo").disabled = !answer.undoable;
  raster();
}

// the expression that somebody typed and that is not saved: it goes out with the next decision
function typed(now) {
  const expression = at("expression").value.trim();
  return expression && expression !== now?.expression.trim() ? { expression } : null;
}

function raster() {
  page.layers = page.strokes.reduce(lay, layersOf(state, item.size));
}

function render() {
  if (!item) return;
  const done = items.filter((one) => one.status !== "open").length;
  at("progress").max = items.length; at("progress").value = done;
  at("count").textContent = `${done} of ${items.length} ${page.reviews ? "reviewed" : "decided"}`;
  at("place").replaceChildren(`${place + 1} of ${items.length} · `, own(item.id), ` · ${page.reviews ? state.status + ", " : ""}${items[place].status}`);
  at("question").textContent = item.question;
  at("said").hidden = !said.length;
  at("said").className = said.some((one) => one.verdict === "returned") ? "returned" : "";
  at("said").textContent = said.map((one) => `${one.verdict} by ${one.by}${one.note ? ": " + one.note : ""}`).join("; ");
  const focused = document.activeElement?.dataset?.index;
  at("instances").replaceChildren(...item.instances.map(row));
  if (focused !== undefined) at("instances").querySelector(`[data-index="${focused}"]`)?.focus();
  at("polygons").replaceChildren(...state.polygons.map((ring) => drawn(ring)), ...(state.painted || state.erased ? [handmade()] : []));
  for (const name of Object.keys(TOOLS)) at("tool-" + name).setAttribute("aria-pressed", String(tool.name === name));
  for (const status of ["done", "absent"]) at(status).setAttribute("aria-pressed", String(state.status === status));
  at("skip").setAttribute("aria-pressed", String(state.status === "skipped"));
  canvas.classList.toggle("drawing", tool.name !== "pick");
  at("hint").textContent = tool.hint;
  paint();
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// a text that may turn the direction of writing, which reaches no further than itself
function own(text) {
  const made = element("bdi", "");
  made.textContent = text;
  return made;
}

function row(one, index) {
  const line = element("li", state.keep.includes(one.id) ? "kept" : ""), button = element("button", "line");
  line.style.setProperty("--swatch", COLOURS[index % COLOURS.length]);
  line.classList.toggle("pointed", pointed === index);
  const label = element("span", "label");
  label.append(own(one.label || "instance"), ` · ${one.area} px`);
  button.append(element("span", "swatch"), label, element("span", "key", index < 9 ? index + 1 : ""));
  button.dataset.index = index;
  button.setAttribute("aria-pressed", String(state.keep.includes(one.id)));
  button.disabled = Boolean(page.reviews);
  button.onclick = () => toggle(index);
  line.onmouseenter = () => { pointed = index; paint(); };
  line.onmouseleave = () => { pointed = null; paint(); };
  line.append(button);
  return line;
}

function removable(text, change) {
  const line = element("li", ""), button = element("button", "key drawing", "remove");
  button.setAttribute("aria-label", "remove " + text);
  button.onclick = () => decide(change);
  line.append(element("span", "label", text), button);
  return line;
}

// a polygon before it may be gone by the time it is removed, so it is known by its points, not by its number
function drawn(ring) {
  const same = (other) => String(other) === String(ring);
  return removable(`polygon of ${ring.length / 2} points`, (now) => ({ status: "open", polygons: now.polygons.filter((_, index) => index !== now.polygons.findIndex(same)) }));
}

function handmade() {
  const inside = (runs) => (runs ?? []).reduce((sum, run, index) => sum + (index % 2 ? run : 0), 0);
  const parts = [[inside(state.painted), "painted"], [inside(state.erased), "erased"]].filter(([count]) => count);
  return removable(parts.map(([count, what]) => `${count} px ${what}`).join(", "), { status: "open", painted: null, erased: null });
}

function paint() {
  if (!item) return;
  const pen = overlay.getContext("2d"), glass = view.clean();
  context.globalAlpha = 1;
  context.drawImage(picture, 0, 0, ...item.size);
  pen.clearRect(0, 0, ...item.size);
  tints.forEach((one, index) => {
    const kept = state.keep.includes(item.instances[index].id);
    pen.globalAlpha = pointed === index ? 0.75 : kept ? 0.5 : page.reviews ? 0 : 0.14;
    pen.drawImage(one, 0, 0);
  });
  pen.globalAlpha = 1;
  pen.fillStyle = PAINT;
  pen.globalAlpha = 0.45;
  state.polygons.forEach((ring, index) => { if (tool.held?.ring !== index) { path(pen, pairs(ring), true); pen.fill(); } });
  pen.globalAlpha = 1;
  pen.globalCompositeOperation = "destination-out";
  pen.drawImage(page.layers.erased, 0, 0);
  pen.globalCompositeOperation = "source-over";
  pen.globalAlpha = 0.55;
  pen.drawImage(page.layers.painted, 0, 0);
  pen.globalAlpha = 1;
  context.drawImage(overlay, 0, 0);
  if (tool.name !== "pick") state.polygons.forEach((ring) => outline(glass, pairs(ring), view.scale, true, "#ffffff"));
  tool.draw(glass, view.scale);
}

function decide(change, then) {
  if (leaving || page.reviews) return busy;
  return post((now) => ({ ...now, ...typed(now), ...(typeof change === "function" ? change(now) : change) }), then);
}

function post(body, then) {
  const about = item, where = place;
  // each decision starts from what the one before it left, not from what was on the page when it was clicked
  return (then ? leave : queue)(async () => {
    if (item !== about) return;
    const answer = await call("items/" + where, { item: about.id, seen, ...body(state) });
    decisions = answer.decisions;  // taken over here, not where an item is loaded: that shows nothing of what another tab decided
    told(answer);
    render();
    if (then) await then();
  });
}

// a stroke is laid over what is there once it is sent, which may be more than when it was drawn
function keep(stroke) {
  decide((now) => {
    page.strokes = page.strokes.filter((one) => one !== stroke);
    return { status: "open", ...painting(lay(layersOf(now, item.size), stroke)) };
  });
}

function toggle(index) {
  if (!item.instances[index]) return;
  const id = item.instances[index].id;
  decide((now) => ({ status: "open", keep: now.keep.includes(id) ? now.keep.filter((one) => one !== id) : [...now.keep, id] }));
}

// of the masks under the pointer the smallest one is meant
function under([x, y]) {
  const [width, height] = item.size;
  const pixel = 4 * (Math.min(Math.floor(y), height - 1) * width + Math.min(Math.floor(x), width - 1)) + 3;
  let found = null;
  hits.forEach((mask, index) => {
    if (mask[pixel] > 0 && (found === null || item.instances[index].area < item.instances[found].area)) found = index;
  });
  return found;
}

canvas.addEventListener("pointerdown", (event) => {
  if (!item || leaving) return;
  canvas.setPointerCapture(event.pointerId);
  const pans = event.button === 1 || event.shiftKey;
  if (!pans && event.button === 0 && tool.down(view.at(event), event)) { drag = { tool: true }; return; }
  drag = { x: event.clientX, y: event.clientY, moved: pans, button: event.button };
});
canvas.addEventListener("pointermove", (event) => {
  if (!item) return;
  if (drag?.tool) { tool.move(view.at(event)); return; }
  if (!drag) { tool.hover(view.at(event)); return; }
  const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
  if (!drag.moved && Math.hypot(dx, dy) < 5) return;
  drag = { ...drag, x: event.clientX, y: event.clientY, moved: true };
  view.pan(dx, dy);
});
canvas.addEventListener("pointerup", (event) => {
  const ended = drag;
  drag = null;
  if (!item || !ended) return;
  if (ended.tool) tool.up(view.at(event));
  else if (!ended.moved && (ended.button === 0 || (ended.button === 2 && tool.name === "clicks"))) tool.click(view.at(event), event);
});
canvas.addEventListener("pointercancel", () => { drag = null; if (tool.up) tool.up(); });
canvas.addEventListener("pointerleave", () => { if (item && !drag) page.point(null); });
canvas.addEventListener("contextmenu", (event) => { if (tool.name === "clicks") event.preventDefault(); });
at("frame").addEventListener("wheel", (event) => {
  event.preventDefault();
  view.by(Math.exp(-event.deltaY / 500), event.clientX, event.clientY);
}, { passive: false });
view.moved = () => paint();

function finish(status) {
  const change = { status };
  if (status === "done" && tool.unsaved) { problem(tool.unsaved); return; }
  if (status === "absent") Object.assign(change, { keep: [], polygons: [], painted: null, erased: null });
  if (status === "done" && !state.keep.length && !state.polygons.length && !state.painted) {
    problem("nothing is kept or drawn: keep a mask, draw one, or say that the object is absent");
    return;
  }
  decide(change, () => go(Math.min(place + 1, items.length - 1)));
}
function review(verdict) {
  if (leaving || !page.reviews) return;
  const note = at("note").value.trim();
  if (verdict === "returned" && !note) { problem("say in a few words what is wrong"); at("note").focus(); return; }
  at("note").blur();
  post(() => ({ verdict, note: verdict === "returned" ? note : "" }), () => go(Math.min(place + 1, items.length - 1)));
}
function undo() {
  leave(async () => {
    const answer = await call("undo", { decisions });
    decisions = answer.decisions;
    if (answer.place === null) return;
    items = (await call("items")).items;
    await go(answer.place);
  });
}
function move(where) { if (!leaving) leave(() => go(where)); }
function nextOpen() {
  const order = [...items.keys()].map((index) => (place + 1 + index) % items.length);
  const open = order.find((index) => items[index].status === "open");
  if (open !== undefined) move(open);
}
function resize(by) {
  page.brush = Math.min(Math.max(page.brush + by, 1), 120);
  at("size").value = page.brush;
  paint();
}
// point at the mask before or after, of any number of them
function step(by) {
  const count = item.instances.length;
  if (count) page.point(pointed === null ? (by > 0 ? 0 : count - 1) : (pointed + by + count) % count);
  at("instances").children[pointed]?.scrollIntoView({ block: "nearest" });
}

const BUTTONS = {
  all: () => decide({ status: "open", keep: item.instances.map((one) => one.id) }),
  none: () => decide({ status: "open", keep: [] }),
  undo, done: () => finish("done"), absent: () => finish("absent"), skip: () => finish("skipped"),
  accept: () => review("accepted"), return: () => review("returned"),
  back: () => move(place - 1), next: () => move(place + 1), open: nextOpen,
  in: () => view.by(1.5), out: () => view.by(1 / 1.5), fit: () => view.fit(),
  ...Object.fromEntries(Object.keys(TOOLS).map((name) => ["tool-" + name, () => take(tool.name === name ? "pick" : name)])),
};
for (const [id, act] of Object.entries(BUTTONS)) at(id).onclick = act;
at("size").addEventListener("input", () => { page.brush = Number(at("size").value); paint(); });
at("expression").addEventListener("change", () => { if (typed(state)) decide({}); });

const COMMON = {
  ArrowLeft: BUTTONS.back, ArrowRight: BUTTONS.next, n: nextOpen, u: undo, f: BUTTONS.fit, "+": BUTTONS.in, "=": BUTTONS.in, "-": BUTTONS.out,
};
const DRAWING = {
  ...COMMON, a: BUTTONS.all, x: BUTTONS.none, s: BUTTONS.skip, 0: BUTTONS.absent, Enter: BUTTONS.done, Escape: () => take("pick"),
  v: () => take("pick"), p: BUTTONS["tool-polygon"], b: BUTTONS["tool-brush"], e: BUTTONS["tool-eraser"], c: BUTTONS["tool-clicks"],
  "[": () => resize(-4), "]": () => resize(4), ArrowUp: () => step(-1), ArrowDown: () => step(1),
  " ": () => { if (pointed !== null) toggle(pointed); },
};
const REVIEWING = { ...COMMON, Enter: BUTTONS.accept, r: () => at("note").focus() };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !item) return;
  const writing = event.target.tagName === "TEXTAREA";
  const repeats = event.repeat && !["[", "]", "+", "-", "=", "ArrowUp", "ArrowDown"].includes(event.key);
  if (leaving || repeats) { if (!writing) event.preventDefault(); return; }
  if (writing) {
    if (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey)) return;
    event.preventDefault();
    event.target.blur();
    if (event.target === at("note") && event.key === "Enter") review("returned");
    return;
  }
  if (["BUTTON", "SUMMARY"].includes(event.target.tagName) && (event.key === "Enter" || event.key === " ")) return;
  if (event.target.tagName === "INPUT" && event.key.startsWith("Arrow")) return;
  if (!page.reviews && tool.key(event)) { event.preventDefault(); return; }
  const keys = page.reviews ? REVIEWING : DRAWING;
  if (event.key in keys) { event.preventDefault(); keys[event.key](); }
  else if (!page.reviews && /^[1-9]$/.test(event.key)) toggle(Number(event.key) - 1);
});
// a button pressed by mouse keeps no focus, or the next Enter would press it again
document.addEventListener("click", (event) => { if (event.detail) event.target.closest?.("button")?.blur(); });

leave(async () => {
  const overview = await call("items");
  items = overview.items;
  decisions = overview.decisions;
  page.reviews = overview.reviews;
  page.segments = overview.segments;
  document.body.classList.toggle("review", Boolean(page.reviews));
  at("who").textContent = page.reviews ? `${overview.annotator}, reviewing ${page.reviews}` : overview.annotator;
  at("tool-clicks").disabled = !page.segments;
  if (!page.segments) at("tool-clicks").title = "no mask generator is installed: pip install pixcore-regions";
  at("expression").readOnly = Boolean(page.reviews);
  const open = items.findIndex((one) => one.status === "open");
  await go(Math.max(open, 0));
});
