// Masks and maps: the report's own code for them (one copy, which a test holds to pixcore.masks and pixcore.geometry).
import "./globals";
import "../../../pixcore-report/src/pixcore_report/templates/pixels.js";
import type { Grid, Packed } from "./types";

interface Shape { picture: HTMLCanvasElement; outline: Path2D }
interface Report {
  decodeMask(counts: string, width: number, height: number): Uint8Array;
  heat(cells: string, grid: Grid, image: [number, number]): HTMLCanvasElement;
  shape(counts: string, width: number, height: number, colour: [number, number, number]): Shape;
  fromBase64(text: string): Uint8Array;
}
const report = (globalThis as unknown as { pixcore: Report }).pixcore;

export const { heat, fromBase64 } = report;

const shapes = new Map<string, Shape>();
export function shape(counts: string, size: [number, number], colour: [number, number, number]): Shape {
  const key = `${colour} ${size} ${counts}`;
  let known = shapes.get(key);
  if (!known) {
    if (shapes.size > 200) shapes.delete(shapes.keys().next().value!);
    shapes.set(key, (known = report.shape(counts, ...size, colour)));
  }
  return known;
}

/** A mask's outline as an SVG path: one box for each run of a row. */
export function path(counts: string, [width, height]: [number, number]): string {
  const mask = report.decodeMask(counts, width, height), pieces: string[] = [];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (!mask[y * width + x]) continue;
      const start = x;
      while (x < width && mask[y * width + x]) x++;
      pieces.push(`M${start} ${y}h${x - start}v1h${start - x}z`);
    }
  return pieces.join("");
}

/** The mean map of some tokens, packed as theirs are. */
export function mean(maps: Packed[], tokens: number[]): Packed | null {
  const chosen = tokens.map((token) => maps[token]).filter((one) => one !== undefined);
  if (chosen.length === 0) return null;
  if (chosen.length === 1) return chosen[0]!;
  const sums: number[] = [];
  for (const [low, high, cells] of chosen)
    fromBase64(cells).forEach((byte, i) => { sums[i] = (sums[i] ?? 0) + (low + ((high - low) * byte) / 255) / chosen.length; });
  const low = Math.min(...sums), high = Math.max(...sums), span = high - low || 1;
  return [low, high, btoa(String.fromCharCode(...sums.map((value) => Math.round((255 * (value - low)) / span))))];
}

/** Where a packed map has its largest cell, in pixels of the image. */
export function peak([, , cells]: Packed, [rows, cols, x0, y0, x1, y1]: Grid): [number, number] {
  const bytes = fromBase64(cells);
  let best = 0;
  bytes.forEach((byte, i) => { if (byte > bytes[best]!) best = i; });
  return [x0 + ((x1 - x0) * ((best % cols) + 0.5)) / cols, y0 + ((y1 - y0) * (Math.floor(best / cols) + 0.5)) / rows];
}
