"""The toy run writers."""

import json
import sys

from pixcore.runs.writers import RunWriter


class Count(RunWriter):
    """How many samples went by, and what it was handed."""

    def begin(self, folder, run, rows):
        self._path = folder / "count.json"
        self._found = {"seed": run["config"]["seed"], "rows": [row.key for row in rows], "samples": []}

    def add(self, result):
        sys.audit("toy.sample")
        self._found["samples"].append(result.sample.id)

    def finish(self, summary):
        self._path.write_text(json.dumps({**self._found, "benchmark": summary.benchmark}))
        return self._path


class Fails(Count):
    """Fails at the third sample, and says when it is closed."""

    def add(self, result):
        super().add(result)
        if len(self._found["samples"]) == 3:
            raise RuntimeError("toy writer\nis out of ink")

    def close(self):
        self._path.with_name("closed").touch()
