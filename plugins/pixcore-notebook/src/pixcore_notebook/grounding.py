"""Ground an expression in an image from Python, and look at what was found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_ground.grounded import Grounded
from pixcore_ground.grounded import ground as ground_in
from pixcore_ground.picture import ground_picture
from pixcore_selection.pick import best_score

from pixcore import masks
from pixcore.config import read_yaml
from pixcore.errors import ConfigError, DataError, PluginError, describe
from pixcore.plugins import Kind, registry
from pixcore.records import Candidate, ProtocolResult, Sample, SampleResult
from pixcore.runs.progress import Display
from pixcore.terminal import Console
from pixcore_notebook.html import LARGE, THUMBNAIL, heated, masked, phrase_of, rendered, shaded
from pixcore_notebook.images import ImageLike, as_image
from pixcore_notebook.keeping import kept, let_go
from pixcore_notebook.lines import Lines
from pixcore_notebook.tokens import token_data, token_widget

if TYPE_CHECKING:
    import anywidget
    import pandas

ConfigLike = str | os.PathLike[str] | Mapping[str, Any]
"""A config's file, or what it would hold."""

_SHOWN = 12


def ground(
    image: ImageLike,
    expression: str,
    *,
    model: str | Mapping[str, Any] | None = None,
    config: ConfigLike | None = None,
    keep: bool = False,
    **options: Any,
) -> Grounding:
    """Ask a model for an expression in an image, mine masks from its attention, and choose one.

    Args:
        image: A path, a picture of Pillow's, or an array (height, width, 3) of uint8.
        expression: What to look for, such as "the cat's ear".
        model: The model adapter's name, or its section of a config; left out: the config's, or what serves by default.
        config: A run's config, or its file: which extractor, grouper, points, masks and selection work.
        keep: Leave the model in memory for the next call that asks it with the same options; any other call frees it.
        options: Options of the model, such as `checkpoint="llava-hf/llava-1.5-7b-hf"`.

    Raises:
        DataError: The image can't be read, or nothing is asked for.
        ConfigError: An option is not the model's.
        PluginError: A component is not installed.
        ModelError: The checkpoint can't be loaded.
    """
    if not isinstance(expression, str):
        raise DataError(f"{expression!r} is no expression", hint='give a text, such as "the cat\'s ear"')
    document = {} if config is None else document_of(config)
    if model is not None:
        document["model"] = plain(model)
    if options:
        document["model"] = _section(document.get("model")) | {name: plain(one) for name, one in options.items()}
    quiet = Display(Console(stderr=True, quiet=True))
    if not keep:
        let_go()
    with nobody_exits():
        found = ground_in(as_image(image), expression, document, quiet, kept if keep else None)
    return Grounding(**{name: getattr(found, name) for name in found.__dataclass_fields__})


@contextmanager
def nobody_exits() -> Iterator[None]:
    """Turn an exit of a component into an error: it would end a whole script, as if all had gone well."""
    try:
        yield
    except SystemExit as error:
        raise PluginError(
            f"a component ended the process: {describe(error)}", hint="it has to raise an error"
        ) from error


def document_of(config: ConfigLike) -> dict[str, Any]:
    """Give a config's document, of which every path is text, as in a file."""
    if isinstance(config, Mapping):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (str, os.PathLike)):
        return read_yaml(Path(os.path.expanduser(config)))
    raise ConfigError(f"a {type(config).__name__} is no config", hint="give its file, or a mapping such as a dict")


def plain(value: Any) -> Any:
    """Turn paths into text, tuples into lists and what is NumPy's into Python's, wherever they stand in a value."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _section(given: Any) -> dict[str, Any]:
    """A model's section as a mapping."""
    if isinstance(given, Mapping):
        return dict(given)
    name = given or next((one.name for one in registry().defaults(Kind.MODEL)), None)
    return {} if name is None else {"name": name}


