// One sample: what was said, where the model looked at each word, which masks came of it, and what would have.
import type { ZoomTransform } from "d3-zoom";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useLines, useList } from "./list";
import { Notice, Said, copy, number, save, tell, useAsked, useKeys, visible } from "./parts";
import { heat, mean, peak } from "./pixels";
import { go, link, set, useRoute } from "./route";
import { source } from "./source";
import { MASK, OTHER, Stage, TRUTH, png, svg, type Drawn, type Scene } from "./stage";
import type { Candidate, MadeMasks, Maps, Matrix, Payload, Probed, Reading } from "./types";

/** Tokens as the address has them: 3 or 3-5. */
export function tokensOf(text: string | null, count: number): number[] {
  const found = /^(\d+)(?:-(\d+))?$/.exec(text ?? "");
  if (!found) return [];
  const first = Number(found[1]), last = Number(found[2] ?? found[1]);
  return Array.from({ length: Math.max(0, Math.min(last, count - 1) - first + 1) }, (_, i) => first + i);
}
const named = (tokens: number[]) => (tokens.length === 0 ? null : tokens.length === 1 ? `${tokens[0]}` : `${tokens[0]}-${tokens.at(-1)}`);

export function One({ run, id }: { run: string; id: string }) {
  const { words } = useRoute();
  const others = (words.get("with") ?? "").split(",").filter(Boolean).slice(0, 3);
  const lines = useLines(run), list = useList(lines, words);
  const place = list ? list.shown.findIndex((line) => line.id === id) : -1;
  const step = (by: number) => {
    const next = list?.shown[place < 0 ? 0 : place + by];
    if (next) { const kept = new URLSearchParams(words); for (const one of ["t", "mask", "candidate", "control"]) kept.delete(one); go(link(["run", run, "sample", next.id], kept)); }
  };
  const back = () => { const kept = new URLSearchParams(words); for (const one of ["t", "mask", "candidate", "control", "layer", "head", "transforms"]) kept.delete(one); go(link(["run", run], kept)); };
  const [view, look] = useState<ZoomTransform | undefined>();
  const [word, say] = useState<string | null>(null);
  useEffect(() => { look(undefined); say(null); }, [id]);
  useKeys({
    j: () => step(1), k: () => step(-1), Escape: () => (words.get("t") || words.get("candidate") ? set({ t: null, candidate: null, mask: null, control: null }) : back()),
    "/": () => { back(); setTimeout(() => document.getElementById("filter")?.focus(), 50); },
  });
  const probing = list?.context.probing || words.get("probing") || "segment"; // "" as long as no line has come
  const choices = lines?.choices ?? { transforms: [], own: [] };
  const shared = { id, probing, choices, word, say, view, look };
  return (
    <main class="wide full one">
      <div class="heading">
        <button class="quiet" onClick={back}>← samples</button>
        <h1><Said>{id}</Said></h1>
        <span class="count">{place >= 0 ? `${place + 1} of ${list!.shown.length}` : ""}</span>
        <button onClick={() => step(-1)} disabled={place <= 0} title="k">previous</button><button onClick={() => step(1)} disabled={!list || place >= list.shown.length - 1} title="j">next</button>
        <label>protocol <select id="probing" value={probing} onChange={(event) => set({ probing: event.currentTarget.value, t: null, candidate: null, mask: null, control: null })}>
          {[...new Set((lines?.figures ?? []).map((one) => one.probing))].map((name) => <option>{name}</option>)}
        </select></label>
      </div>
      <div class={`columns of${others.length + 1}`}>
        <Panel run={run} {...shared} rowKey={lines?.rows[list?.context.row ?? 0]?.key ?? ""} whole={others.length === 0} />
        {others.map((other) => <Panel key={other} run={other} {...shared} rowKey={words.get("other") ?? words.get("row") ?? lines?.rows[list?.context.row ?? 0]?.key ?? ""} whole={false} />)}
      </div>
    </main>
  );
}

interface PanelProps {
  run: string; id: string; probing: string; rowKey: string; choices: { transforms: string[]; own: string[] }; whole: boolean;
  word: string | null; say: (word: string | null) => void; view: ZoomTransform | undefined; look: (view: ZoomTransform) => void;
}

const plainWord = (text: string) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

