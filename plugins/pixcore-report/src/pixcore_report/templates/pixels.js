"use strict";
// Masks and relevance maps on a canvas. Mirrors pixcore/masks.py and pixcore/geometry.py; a test compares them.
(() => {
  /** COCO's compressed run lengths to one byte a pixel, row-major. */
  pixcore.decodeMask = (counts, width, height) => {
    const columns = new Uint8Array(width * height);
    const runs = [];
    let at = 0, position = 0, inside = 0;
    while (at < counts.length) {
      let value = 0, shift = 0, code;
      do {
        code = counts.charCodeAt(at++) - 48;
        value += (code & 31) * 2 ** shift; // multiplied, not shifted: runs of huge images pass 31 bits
        shift += 5;
      } while (code & 32);
      if (code & 16) value -= 2 ** shift;
      if (runs.length > 2) value += runs[runs.length - 2];
      runs.push(value);
      if (inside) columns.fill(1, position, position + value);
      position += value;
      inside ^= 1;
    }
    const mask = new Uint8Array(width * height);
    for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) mask[y * width + x] = columns[x * height + y];
    return mask;
  };

  /** Weights of bicubic interpolation along one axis, borders repeated; [first cell, w0..w3] a pixel. */
  const cubic = (cells, pixels, start, stop) => {
    const a = -0.75, scale = cells / (stop - start), result = [];
    for (let pixel = 0; pixel < pixels; pixel++) {
      const position = (pixel + 0.5 - start) * scale - 0.5, first = Math.floor(position), t = position - first;
      const far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
      const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1;
      result.push([first - 1, far(1 + t), near(t), near(1 - t), far(2 - t)]);
    }
    return result;
  };

  /** A map (bytes of a grid [rows, cols, x0, y0, x1, y1]) at width x height pixels of an image of another size. */
  pixcore.upsample = (bytes, grid, image, width, height) => {
    const [rows, cols, x0, y0, x1, y1] = grid;
    const sx = width / image[0], sy = height / image[1];
    const across = cubic(cols, width, x0 * sx, x1 * sx), down = cubic(rows, height, y0 * sy, y1 * sy);
    const clamp = (value, last) => Math.max(0, Math.min(last, value));
    const wide = new Float32Array(rows * width);
    for (let r = 0; r < rows; r++) for (let x = 0; x < width; x++) {
      const w = across[x];
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += w[k + 1] * bytes[r * cols + clamp(w[0] + k, cols - 1)];
      wide[r * width + x] = sum;
    }
    const values = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      const w = down[y];
      for (let k = 0; k < 4; k++) {
        const row = clamp(w[0] + k, rows - 1) * width;
        for (let x = 0; x < width; x++) values[y * width + x] += w[k + 1] * wide[row + x];
      }
    }
    // outside the box nothing was seen: as small as the smallest
    const smallest = values.reduce((low, value) => Math.min(low, value), Infinity);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      const px = (x + 0.5) / sx, py = (y + 0.5) / sy;
      if (px < x0 || px >= x1 || py < y0 || py >= y1) values[y * width + x] = smallest;
    }
    return values;
  };

  pixcore.fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

  // dark to bright in lightness too, so that it reads without colour vision and in print (after matplotlib's inferno)
  const stops = [[0, 4, 8, 30], [0.2, 60, 9, 101], [0.4, 120, 28, 109], [0.6, 207, 68, 70], [0.8, 251, 155, 6], [1, 252, 255, 164]];
  const ramp = new Uint8ClampedArray(256 * 4);
  for (let i = 0; i < 256; i++) {
    const v = i / 255, k = Math.max(1, stops.findIndex((stop) => stop[0] >= v));
    const t = (v - stops[k - 1][0]) / (stops[k][0] - stops[k - 1][0]);
    for (let c = 0; c < 3; c++) ramp[i * 4 + c] = stops[k - 1][c + 1] * (1 - t) + stops[k][c + 1] * t;
    ramp[i * 4 + 3] = 120 + 90 * v;
  }

  const canvas = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

  /** A relevance map as a small picture to lay over the image. */
  pixcore.heat = (text, grid, image) => {
    const scale = Math.min(1, 144 / Math.max(...image));
    const width = Math.max(1, Math.round(image[0] * scale)), height = Math.max(1, Math.round(image[1] * scale));
    const values = pixcore.upsample(pixcore.fromBase64(text), grid, image, width, height);
    const picture = canvas(width, height), context = picture.getContext("2d"), data = context.createImageData(width, height);
    values.forEach((value, i) => {
      const level = Math.max(0, Math.min(255, Math.round(value)));
      for (let c = 0; c < 4; c++) data.data[i * 4 + c] = ramp[level * 4 + c];
    });
    context.putImageData(data, 0, 0);
    return picture;
  };

  /** A mask as a picture in one colour, and its outline along pixel edges as a path in mask pixels. */
  pixcore.shape = (counts, width, height, colour) => {
    const mask = pixcore.decodeMask(counts, width, height);
    const picture = canvas(width, height), context = picture.getContext("2d"), data = context.createImageData(width, height);
    const outline = new Path2D();
    for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      data.data.set([...colour, 255], i * 4);
      if (x === 0 || !mask[i - 1]) { outline.moveTo(x, y); outline.lineTo(x, y + 1); }
      if (x === width - 1 || !mask[i + 1]) { outline.moveTo(x + 1, y); outline.lineTo(x + 1, y + 1); }
      if (y === 0 || !mask[i - width]) { outline.moveTo(x, y); outline.lineTo(x + 1, y); }
      if (y === height - 1 || !mask[i + width]) { outline.moveTo(x, y + 1); outline.lineTo(x + 1, y + 1); }
    }
    context.putImageData(data, 0, 0);
    return { picture, outline };
  };
})();
