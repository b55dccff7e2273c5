// The picture of a sample, which one zooms and moves: image, map, masks, points.
import { select } from "d3-selection";
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomTransform } from "d3-zoom";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { heat, path, shape } from "./pixels";
import { useWidth } from "./parts";
import type { Grid, Packed, Payload, Point } from "./types";

export interface Drawn {
  counts: string; colour: [number, number, number]; filled?: boolean; dashed?: boolean; name: string;
}
export interface Scene {
  payload: Payload; map: { packed: Packed; grid: Grid } | null; masks: Drawn[]; points: { point: Point; ring?: boolean }[];
}
const LEAST = 160; // the height of what a thin picture is shown in, so that one can zoom it
export const TRUTH: [number, number, number] = [0, 114, 178], MASK: [number, number, number] = [230, 159, 0], OTHER: [number, number, number] = [204, 121, 167];

const images = new Map<string, Promise<HTMLImageElement>>();
function loaded(address: string): Promise<HTMLImageElement> {
  let known = images.get(address);
  if (!known) {
    if (images.size > 24) images.delete(images.keys().next().value!);
    known = new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error("the image can't be shown"));
      image.src = address;
    });
    images.set(address, known);
  }
  return known;
}

/** Draw a scene, the image in its own pixels; `scale` says how large one of them is on the screen. */
function paint(pen: CanvasRenderingContext2D, scene: Scene, image: HTMLImageElement | null, scale: number): void {
  const { width, height, mask_size: size } = scene.payload;
  pen.imageSmoothingEnabled = scale < 3;
  if (image) pen.drawImage(image, 0, 0, width, height);
  else { pen.fillStyle = "#888"; pen.fillRect(0, 0, width, height); }
  pen.imageSmoothingEnabled = true;
  if (scene.map) pen.drawImage(heat(scene.map.packed[2], scene.map.grid, [width, height]), 0, 0, width, height);
  for (const { counts, colour, filled, dashed } of scene.masks) {
    const { picture, outline } = shape(counts, size, colour);
    pen.save();
    pen.scale(width / size[0], height / size[1]);
    pen.imageSmoothingEnabled = false;
    if (filled) { pen.globalAlpha = 0.4; pen.drawImage(picture, 0, 0); pen.globalAlpha = 1; }
    const thick = (2 / scale) * (size[0] / width);
    for (const [colourOf, wide] of [["rgba(255,255,255,.75)", 2], [`rgb(${colour})`, 1]] as const) {
      pen.strokeStyle = colourOf;
      pen.lineWidth = thick * wide;
      pen.setLineDash(dashed && wide === 1 ? [thick * 3, thick * 2] : []);
      pen.stroke(outline);
    }
    pen.restore();
  }
  for (const { point, ring } of scene.points) {
    const radius = 6 / scale;
    pen.lineWidth = 2 / scale;
    for (const [x, y, label] of point.at) {
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.strokeStyle = "#fff";
      pen.fillStyle = label ? "#cc2f7b" : "#222";
      if (!ring) pen.fill();
      pen.stroke();
      if (ring) { pen.strokeStyle = "#cc2f7b"; pen.lineWidth = 1.2 / scale; pen.stroke(); }
    }
    if (point.box) { const [x0, y0, x1, y1] = point.box; pen.strokeStyle = "#cc2f7b"; pen.strokeRect(x0, y0, x1 - x0, y1 - y0); }
  }
}

interface Props {
  scene: Scene; onPoint?: (x: number, y: number, label: number, moved: boolean) => void; moving?: boolean;
  view?: ZoomTransform; onView?: (view: ZoomTransform) => void; tall?: number;
}

