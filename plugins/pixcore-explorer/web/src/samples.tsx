// All samples of a run, as pictures or as a table, of which only what is in sight is drawn.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { fieldOf, inCategory, reader, type Context } from "./filter";
import { useLines, useList } from "./list";
import { Notice, Said, number, useKeys, useVirtual, useWidth } from "./parts";
import { go, link, set, useRoute } from "./route";
import { source } from "./source";
import { State, useRuns } from "./index";
import type { Line } from "./types";

const LONGEST = 160; // characters of a cell
const TILE = 196, TILE_HEIGHT = 236, ROW_HEIGHT = 42, HEAD_HEIGHT = 30, GAP = 12, SIDE = 10;

export function Samples({ run }: { run: string }) {
  const { words } = useRoute();
  const lines = useLines(run), list = useList(lines, words);
  const [runs] = useRuns();
  const about = runs?.find((one) => one.key === run);
  const box = useRef<HTMLInputElement>(null), scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller);
  const grid = words.get("view") !== "table";
  const across = grid ? Math.max(width && width < 2 * TILE ? 2 : 1, Math.floor(width / TILE)) : 1;
  const shown = list?.shown ?? [];
  const [at, move] = useState(0);
  const virtual = useVirtual(Math.ceil(shown.length / across), grid ? TILE_HEIGHT : ROW_HEIGHT, scroller, grid ? 0 : HEAD_HEIGHT);
  const open = (place: number) => shown[place] && go(link(["run", run, "sample", shown[place]!.id], words));
  const step = (by: number) => {
    const next = Math.max(0, Math.min(shown.length - 1, at + by));
    move(next);
    scroller.current?.focus({ preventScroll: true }); // Enter opens what is marked, not what had the focus
    virtual.scrollToIndex(Math.floor(next / across));
  };
  useKeys({
    "/": () => box.current?.focus(), j: () => step(1), k: () => step(-1), ArrowDown: () => step(across), ArrowUp: () => step(-across),
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), Enter: () => open(at), g: () => set({ view: grid ? "table" : null }),
    a: () => go(link(["run", run, "atlas"])), f: () => go(link(["run", run, "figures"])),
    Escape: () => document.activeElement === box.current ? box.current?.blur() : words.get("filter") ? set({ filter: null }) : go("#/"),
  });
  useEffect(() => move(0), [words.get("filter"), words.get("sort")]);

  if (lines?.error) return <main class="wide"><h1>{about?.name ?? "run"}</h1><Notice><Said>{lines.error}</Said></Notice></main>;
  const columns = list ? columnsOf(list.context.figures.map((one) => one.name), list.context.categories) : [];
  const layout = layoutOf(columns.length);
  const sort = words.get("sort") ?? "";
  const categories = list?.context.categories ?? [];
  return (
    <main class="wide full">
      <div class="heading">
        <h1><Said>{about?.name ?? run}</Said> <small>{about && <>{about.model} on {about.benchmark}</>}</small></h1>
        <nav class="inline" aria-label="of this run"><a href={link(["run", run, "atlas"])}>atlas</a><a href={link(["run", run, "figures"])}>figures</a>{about?.state !== "done" && about && <State run={about} />}</nav>
      </div>
      <div class="toolbar" role="search">
        <input id="filter" ref={box} type="search" spellcheck={false} class={list?.error ? "wrong" : ""} aria-label="filter samples" aria-invalid={!!list?.error}
          placeholder={'M < 0.2 and pattern = "Color"   /'} value={words.get("filter") ?? ""} onInput={(event) => set({ filter: event.currentTarget.value })} />
        {lines && lines.rows.length > 1 && <label>row <select value={list ? lines.rows[list.context.row]?.key : ""} onChange={(event) => set({ row: event.currentTarget.value })}>
          {lines.rows.map((row) => <option value={row.key}>{row.label}{row.bound ? " ▲" : ""}{row.control ? " ◇" : ""}</option>)}
        </select></label>}
        {list && <label>protocol <select value={list.context.probing} onChange={(event) => set({ probing: event.currentTarget.value })}>
          {[...new Set(list.context.figures.map((one) => one.probing))].map((name) => <option>{name}</option>)}
        </select></label>}
        {categories.map((name) => <Category key={name} name={name} lines={lines!.entries} filter={words.get("filter") ?? ""} />)}
        <label>outcome <select value="" onChange={(event) => { add(words, event.currentTarget.value); event.currentTarget.value = ""; }}>
          <option value="">any</option>{["answer = right", "answer = wrong", "failed = true", "best > 0.5", "best <= 0.5", "absent = true"].map((one) => <option>{one}</option>)}
        </select></label>
        <label>sort <select value={sort} onChange={(event) => set({ sort: event.currentTarget.value })}>
          <option value="">as in the benchmark</option>
          {columns.flatMap((name) => [name, `-${name}`]).map((name) => <option value={name}>{name.replace(/^-/, "")}{name.startsWith("-") ? " ↓" : " ↑"}</option>)}
        </select></label>
        <button aria-pressed={grid} onClick={() => set({ view: null })}>grid</button><button aria-pressed={!grid} onClick={() => set({ view: "table" })}>table</button>
        <span class="count" id="count" role="status">{list ? `${shown.length} of ${lines!.entries.length}` : ""}{lines && !lines.done ? `, reading${lines.total ? ` ${lines.entries.length} of ${lines.total}` : ""} …` : ""}</span>
      </div>
      {list?.error && <p class="wrong" id="filter-error" role="alert"><Said>{list.error}</Said></p>}
      {!lines && <Notice>reading the run …</Notice>}
      {list && lines?.done && shown.length === 0 && <Notice>no sample passes the filter</Notice>}
      <div class="scroller" ref={scroller} tabIndex={0} role="region" aria-label="samples">
        {!grid && list && (
          <div class="line head" style={{ ...layout, height: `${HEAD_HEIGHT}px` }}>
            {columns.map((name) => <button class="quiet" onClick={() => set({ sort: sort === name ? `-${name}` : name })}>{name}{sort === name ? " ↑" : sort === `-${name}` ? " ↓" : ""}</button>)}
          </div>
        )}
        <div class="tall" style={{ height: `${virtual.getTotalSize()}px`, minWidth: grid ? "" : layout.minWidth }}>
          {list && virtual.getVirtualItems().map((item) => (
            <div key={item.key} class={grid ? "tiles" : "lines"} style={{ transform: `translateY(${item.start - virtual.options.scrollMargin}px)`, height: `${item.size}px` }}>
              {shown.slice(item.index * across, (item.index + 1) * across).map((line, place) => {
                const here = item.index * across + place, props = { line, run, words, here: here === at };
                return grid ? <Tile key={line.id} {...props} probing={list.context.probing} row={list.context.row} rowKey={lines!.rows[list.context.row]?.key ?? ""} of={lines!.of} />
                  : <TableLine key={line.id} {...props} cells={columns.map((name) => told(name, list.context, line))} layout={layout} />;
              })}
            </div>
          ))}
        </div>
      </div>
    </main>
  );
}

