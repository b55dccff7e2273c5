"""The contract: what a plugin may offer, answer and observe, a hook each.

A plugin is a light module that an entry point in group `pixcore` names. Its hooks receive `register` and call it once
a component: `register(name, "package.module:Class", config="package.config:Model", summary="one line")`. The strings
are imported when the component is first used, so a plugin costs nothing until then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import pluggy

PROJECT = "pixcore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The function that a registering hook is handed."""

    def __call__(
        self,
        name: str,
        target: str,
        *,
        config: str | None = None,
        summary: str = "",
        default: bool = False,
        extra: str = "",
        default_for: Collection[str] = (),
    ) -> None:
        """Offer a component.

        Args:
            name: What a config calls it: lower case, words joined by hyphens.
            target: "package.module:Class".
            config: "package.module:Model", a `pixcore.components.Config`; None for a component without options.
            summary: One line for `pixcore plugins`.
            default: Serve where a config says nothing about this kind. The core names no component itself, so this is
                how it has defaults; it needs to work offline and without options. Of the kinds that a config lists
                (transforms, selections) several may be defaults; of the others, one.
            default_for: Serve in these other places where a config says nothing: "control.points" and
                "control.selection" (the matched control: without both there is none), "ground" (who chooses in
                `pixcore ground`). One component each.
            extra: The extra of its package that the component needs: its records stand on what that requires too.
        """


class RegisterCommand(Protocol):
    """The function that `register_commands`, `register_run_writers` and `register_probings` are handed."""

    def __call__(self, name: str, target: str, *, summary: str = "", default: bool = False) -> None:
        """Add a command, or offer a run writer or a probing.

        Args:
            name: What a person types after `pixcore`: one word, or a group and a word, such as "benchmarks fetch" (a
                group is there as soon as a command stands under it); what `writers:` or `protocols:` calls it.
            target: "package.module:attribute", imported when it is used: a `click.Command`; a
                `pixcore.runs.writers.RunWriter`; a function of a model's config and a fidelity: a probing's template.
            summary: One line.
            default: Of a run writer: write where a config does not say who writes.
        """


RegisterWriter = RegisterCommand


@hookspec
def register_model_adapters(register: Register) -> None:
    """Offer model adapters (`pixcore.components.ModelAdapter`)."""


@hookspec
def register_attention_extractors(register: Register) -> None:
    """Offer attention extractors (`pixcore.components.AttentionExtractor`)."""


@hookspec
def register_map_transforms(register: Register) -> None:
    """Offer transforms of finished maps (`pixcore.components.MapTransform`)."""


@hookspec
def register_token_groupers(register: Register) -> None:
    """Offer token groupers (`pixcore.components.TokenGrouper`)."""


@hookspec
def register_point_selectors(register: Register) -> None:
    """Offer point selectors (`pixcore.components.PointSelector`)."""


@hookspec
def register_mask_generators(register: Register) -> None:
    """Offer mask generators (`pixcore.components.MaskGenerator`)."""


@hookspec
def register_selection_strategies(register: Register) -> None:
    """Offer selection strategies (`pixcore.components.SelectionStrategy`)."""


@hookspec
def register_benchmarks(register: Register) -> None:
    """Offer benchmarks (`pixcore.components.Benchmark`)."""


@hookspec
def register_judges(register: Register) -> None:
    """Offer judges (`pixcore.components.Judge`)."""


@hookspec
def register_executors(register: Register) -> None:
    """Offer executors (`pixcore.components.Executor`)."""


@hookspec
def register_commands(register: RegisterCommand) -> None:
    """Add commands. Where two plugins add one of the same name, neither works and both are named; the core's stay."""


@hookspec
def register_run_writers(register: RegisterWriter) -> None:
    """Offer writers of what a finished run leaves in its folder (`pixcore.runs.writers.RunWriter`)."""


@hookspec
def register_probings(register: RegisterCommand) -> None:
    """Offer probings whose template depends on the model."""


