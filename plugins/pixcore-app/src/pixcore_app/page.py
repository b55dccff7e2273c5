"""The page: what a visitor does on the left, what comes of it on the right, on Gradio."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: it tells nobody anything
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import html
import queue
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import yaml
from PIL import Image as PILImage
from pixcore_notebook.tokens import view_script
from pixcore_pictures.drawing import fitted

from pixcore.errors import DataError, PixcoreError
from pixcore.files import printable, written_beside
from pixcore.plugins import Kind
from pixcore.records import Sample
from pixcore_app.desk import ASKED, Desk, Question, Shown, Stopped
from pixcore_app.offered import CHOSEN, MOST_STRATEGIES, Choices
from pixcore_app.scenes import Scenes

History = list[tuple[Shown, PILImage.Image]]
"""What a visitor has asked, the latest first, each with its picture, small: uploads are gone after an hour."""

TITLE = "pixcore: where does the model look when it says this?"

_SCENES, _THUMBNAIL, _MOST_HISTORY = 6, 160, 12
_LABELS = {Kind.MODEL: "model", Kind.EXTRACTOR: "extractor", Kind.GROUPER: "grouper", Kind.MASKS: "generator"}
_VIEW = """
let view = null;
let shown = null;
const show = () => {
  const data = props.value;
  const same = shown?.going && data?.image === shown.image;
  if (same && shown.tokens.every((text, i) => text === data.tokens[i])) view.update(data);
  else {
    view?.close();
    view = data ? pixcore.tokenView(element, data) : null;
  }
  shown = data;
};
watch("value", show);
show();
"""
STYLE = """
#title h1 { font-size: 1.35rem; margin: 0.2rem 0; }
#status { min-height: 1.6em; }
#status [role=alert] { border-left: 4px solid #d1495b; padding: 0.2em 0.7em; background: rgba(209, 73, 91, 0.16); }
@media (max-width: 760px) {
  #halves { flex-direction: column; flex-wrap: nowrap; }
  #halves > .column { width: 100%; min-width: 0 !important; flex: none !important; }
}
"""
FRAME = """<style>
.gradio-container { max-width: min(1280px, 100vw) !important; margin: 0 auto !important; }
@media (max-width: 760px) {
  .gradio-container .main { max-width: 100vw !important; padding: 8px !important; box-sizing: border-box; }
  .gradio-container .main > .wrap { min-width: 0; max-width: 100%; }
}
</style>"""
"""What lies around Gradio's own elements, which it puts no style of a page's on."""

_KEPT = gr.skip(), gr.skip(), gr.skip()
_BUSY, _IDLE = gr.update(interactive=True), gr.update(interactive=False)
"""Of the button that stops: whether there is something to be stopped."""


def page(desk: Desk, scenes: Scenes, most_waiting: int) -> gr.Blocks:
    """Make the page.

    Args:
        desk: Answers.
        scenes: The pictures that can be taken.
        most_waiting: How many questions may wait at once.
    """
    made = _Page(desk, scenes)
    return made.blocks().queue(max_size=most_waiting, default_concurrency_limit=8)


class _Page:
    """The page's parts, and what happens when one uses them."""

    def __init__(self, desk: Desk, scenes: Scenes) -> None:
        self._desk, self._scenes = desk, scenes
        self._stops: dict[str | None, threading.Event] = {}
        """Of each visitor whose question is answered, or waits to be, by the session: what ends it."""

    def blocks(self) -> gr.Blocks:
        offer = self._desk.offer
        with gr.Blocks(title="pixcore", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
            gr.HTML(f"<h1>{TITLE}</h1>", elem_id="title")
            taken, history = gr.State([]), gr.State([])
            with gr.Row(elem_id="halves"):
                with gr.Column(scale=2, min_width=300):
                    picture = gr.Image(label="image", sources=["upload", "clipboard"], height=300, elem_id="picture")
                    picture.preprocess = _place_of  # how large it is comes first: nobody has decoded it yet
                    picture.async_move_resource_to_block_cache = uploaded(picture.async_move_resource_to_block_cache)
                    asked = gr.Radio(list(ASKED), value=next(iter(ASKED)), label="you type", elem_id="asked")
                    text = gr.Textbox(label="text", placeholder="the red boat", max_length=2000, elem_id="text")
                    with gr.Row():
                        look = gr.Button("Look", variant="primary", elem_id="look", min_width=120)
                        stop = gr.Button("Stop", variant="stop", elem_id="stop", min_width=120, interactive=False)
                    offered = gr.Gallery(
                        label="scenes to take",
                        columns=3,
                        height=320,
                        allow_preview=False,
                        interactive=False,
                        object_fit="contain",
                        buttons=[],
                        elem_id="scenes",
                    )
                    another = gr.Button("Draw another six", size="sm", elem_id="another")
                with gr.Column(scale=3, min_width=300):
                    status = gr.HTML(elem_id="status")
                    view = gr.HTML(
                        None,
                        html_template="<div></div>",
                        js_on_load=view_script() + _VIEW,
                        apply_default_css=False,
                        elem_id="view",
                    )
                    strategies = gr.Dropdown(
                        offer.names(Kind.SELECTIONS),
                        value=list(offer.first.strategies),
                        multiselect=True,
                        max_choices=MOST_STRATEGIES,
                        label="strategies (another one does not ask the model again)",
                        elem_id="strategies",
                    )
                    with gr.Row():
                        parts = [self._part(kind) for kind in CHOSEN]
                    with gr.Accordion("The same for a benchmark", open=False):
                        write = gr.Button("Write the config", elem_id="write")
                        config = gr.Code(language="yaml", label="run.yaml: pixcore run run.yaml", elem_id="config")
                        file = gr.DownloadButton("Download run.yaml", visible=False, elem_id="download")
                    past = gr.Gallery(
                        label="history",
                        columns=6,
                        fit_columns=False,
                        height=170,
                        allow_preview=False,
                        interactive=False,
                        visible=False,
                        object_fit="contain",
                        buttons=[],
                        elem_id="history",
                    )
            chosen = [*parts, strategies]
            ask = {
                "fn": self._ask,
                "inputs": [picture, text, asked, history, *chosen],
                "outputs": [status, view, history, past, stop],
                "concurrency_limit": 1,
                "concurrency_id": "model",
                "show_progress": "hidden",
                "trigger_mode": "always_last",  # who has stopped one may ask before it is over
            }
            again = {**ask, "fn": self._ask_again}
            for event in (look.click, text.submit):  # Gradio begins with a second one once a first is over
                event(self._begin, None, [status, stop], queue=False, show_progress="hidden")
                event(**ask)
            strategies.input(**again)
            stop.click(self._stop, None, [status, stop], queue=False, show_progress="hidden")
            blocks.unload(self._leave)
            another.click(self._draw, None, [offered, taken], show_progress="hidden")
            offered.select(self._take, [taken, asked], [picture, text], show_progress="hidden")
            asked.input(self._reword, [taken, text, asked], text, show_progress="hidden")
            past.select(self._back, history, [status, view], show_progress="hidden")
            write.click(self._config, [asked, *chosen], [config, file, status], show_progress="hidden")
            blocks.load(self._draw, None, [offered, taken], show_progress="hidden")
        return blocks

    def _part(self, kind: Kind) -> gr.Dropdown:
        names, first = self._desk.offer.names(kind), self._desk.offer.first.components[kind.value]
        return gr.Dropdown(names, value=first, label=_LABELS[kind], min_width=120, elem_id=kind.value)

    def _ask(
        self,
        request: gr.Request,
        path: str | None,
        text: str,
        asked: str,
        history: History,
        *chosen: Any,
    ) -> Iterator[tuple[Any, ...]]:
        """Answer: how it goes on, what is said meanwhile, and then the masks."""
        if path is None:
            yield _wrong("there is no image yet: drop or paste one, or take a scene"), *_KEPT, _IDLE
            return
        told: queue.Queue[str | Mapping[str, Any] | Shown | PixcoreError | Stopped | None] = queue.Queue()
        stop = self._stops.setdefault(request.session_hash, threading.Event())

        def work() -> None:
            try:
                question = Question(self._desk.picture(path), text or "", asked, _choices(chosen))
                told.put(self._desk.answer(question, told.put, told.put, stop))
            except (PixcoreError, Stopped) as error:
                told.put(error)
            except BaseException:
                told.put(None)
                raise

        threading.Thread(target=work, daemon=True).start()
        try:
            while isinstance(heard := told.get(), (str, Mapping)):
                line, view = (_note(heard), gr.skip()) if isinstance(heard, str) else (gr.skip(), heard)
                yield line, view, gr.skip(), gr.skip(), gr.skip() if stop.is_set() else _BUSY
        finally:
            stop.set()  # whoever waits no longer is answered no longer
            self._stops.pop(request.session_hash, None)
        if isinstance(heard, Shown):
            known = _known_by(heard.question)
            others = [one for one in history if _known_by(one[0].question) != known]
            history = [(heard, _small(heard.question.image.pil())), *others][:_MOST_HISTORY]
            yield _said(heard), heard.view, history, _gallery(history), _IDLE
        elif isinstance(heard, Stopped):
            yield _note("stopped"), *_KEPT, _IDLE
        else:
            yield _wrong(str(heard or "that failed; the server's log says why")), *_KEPT, _IDLE

    def _ask_again(self, request: gr.Request, path: str | None, *given: Any) -> Iterator[tuple[Any, ...]]:
        """Let another strategy choose, where something has been asked."""
        if path is None or not given[2]:
            yield gr.skip(), *_KEPT, gr.skip()
            return
        yield from self._ask(request, path, *given)

    def _begin(self, request: gr.Request) -> tuple[str, Any]:
        """Let a visitor stop what still waits for its turn."""
        self._stops.setdefault(request.session_hash, threading.Event())
        return _note("waiting for the model …"), _BUSY

    def _stop(self, request: gr.Request) -> tuple[str, Any]:
        self._leave(request)
        return _note("stopped"), _IDLE

    def _leave(self, request: gr.Request) -> None:
        """End what a visitor has asked for."""
        if stop := self._stops.get(request.session_hash):
            stop.set()

    def _draw(self) -> tuple[Any, list[Sample]]:
        taken: list[Sample] = []
        pictures: list[tuple[PILImage.Image, str]] = []
        for one in self._scenes.next(_SCENES):
            with suppress(DataError):  # a picture that can't be read costs no other
                pictures.append((_small(one.image.pil()), printable(one.expression or one.question or "")))
                taken.append(one)
        return gr.update(value=pictures, visible=bool(pictures), selected_index=None), taken

    def _take(self, taken: list[Sample], asked: str, event: gr.SelectData) -> tuple[str, str]:
        sample = taken[event.index]
        path = Path(self._desk.scratch) / f"{sample.image.digest}.png"  # once for all who take it
        try:
            os.utime(path)  # Gradio removes it by its age, and this visitor has it from now on
        except FileNotFoundError:
            with written_beside(path) as beside:
                sample.image.pil().save(beside, "PNG")
        return str(path), _text(sample, asked)

    def _reword(self, taken: list[Sample], text: str, asked: str) -> str:
        """Where the text is a scene's own, take its other one."""
        of = next((one for one in taken if text and text in (one.expression, one.question)), None)
        return text if of is None else _text(of, asked)

    def _back(self, history: History, event: gr.SelectData) -> tuple[str, Any]:
        shown, _ = history[event.index]
        return _said(shown), shown.view

    def _config(self, asked: str, *chosen: Any) -> tuple[str, Any, str]:
        document = self._desk.config(_choices(chosen), asked)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        path = Path(tempfile.mkdtemp(dir=self._desk.scratch)) / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return text, gr.update(value=str(path), visible=True), ""


def _place_of(payload: Any) -> str | None:
    """Where a picture that came lies, as a file."""
    return None if payload is None else payload.path


def uploaded(move: Callable[[Any], Awaitable[str | None]]) -> Callable[[Any], Awaitable[str | None]]:
    """Take files into Gradio's folder, but nothing from an address, which Gradio would fetch for a visitor."""

    async def moved(place: Any) -> str | None:
        if str(place).startswith(("http:", "https:")):
            raise ValueError("no picture is fetched from elsewhere")
        return await move(place)

    return moved


def _choices(chosen: Any) -> Choices:
    *names, strategies = chosen
    return Choices({kind.value: name for kind, name in zip(CHOSEN, names, strict=True)}, tuple(strategies or ()))


def _text(sample: Sample, asked: str) -> str:
    own = sample.expression if ASKED[asked] == "segment" else sample.question
    return own or ""


def _small(picture: PILImage.Image) -> PILImage.Image:
    return picture.resize(fitted(picture.size, _THUMBNAIL, thinnest=8, enlarge=True), PILImage.Resampling.LANCZOS)


def _known_by(question: Question) -> tuple[Any, ...]:
    """What two questions share that are the same; a visitor's file is gone after a while, its digest is not."""
    return question.image.digest, question.text, question.asked, question.choices


def _gallery(history: History) -> Any:
    pictures = [(picture, printable(shown.question.text)) for shown, picture in history]
    return gr.update(value=pictures, visible=True, selected_index=None)


def _note(text: str) -> str:
    return f'<p role="status">{html.escape(printable(text))}</p>'


def _wrong(text: str) -> str:
    return f'<p role="alert">{html.escape(printable(text))}</p>'


def _said(shown: Shown) -> str:
    names = shown.question.choices
    by = f"asked of {names.components['model']}" if shown.model else "the model was not asked again"
    notice = _wrong(shown.notice) if shown.notice else ""
    return f"{notice}{_note(f'“{shown.question.text.strip()}”: {by}')}"
