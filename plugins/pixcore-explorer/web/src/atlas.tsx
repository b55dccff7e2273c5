// Every phrase of a run as a dot, and when and where grounding emerges, drawn from numbers.
import * as Plot from "@observablehq/plot";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Notice, Said, useAsked, useKeys, useWidth } from "./parts";
import { go, link, set, useRoute } from "./route";
import { source } from "./source";
import { useLines } from "./list";
import type { AtlasOf, Shares } from "./types";

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8a8a"];

function Chart({ options, name }: { options: (width: number) => Plot.PlotOptions; name: string }) {
  const place = useRef<HTMLDivElement>(null);
  const width = useWidth(place);
  useEffect(() => {
    if (!width) return;
    const drawn = Plot.plot({ className: "plot", width, style: { fontSize: "12px" }, ...options(width) });
    drawn.setAttribute("aria-label", name);
    place.current!.replaceChildren(drawn);
  }, [width, options]);
  return <div ref={place} class="chart" role="figure" aria-label={name} />;
}

export function AtlasPage({ run }: { run: string }) {
  const { words } = useRoute();
  const lines = useLines(run);
  const [found, wrong] = useAsked(() => (lines?.done ? source.atlas(run) : Promise.resolve(null)), [run, lines?.done, lines?.of]);
  const [runs] = useAsked(() => source.runs(), []);
  useKeys({ Escape: () => go(link(["run", run])) });
  const atlas = found?.atlas, probings = Object.keys(atlas?.probings ?? {});
  const probing = probings.find((one) => one === words.get("probing")) ?? (probings.includes("segment") ? "segment" : probings[0]);
  const own = probing && atlas?.probings[probing];
  const concept = words.get("concept");
  if (wrong || lines?.error) return <main class="wide"><h1>Atlas</h1><Notice><Said>{wrong ?? lines!.error}</Said></Notice></main>;
  if (!atlas || !own || !probing) return <main class="wide"><h1>Atlas</h1><Notice>{found?.done && !atlas ? "the run has no atlas: it is going on, or has no masks" : `reading the run ${lines ? `(${lines.entries.length} of ${lines.total ?? "?"} samples)` : ""} …`}</Notice></main>;
  return (
    <main class="wide atlas">
      <div class="heading"><button class="quiet" onClick={() => go(link(["run", run]))}>← samples</button><h1>Atlas <small><Said>{runs?.find((one) => one.key === run)?.name}</Said></small></h1>
        <label>protocol <select value={probing} onChange={(event) => set({ probing: event.currentTarget.value })}>{probings.map((one) => <option>{one}</option>)}</select></label>
      </div>
      {own.dots[0]!.of === 0 ? <Notice>no phrase has a mask under this protocol: there is nothing to draw</Notice> : <>
      <p class="legend">{atlas.concepts.map((name, i) => own.dots[i + 1]!.of > 0 && (
        <button class="quiet" aria-pressed={concept === name} onClick={() => set({ concept: concept === name ? null : name })}><i style={{ background: COLOURS[i] }} />{name}</button>
      ))}</p>
      <Dots own={own} run={run} concepts={atlas.concepts} concept={concept} probing={probing} ids={lines!.entries.map((line) => line.id)} />
      <div class="charts">
        <Bars title="Where the best phrase stands in the text" unit="% of found objects" found={own.places} names={tenths} to={(i) => samples(run, probing, tenth(i))} />
        <Bars title="What the best phrase is about" unit="% of found objects" found={own.concepts} names={atlas.concepts} to={(i) => samples(run, probing, `concept = ${JSON.stringify(atlas.concepts[i])}`)} tilted />
        <Bars title="IoU by place in the text" unit="IoU, %" found={own.iou_by_place} names={tenths} to={(i) => samples(run, probing, tenth(i))} />
        <Bars title="IoU by concept" unit="IoU, %" found={own.iou_by_concept} names={atlas.concepts} to={(i) => samples(run, probing, `concept = ${JSON.stringify(atlas.concepts[i])}`)} tilted />
        {own.curves.length > 0 && <Curves own={own} />}
      </div>
      <p class="notes">the object was found in {own.found} of {own.samples} samples; 95 % intervals over clusters; a bar leads to its samples</p>
      </>}
    </main>
  );
}

const tenths = Array.from({ length: 10 }, (_, i) => `${i * 10}`);
const tenth = (i: number) => (i === 9 ? "place >= 90" : `place >= ${i * 10} and place < ${i * 10 + 10}`);
const samples = (run: string, probing: string, filter: string) => link(["run", run], { probing, filter });

