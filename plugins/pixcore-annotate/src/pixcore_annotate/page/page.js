"use strict";
// One item at a time. Every decision is posted at once and the page shows what the server wrote, never what it hopes.
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"];
const at = (id) => document.getElementById(id);
const canvas = at("canvas"), context = canvas.getContext("2d");
let items = [], place = 0, item = null, picture = null, tints = [], hits = [];
let state = null, drawing = null, pointed = null, busy = Promise.resolve(), shown = 0, leaving = 0;

async function call(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, options);
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.error || answer.statusText);
  return data;
}

// decisions go out one after the other, so that two quick clicks can't overtake each other
function queue(work) {
  busy = busy.then(work).then(() => { at("problem").textContent = ""; }, (error) => {
    at("problem").textContent = "not saved: " + error.message;
  });
  return busy;
}

// from here until the other item is shown, keys and buttons mean nothing: they would be about an item nobody has seen
function leave(work) {
  leaving += 1;
  return queue(work).finally(() => { leaving -= 1; });
}

function load(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("can't show " + source));
    image.src = source;
  });
}

function tint(mask, colour) {
  const layer = document.createElement("canvas");
  [layer.width, layer.height] = item.size;
  const pen = layer.getContext("2d");
  pen.drawImage(mask, 0, 0, ...item.size);
  const pixels = pen.getImageData(0, 0, ...item.size).data;
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour;
  pen.fillRect(0, 0, layer.width, layer.height);
  return { layer, pixels };
}

async function go(where) {
  if (where < 0 || where >= items.length) return;
  const ticket = ++shown;
  const found = await call("items/" + where);
  const loaded = await Promise.all([load(`items/${where}/image`),
    ...found.instances.map((_, index) => load(`items/${where}/masks/${index}`))]);
  if (ticket !== shown) return;
  place = where; item = found; state = found.state; drawing = null; pointed = null;
  picture = loaded[0];
  const layers = loaded.slice(1).map((mask, index) => tint(mask, COLOURS[index % COLOURS.length]));
  tints = layers.map((one) => one.layer);
  hits = layers.map((one) => one.pixels);
  [canvas.width, canvas.height] = item.size;
  const zoom = Math.max(1, Math.min(640 / item.size[0], 520 / item.size[1]));
  canvas.style.width = item.size[0] * zoom + "px";
  at("undo").disabled = !found.undoable;
  at("expression").value = state.expression;  // even where somebody is typing: what they type is about another item
  canvas.dataset.item = item.id;
  render();
}

function render() {
  const done = items.filter((one) => one.status !== "open").length;
  at("progress").max = items.length; at("progress").value = done;
  at("count").textContent = `${done} of ${items.length} decided`;
  at("place").textContent = `${place + 1} of ${items.length} · ${item.id} · ${state.status}`;
  at("question").textContent = item.question;
  if (document.activeElement !== at("expression")) at("expression").value = state.expression;
  at("instances").replaceChildren(...item.instances.map((one, index) => row(one, index)));
  at("polygons").replaceChildren(...state.polygons.map((ring, index) => drawn(ring, index)));
  at("draw").setAttribute("aria-pressed", String(drawing !== null));
  for (const status of ["done", "absent"]) at(status).setAttribute("aria-pressed", String(state.status === status));
  at("skip").setAttribute("aria-pressed", String(state.status === "skipped"));
  canvas.classList.toggle("drawing", drawing !== null);
  at("hint").textContent = drawing === null ? "click a mask to keep or drop it"
    : `${drawing.length} point${drawing.length === 1 ? "" : "s"}: click to add, Enter closes, Esc drops`;
  paint();
}

function row(one, index) {
  const line = document.createElement("li");
  const swatch = document.createElement("span"), label = document.createElement("span"), key = document.createElement("span");
  line.style.setProperty("--swatch", COLOURS[index % COLOURS.length]);
  line.className = state.keep.includes(one.id) ? "kept" : "";
  line.classList.toggle("pointed", pointed === index);
  swatch.className = "swatch"; label.className = "label"; key.className = "key";
  label.textContent = `${one.label || "instance"} · ${one.area} px`;
  key.textContent = index < 9 ? index + 1 : "";
  line.append(swatch, label, key);
  line.onclick = () => toggle(index);
  line.onmouseenter = () => { pointed = index; paint(); };
  line.onmouseleave = () => { pointed = null; paint(); };
  return line;
}

function drawn(ring, index) {
  const line = document.createElement("li");
  const label = document.createElement("span"), remove = document.createElement("button");
  label.className = "label"; label.textContent = `polygon of ${ring.length / 2} points`;
  remove.textContent = "remove"; remove.className = "key";
  remove.onclick = () => decide({ polygons: state.polygons.filter((_, other) => other !== index) });
  line.append(label, remove);
  return line;
}

function outline(points, closed) {
  context.beginPath();
  points.forEach(([x, y], index) => index ? context.lineTo(x, y) : context.moveTo(x, y));
  if (closed) { context.closePath(); context.globalAlpha = 0.4; context.fill(); context.globalAlpha = 1; }
  context.stroke();
}

