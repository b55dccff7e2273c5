"""Carry out a run from Python, or open one that is there, and look at its table and its samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pixcore_ground.grounded import transformed_maps
from pixcore_report.reading import close_stores_with, from_dict
from pixcore_report.reading import open_run as open_records

from pixcore import config as configs
from pixcore.commands.run import carry_out
from pixcore.errors import ConfigError, DataError, nearest, one_line
from pixcore.figures.rows import RowSpec, Summary, shown
from pixcore.figures.scores import is_correct
from pixcore.files import RUN, SUMMARY, prepare, printable, read_object
from pixcore.plugins import registry
from pixcore.records import Candidate, Image, ProtocolResult, SampleResult
from pixcore.runs import plan
from pixcore.terminal import Console
from pixcore_notebook.grounding import ConfigLike, candidate_lines, document_of, nobody_exits, plain
from pixcore_notebook.html import SMALL, THUMBNAIL, heated, masked, phrase_of, rendered, shaded
from pixcore_notebook.keeping import let_go
from pixcore_notebook.lines import Lines
from pixcore_notebook.table import FigureTable
from pixcore_notebook.tokens import token_data, token_widget

if TYPE_CHECKING:
    import anywidget
    import pandas

_SHOWN = 12
_MOST = 10**9  # samples, as on the command line

_COLUMNS = frozenset(("sample_id", "pair", "expression", "absent", "probing", "prompt", "text", "correct", "error"))
"""What a sample's line has beside its categories, and an IoU for each row."""