function columnsOf(figures: string[], categories: string[]): string[] {
  return ["id", "expression", ...figures, "best", "candidates", ...categories, "said"];
}

/** A cell as text: answers in words, overlaps with two places. */
function told(name: string, context: Context, line: Line): string | null {
  const value = reader(name, context.row, context)!(line), figure = context.figures.find((one) => one.name === name);
  if (value == null) return name === "expression" ? line.question : null;
  if (figure?.kind === "answer") return line.protocols[figure.probing]?.answer ?? null;
  return typeof value === "number" && name !== "candidates" ? number(value) : String(value).slice(0, LONGEST);
}

type Layout = { gridTemplateColumns: string; minWidth: string };

/** What the heads and every line of the table have in common, so that they stand and scroll together. */
function layoutOf(count: number): Layout {
  const others = Math.max(count - 3, 1);
  return {
    gridTemplateColumns: `minmax(110px, 1fr) minmax(150px, 2fr) repeat(${others}, minmax(64px, 0.6fr)) minmax(160px, 2.4fr)`,
    minWidth: `${110 + 150 + 64 * others + 160 + GAP * (others + 2) + 2 * SIDE}px`,
  };
}

function add(words: URLSearchParams, more: string): void {
  const now = words.get("filter")?.trim();
  set({ filter: now ? `${now} and ${more}` : more });
}

function Category({ name, lines, filter }: { name: string; lines: Line[]; filter: string }) {
  const values = useMemo(() => [...new Set(lines.map((line) => inCategory(line, name)).filter((one) => one !== undefined))].sort(), [lines, name]);
  const { words } = useRoute();
  if (values.length < 2 || values.length > 60) return null;
  return (
    <label>{name} <select value="" onChange={(event) => { add(words, `${fieldOf(name)} = ${JSON.stringify(event.currentTarget.value)}`); event.currentTarget.value = ""; }} title={filter}>
      <option value="">any</option>{values.map((value) => <option value={value}>{value}</option>)}
    </select></label>
  );
}

interface OfLine { line: Line; run: string; words: URLSearchParams; here: boolean }

export function Thumbnail({ run, id, probing, row, of }: { run: string; id: string; probing: string; row: string; of: string }) {
  const [address, change] = useState("");
  useEffect(() => {
    let over = false;
    source.thumbnail(run, id, probing, row, of).then((found) => over || change(found), () => undefined);
    return () => { over = true; };
  }, [run, id, probing, row, of]);
  return address ? <img src={address} alt="" loading="lazy" decoding="async" /> : <span class="blank" />;
}

function Tile({ line, run, words, here, probing, row, rowKey, of }: OfLine & { probing: string; row: number; rowKey: string; of: string }) {
  const state = line.protocols[probing], iou = state?.iou[row];
  const answer = Object.values(line.protocols).find((one) => one.answer)?.answer;
  return (
    <a class={`tile ${here ? "here" : ""}`} href={link(["run", run, "sample", line.id], words)} data-id={line.id}>
      <span class="picture"><Thumbnail run={run} id={line.id} probing={probing} row={rowKey} of={of} /></span>
      <span class="asked"><Said>{line.expression ?? line.question ?? line.id}</Said></span>
      <span class="facts">
        {iou != null && <b class={iou > 0.5 ? "right" : ""}>IoU {number(iou)}</b>}
        {answer && <span class={answer}>{answer}</span>}{line.absent && <span>absent</span>}{state?.failed && <span class="wrong">failed</span>}
      </span>
    </a>
  );
}

function TableLine({ line, run, words, here, cells, layout }: OfLine & { cells: (string | null)[]; layout: Layout }) {
  return (
    <a class={`line ${here ? "here" : ""}`} href={link(["run", run, "sample", line.id], words)} data-id={line.id} style={layout}>
      {cells.map((cell) => (cell !== null && /^\d+(\.\d\d)?$/.test(cell) ? <span class="number">{cell}</span> : <span class={cell === "right" || cell === "wrong" ? cell : ""}><Said>{cell ?? "–"}</Said></span>))}
    </a>
  );
}
