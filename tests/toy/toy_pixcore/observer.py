"""A plugin that observes: a line of `observed.jsonl`, where the command runs, for everything it hears."""

import json
import os

from pixcore import hookimpl


def _write(hook, **heard):
    line = json.dumps({"hook": hook, **heard})
    with open("observed.jsonl", "a") as file:
        file.write(f"\n{line}\n")  # a kill can cut even a single call at a page's end: the next line begins its own


@hookimpl
def run_started(run, config, stores):
    _write("run_started", run=run, config=config, stores=stores)


@hookimpl
def stage_advanced(run, stage, done, total, seconds):
    _write("stage_advanced", run=run, stage=stage, done=done, total=total, seconds=seconds)


@hookimpl
def sample_finished(run, record):
    _write("sample_finished", run=run, record=record, answered=os.path.exists(f"{run}/summary.json"))


@hookimpl
def part_finished(run, shard):
    _write("part_finished", run=run, shard=shard)


@hookimpl
def run_finished(run, summary):
    _write("run_finished", run=run, summary=summary)
