"""Registers both benchmarks, and the command that writes a folder."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register, RegisterCommand


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer the benchmarks."""
    register(
        "folder",
        "pixcore_folder.benchmark:Folder",
        config="pixcore_folder.config:FolderConfig",
        summary="your own images: a folder of pictures, mask files and a table",
    )
    register(
        "hf-dataset",
        "pixcore_folder.hf_dataset:HfDataset",
        config="pixcore_folder.config:HfDatasetConfig",
        summary="a data set of the hub, or a local parquet, arrow or image folder, with pictures, masks and texts",
        extra="datasets",
    )


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the command that writes a benchmark as a folder."""
    register(
        "benchmarks export",
        "pixcore_folder.export:export_command",
        summary="Write a benchmark as a folder of pictures, masks and a table.",
    )
