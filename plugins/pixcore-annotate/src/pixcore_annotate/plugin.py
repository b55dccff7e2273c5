"""Adds commands that build benchmarks to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add commands that build benchmarks."""
    register("annotate", "pixcore_annotate.commands:annotate", summary="Keep, drop or draw masks on a local page.")
    register(
        "benchmarks import-via",
        "pixcore_annotate.building:import_via_command",
        summary="Outlines of the VGG Image Annotator into a benchmark.",
    )
    register(
        "benchmarks parse-objects",
        "pixcore_annotate.building:parse_objects_command",
        summary="The objects that questions are about, into a table.",
    )
