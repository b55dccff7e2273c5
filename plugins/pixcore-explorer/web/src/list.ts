// The lines of a run, filtered and sorted as the address says.
import { useEffect, useMemo, useState } from "preact/hooks";
import { FilterError, categoryField, parse, reader, type Context } from "./filter";
import { source } from "./source";
import type { Line, Lines } from "./types";

const kept = new Map<string, Lines>();
const WAIT = 1500, AT_REST = 5000;

/** A run's lines, as they come; asks on when they are all there, as a run that was done may be gone on with. */
export function useLines(run: string): Lines | null {
  const [lines, change] = useState<Lines | null>(kept.get(run) ?? null);
  useEffect(() => {
    let over = false, timer = 0;
    change(kept.get(run) ?? null);
    const ask = async () => {
      const had = kept.get(run);
      try {
        let got = await source.lines(run, had?.entries.length ?? 0);
        if (had && got.since > 0 && got.of !== had.of) got = await source.lines(run, 0); // the run was finished since
        if (had && got.since > 0) got = { ...got, entries: [...had.entries, ...got.entries], rows: got.rows.length ? got.rows : had.rows };
        if (over) return;
        if (!had?.done || got.of !== had.of) {
          kept.set(run, got);
          change(got);
        }
        if (source.live) timer = window.setTimeout(ask, got.done || got.error ? AT_REST : WAIT);
      } catch (error) {
        if (over) return;
        // what is shown of a run that is done stays while the server is away
        if (!had?.done) change({ of: "", entries: [], since: 0, total: null, done: false, error: (error as Error).message, rows: [], figures: [], choices: { transforms: [], own: [] } });
        if (source.live) timer = window.setTimeout(ask, AT_REST);
      }
    };
    void ask();
    return () => { over = true; clearTimeout(timer); };
  }, [run]);
  return lines;
}

export interface Listed {
  shown: Line[]; context: Context; error: string | null;
}

/** The row of a name; where there is none, the first that is neither a bound nor a control. */
export function rowOf(lines: Lines, name: string | null): number {
  const named = lines.rows.findIndex((row) => row.key === name);
  return named >= 0 ? named : Math.max(0, lines.rows.findIndex((row) => !row.bound && !row.control));
}

/** Which row and probing an address means. */
export function contextOf(lines: Lines, words: URLSearchParams): Context {
  const masks = lines.figures.filter((one) => one.kind === "iou").map((one) => one.probing);
  const probings = [...new Set(lines.figures.map((one) => one.probing))];
  const asked = words.get("probing");
  const probing = asked && probings.includes(asked) ? asked : masks.includes("segment") ? "segment" : masks[0] ?? probings[0] ?? "";
  const categories = new Set<string>();
  for (const line of lines.entries) for (const name of Object.keys(line.categories)) categories.add(categoryField(name, lines.figures));
  return { figures: lines.figures, rows: lines.rows, row: rowOf(lines, words.get("row")), probing, categories: [...categories] };
}

export function useList(lines: Lines | null, words: URLSearchParams): Listed | null {
  const filter = words.get("filter") ?? "", sort = words.get("sort") ?? "";
  const context = useMemo(() => lines && contextOf(lines, words), [lines, words.get("row"), words.get("probing")]);
  return useMemo(() => {
    if (!lines || !context) return null;
    let shown = lines.entries, error: string | null = null;
    try {
      if (filter.trim()) shown = shown.filter(parse(filter, context));
    } catch (wrong) {
      if (!(wrong instanceof FilterError)) throw wrong;
      error = wrong.message;
    }
    if (sort) {
      const name = sort.replace(/^-/, ""), read = reader(name, context.row, context), sign = sort.startsWith("-") ? -1 : 1;
      if (read) {
        const values = new Map(shown.map((line) => [line, read(line)]));
        shown = [...shown].sort((a, b) => sign * order(values.get(a), values.get(b), sign));
      }
    }
    return { shown, context, error };
  }, [lines, context, filter, sort]);
}

/** Numbers by size, texts by the alphabet, what is missing at the end whichever way. */
function order(a: unknown, b: unknown, sign: number): number {
  if (a == null || b == null) return a == null ? (b == null ? 0 : sign) : -sign;
  return typeof a === "string" && typeof b === "string" ? a.localeCompare(b, undefined, { numeric: true }) : Number(a) - Number(b);
}