@dataclass(frozen=True, eq=False, repr=False)
class Grounding(Grounded):
    """What was found of an expression in an image; a notebook shows it as pictures and text.

    Attributes:
        image: The picture.
        expression: What was asked for.
        model: The model's name.
        response: What the model said, with its tokens and maps.
        candidates: What was chosen from: a phrase each, with its point, its masks and their scores.
        selection: The choice, with the strategy's reason.
        strategy: The name of the strategy that chose; empty where the model segments by itself.
        maps: Where the model looked at each token, as the transforms leave it, (tokens, cells); None where none are.
        chosen: The chosen candidate; None where none was.
        notice: What the model says that a reader of its answer has to know; mostly nothing.
    """

    @property
    def text(self) -> str:
        """What the model said."""
        return self.response.text

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The chosen mask, (height, width); empty where none was chosen."""
        width, height = self.image.size
        return masks.decode(self._rle) if self._rle is not None else np.zeros((height, width), np.bool_)

    @property
    def heat(self) -> NDArray[np.float32] | None:
        """How relevant each pixel was to the chosen phrase, (height, width) float32; None where nothing says so."""
        if self.chosen is None or self.chosen.map is None or self.response.layout is None:
            return None
        return self.response.layout.to_image(self.chosen.map, self.image.size)

    @property
    def picture(self) -> PILImage.Image:
        """The picture that `pixcore ground` writes, for a file or a slide."""
        return ground_picture(self)

    def show(self) -> None:
        """Show it: in a notebook below the cell, elsewhere as a picture in the system's viewer."""
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if shell is not None and "IPKernelApp" in shell.config:
            sys.modules["IPython"].display.display(self)
        else:
            self.picture.show()

    def tokens(self) -> anywidget.AnyWidget:
        """Show the answer word by word: a word that is pointed at shows where the model looked, a click pins it.

        Returns:
            A cell's widget; its `tokens` are those whose map is pinned.

        Raises:
            PluginError: anywidget is not installed.
        """
        rows = {self._chooser: self.selection}
        one = ProtocolResult("segment", "", self.response, self.candidates, selections=rows)
        sample = Sample("image", self.image, expression=self.expression)
        return token_widget(token_data(SampleResult(sample, {"segment": one}), "segment", self.maps))

    def to_pandas(self) -> pandas.DataFrame:
        """Make a data frame of the candidates' masks.

        Raises:
            PluginError: pandas is not installed.
        """
        place = self.selection.candidate if self.chosen is not None else None
        return Lines(candidate_lines(self.candidates, {self._chooser: (place, self.selection.mask)})).to_pandas()

    @property
    def _chooser(self) -> str:
        return self.strategy or "the model's own mask"

    @property
    def _rle(self) -> masks.RLE | None:
        return self.chosen.masks[self.selection.mask or 0] if self.chosen is not None else None

    def __repr__(self) -> str:
        chosen = self.chosen
        told = self.selection.outcome if chosen is None else f"{phrase_of(chosen)!r}, {int(self.mask.sum())} pixels"
        return f"<Grounding of {self.expression!r} in {self.image.name} by {self.model}: {told}>"

    def _repr_html_(self) -> str:
        chosen, layout, mask = self.chosen, self.response.layout, self._rle
        overlaps = None if mask is None else [_best_iou(one, mask) for one in self.candidates]
        pictures = [("the chosen mask" if chosen else "the image", self._drawn(mask, chosen))]
        if chosen is not None and chosen.map is not None and layout is not None:
            hot = heated(self.image, LARGE, layout, chosen.map, enlarge=True)
            pictures.append((f"where the model looked for “{phrase_of(chosen)}” (dark: little, bright: much)", hot))
        others = [one for one in self.candidates if one is not chosen and one.masks]
        ranked = sorted(others, key=lambda one: -max(one.scores, default=0.0))[:_SHOWN]
        place = self.selection.candidate if chosen is not None else None
        return rendered(
            "grounding",
            found=self,
            pictures=pictures,
            pieces=shaded(self.response, self.candidates, overlaps, place, "the chosen mask"),
            choice=_choice(self, chosen),
            others=[(phrase_of(one), self._small(one), max(one.scores, default=None)) for one in ranked],
            more=len(others),
        )

    def _drawn(self, mask: masks.RLE | None, chosen: Candidate | None) -> str:
        return masked(self.image, LARGE, mask, chosen.point if chosen is not None else None, enlarge=True)

    def _small(self, candidate: Candidate) -> str:
        return masked(self.image, THUMBNAIL, candidate.masks[best_score(candidate)], candidate.point, enlarge=True)


def _choice(found: Grounded, chosen: Candidate | None) -> str:
    by = f", by {found.strategy}" if found.strategy else ""
    if chosen is None:
        told = {"absent": "not in the image", "nothing": "nothing chosen"}.get(found.selection.outcome, "failed")
        return f"{told}{by}"
    place = found.selection.mask or 0
    score = f", score {chosen.scores[place]:.2f}" if place < len(chosen.scores) else ""
    return f"“{phrase_of(chosen)}”, mask {place + 1} of {len(chosen.masks)}{score}{by}"


def _best_iou(candidate: Candidate, mask: masks.RLE) -> float:
    return float(masks.iou(candidate.masks, [mask]).max()) if candidate.masks else 0.0


def candidate_lines(
    candidates: tuple[Candidate, ...],
    choices: Mapping[str, tuple[int | None, int | None]],
    ious: tuple[NDArray[np.float64], ...] | None = None,
) -> list[dict[str, Any]]:
    """Give a line for each mask of each candidate.

    Args:
        candidates: What was chosen from.
        choices: By row, the places of the chosen candidate and mask.
        ious: Of each candidate the IoU of each of its masks with the ground truth.
    """
    lines = []
    for number, candidate in enumerate(candidates):
        x, y = candidate.point.points[0].tolist() if candidate.point and len(candidate.point.points) else (None, None)
        for place, mask in enumerate(candidate.masks):
            line = {"candidate": number, "phrase": phrase_of(candidate), "x": x, "y": y, "mask": place}
            line["pixels"] = masks.area(mask)
            line["score"] = candidate.scores[place] if place < len(candidate.scores) else None
            if ious is not None:
                line["iou"] = float(ious[number][place])
            line["chosen_by"] = ", ".join(row for row, choice in choices.items() if choice == (number, place))
            lines.append(line)
    return lines
