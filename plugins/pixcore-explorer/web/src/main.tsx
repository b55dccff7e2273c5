import "../../../pixcore-report/src/pixcore_report/templates/base.css";
import "./app.css";
import { render } from "preact";
import { useState } from "preact/hooks";
import { AtlasPage } from "./atlas";
import { FiguresPage } from "./figures";
import { Flips } from "./flips";
import { Index } from "./index";
import { useKeys } from "./parts";
import { go, link, read, useRoute } from "./route";
import { One } from "./sample";
import { Samples } from "./samples";
import { source } from "./source";

const KEYS: [string, string][] = [
  ["j / k", "next, previous sample"], ["Enter", "open the sample"], ["/", "filter"], ["g", "grid or table"], ["a", "atlas of the run"], ["f", "figures of the run"],
  ["Esc", "clear, or back"], ["p", "move the point (one sample)"], ["m / t", "map, ground truth on or off (one sample)"], ["?", "this list"],
];

function App() {
  const { path, words } = useRoute();
  const [helps, help] = useState(false);
  useKeys({ "?": () => help(!helps), ...(helps ? { Escape: () => help(false) } : {}) }, true);
  const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const [, again] = useState(0);
  const theme = () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    again((one) => one + 1);
  };
  const [page, run, what, id] = path;
  const others = (words.get("with") ?? "").split(",").filter(Boolean);
  const shown =
    page === "flips" ? <Flips />
    : page === "run" && run && what === "sample" && id !== undefined ? <One run={run} id={id} />
    : page === "run" && run && what === "atlas" ? <AtlasPage run={run} key={run} />
    : page === "run" && run && what === "figures" ? <FiguresPage run={run} key={run} />
    : page === "run" && run ? <Samples run={run} key={run} />
    : <Index />;
  return (
    <>
      <header class="masthead"><div class="wide">
        <a class="brand" href="#/">pixcore <span>explorer</span></a>
        <nav>{others.length > 0 && <a href={link(["run", run ?? ""])}>one run alone</a>}<button class="quiet" onClick={() => help(true)} title="?">keys</button><button class="quiet" id="theme" onClick={theme}>{dark() ? "light" : "dark"}</button></nav>
      </div></header>
      {!source.live && <p class="exported">exported pages: making masks, other transforms and notes need <code>pixcore view</code></p>}
      {shown}
      {helps && (
        <dialog open aria-label="keys" id="help"><h2>Keys</h2><dl>{KEYS.map(([key, does]) => <><dt><kbd>{key}</kbd></dt><dd>{does}</dd></>)}</dl>
          <p>Filters: <code>M &lt; 0.2 and pattern = "Color"</code>, <code>answer = wrong or best &gt;= 50%</code>, <code>M of "oracle" &gt; 0.8</code>, <code>not absent = true</code>, words alone search all texts.</p>
          <button onClick={() => help(false)}>close</button></dialog>
      )}
      <div id="told" role="status" hidden />
    </>
  );
}

if (read().path.length === 0 && location.hash === "") go("#/", true);
render(<App />, document.getElementById("app")!);