@hookspec(firstresult=True)
def give_intervals(
    rows: Sequence[Mapping[str, Any]], own: Any, seed: int, specs: Sequence[Any]
) -> list[dict[str, Any]] | None:
    """Say how sure the figures of a table are; without a plugin that does, tables have no intervals.

    Args:
        rows: For each row by the figure's name its terms over the same clusters (`pixcore.figures.intervals.Sums`).
        own: The run's own probings (`pixcore.figures.columns.Own`), for figures that are made of others.
        seed: Same seed, same intervals.
        specs: What each row shows (`pixcore.figures.rows.RowSpec`): whose control it is.

    Returns:
        For each row by the figure's name, made ones among them, both ends as its terms give them (None where none would
        be honest) and how they were made; what takes two rows, such as "M less control", as a whole `Figure`.
    """


@hookspec(firstresult=True)
def merge_candidates(candidates: Sequence[Any], iou: float) -> list[Any] | None:
    """Merge candidates that ask or say the same, as `merge_iou` asks for; those that stay, in order (of none, [])."""


@hookspec
def keep_accounts(rows: Sequence[Any], fidelity: Any) -> Any:
    """Count, beside the figures, what they leave out and what was bound to be wrong.

    Args:
        rows: The table's rows (`pixcore.figures.rows.RowSpec`).
        fidelity: Whose rules.

    Returns:
        What `add(result)` shows each scored sample, and `closed(summary)` gives the `pixcore.figures.rows.Summary` back
        with its `accounts`, and with notes of what a reader has to know.
    """


@hookspec(firstresult=True)
def carry_out_run(job: Any) -> int | None:
    """Carry out a run (`pixcore.runs.plan.Run`) for `pixcore run`: the command's exit status; None: as it always is."""


@hookspec(firstresult=True)
def show_progress(console: Any) -> Any:
    """Show how far a run is on a console of rich's: a `pixcore.runs.progress.Display`, or None."""


@hookspec(firstresult=True)
def show_summary(summary: Any) -> Any:
    """Show the figures of a run (`pixcore.figures.rows.Summary`) as something that rich prints; else lines do."""


@hookspec
def run_started(run: str, config: Mapping[str, Any], stores: Sequence[str]) -> None:
    """Observe that a command starts to work on a run; one that finds everything done and told is not told of.

    Args:
        run: The run folder.
        config: The resolved config, every option spelt out.
        stores: The files of its stage stores.
    """


@hookspec
def stage_advanced(run: str, stage: str, done: int, total: int, seconds: float) -> None:
    """Observe a stage's progress: at most once a second, and when it ends; not of a stage that has nothing to do.

    Args:
        run: The run folder.
        stage: What the progress bar says.
        done: How many records are there, those of earlier commands among them.
        total: How many there will be.
        seconds: Since this command began with the stage.
    """


@hookspec
def sample_finished(run: str, record: Mapping[str, Any]) -> None:
    """Observe one scored sample, as soon as the last of its records is there.

    Each sample is told once in all: not again by a command that goes on with the run, nor by one that writes the
    results again. A sample that failed is told by the command that makes it good. On a cluster, the shard tells it.

    Args:
        run: The run folder.
        record: "sample_id"; "pair" and "categories", as the benchmark has them; "probings": for each probing the
            sample's line of `predictions.jsonl` with two keys more: "correct" (null where nothing was judged), and
            "iou", the IoU of each row's mask by the row's key (where there is a ground truth).
    """


@hookspec
def part_finished(run: str, shard: tuple[int, int]) -> None:
    """Observe that the i-th of n parts of a run is done (`--shard`); who unites them tells that it is finished."""


@hookspec
def run_finished(run: str, summary: Mapping[str, Any]) -> None:
    """Observe that a run's results are written: once for a run whose start was told, and not on `pixcore report`.

    Args:
        run: The run folder.
        summary: What `summary.json` holds.
    """
