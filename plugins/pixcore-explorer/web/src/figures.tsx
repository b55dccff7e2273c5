// The plots that a reviewer asks for, as pixcore-report writes them: its HTML, in which every text is escaped.
import "../../../pixcore-report/src/pixcore_report/templates/plots.css";
import { useEffect, useState } from "preact/hooks";
import { Notice, Said, useAsked, useKeys } from "./parts";
import { go, link, set, useRoute } from "./route";
import { source } from "./source";
import type { Drawn } from "./types";

const WAIT = 1000;

/** A run's plots under a probing; asks again until they are drawn. */
function useDrawn(run: string, probing: string): [Drawn | null, string | null] {
  const [state, change] = useState<[Drawn | null, string | null]>([null, null]);
  useEffect(() => {
    let over = false, timer = 0;
    change([null, null]);
    const ask = () => source.figures(run, probing).then((drawn) => {
      if (over) return;
      change([drawn, drawn.error]);
      if (drawn.html === null && drawn.error === null) timer = window.setTimeout(ask, WAIT);
    }, (error: Error) => over || change([null, error.message]));
    void ask();
    return () => { over = true; clearTimeout(timer); };
  }, [run, probing]);
  return state;
}

export function FiguresPage({ run }: { run: string }) {
  const { words } = useRoute();
  const [drawn, wrong] = useDrawn(run, words.get("probing") ?? "");
  const [runs] = useAsked(() => source.runs(), []);
  useKeys({ Escape: () => go(link(["run", run])) });
  const progress = drawn && drawn.read != null && drawn.total ? `(${drawn.read} of ${drawn.total} samples) ` : "";
  return (
    <main class="wide figures">
      <link rel="stylesheet" href="figures.css" />
      <div class="heading"><button class="quiet" onClick={() => go(link(["run", run]))}>← samples</button><h1>Figures <small><Said>{runs?.find((one) => one.key === run)?.name}</Said></small></h1>
        {drawn && drawn.probings.length > 0 && <label>protocol <select value={drawn.probing} onChange={(event) => set({ probing: event.currentTarget.value })}>{drawn.probings.map((one) => <option>{one}</option>)}</select></label>}
      </div>
      {wrong ? <Notice><Said>{wrong}</Said></Notice>
        : drawn?.html == null ? <Notice>drawing the figures {progress}…</Notice>
        : <div dangerouslySetInnerHTML={{ __html: drawn.html }} />}
    </main>
  );
}