export function Stage({ scene, onPoint, moving, view, onView, tall = 0.62 }: Props) {
  const frame = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null);
  const wide = useWidth(frame);
  const [image, change] = useState<HTMLImageElement | null>(null);
  const [own, changeOwn] = useState<ZoomTransform>(zoomIdentity);
  const at = view ?? own, { payload } = scene;
  const height = Math.round(Math.min(Math.max(wide * (payload.height / payload.width), LEAST), innerHeight * tall)) || 1;
  const fit = Math.min(wide / payload.width, height / payload.height) || 1;
  const left = (wide - payload.width * fit) / 2, top = (height - payload.height * fit) / 2;
  const latest = useRef({ onView, onPoint, moving, fit, left, top, at });
  latest.current = { onView, onPoint, moving, fit, left, top, at };
  const behaviour = useRef(zoom<HTMLDivElement, unknown>());

  useEffect(() => {
    change(null);
    if (!payload.image) return;
    let over = false;
    loaded(payload.image).then((found) => over || change(found), () => undefined);
    return () => { over = true; };
  }, [payload.image]);
  useEffect(() => {
    const own = behaviour.current.scaleExtent([1, 40]).filter((event: Event) => !(latest.current.moving && event.type !== "wheel"))
      .on("zoom", (event: D3ZoomEvent<HTMLDivElement, unknown>) => {
        if (!event.sourceEvent) return;
        latest.current.onView ? latest.current.onView(event.transform) : changeOwn(event.transform);
      });
    select(frame.current!).call(own).on("dblclick.zoom", () => reset());
  }, []);
  useEffect(() => { behaviour.current.extent([[0, 0], [wide, height]]).translateExtent([[0, 0], [wide, height]]); }, [wide, height]);
  useEffect(() => { if (frame.current && view) (frame.current as unknown as { __zoom: ZoomTransform }).__zoom = view; }, [view]);
  const reset = () => {
    (frame.current as unknown as { __zoom: ZoomTransform }).__zoom = zoomIdentity;
    latest.current.onView ? latest.current.onView(zoomIdentity) : changeOwn(zoomIdentity);
  };
  useLayoutEffect(() => {
    const density = devicePixelRatio || 1, sheet = canvas.current!;
    sheet.width = Math.max(1, Math.round(wide * density));
    sheet.height = Math.max(1, Math.round(height * density));
    const pen = sheet.getContext("2d")!;
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.translate(at.x, at.y);
    pen.scale(at.k, at.k);
    pen.translate(left, top);
    pen.scale(fit, fit);
    paint(pen, scene, image, fit * at.k);
  }, [scene, image, wide, height, at]);

  const place = (event: PointerEvent): [number, number] => {
    const { left: x, top: y } = frame.current!.getBoundingClientRect(), now = latest.current;
    const px = (now.at.invertX(event.clientX - x) - now.left) / now.fit, py = (now.at.invertY(event.clientY - y) - now.top) / now.fit;
    return [Math.max(0, Math.min(payload.width, px)), Math.max(0, Math.min(payload.height, py))];
  };
  return (
    <div class={`stage ${moving ? "moving" : ""}`} ref={frame} style={{ height: `${height}px` }} tabIndex={0} role="group" aria-label="picture: wheel zooms, dragging moves, double click shows all"
      onPointerUp={(event) => moving && event.target === canvas.current && onPoint?.(...place(event), event.shiftKey || event.button === 2 ? 0 : 1, true)} onContextMenu={(event) => moving && event.preventDefault()}>
      <canvas ref={canvas} />
      {payload.image_error && <p class="wrong over">{payload.image_error}</p>}
      {at.k > 1 && <button class="over corner" onClick={reset}>{at.k.toFixed(1)}× – all</button>}
    </div>
  );
}

/** The scene as a PNG in the image's own pixels. */
export async function png(scene: Scene): Promise<Blob> {
  const sheet = document.createElement("canvas"), { width, height, image } = scene.payload;
  const large = Math.max(1, Math.round(640 / Math.max(width, height)));
  sheet.width = width * large;
  sheet.height = height * large;
  const pen = sheet.getContext("2d")!;
  pen.scale(large, large);
  paint(pen, scene, image ? await loaded(image) : null, large);
  return new Promise((resolve, reject) => sheet.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/png"));
}

/** The scene as an SVG whose masks are paths and whose points are circles. */
export function svg(scene: Scene): string {
  const { width, height, image, mask_size: size } = scene.payload, radius = Math.max(width, height) / 90;
  const pieces = [`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`];
  if (image) pieces.push(`<image href="${image}" width="${width}" height="${height}"/>`);
  if (scene.map) pieces.push(`<image href="${heat(scene.map.packed[2], scene.map.grid, [width, height]).toDataURL()}" width="${width}" height="${height}" preserveAspectRatio="none"/>`);
  for (const { counts, colour, filled } of scene.masks)
    pieces.push(`<path d="${path(counts, size)}" transform="scale(${width / size[0]} ${height / size[1]})" fill="rgb(${colour})" fill-opacity="${filled ? 0.4 : 0.15}"/>`);
  for (const { point } of scene.points)
    for (const [x, y, label] of point.at) pieces.push(`<circle cx="${x}" cy="${y}" r="${radius}" fill="${label ? "#cc2f7b" : "#222"}" stroke="#fff" stroke-width="${radius / 3}"/>`);
  return [...pieces, "</svg>"].join("");
}