function Panel({ run, id, probing, rowKey, choices, whole, word, say, view, look }: PanelProps) {
  const { words } = useRoute();
  const [sample, wrong] = useAsked(() => source.sample(run, id), [run, id]);
  const transforms = words.get("transforms"), layer = words.get("layer"), head = words.get("head");
  const reading: Reading = useMemo(() => ({
    probing, transforms: transforms === null ? null : transforms.split(",").filter((one) => one && one !== "none"),
    layer: layer === null ? null : Number(layer), head: head === null ? null : Number(head),
  }), [probing, transforms, layer, head]);
  const [maps, noMaps] = useAsked<Maps>(() => source.maps(run, id, reading), [run, id, reading], JSON.stringify([run, id, probing]));
  const probed = sample?.payload.protocols[probing];
  const [hovered, hover] = useState<number[]>([]);
  const [moving, move] = useState(false);
  const [made, change] = useState<MadeMasks | null>(null);
  const [busy, work] = useState(false);
  const [shows, show] = useState({ map: true, truth: true, masks: true, points: true });
  useEffect(() => { change(null); hover([]); }, [run, id, probing]);

  const pinned = tokensOf(whole ? words.get("t") : null, probed?.tokens.length ?? 0);
  const same = word && probed && !whole ? probed.tokens.map((token, i) => (plainWord(token) === word ? i : -1)).filter((i) => i >= 0).slice(0, 1) : [];
  const tokens = hovered.length ? hovered : same.length ? same : pinned;
  const control = words.get("control"), pool = probed ? (control && probed.controls[control]) || probed.candidates : [];
  const pick = probed?.picks[rowKey];
  const chosen = words.get("candidate") === null ? (control ? null : pick?.candidate ?? null) : Number(words.get("candidate"));
  const candidate = chosen === null ? undefined : pool[chosen];
  const which = words.get("mask") === null ? null : Number(words.get("mask"));

  const scene: Scene | null = useMemo(() => {
    if (!sample || !probed) return null;
    const { payload } = sample, masks: Drawn[] = [], points: Scene["points"] = [];
    const looked = tokens.length ? tokens : chosen !== null && !control ? probed.groups[chosen] ?? [] : [];
    const packed = maps?.grid && looked.length ? mean(maps.maps, looked) : null;
    if (shows.truth && payload.truth !== null) masks.push({ counts: payload.masks[payload.truth]!, colour: TRUTH, dashed: true, name: "ground truth" });
    if (made) {
      const best = which ?? bestOf(made.scores);
      if (shows.masks && made.masks[best]) masks.push({ counts: made.masks[best]!, colour: OTHER, filled: true, name: `what-if mask ${best + 1}` });
      if (shows.points) points.push({ point: made.point });
    } else if (hovered.length === 0) {
      const mask = candidate && (words.get("candidate") !== null || which !== null) ? candidate.masks[which ?? bestOf(candidate.scores)] : pick?.mask ?? candidate?.masks[which ?? 0];
      if (shows.masks && mask != null) masks.push({ counts: payload.masks[mask]!, colour: MASK, filled: true, name: "mask" });
      const point = words.get("candidate") !== null ? candidate?.point : pick?.point ?? candidate?.point;
      if (shows.points && point) points.push({ point });
    }
    if (packed && maps?.grid && shows.points && tokens.length) { const [x, y] = peak(packed, maps.grid); points.push({ point: { at: [[x, y, 1]], box: null }, ring: true }); }
    return { payload, map: shows.map && packed && maps?.grid ? { packed, grid: maps.grid } : null, masks, points };
  }, [sample, probed, maps, tokens.join(), chosen, which, control, made, shows, rowKey, hovered.length === 0]);

  const make = (given: object) => {
    work(true);
    source.masks(run, id, reading, given).then((found) => { change(found); set({ mask: null }); }, (error: Error) => tell(error.message)).finally(() => work(false));
  };
  const point = (x: number, y: number, label: number) => {
    const before = made?.point.at ?? [];
    make({ points: label ? [[x, y, 1], ...before.filter((one) => !one[2])] : [...before, [x, y, 0]] });
  };
  useKeys(whole ? { p: () => source.live && move((one) => !one), m: () => show((one) => ({ ...one, map: !one.map })), t: () => show((one) => ({ ...one, truth: !one.truth })) } : {});

  if (wrong) return <section class="panel"><Notice><Said>{wrong}</Said></Notice></section>;
  if (!sample || !scene || !probed) return <section class="panel"><Notice>{sample ? "the sample was not asked under this protocol" : "reading the sample …"}</Notice></section>;
  const { payload } = sample;
  const mask = scene.masks.at(-1);
  return (
    <section class={`panel ${whole ? "whole" : ""}`} data-run={run}>
      <div class="picture-side">
        {!whole && <RunName run={run} />}
        <Stage scene={scene} moving={moving} onPoint={point} view={view} onView={whole ? undefined : look} tall={whole ? 0.66 : 0.46} />
        <div class="switches">
          {(["map", "masks", "truth", "points"] as const).map((name) => <label><input type="checkbox" checked={shows[name]} onChange={() => show({ ...shows, [name]: !shows[name] })} /> {name === "truth" ? "ground truth" : name}</label>)}
          {busy && <span role="status">making masks …</span>}
        </div>
        {whole && <div class="actions">
          {source.live && <button aria-pressed={moving} onClick={() => move(!moving)} title="p">{moving ? "click the picture (Shift: not there)" : "move the point"}</button>}
          {source.live && maps?.grid && tokens.length > 0 && <button onClick={() => make({ tokens })}>masks at the peak</button>}
          {made && <button onClick={() => change(null)}>back to the run's</button>}
          <button onClick={() => void copyPng(scene)}>copy PNG</button>
          <button onClick={() => void copy(svg(scene), "SVG")}>copy SVG</button>
          <button disabled={!mask} onClick={() => mask && void copy(JSON.stringify({ size: [payload.mask_size[1], payload.mask_size[0]], counts: mask.counts }), "RLE")}>copy RLE</button>
          <button onClick={() => void copy(sample.command, "command")}>copy command</button>
        </div>}
        {made && <WhatIf made={made} which={which} />}
      </div>
      <div class="text-side">
        <p class="prompt"><b>asked</b> <Said>{probed.prompt}</Said></p>
        {payload.expression && whole && <p class="prompt"><b>object</b> <Said>{payload.expression}</Said>{payload.absent && " (absent)"}</p>}
        {probed.error && <p class="wrong"><Said>{probed.error}</Said></p>}
        {probed.notice && <p class="prompt noted"><b>note</b> <Said>{probed.notice}</Said></p>}
        <Chips probed={probed} shown={tokens} pinned={pinned} readable={!!maps?.grid} whole={whole}
          hover={(found) => { hover(found); say(found.length === 1 ? plainWord(probed.tokens[found[0]!] ?? "") || null : null); }} />
        {probed.answer && <p><b class={probed.answer}>{probed.answer}</b> {probed.verdict && <Said>{probed.verdict}</Said>}</p>}
        {whole && <Sliders reading={reading} maps={maps} choices={choices} trouble={noMaps} />}
        {whole && maps && maps.layers > 0 && source.live && <Heads run={run} id={id} reading={reading} tokens={tokens.length ? tokens : (chosen !== null && probed.groups[chosen]) || []} payload={payload} />}
        <Picks probed={probed} rowKey={rowKey} />
        <Candidates payload={payload} probed={probed} pool={pool} chosen={chosen} which={which} control={control} />
        {whole && <About payload={payload} run={run} />}
      </div>
    </section>
  );
}

const bestOf = (scores: number[]) => scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0);