function Dots({ own, run, concepts, concept, probing, ids }: { own: AtlasOf; run: string; concepts: string[]; concept: string | null; probing: string; ids: string[] }) {
  const { of, drawn: dots } = own.dots[concepts.indexOf(concept ?? "") + 1]!;
  const options = useMemo(() => (width: number): Plot.PlotOptions => ({
    height: Math.min(440, Math.max(280, width * 0.42)),
    x: { label: "place in the text, %", domain: [0, 100] }, y: { label: "IoU of the best mask", domain: [0, 1], grid: true },
    color: { domain: concepts, range: COLOURS },
    marks: [
      Plot.ruleY([0.5], { stroke: "currentColor", strokeOpacity: 0.4, strokeDasharray: "3,3" }),
      Plot.dot(dots, {
        x: (dot) => dot[1], y: (dot) => dot[2], fill: (dot) => concepts[dot[3]], r: 3.2, fillOpacity: 0.7, stroke: "var(--card)", strokeWidth: 0.4,
        href: (dot) => link(["run", run, "sample", ids[dot[0]] ?? ""], { probing }), title: (dot) => `${dot[4]} · ${concepts[dot[3]]} · IoU ${dot[2].toFixed(2)}`,
      }),
    ],
  }), [dots]);
  return <><Chart options={options} name="phrases" /><p class="notes">{of} phrases{dots.length < of ? `, of which ${dots.length} are drawn, evenly: pick a concept for more of it` : ""}; a dot opens its sample</p></>;
}

function Bars({ title, unit, found, names, to, tilted }: { title: string; unit: string; found: Shares[]; names: string[]; to: (i: number) => string; tilted?: boolean }) {
  const bars = useMemo(() => found.flatMap((one) => one.values.map(([value, low, high], i) => ({ name: names[i]!, of: one.name, value, low, high, i }))).filter((one) => one.value != null), [found]);
  const series = found.map((one) => one.name);
  const options = useMemo(() => (): Plot.PlotOptions => ({
    height: tilted ? 300 : 250, marginBottom: tilted ? 92 : 34, marginLeft: tilted ? 84 : 40, marginTop: 28, fx: { domain: names, label: tilted ? null : "place in the text, %", tickRotate: tilted ? -28 : 0, padding: 0.15 },
    x: { domain: series, axis: null }, y: { label: unit, grid: true, zero: true }, color: { domain: series, range: ["#0072b2", "#e69f00", "#8a8a8a"], legend: false },
    marks: [
      Plot.barY(bars, { fx: "name", x: "of", y: "value", fill: "of", href: (one) => to(one.i), title: (one) => `${one.of}: ${one.value!.toFixed(1)}${one.low != null ? ` (${one.low.toFixed(1)} to ${one.high!.toFixed(1)})` : ""}` }),
      Plot.ruleX(bars.filter((one) => one.low != null), { fx: "name", x: "of", y1: "low", y2: "high", stroke: "currentColor", strokeWidth: 1.4 }),
      Plot.ruleY([0]),
    ],
  }), [bars]);
  return (
    <section class="card"><h2>{title}</h2>
      <p class="legend">{found.map((one, i) => <span><i style={{ background: ["#0072b2", "#e69f00", "#8a8a8a"][i] }} />{one.name} (n = {one.samples})</span>)}</p>
      {bars.length > 0 ? <Chart options={options} name={title} /> : <p class="notes">no object was found: there is nothing to draw</p>}
    </section>
  );
}

function Curves({ own }: { own: AtlasOf }) {
  const points = useMemo(() => own.curves.flatMap((curve) => curve.points.map(([value, low, high], i) => ({ n: curve.n[i]!, value, low, high, name: curve.name }))).filter((one) => one.value != null), [own]);
  const names = own.curves.map((curve) => curve.name);
  const options = useMemo(() => (): Plot.PlotOptions => ({
    height: 250, x: { type: "log", label: "N masks to choose from", ticks: [...new Set(points.map((one) => one.n))], tickFormat: "d" }, y: { label: "best IoU, %", grid: true }, color: { domain: names, range: ["#0072b2", "#e69f00"] },
    marks: [
      Plot.areaY(points.filter((one) => one.low != null), { x: "n", y1: "low", y2: "high", fill: "name", fillOpacity: 0.18 }),
      Plot.lineY(points, { x: "n", y: "value", stroke: "name" }), Plot.dot(points, { x: "n", y: "value", fill: "name", title: (one) => `${one.name}, N = ${one.n}: ${one.value!.toFixed(1)}` }),
    ],
  }), [points]);
  return <section class="card"><h2>Best of N</h2><p class="legend">{names.map((name, i) => <span><i style={{ background: ["#0072b2", "#e69f00"][i] }} />{name}</span>)}</p><Chart options={options} name="best of N" /></section>;
}
