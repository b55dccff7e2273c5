"""The worker's options. Light: imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator

from pixcore.components import ModelConfig
from pixcore.errors import ConfigError
from pixcore.records import Protocol
from pixcore_worker.manifest import Manifest, fingerprint, read_manifest


class WorkerConfig(ModelConfig):
    """Options of `worker`: which manifest, and where its output goes.

    Attributes:
        manifest: A YAML file that names the environment, the handler and the pins.
        log: A file for what the process prints; left out, a temporary one.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset({"log"})

    manifest: Path
    log: Path | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            self.read()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def read(self) -> Manifest:
        """Read the manifest."""
        return read_manifest(self.manifest.resolve())

    @property
    def prompts(self) -> Mapping[Protocol, str]:  # type: ignore[override]
        """The manifest's own prompts: workers differ, so they are not the class's."""
        return self.read().prompts

    @property
    def by_sample(self) -> bool:  # type: ignore[override]
        """Whether its handler answers by a sample's id, as the manifest says."""
        return self.read().by_sample

    def fingerprint(self) -> str:
        """Hash the manifest, the handler and what that imports from beside it; weights are the handler's own affair."""
        return fingerprint(self.manifest.resolve())