function RunName({ run }: { run: string }) {
  const [runs] = useAsked(() => source.runs(), []);
  const found = runs?.find((one) => one.key === run);
  return <h2 class="run-name"><Said>{found ? `${found.name} · ${found.model}` : run}</Said></h2>;
}

async function copyPng(scene: Scene): Promise<void> {
  const blob = await png(scene);
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    tell("PNG copied");
  } catch {
    save(blob, `${scene.payload.id.replace(/[^\w.-]+/g, "-")}.png`);
  }
}

interface ChipProps { probed: Probed; shown: number[]; pinned: number[]; readable: boolean; whole: boolean; hover: (tokens: number[]) => void }

/** The answer's tokens: hovering shows one's map, a click pins it, dragging takes the mean of several. */
function Chips({ probed, shown, pinned, readable, whole, hover }: ChipProps) {
  const from = useRef<number | null>(null);
  const span = (a: number, b: number) => Array.from({ length: Math.abs(b - a) + 1 }, (_, i) => Math.min(a, b) + i);
  const over = (i: number) => hover(from.current === null ? [i] : span(from.current, i));
  const pin = (tokens: number[]) => { if (whole) set({ t: tokens.join() === pinned.join() ? null : named(tokens) }); };
  useEffect(() => {
    const up = () => { from.current = null; };
    addEventListener("pointerup", up);
    return () => removeEventListener("pointerup", up);
  }, []);
  if (probed.tokens.length === 0) return <p class="answer"><Said>{probed.text}</Said></p>;
  const begins = new Map<number, number[]>();
  probed.groups.forEach((group, i) => group.forEach((token) => begins.set(token, [...(begins.get(token) ?? []), i])));
  return (
    <p class={`chips ${readable ? "" : "unread"}`} dir="auto" onPointerLeave={() => hover([])}>
      {probed.tokens.map((text, i) => (
        <button key={i} class={`chip ${shown.includes(i) ? "on" : ""} ${pinned.includes(i) ? "pinned" : ""} ${begins.has(i) ? "grouped" : ""}`} data-token={i}
          title={begins.has(i) ? begins.get(i)!.map((one) => probed.candidates[one]?.phrase).join(" · ") : undefined}
          onPointerEnter={() => over(i)} onFocus={() => hover([i])} onBlur={() => hover([])}
          onPointerDown={(event) => { event.preventDefault(); from.current = i; hover([i]); }}
          onPointerUp={() => { const start = from.current ?? i; from.current = null; hover([]); pin(span(start, i)); }}
          onKeyDown={(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); pin([i]); } }}>
          {text === "" ? <i>end</i> : <bdi>{visible(text)}</bdi>}
        </button>
      ))}
    </p>
  );
}