def run(config: ConfigLike, *, limit: int | None = None, samples: str | Sequence[str] = (), **sections: Any) -> Run:
    """Take a benchmark through the pipeline that a config describes; it continues where it stopped.

    Args:
        config: The config's file, or what it would hold.
        limit: The first so many samples alone.
        samples: The samples with these ids alone, or the one with this id.
        sections: Keys of the config that take the place of its own, such as `selections=["random"]`.

    Raises:
        ConfigError: The config says something that pixcore can't do, or `limit` is less than 1.
        PluginError: A component is not installed.
        SampleError: A sample failed, and the config does not say `on_error: record`.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or not 1 <= limit <= _MOST):
        raise ConfigError(f"limit is {limit!r}", hint="a whole number, 1 or more, or None for all samples")
    scope = plan.Scope(None if limit is None else int(limit), _ids(samples))
    document = document_of(config) | {name: plain(one) for name, one in sections.items()}
    resolved = configs.resolve(document, registry())
    prepare(resolved.config.output)
    let_go()
    with nobody_exits():
        job = plan.Run(resolved, scope)
        carry_out(job, Console(force_jupyter=False, force_terminal=False), Console(quiet=True))
    close_stores_with(job)
    made = Run(resolved.config.output, partial(plan.Run, resolved, scope))
    _ = made.summary, made.config  # read before another run takes the folder
    return made


def _ids(samples: Iterable[str]) -> tuple[str, ...]:
    """Samples' ids, of one or of several."""
    found = (samples,) if isinstance(samples, str) else tuple(samples) if isinstance(samples, Iterable) else (samples,)
    if odd := [one for one in found if not isinstance(one, str)]:
        raise ConfigError(f"samples: {odd[0]!r} is no sample's id", hint="give ids as texts, or leave it out for all")
    return found


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open a run's folder; nothing is computed.

    Raises:
        DataError: The folder holds no run.
    """
    path = Path(os.path.expanduser(folder))
    read_object(path / RUN)
    return Run(path)


class Run:
    """A run's results: its table, its samples, its candidates; a notebook shows the table.

    Attributes:
        folder: The run's folder. The table is read from there; samples are read from the records that it names.

    Args:
        folder: The run's folder.
        made: Plans a run that was just carried out, whatever the folder holds later; left out: as the folder says.
    """

    def __init__(self, folder: Path, made: Callable[[], plan.Run] | None = None) -> None:
        self.folder = folder
        self._made = made

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files here: a copy opens its own."""
        return {name: value for name, value in vars(self).items() if name != "_job"}

    @cached_property
    def summary(self) -> Summary:
        """The table's figures as plain data."""
        return from_dict(read_object(self.folder / SUMMARY), where=str(self.folder / SUMMARY))

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config as it was resolved, every option spelt out; `pixcore.run` takes it."""
        config = read_object(self.folder / RUN).get("config")
        if not isinstance(config, dict):
            raise DataError(f"{self.folder / RUN} holds no config", hint="run the config again: records are kept")
        return config

    def table(self) -> FigureTable:
        """Give the table of figures."""
        return FigureTable(self.summary)

    def samples(self) -> Samples:
        """Give the samples, each read when it is looked at.

        Raises:
            DataError: The records are not where the run says, or not those of what is installed.
        """
        return Samples(self._job)

    def candidates(self) -> Lines:
        """Give a line for each mask of each candidate of each sample."""
        return Lines(line for one in self.samples() for line in one.candidate_lines())

    @cached_property
    def _job(self) -> plan.Run:
        if self._made is None:
            return open_records(self.folder, registry())
        job = self._made()
        close_stores_with(job)
        return job

    def __repr__(self) -> str:
        told = self.summary
        return printable(f"<Run of {told.model} on {told.benchmark}, {told.samples} samples, in {self.folder}>")

    def _repr_html_(self) -> str:
        return rendered("run", summary=self.summary, notes=self.table().notes, folder=str(self.folder))


class Samples(Sequence["SampleView"]):
    """The samples of a run, by number or by id."""

    def __init__(self, job: plan.Run, ids: Sequence[str] | None = None) -> None:
        self._job = job
        self._ids = list(job.ids()) if ids is None else ids

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int | str) -> SampleView: ...
    @overload
    def __getitem__(self, place: slice) -> Samples: ...
    def __getitem__(self, place: int | str | slice) -> SampleView | Samples:
        if isinstance(place, slice):
            return Samples(self._job, self._ids[place])
        if isinstance(place, str) and place not in self._ids:
            raise DataError(f"the run has no sample {place!r}", hint=nearest(place, self._ids))
        return self._view(place if isinstance(place, str) else self._ids[place])

    def __contains__(self, name: object) -> bool:
        return name in self._ids if isinstance(name, str) else super().__contains__(name)

    def to_pandas(self) -> pandas.DataFrame:
        """Make a data frame: a line for each sample under each probing, with the IoU of each row.

        Raises:
            PluginError: pandas is not installed.
        """
        return Lines(line for one in self for line in one.lines()).to_pandas()

    def __iter__(self) -> Iterator[SampleView]:
        return map(self._view, self._ids)

    def _view(self, name: str) -> SampleView:
        return SampleView(*self._job.result(name), self._job)

    def __repr__(self) -> str:
        return f"<{len(self)} samples>"

    def _repr_html_(self) -> str:
        first = [(one.id, one.asked, one.thumbnail()) for one in self[:_SHOWN]]
        return rendered("samples", shown=first, count=len(self))


def _column(category: str) -> str:
    """Name a category's column: as the category, or apart from the line's own columns where it is called like one."""
    taken = category in _COLUMNS or category.startswith(("iou: ", "category: "))
    return f"category: {category}" if taken else category


class SampleView:
    """What became of one sample: what was asked and said, where the model looked, which masks were chosen.

    Attributes:
        result: The sample with its results by probing.
    """

    def __init__(self, result: SampleResult, rows: Sequence[RowSpec], job: plan.Run | None = None) -> None:
        self.result = result
        self._job = job
        self._rows = {row.key: row for row in rows}

    @property
    def id(self) -> str:
        """The sample's id."""
        return self.result.sample.id

    @property
    def image(self) -> Image:
        """The picture that the sample is about."""
        return self.result.sample.image

    @property
    def asked(self) -> str:
        """What the sample is about: its expression, or its question."""
        return self.result.sample.expression or self.result.sample.question or ""

    @property
    def texts(self) -> dict[str, str]:
        """What the model said, by probing."""
        return {str(name): one.response.text for name, one in self.result.by_probing.items() if one.response}

    def tokens(self, probing: str | None = None) -> anywidget.AnyWidget:
        """Show an answer word by word: a word that is pointed at shows where the model looked, a click pins it.

        Args:
            probing: Under which; left out: the first whose answer has maps, else the first.

        Returns:
            A cell's widget; its `tokens` are those whose map is pinned.

        Raises:
            DataError: There is no answer.
            PluginError: anywidget is not installed.
        """
        said = {str(name): one.response for name, one in self.result.by_probing.items() if one.response is not None}
        looked = [name for name, response in said.items() if response.maps is not None]
        name = probing or next(iter([*looked, *said]), "")
        maps = transformed_maps(self._job, said.get(name)) if self._job is not None else None
        own = [key for key in self._rows if not self._is_control(key)]
        return token_widget(token_data(self.result, name, maps, own))

    def lines(self) -> list[dict[str, Any]]:
        """Give a line for each probing: what was asked and said, whether it is right, each row's IoU.

        "correct" is as every figure counts it: False where the sample failed or its judge could not tell, None where
        nobody grades. "absent" is None where there is no ground truth. A category has the column of its name; one that
        is called like another column has "category: " before it.
        """
        sample, lines = self.result.sample, []
        categories = {_column(name): value for name, value in sample.categories.items()}
        about = {"sample_id": sample.id, "pair": sample.pair, **categories, "expression": sample.expression}
        absent = None if sample.mask is None else sample.absent
        for name, one in self.result.by_probing.items():
            line: dict[str, Any] = {**about, "absent": absent, "probing": str(name), "prompt": one.prompt}
            line["text"] = one.response.text if one.response is not None else None
            line["correct"] = is_correct(sample, one)
            line |= {f"iou: {self._label(row)}": score.iou for row, score in one.scores.items()}
            lines.append(line | {"error": one.error})
        return lines

    def candidate_lines(self) -> list[dict[str, Any]]:
        """Give a line for each mask of each candidate under each probing."""
        lines = []
        for name, one in self.result.by_probing.items():
            rows = {row: choice for row, choice in one.selections.items() if not self._is_control(row)}
            choices = {self._label(row): (choice.candidate, choice.mask) for row, choice in rows.items()}
            for line in candidate_lines(one.candidates, choices, one.ious):
                lines.append({"sample_id": self.id, "probing": str(name), **line})
        return lines

    def thumbnail(self) -> str:
        """Draw the image small, with the true mask, as a `data:` address."""
        return masked(self.image, THUMBNAIL, self._truth, enlarge=True)

    @property
    def _truth(self) -> Any:
        sample = self.result.sample
        return None if sample.absent else sample.mask

    def _label(self, row: str) -> str:
        return self._rows[row].label if row in self._rows else row

    def _is_control(self, row: str) -> bool:
        return row in self._rows and self._rows[row].control

    def __repr__(self) -> str:
        return printable(one_line(f"<Sample {self.id}: {self.asked}>"))

    def _repr_html_(self) -> str:
        probings = [self._probing(str(name), one) for name, one in self.result.by_probing.items()]
        picture = masked(self.image, SMALL, self._truth, enlarge=True)
        return rendered("sample", sample=self.result.sample, picture=picture, probings=probings)

    def _probing(self, name: str, one: ProtocolResult) -> Mapping[str, Any]:
        choices = [(row, choice) for row, choice in one.selections.items() if choice.outcome == "chosen"]
        own = [pair for pair in choices if not self._is_control(pair[0])]
        pictures, place = [], None
        if own:
            row, choice = own[0]
            place = choice.candidate
            candidate = one.candidates[place or 0]
            drawn = masked(self.image, SMALL, candidate.masks[choice.mask or 0], candidate.point, enlarge=True)
            pictures.append((f"{self._label(row)}: “{phrase_of(candidate)}”", drawn))
            pictures += self._heat(one, candidate)
        elif one.response is not None and one.response.mask is not None:
            pictures.append(("the model's own mask", masked(self.image, SMALL, one.response.mask, enlarge=True)))
        overlaps = None if one.ious is None else [float(max(values, default=0.0)) for values in one.ious]
        pieces = [] if one.response is None else shaded(one.response, one.candidates, overlaps, place, "the true mask")
        verdict = (
            None if one.verdict is None else {True: "right", False: "wrong", None: "undecided"}[one.verdict.correct]
        )
        ious = {
            row.label: one.scores[row.key].iou for row in shown(tuple(self._rows.values())) if row.key in one.scores
        }
        told = {"name": name, "prompt": one.prompt, "error": one.error, "verdict": verdict}
        return {
            **told,
            "pieces": pieces,
            "pictures": pictures,
            "ious": {row: iou for row, iou in ious.items() if iou is not None},
        }

    def _heat(self, one: ProtocolResult, candidate: Candidate) -> list[tuple[str, str]]:
        if candidate.map is None or one.response is None or one.response.layout is None:
            return []
        hot = heated(self.image, SMALL, one.response.layout, candidate.map, enlarge=True)
        return [(f"where the model looked for “{phrase_of(candidate)}”", hot)]
