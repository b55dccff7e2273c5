// What the pointer does: one tool at a time. A tool changes nothing by itself; it asks the page to decide. What it holds
// that no decision has yet, `unsaved` says.
import { PAINT, dot, fromRuns, layer, lay, line, outline, pairs } from "./canvas.js";

const NEAR = 8;  // pixels of the screen

// Keeps or drops the mask that is clicked, and moves the corners of polygons.
export class Pick {
  name = "pick";
  constructor(page) { this.page = page; this.held = null; }
  get hint() {
    const corners = this.page.state.polygons.length ? "; drag a corner, or a middle to make one; Alt-click removes it" : "";
    return this.page.reviews ? "drag to pan, the wheel zooms" : "click a mask to keep or drop it" + corners;
  }
  corner([x, y]) {
    let found = null, nearest = NEAR * this.page.view.scale;
    const look = (ring, place, [cx, cy], middle) => {
      const far = Math.hypot(cx - x, cy - y);
      if (far < nearest) { nearest = far; found = { ring, place, middle }; }
    };
    this.page.state.polygons.forEach((flat, ring) => {
      const points = pairs(flat);
      points.forEach((point, place) => {
        const next = points[(place + 1) % points.length];
        look(ring, place, point, false);
        look(ring, place + 1, [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2], true);
      });
    });
    return found;
  }
  down(at, event) {
    const found = this.page.reviews ? null : this.corner(at);
    if (!found) return false;
    const points = pairs(this.page.state.polygons[found.ring]);
    const corner = points[found.middle ? found.place - 1 : found.place];
    if (event.altKey) {
      if (!found.middle) this.put(found.ring, corner, (now, here) => { if (now.length > 3) now.splice(here, 1); });
      return true;
    }
    if (found.middle) points.splice(found.place, 0, at);
    this.held = { ...found, points, corner };
    return true;
  }
  move(at) { if (this.held) { this.held.points[this.held.place] = at; this.page.paint(); } }
  up() {
    const held = this.held;
    this.held = null;
    if (!held) return;
    const at = held.points[held.place];
    this.put(held.ring, held.corner, (now, here) => { if (held.middle) now.splice(here + 1, 0, at); else now[here] = at; });
  }
  // the polygon may have changed since the pointer went down, so the corner is looked for where it was
  put(ring, [x, y], change) {
    this.page.decide((now) => ({ status: "open", polygons: now.polygons.map((one, place) => {
      const points = pairs(one), here = points.findIndex((point) => point[0] === x && point[1] === y);
      if (place === ring && here >= 0) change(points, here);
      return points.flat();
    }) }));
  }
  click(at) {
    const found = this.page.under(at);
    if (found !== null) this.page.toggle(found);
  }
  hover(at) { this.page.point(this.page.under(at)); }
  key() { return false; }
  draw(pen, scale) {
    this.page.state.polygons.forEach((flat, ring) => {
      const points = this.held?.ring === ring ? this.held.points : pairs(flat);
      outline(pen, points, scale, true, this.held?.ring === ring ? PAINT : "#ffffff");
      if (this.page.reviews) return;
      points.forEach((point, place) => {
        const next = points[(place + 1) % points.length];
        dot(pen, [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2], 3 * scale, "#ffffffaa", "#555555");
        dot(pen, point, 4.5 * scale, "#ffffff", "#222222");
      });
    });
  }
}

// Draws a polygon, a click a corner.
export class Polygon {
  name = "polygon";
  constructor(page) { this.page = page; this.points = []; }
  get hint() {
    return `${this.points.length} point${this.points.length === 1 ? "" : "s"}: click to add, Enter closes, Backspace takes one back, Esc drops`;
  }
  get unsaved() { return this.points.length ? "the polygon is not closed: Enter closes it, Esc drops it" : ""; }
  down() { return false; }
  hover() {}
  click(at) { this.points.push(at); this.page.render(); }
  key(event) {
    if (event.key === "Enter") this.close();
    else if (event.key === "Backspace") { this.points.pop(); this.page.render(); }
    else return false;
    return true;
  }
  close() {
    if (this.points.length < 3) { this.page.problem("a polygon needs at least three points"); return; }
    const ring = this.points.flat();
    this.page.take("pick");
    this.page.decide((now) => ({ status: "open", polygons: [...now.polygons, ring] }));
  }
  draw(pen, scale) {
    outline(pen, this.points, scale, false, PAINT);
    for (const point of this.points) dot(pen, point, 3 * scale, PAINT);
  }
}