function Sliders({ reading, maps, choices, trouble }: { reading: Reading; maps: Maps | null; choices: { transforms: string[]; own: string[] }; trouble: string | null }) {
  const now = reading.transforms ?? choices.own;
  const toggle = (name: string) => {
    const next = now.includes(name) ? now.filter((one) => one !== name) : [...now, name];
    set({ transforms: next.join() === choices.own.join() ? null : next.join(",") || "none" });
  };
  const slider = (word: "layer" | "head", count: number) => (
    <label class="slider">{word} <input type="range" min={-1} max={count - 1} value={reading[word] ?? -1} aria-label={word}
      onInput={(event) => set({ [word]: event.currentTarget.value === "-1" ? null : event.currentTarget.value })} />
      <output>{reading[word] ?? "mean"}</output></label>
  );
  return (
    <fieldset class="sliders">
      <legend>map</legend>
      {source.live && choices.transforms.map((name) => <label><input type="checkbox" checked={now.includes(name)} onChange={() => toggle(name)} /> {name}</label>)}
      {maps && maps.layers > 0 && slider("layer", maps.layers)}
      {maps && maps.heads > 0 && slider("head", maps.heads)}
      {trouble && <span class="wrong" role="alert"><Said>{trouble}</Said></span>}
      {maps && !maps.grid && <span>the answer has no maps</span>}
    </fieldset>
  );
}

/** The map of the chosen tokens at every layer and head. */
function Heads({ run, id, reading, tokens, payload }: { run: string; id: string; reading: Reading; tokens: number[]; payload: Payload }) {
  const [open, change] = useState(false);
  const bare = { ...reading, layer: null, head: null };
  const [matrix] = useAsked<Matrix | null>(() => (open && tokens.length ? source.matrix(run, id, bare, tokens) : Promise.resolve(null)), [open, run, id, reading.probing, reading.transforms?.join(), tokens.join()]);
  return (
    <details class="heads" open={open} onToggle={(event) => change(event.currentTarget.open)}>
      <summary>layers × heads</summary>
      {open && tokens.length === 0 && <p>pin a token first</p>}
      {matrix && <div class="matrix" style={{ gridTemplateColumns: `repeat(${matrix.cells[0]?.length ?? 1}, minmax(28px, 72px))` }}>
        {matrix.cells.map((line, layer) => line.map((cells, head) => (
          <button class={reading.layer === layer && reading.head === head ? "on" : ""} title={`layer ${layer}, head ${head}`} onClick={() => set({ layer: `${layer}`, head: `${head}` })}>
            <Small cells={cells} matrix={matrix} payload={payload} />
          </button>
        )))}
      </div>}
    </details>
  );
}

function Small({ cells, matrix, payload }: { cells: string; matrix: Matrix; payload: Payload }) {
  const place = useRef<HTMLSpanElement>(null);
  useEffect(() => { place.current!.replaceChildren(heat(cells, matrix.grid, [payload.width, payload.height])); }, [cells]);
  return <span ref={place} />;
}

