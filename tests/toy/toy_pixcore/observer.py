"""A plugin that observes: a line of `observed.jsonl`, where the command runs, for everything it hears."""

import json
import os

from pixcore import hookimpl


def _write(hook, **heard):
    line = json.dumps({"hook": hook, **heard}) + "\n"
    with open("observed.jsonl", "ab", buffering=0) as file:  # one call to the system: a kill leaves no half of a line
        file.write(line.encode())


@hookimpl
def run_started(run, config):
    _write("run_started", run=run, config=config)


@hookimpl
def stage_advanced(run, stage, done, total, seconds):
    _write("stage_advanced", run=run, stage=stage, done=done, total=total, seconds=seconds)


@hookimpl
def sample_finished(run, record):
    _write("sample_finished", run=run, record=record, answered=os.path.exists(f"{run}/summary.json"))


@hookimpl
def run_finished(run, summary):
    _write("run_finished", run=run, summary=summary)
