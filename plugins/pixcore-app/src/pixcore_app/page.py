"""The page: what a visitor does on the left, what comes of it on the right, on Gradio."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: it tells nobody anything
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import html
import queue
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import yaml
from PIL import Image as PILImage
from pixcore_notebook.tokens import view_script
from pixcore_pictures.drawing import fitted

from pixcore.errors import PixcoreError
from pixcore.files import printable
from pixcore.plugins import Kind
from pixcore.records import Sample
from pixcore_app.desk import ASKED, Desk, Question, Shown
from pixcore_app.offered import CHOSEN, MOST_STRATEGIES, Choices
from pixcore_app.scenes import Scenes

TITLE = "pixcore: where does the model look when it says this?"

_SCENES, _THUMBNAIL, _MOST_HISTORY = 6, 160, 12
_LABELS = {Kind.MODEL: "model", Kind.EXTRACTOR: "extractor", Kind.GROUPER: "grouper", Kind.MASKS: "generator"}
_VIEW = """
let view = null;
const show = () => {
  view?.close();
  view = props.value ? pixcore.tokenView(element, props.value, { grow: props.value.grow }) : null;
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

    def blocks(self) -> gr.Blocks:
        offer = self._desk.offer
        with gr.Blocks(title="pixcore", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
            gr.HTML(f"<h1>{TITLE}</h1>", elem_id="title")
            taken, history = gr.State([]), gr.State([])
            with gr.Row(elem_id="halves"):
                with gr.Column(scale=2, min_width=300):
                    picture = gr.Image(label="image", sources=["upload", "clipboard"], height=300, elem_id="picture")
                    picture.preprocess = _place_of  # how large it is comes first: nobody has decoded it yet
                    asked = gr.Radio(list(ASKED), value=next(iter(ASKED)), label="you type", elem_id="asked")
                    text = gr.Textbox(label="text", placeholder="the red boat", max_length=2000, elem_id="text")
                    look = gr.Button("Look", variant="primary", elem_id="look")
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
                "outputs": [status, view, history, past],
                "concurrency_limit": 1,
                "concurrency_id": "model",
                "show_progress": "hidden",
            }
            look.click(**ask)
            text.submit(**ask)
            again = {**ask, "fn": self._ask_again}
            strategies.input(**again)
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
        self, path: str | None, text: str, asked: str, history: list[Shown], *chosen: Any
    ) -> Iterator[tuple[Any, ...]]:
        """Answer, saying how it goes on meanwhile; words then come one by one."""
        if path is None:
            yield _wrong("there is no image yet: drop or paste one, or take a scene"), gr.skip(), gr.skip(), gr.skip()
            return
        heard: queue.Queue[str | Shown | PixcoreError | None] = queue.Queue()

        def work() -> None:
            try:
                question = Question(self._desk.picture(path), text or "", asked, _choices(chosen))
                heard.put(self._desk.answer(question, heard.put))
            except PixcoreError as error:
                heard.put(error)
            except BaseException:
                heard.put(None)
                raise

        threading.Thread(target=work, daemon=True).start()
        while isinstance(told := heard.get(), str):
            yield _note(told), gr.skip(), gr.skip(), gr.skip()
        if not isinstance(told, Shown):
            yield _wrong(str(told or "that failed; the server's log says why")), gr.skip(), gr.skip(), gr.skip()
            return
        history = [told, *(one for one in history if one.question != told.question)][:_MOST_HISTORY]
        yield _said(told), {**told.view, "grow": told.model}, history, _gallery(history)

    def _ask_again(self, path: str | None, *given: Any) -> Iterator[tuple[Any, ...]]:
        """Let another strategy choose, where something has been asked."""
        if path is None or not given[2]:
            yield (gr.skip(),) * 4
            return
        yield from self._ask(path, *given)

    def _draw(self) -> tuple[Any, list[Sample]]:
        taken = self._scenes.next(_SCENES)
        pictures = [(_small(one), printable(one.expression or one.question or "")) for one in taken]
        return gr.update(value=pictures, visible=bool(pictures), selected_index=None), taken

    def _take(self, taken: list[Sample], asked: str, event: gr.SelectData) -> tuple[str, str]:
        sample = taken[event.index]
        file = tempfile.NamedTemporaryFile(suffix=".png", delete=False, dir=self._desk.scratch)  # noqa: SIM115
        with file:
            sample.image.pil().save(file, "PNG")
        return file.name, _text(sample, asked)

    def _reword(self, taken: list[Sample], text: str, asked: str) -> str:
        """Where the text is a scene's own, take its other one."""
        of = next((one for one in taken if text and text in (one.expression, one.question)), None)
        return text if of is None else _text(of, asked)

    def _back(self, history: list[Shown], event: gr.SelectData) -> tuple[str, Any]:
        shown = history[event.index]
        return _said(shown), {**shown.view, "grow": False}

    def _config(self, asked: str, *chosen: Any) -> tuple[str, Any, str]:
        document = self._desk.config(_choices(chosen), asked)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        path = Path(tempfile.mkdtemp(dir=self._desk.scratch)) / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return text, gr.update(value=str(path), visible=True), ""


def _place_of(payload: Any) -> str | None:
    """Where a picture that came lies, as a file."""
    return None if payload is None else payload.path


def _choices(chosen: Any) -> Choices:
    *names, strategies = chosen
    return Choices({kind.value: name for kind, name in zip(CHOSEN, names, strict=True)}, tuple(strategies or ()))


def _text(sample: Sample, asked: str) -> str:
    own = sample.expression if ASKED[asked] == "segment" else sample.question
    return own or ""


def _small(sample: Sample) -> PILImage.Image:
    picture = sample.image.pil()
    return picture.resize(fitted(picture.size, _THUMBNAIL, thinnest=8, enlarge=True), PILImage.Resampling.LANCZOS)


def _gallery(history: list[Shown]) -> Any:
    pictures = []
    for one in history:
        picture = one.question.image.pil()
        small = picture.resize(fitted(picture.size, _THUMBNAIL, thinnest=8, enlarge=True), PILImage.Resampling.LANCZOS)
        pictures.append((small, printable(one.question.text)))
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