function Picks({ probed, rowKey }: { probed: Probed; rowKey: string }) {
  const names = Object.keys(probed.picks);
  if (names.length === 0) return null;
  return (
    <table class="results picks">
      <thead><tr><th>strategy</th><th>chose</th><th class="figure">IoU</th></tr></thead>
      <tbody>{names.map((name) => {
        const pick = probed.picks[name]!;
        return (
          <tr class={name === rowKey ? "on" : ""} onClick={() => set({ row: name, candidate: null, mask: null, control: null })} tabIndex={0}
            onKeyDown={(event) => event.key === "Enter" && set({ row: name, candidate: null, mask: null, control: null })}>
            <th scope="row"><Said>{name}</Said></th><td>{pick.outcome === "chosen" ? <Said>{pick.phrase}</Said> : <i>{pick.outcome}</i>}{pick.reason && <span class="note"><Said>{pick.reason}</Said></span>}</td>
            <td class="figure plain">{number(pick.iou)}</td>
          </tr>
        );
      })}</tbody>
    </table>
  );
}

function Candidates({ payload, probed, pool, chosen, which, control }: { payload: Payload; probed: Probed; pool: Candidate[]; chosen: number | null; which: number | null; control: string | null }) {
  const [by, sort] = useState<"iou" | "score" | "text">("iou");
  const best = (one: Candidate) => Math.max(...(by === "iou" ? one.ious ?? one.scores : one.scores), -1);
  const order = pool.map((one, i) => [one, i] as const);
  if (by !== "text") order.sort((a, b) => best(b[0]) - best(a[0]));
  const controls = Object.keys(probed.controls);
  if (pool.length === 0 && controls.length === 0) return null;
  return (
    <div class="candidates">
      <div class="toolbar tight"><b>candidates</b>
        <select aria-label="whose" value={control ?? ""} onChange={(event) => set({ control: event.currentTarget.value, candidate: event.currentTarget.value ? "0" : null, mask: null })}><option value="">the run's own</option>{controls.map((one) => <option>{one}</option>)}</select>
        <select aria-label="order" value={by} onChange={(event) => sort(event.currentTarget.value as typeof by)}><option value="iou">best IoU first</option><option value="score">best score first</option><option value="text">in the order of the text</option></select>
      </div>
      <ol>{order.map(([one, i]) => (
        <li class={i === chosen ? "on" : ""} data-candidate={i}>
          <button class="quiet" onClick={() => set({ candidate: `${i}`, mask: null })}><Said>{one.phrase}</Said></button>
          <span class="masks">{one.masks.map((_, m) => (
            <button class={`mask ${i === chosen && which === m ? "on" : ""}`} onClick={() => set({ candidate: `${i}`, mask: `${m}` })} title={`score ${number(one.scores[m])}${one.ious ? `, IoU ${number(one.ious[m])}` : ""}`}>
              {m + 1}{one.ious && <small> {number(one.ious[m])}</small>}
            </button>
          ))}</span>
          {beside(probed, control, i, payload)}
        </li>
      ))}</ol>
    </div>
  );
}

/** What the first control reached with the candidate in the same place. */
function beside(probed: Probed, control: string | null, place: number, payload: Payload) {
  const first = Object.entries(probed.controls)[0];
  if (control || !first || payload.truth === null) return null;
  const ious = first[1][place]?.ious;
  return ious ? <small class="beside" title={`${first[0]}: the best mask in the same place`}>◇ {number(Math.max(...ious, 0))}</small> : null;
}

function WhatIf({ made, which }: { made: MadeMasks; which: number | null }) {
  const best = bestOf(made.scores);
  return (
    <p class="whatif" id="whatif" role="status">masks at {made.point.at.map(([x, y, label]) => `${label ? "" : "not "}(${x.toFixed(0)}, ${y.toFixed(0)})`).join(", ")}:{" "}
      {made.masks.map((_, i) => <button class={`mask ${i === (which ?? best) ? "on" : ""}`} onClick={() => set({ mask: `${i}` })}>{i + 1} <small>score {number(made.scores[i])}{made.ious && `, IoU ${number(made.ious[i])}`}</small></button>)}
    </p>
  );
}

function About({ payload, run }: { payload: Payload; run: string }) {
  const facts: [string, string][] = [...Object.entries(payload.categories)];
  if (payload.question) facts.unshift(["question", payload.question + payload.options.map((one, i) => ` (${"abcdefghijklmnopqrstuvwxyz"[i]}) ${one}`).join("")]);
  if (payload.answer !== null) facts.push(["right answer", payload.options[payload.answer] ?? ""]);
  if (payload.pair) facts.push(["pair", payload.pair]);
  facts.push(["image", `${payload.width} × ${payload.height}`]);
  const config = source.configAddress(run);
  return (
    <dl class="facts">{facts.map(([name, value]) => <><dt>{name}</dt><dd><Said>{value}</Said></dd></>)}{config && <><dt>config</dt><dd><a href={config} target="_blank" rel="noreferrer">as it was resolved</a></dd></>}</dl>
  );
}
