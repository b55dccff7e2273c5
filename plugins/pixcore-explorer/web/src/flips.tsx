// What flipped between two runs: answers, and masks that found the object in one of them alone.
import { useMemo, useRef } from "preact/hooks";
import { rowOf, useLines } from "./list";
import { Notice, Said, number, useAsked, useKeys, useVirtual } from "./parts";
import { go, link, set, useRoute } from "./route";
import { source } from "./source";
import type { Line } from "./types";

const FOUND = 0.5; // an IoU above it, as comparisons have it

interface Flip { line: Line; probing: string; what: string; change: number }

export function Flips() {
  const { words } = useRoute();
  const left = words.get("left") ?? "", right = words.get("right") ?? "";
  const a = useLines(left), b = useLines(right);
  const [runs] = useAsked(() => source.runs(), []);
  const scroller = useRef<HTMLDivElement>(null);
  const which = words.get("what") ?? "";
  const first = a ? rowOf(a, words.get("row")) : 0, own = a?.rows[first]?.key ?? "";
  // the row of the same name; where the right run has none, its first own
  const second = b ? rowOf(b, words.get("other") ?? own) : 0, theirs = b?.rows[second]?.key ?? "";
  const flips = useMemo(() => {
    if (!a || !b) return [];
    const others = new Map(b.entries.map((line) => [line.id, line]));
    const found: Flip[] = [];
    for (const line of a.entries) {
      const other = others.get(line.id);
      for (const [probing, one] of Object.entries(other ? line.protocols : {})) {
        const two = other!.protocols[probing];
        if (!two) continue;
        if (one.answer && two.answer && (one.answer === "right") !== (two.answer === "right"))
          found.push({ line, probing, what: two.answer === "right" ? "wrong to right" : "right to wrong", change: two.answer === "right" ? 2 : -2 });
        const before = one.iou[first], after = two.iou[second];
        if (before != null && after != null && before > FOUND !== after > FOUND)
          found.push({ line, probing, what: `IoU ${number(before)} to ${number(after)}`, change: after - before });
      }
    }
    return found.filter((one) => !which || (which === "better" ? one.change > 0 : one.change < 0)).sort((x, y) => Math.abs(y.change) - Math.abs(x.change));
  }, [a, b, first, second, which]);
  const virtual = useVirtual(flips.length, 40, scroller);
  useKeys({ Escape: () => go("#/") });
  const name = (key: string) => runs?.find((one) => one.key === key)?.name ?? key;
  const wrong = a?.error ?? b?.error, read = a?.done && b?.done;
  const alike = useMemo(() => {
    const ids = new Set(b?.entries.map((line) => line.id));
    return a?.entries.some((line) => ids.has(line.id));
  }, [a, b]);
  return (
    <main class="wide full">
      <div class="heading"><h1>Flips <small><Said>{name(left)}</Said> → <Said>{name(right)}</Said></small></h1><button onClick={() => set({ left: right, right: left, row: theirs, other: own })}>swap</button></div>
      <div class="toolbar">
        {a && a.rows.length > 1 && <label>row <select value={own} onChange={(event) => set({ row: event.currentTarget.value, other: null })}>{a.rows.map((row) => <option value={row.key}>{row.label}</option>)}</select></label>}
        {b && (b.rows.length > 1 || theirs !== own) && <label>row on the right <select value={theirs} onChange={(event) => set({ other: event.currentTarget.value })}>{b.rows.map((row) => <option value={row.key}>{row.label}</option>)}</select></label>}
        <label>which <select value={which} onChange={(event) => set({ what: event.currentTarget.value })}><option value="">both ways</option><option value="better">better on the right</option><option value="worse">worse on the right</option></select></label>
        <span class="count" id="count" role="status">{flips.length} flipped{read || wrong ? "" : ", reading …"}</span>
      </div>
      {wrong && <Notice><Said>{wrong}</Said></Notice>}
      {read && flips.length === 0 && <Notice>{alike ? "nothing flipped between these runs" : "these runs have no sample in common"}</Notice>}
      <div class="scroller" ref={scroller} tabIndex={0} role="region" aria-label="flips">
        <div class="tall" style={{ height: `${virtual.getTotalSize()}px` }}>
          {virtual.getVirtualItems().map((item) => {
            const { line, probing, what, change } = flips[item.index]!;
            return (
              <a key={item.key} class="line flip" style={{ transform: `translateY(${item.start}px)`, height: "40px" }} href={link(["run", left, "sample", line.id], { with: right, probing, row: own, other: theirs === own ? null : theirs })}>
                <span><Said>{line.id}</Said></span><span><Said>{line.expression ?? line.question}</Said></span><span>{probing}</span><b class={change > 0 ? "right" : "wrong"}>{what}</b>
              </a>
            );
          })}
        </div>
      </div>
    </main>
  );
}
