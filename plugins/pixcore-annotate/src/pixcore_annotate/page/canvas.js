// The picture and what lies over it, at the image's own size; zoomed and panned by a transform.
export const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"];
export const PAINT = "#cc2f7b";
const LARGEST = 40;

// an empty layer over an image
export function layer([width, height]) {
  const made = document.createElement("canvas");
  [made.width, made.height] = [width, height];
  return made;
}

// a picture of a mask in one colour
export function tinted(mask, size, colour) {
  const made = layer(size), pen = made.getContext("2d", { willReadFrequently: true });
  pen.drawImage(mask, 0, 0, ...size);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour;
  pen.fillRect(0, 0, ...size);
  return made;
}

// run lengths go down each column, first what is outside: COCO's order; null has none inside
export function fromRuns(runs, size, colour = PAINT) {
  const made = layer(size), pen = made.getContext("2d", { willReadFrequently: true });
  if (!runs) return made;
  const [width, height] = size, image = pen.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
  const value = parseInt("ff" + colour.slice(5, 7) + colour.slice(3, 5) + colour.slice(1, 3), 16);
  let place = 0;
  runs.forEach((run, index) => {
    if (index % 2) for (let one = place; one < place + run; one++) pixels[(one % height) * width + Math.floor(one / height)] = value;
    place += run;
  });
  pen.putImageData(image, 0, 0);
  return made;
}

export function toRuns(made) {
  const { width, height } = made;
  const data = made.getContext("2d").getImageData(0, 0, width, height).data, runs = [];
  let inside = false, run = 0, any = false;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const here = data[4 * (y * width + x) + 3] > 127;
      if (here !== inside) { runs.push(run); run = 0; inside = here; any = true; }
      run += 1;
    }
  }
  return any ? [...runs, run] : null;
}

// what is painted and what is erased, each a layer; a stroke is on one of them and takes away from the other
export const layersOf = ({ painted, erased }, size) => ({ painted: fromRuns(painted, size), erased: fromRuns(erased, size) });
export const painting = (layers) => ({ painted: toRuns(layers.painted), erased: toRuns(layers.erased) });

// lay a stroke over layers: a mark that paints or erases
export function lay(layers, { mark, erases }) {
  const pens = [layers.painted, layers.erased].map((one) => one.getContext("2d"));
  if (erases) pens.reverse();
  pens[0].drawImage(mark, 0, 0);
  pens[1].globalCompositeOperation = "destination-out";
  pens[1].drawImage(mark, 0, 0);
  pens[1].globalCompositeOperation = "source-over";
  return layers;
}

// a round line from one point to another
export function line(on, [x0, y0], [x1, y1], size, colour) {
  const pen = on.getContext("2d");
  pen.strokeStyle = colour; pen.lineWidth = size; pen.lineCap = "round";
  pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1 + 0.001, y1); pen.stroke();
}

export const pairs = (ring) => Array.from({ length: ring.length / 2 }, (_, place) => [ring[2 * place], ring[2 * place + 1]]);

export function path(pen, points, closed) {
  pen.beginPath();
  points.forEach(([x, y], place) => place ? pen.lineTo(x, y) : pen.moveTo(x, y));
  if (closed) pen.closePath();
}

// a line that is seen on dark and on light
export function outline(pen, points, scale, closed, colour) {
  path(pen, points, closed);
  pen.strokeStyle = "#00000099"; pen.lineWidth = 3.5 * scale; pen.stroke();
  pen.strokeStyle = colour; pen.lineWidth = 1.8 * scale; pen.stroke();
}

export function dot(pen, [x, y], radius, fill, edge) {
  pen.beginPath(); pen.arc(x, y, radius, 0, 7);
  pen.fillStyle = fill; pen.fill();
  if (edge) { pen.strokeStyle = edge; pen.lineWidth = radius / 3; pen.stroke(); }
}

// which part of the image is seen, and how large; on the glass before it lines and corners are drawn as fine as the screen
export class View {
  constructor(canvas, glass, frame) {
    this.canvas = canvas; this.glass = glass; this.frame = frame; this.zoom = 1; this.x = 0; this.y = 0; this.fitted = true;
    new ResizeObserver(() => this.fitted ? this.fit() : this.place()).observe(frame);
  }
  // a clean glass; what is drawn there is in pixels of the image
  clean() {
    const fine = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = this.frame;
    [this.glass.width, this.glass.height] = [width * fine, height * fine];
    const pen = this.glass.getContext("2d");
    pen.setTransform(this.zoom * fine, 0, 0, this.zoom * fine, this.x * fine, this.y * fine);
    pen.imageSmoothingEnabled = this.zoom < 4;
    return pen;
  }
  fit() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    this.zoom = Math.min(width / this.canvas.width, height / this.canvas.height, 8);
    this.x = (width - this.canvas.width * this.zoom) / 2;
    this.y = (height - this.canvas.height * this.zoom) / 2;
    this.fitted = true;
    this.place();
  }
  // the point below the pointer stays below it
  by(factor, clientX, clientY) {
    const box = this.frame.getBoundingClientRect();
    const x = (clientX ?? box.left + box.width / 2) - box.left, y = (clientY ?? box.top + box.height / 2) - box.top;
    const smallest = Math.min(1, box.width / this.canvas.width, box.height / this.canvas.height) / 2;
    const zoom = Math.min(Math.max(this.zoom * factor, smallest), LARGEST);
    this.x = x - (x - this.x) * zoom / this.zoom;
    this.y = y - (y - this.y) * zoom / this.zoom;
    this.zoom = zoom; this.fitted = false;
    this.place();
  }
  pan(dx, dy) { this.x += dx; this.y += dy; this.fitted = false; this.place(); }
  place() {
    this.canvas.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
    this.canvas.classList.toggle("large", this.zoom >= 4);
    this.moved?.();
  }
  // pixels of the image in one of the screen
  get scale() { return 1 / this.zoom; }
  at(event) {
    const box = this.frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left - this.frame.clientLeft - this.x) / this.zoom, (event.clientY - box.top - this.frame.clientTop - this.y) / this.zoom];
    const tenth = (value, most) => Math.round(10 * Math.min(Math.max(value, 0), most)) / 10;
    return [tenth(x, this.canvas.width), tenth(y, this.canvas.height)];
  }
}
