// The first page: all runs, and a leaderboard for each benchmark.
import { createTable, getCoreRowModel, getFilteredRowModel, getSortedRowModel, type ColumnDef } from "@tanstack/table-core";
import { useEffect, useMemo, useState } from "preact/hooks";
import { FigureCell, Notice, Said, duration, number, tell, useKeys } from "./parts";
import { link, set, useRoute } from "./route";
import { source } from "./source";
import type { Run, TableRow } from "./types";

const EVERY = 2000, AT_REST = 5000;

export function useRuns(): [Run[] | null, string | null, () => void] {
  const [runs, change] = useState<Run[] | null>(null);
  const [error, wrong] = useState<string | null>(null);
  const ask = () => source.runs().then((found) => { change(found); wrong(null); }, (one: Error) => wrong(one.message));
  useEffect(() => { void ask(); }, []);
  const running = runs?.some((run) => run.state === "running");
  useEffect(() => {
    if (!source.live) return;
    const timer = setInterval(ask, running ? EVERY : AT_REST); // a run may begin at any time
    return () => clearInterval(timer);
  }, [running]);
  return [runs, error, ask];
}

/** The row that stands for a run: the one that is asked for, or the first that is neither bound nor control. */
export function rowOf(run: Run, wanted: string | null): TableRow | undefined {
  return run.rows.find((row) => row.key === wanted) ?? (wanted ? undefined : run.rows.find((row) => !row.bound && !row.control) ?? run.rows[0]);
}

interface Entry { run: Run; row: TableRow | undefined }

const COLUMNS: [string, string, (entry: Entry) => string | number | null][] = [
  ["run", "run", ({ run }) => run.name],
  ["model", "model", ({ run }) => run.model + (run.checkpoint ? ` ${run.checkpoint}` : "")],
  ["benchmark", "benchmark", ({ run }) => run.benchmark],
  ["row", "row", ({ row }) => row?.label ?? null],
  ["fidelity", "fidelity", ({ run }) => run.fidelity],
  ["samples", "samples", ({ run }) => run.samples],
];