function paint() {
  const scale = canvas.width / canvas.clientWidth || 1;
  context.globalAlpha = 1;
  context.drawImage(picture, 0, 0, ...item.size);
  tints.forEach((layer, index) => {
    const kept = state.keep.includes(item.instances[index].id);
    context.globalAlpha = pointed === index ? 0.75 : kept ? 0.5 : 0.14;
    context.drawImage(layer, 0, 0);
  });
  context.globalAlpha = 1;
  context.lineWidth = 2 * scale;
  context.strokeStyle = context.fillStyle = "#ffffff";
  const pairs = (ring) => ring.reduce((all, value, i) => (i % 2 ? all[all.length - 1].push(value) : all.push([value]), all), []);
  state.polygons.forEach((ring) => outline(pairs(ring), true));
  if (drawing) {
    context.strokeStyle = context.fillStyle = "#cc2f7b";
    outline(drawing, false);
    for (const [x, y] of drawing) { context.beginPath(); context.arc(x, y, 3 * scale, 0, 7); context.fill(); }
  }
}

function decide(change, then) {
  if (leaving) return busy;
  const about = item, where = place;
  // each decision starts from what the one before it left, not from what was on the page when it was clicked
  return (then ? leave : queue)(async () => {
    if (item !== about) return;
    const next = Object.assign({ item: about.id }, state, typeof change === "function" ? change(state) : change);
    const answer = await call("items/" + where, next);
    state = answer.state;
    items[place].status = state.status;
    at("undo").disabled = !answer.undoable;
    render();
    if (then) await then();
  });
}

function toggle(index) {
  const id = item.instances[index].id;
  decide((now) => ({ status: "open", keep: now.keep.includes(id) ? now.keep.filter((one) => one !== id) : [...now.keep, id] }));
}

function position(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * item.size[0] / box.width, (event.clientY - box.top) * item.size[1] / box.height];
}

// of the masks under the pointer the smallest one is meant
function under([x, y]) {
  const pixel = 4 * (Math.floor(y) * item.size[0] + Math.floor(x)) + 3;
  let found = null;
  hits.forEach((mask, index) => {
    if (mask[pixel] > 0 && (found === null || item.instances[index].area < item.instances[found].area)) found = index;
  });
  return found;
}

canvas.addEventListener("click", (event) => {
  if (drawing) { drawing.push(position(event).map((value) => Math.round(value * 10) / 10)); render(); return; }
  const index = under(position(event));
  if (index !== null) toggle(index);
});
canvas.addEventListener("mousemove", (event) => {
  if (drawing) return;
  const index = under(position(event));
  if (index !== pointed) { pointed = index; render(); }
});
canvas.addEventListener("mouseleave", () => { if (pointed !== null && !drawing) { pointed = null; render(); } });

function close() {
  if (drawing.length < 3) { at("problem").textContent = "a polygon needs at least three points"; return; }
  const ring = drawing.flat();
  drawing = null;
  decide((now) => ({ status: "open", polygons: [...now.polygons, ring] }));
}
function draw() { drawing = drawing ? null : []; render(); }
function all() { decide({ status: "open", keep: item.instances.map((one) => one.id) }); }
function none() { decide({ status: "open", keep: [] }); }
function finish(status) {
  const change = { status };
  if (status === "absent") Object.assign(change, { keep: [], polygons: [] });
  if (status === "done" && !state.keep.length && !state.polygons.length) {
    at("problem").textContent = "nothing is kept or drawn: keep a mask, draw one, or say that the object is absent";
    return;
  }
  const expression = at("expression").value.trim();
  if (expression) change.expression = expression;
  decide(change, () => go(Math.min(place + 1, items.length - 1)));
}
function undo() {
  leave(async () => {
    const answer = await call("undo", {});
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

at("all").onclick = all; at("none").onclick = none; at("draw").onclick = draw; at("undo").onclick = undo;
at("done").onclick = () => finish("done"); at("absent").onclick = () => finish("absent"); at("skip").onclick = () => finish("skipped");
at("back").onclick = () => move(place - 1); at("next").onclick = () => move(place + 1); at("open").onclick = nextOpen;
at("expression").addEventListener("change", () => {
  const expression = at("expression").value.trim();
  if (expression && expression !== state.expression) decide({ expression });
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !item) return;
  if (leaving || event.repeat) { if (event.target !== at("expression")) event.preventDefault(); return; }
  if (event.target === at("expression")) { if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) { event.preventDefault(); at("expression").blur(); } return; }
  if (drawing && event.key === "Enter") { event.preventDefault(); close(); return; }
  if (drawing && event.key === "Escape") { drawing = null; render(); return; }
  if (drawing && event.key === "Backspace") { drawing.pop(); render(); return; }
  if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  const keys = { a: all, x: none, p: draw, u: undo, n: nextOpen, s: () => finish("skipped"), 0: () => finish("absent"),
    Enter: () => finish("done"), ArrowLeft: () => move(place - 1), ArrowRight: () => move(place + 1) };
  if (event.key in keys) { event.preventDefault(); keys[event.key](); }
  else if (/^[1-9]$/.test(event.key) && Number(event.key) <= item.instances.length) toggle(Number(event.key) - 1);
});
// a button pressed by mouse keeps no focus, or the next Enter would press it again
document.addEventListener("click", (event) => { if (event.detail && event.target.tagName === "BUTTON") event.target.blur(); });
window.addEventListener("resize", () => { if (item) paint(); });

leave(async () => {
  const overview = await call("items");
  items = overview.items;
  at("who").textContent = overview.annotator.replace("decisions-", "");
  const open = items.findIndex((one) => one.status === "open");
  await go(Math.max(open, 0));
});
