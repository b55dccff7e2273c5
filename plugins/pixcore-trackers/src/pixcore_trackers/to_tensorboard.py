"""TensorBoard: event files in the run's folder, `tensorboard --logdir runs`."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from pixcore_trackers.tracker import Shown, TrackedRun, Tracker, columns_of


class Client(Tracker):
    """Writes event files below `tensorboard/` in the run's folder; each command adds one."""

    def __init__(self, run: TrackedRun) -> None:
        self._events = EventFileWriter(str(run.folder / "tensorboard"))
        lines = "".join(f"    {name}: {value}\n" for name, value in run.options.items())
        self._text("config", lines)

    def advance(self, stage: str, done: int, total: int, seconds: float) -> None:
        """Write a point of the stage's curve, in percent, with the number of records as its step."""
        self._write(Summary.Value(tag=f"stages/{stage}", simple_value=100 * done / max(total, 1)), step=done)

    def figures(self, figures: Mapping[str, float]) -> None:
        """Write each figure as a curve of one point."""
        self._write(*(Summary.Value(tag=f"figures/{name}", simple_value=value) for name, value in figures.items()))

    def samples(self, table: Sequence[Shown]) -> None:
        """Write the table as text, and the pictures under the samples' names."""
        names, rows = columns_of(table)
        lines = [names[:-1], ["---"] * (len(names) - 1), *rows]
        self._text("samples", "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines))
        for one in table:
            buffer = io.BytesIO()
            one.picture.save(buffer, "PNG")
            picture = Summary.Image(
                height=one.picture.height, width=one.picture.width, colorspace=3, encoded_image_string=buffer.getvalue()
            )
            self._write(Summary.Value(tag=f"samples/{one.sample} {one.probing}", image=picture))

    def close(self, *, failed: bool = False) -> None:
        """Write the file out."""
        self._events.close()

    def _text(self, tag: str, markdown: str) -> None:
        metadata = create_summary_metadata(display_name=tag, description="")
        self._write(Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto([markdown.encode()])))

    def _write(self, *values: Any, step: int = 0) -> None:
        self._events.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._events.flush()


def _cell(value: Any) -> str:
    """A cell of a Markdown table, in which a model's words stay words."""
    if value is None:
        return ""
    text = f"{value:.1f}" if isinstance(value, float) else str(value)
    return escape(" ".join(text.split())).replace("|", "&#124;")