export function Index() {
  const [runs, error, ask] = useRuns();
  const { words } = useRoute();
  const [edited, edit] = useState<string | null>(null);
  const wanted = words.get("row"), board = words.get("board"), sort = words.get("sort") ?? (board ? "-S" : "-date");
  const text = words.get("filter") ?? "", state = words.get("state") ?? "";
  useKeys({ "/": () => document.getElementById("filter")?.focus() });

  const entries = useMemo<Entry[]>(() => {
    const chosen = (runs ?? []).filter((run) => (!board || run.benchmark === board) && (!state || run.state === state));
    if (board) return chosen.flatMap((run) => run.rows.filter((row) => !row.control && (!wanted || row.key === wanted)).map((row) => ({ run, row })));
    return chosen.map((run) => ({ run, row: rowOf(run, wanted) }));
  }, [runs, board, state, wanted]);

  const figures = useMemo(() => {
    const names = new Set<string>();
    for (const { run, row } of entries) for (const name of run.main) if (row?.figures[name]) names.add(name);
    return [...names];
  }, [entries]);

  const table = useMemo(() => {
    const columns: ColumnDef<Entry>[] = [
      ...COLUMNS.map(([id, , read]) => ({ id, accessorFn: read })),
      ...figures.map((name) => ({ id: name, accessorFn: (entry: Entry) => entry.row?.figures[name]?.[0], sortUndefined: "last" as const })),
      { id: "date", accessorFn: ({ run }) => run.written ?? "" },
      { id: "state", accessorFn: ({ run }) => run.state },
    ];
    const sorting = [{ id: sort.replace(/^-/, ""), desc: sort.startsWith("-") }].filter((one) => columns.some((column) => column.id === one.id));
    return createTable<Entry>({
      data: entries, columns, renderFallbackValue: null, onStateChange: () => undefined,
      state: { sorting, globalFilter: text, columnPinning: { left: [], right: [] } },
      globalFilterFn: ({ original: { run, row } }, _column, value: string) =>
        [run.name, run.model, run.checkpoint, run.benchmark, run.fidelity, run.note, row?.label, ...run.tags].join("\n").toLowerCase().includes(value.toLowerCase()),
      getColumnCanGlobalFilter: () => true,
      getCoreRowModel: getCoreRowModel(), getSortedRowModel: getSortedRowModel(), getFilteredRowModel: getFilteredRowModel(),
    });
  }, [entries, figures, sort, text]);

  if (error) return <Notice>{error}</Notice>;
  if (!runs) return <Notice>reading runs …</Notice>;
  const benchmarks = [...new Set(runs.map((run) => run.benchmark))].filter(Boolean);
  const rows = [...new Map(runs.flatMap((run) => run.rows.filter((row) => !row.control).map((row) => [row.key, row.label]))).entries()];
  const heading = (id: string, label: string, figure = false) => {
    const on = sort.replace(/^-/, "") === id, down = sort.startsWith("-");
    return (
      <th class={figure ? "figure" : ""} aria-sort={on ? (down ? "descending" : "ascending") : "none"}>
        <button class="quiet" onClick={() => set({ sort: on && down ? id : on ? `-${id}` : figure ? `-${id}` : id })}>{label}{on ? (down ? " ↓" : " ↑") : ""}</button>
      </th>
    );
  };
  const picked = words.getAll("pick").join(",").split(",").filter(Boolean);
  return (
    <main class="wide">
      <h1>Runs <small>{runs.length}</small></h1>
      <div class="toolbar" role="search">
        <input id="filter" type="search" placeholder="search names, models, tags, notes   /" value={text} onInput={(event) => set({ filter: event.currentTarget.value })} aria-label="search runs" />
        <label>leaderboard <select value={board ?? ""} onChange={(event) => set({ board: event.currentTarget.value, sort: null })}>
          <option value="">all runs</option>{benchmarks.map((name) => <option value={name}>{name}</option>)}
        </select></label>
        <label>row <select value={wanted ?? ""} onChange={(event) => set({ row: event.currentTarget.value })}>
          <option value="">{board ? "every" : "first own"}</option>{rows.map(([key, label]) => <option value={key}>{label}</option>)}
        </select></label>
        <label>state <select value={state} onChange={(event) => set({ state: event.currentTarget.value })}>
          <option value="">any</option>{["running", "done", "failed"].map((one) => <option>{one}</option>)}
        </select></label>
        {picked.length > 1 && <a class="button" href={link(["flips"], { left: picked[0], right: picked[1] })}>flips of 2</a>}
        {picked.length > 1 && <a class="button" href={link(["run", picked[0]!], { with: picked.slice(1, 4).join(",") })}>side by side</a>}
      </div>
      <div class="scroll">
        <table class="results" id="runs">
          <thead><tr>
            <th><span class="sr">pick</span></th>
            {COLUMNS.map(([id, label]) => heading(id, label))}{figures.map((name) => heading(name, name, true))}{heading("date", "date")}{heading("state", "state")}
          </tr></thead>
          <tbody>
            {table.getRowModel().rows.map(({ id, original: { run, row } }) => (
              <tr key={id} class={row?.bound ? "aside" : ""} data-run={run.key}>
                <td><input type="checkbox" aria-label={`pick ${run.name}`} checked={picked.includes(run.key)} onChange={() => set({ pick: (picked.includes(run.key) ? picked.filter((one) => one !== run.key) : [...picked, run.key]).slice(-4).join(",") })} /></td>
                <th scope="row">
                  <a href={link(["run", run.key], { row: row && row !== rowOf(run, null) ? row.key : null })}><Said>{run.name}</Said></a>
                  {run.tags.map((tag) => <span class="tag"><Said>{tag}</Said></span>)}
                  {source.live && <button class="quiet small" onClick={() => edit(edited === run.key ? null : run.key)} aria-expanded={edited === run.key}>notes</button>}
                  {run.note && edited !== run.key && <span class="note"><Said>{run.note}</Said></span>}
                  {edited === run.key && <Notes run={run} done={() => { edit(null); ask(); }} />}
                  {run.error && <span class="note wrong"><Said>{run.error}</Said></span>}
                </th>
                <td data-label="model"><Said>{run.model}</Said>{run.checkpoint && <span class="note"><Said>{run.checkpoint}</Said></span>}</td>
                <td data-label="benchmark"><Said>{run.benchmark}</Said></td>
                <td data-label="row">{row && <Said>{row.label}</Said>}{row?.bound && <span class="tag bound">upper bound</span>}</td>
                <td data-label="fidelity">{run.fidelity}</td>
                <td class="figure plain" data-label="samples">{run.samples || "–"}{run.failed > 0 && <span class="note wrong">{run.failed} failed</span>}</td>
                {figures.map((name) => <FigureCell name={name} figure={row?.figures[name]} />)}
                <td class="when" data-label="date">{run.written ? <><span>{run.written.slice(0, 10)}</span> <span>{run.written.slice(11, 16)}</span></> : "–"}</td>
                <td data-label="state"><State run={run} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {table.getRowModel().rows.length === 0 && <Notice>no run passes the filters</Notice>}
    </main>
  );
}

export function State({ run }: { run: Run }) {
  const going = run.going;
  return (
    <div class={`state ${run.state}`}>
      <b>{run.state}</b>
      {going && going.stage && (
        <div class="going">
          <span>{going.stage}: {going.done} of {going.total}</span>
          <progress value={going.done} max={going.total || 1} aria-label={going.stage} />
          {run.state === "running" && going.rate ? <span>{number(going.rate, 1)}/s, {going.left != null ? `${duration(going.left)} left` : ""}</span> : null}
        </div>
      )}
    </div>
  );
}

function Notes({ run, done }: { run: Run; done: () => void }) {
  const [tags, changeTags] = useState(run.tags.join(", "));
  const [note, changeNote] = useState(run.note);
  const keep = (event: Event) => {
    event.preventDefault();
    source.keepNotes(run.key, tags.split(","), note).then(done, (error: Error) => tell(error.message));
  };
  return (
    <form class="notes-form" onSubmit={keep}>
      <label>tags, with commas <input name="tags" value={tags} onInput={(event) => changeTags(event.currentTarget.value)} /></label>
      <label>note <textarea name="note" rows={3} value={note} onInput={(event) => changeNote(event.currentTarget.value)} /></label>
      <button type="submit">keep</button> <button type="button" class="quiet" onClick={done}>cancel</button>
    </form>
  );
}