// Paints, or takes away of whatever lies there.
export class Brush {
  constructor(page, erases) { this.page = page; this.erases = erases; this.name = erases ? "eraser" : "brush"; this.last = null; this.place = null; this.drawn = null; }
  get hint() { return `${this.erases ? "erase" : "paint"} with the pointer down; [ and ] change the size; Esc ends`; }
  down(at) {
    this.last = at;
    [this.drawn, this.piece] = [0, 1].map(() => ({ mark: layer(this.page.item.size), erases: this.erases }));
    this.page.strokes.push(this.drawn);
    this.move(at);
    return true;
  }
  move(at) {
    this.piece.mark.getContext("2d").clearRect(0, 0, ...this.page.item.size);
    for (const { mark } of [this.drawn, this.piece]) line(mark, this.last, at, this.page.brush, PAINT);
    lay(this.page.layers, this.piece);
    this.last = this.place = at;
    this.page.paint();
  }
  up() {
    if (this.drawn) this.page.keep(this.drawn);
    this.last = this.drawn = null;
  }
  click() {}
  hover(at) { this.place = at; this.page.paint(); }
  key() { return false; }
  draw(pen, scale) {
    if (!this.place) return;
    pen.beginPath(); pen.arc(...this.place, this.page.brush / 2, 0, 7);
    pen.strokeStyle = "#000000"; pen.lineWidth = 2.5 * scale; pen.stroke();
    pen.strokeStyle = "#ffffff"; pen.lineWidth = scale; pen.stroke();
  }
}

// Asks the installed generator for the mask of what is clicked: inside, or outside with Alt or the right button.
export class Clicks {
  name = "clicks";
  constructor(page) { this.page = page; this.clicks = []; this.found = []; this.chosen = 0; this.asked = 0; this.waiting = false; }
  get hint() {
    if (!this.clicks.length) return `click on the object: ${this.page.segments} makes its mask`;
    if (!this.found.length) return this.waiting ? "making masks of it …" : "no mask there";
    const score = this.found[this.chosen].score.toFixed(2);
    return `mask ${this.chosen + 1} of ${this.found.length} (score ${score}): 1–${this.found.length} choose, Enter accepts, Alt-click: outside, Backspace: a click less`;
  }
  get unsaved() { return this.found.length ? "the mask of your clicks is not taken: Enter accepts it, Esc drops it" : ""; }
  down() { return false; }
  hover() {}
  click([x, y], event) {
    this.clicks.push([x, y, event.altKey || event.button === 2 ? 0 : 1]);
    this.ask();
  }
  async ask() {
    const ticket = ++this.asked;
    if (!this.clicks.some((one) => one[2])) { this.found = []; this.waiting = false; this.page.render(); return; }
    this.found = [];
    this.waiting = true;
    this.page.render();
    try {
      const answer = await this.page.segment(this.clicks);
      if (ticket !== this.asked) return;
      this.found = answer.masks.map((one) => ({ ...one, layer: fromRuns(one.runs, this.page.item.size) }));
      this.chosen = 0;
      this.page.problem("");
    } catch (error) {
      if (ticket !== this.asked) return;
      this.page.problem("no mask: " + error.message);
    }
    this.waiting = false;
    this.page.render();
  }
  key(event) {
    if (event.key === "Enter" && this.clicks.length) this.accept();
    else if (event.key === "Backspace") { this.clicks.pop(); this.ask(); }
    else if (/^[1-9]$/.test(event.key)) { this.chosen = Math.min(Number(event.key), this.found.length || 1) - 1; this.page.render(); }
    else return false;
    return true;
  }
  accept() {
    const found = this.found[this.chosen];
    if (!found) return;
    const made = { mark: found.layer, erases: false };
    this.page.strokes.push(made);
    lay(this.page.layers, made);
    this.page.take("pick");
    this.page.keep(made);
  }
  draw(pen, scale) {
    const found = this.found[this.chosen];
    if (found) { pen.globalAlpha = 0.6; pen.drawImage(found.layer, 0, 0); pen.globalAlpha = 1; }
    for (const [x, y, inside] of this.clicks) dot(pen, [x, y], 5 * scale, inside ? "#11c46b" : "#e03131", "#ffffff");
  }
}
