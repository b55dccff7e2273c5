"""What stands behind a table's figures: how many samples each leaves out and why, and what was bound to be wrong.

Answers that nobody could read count as wrong; what a figure would be were all of them right is its other bound. Under
`published`, an image without the object counts as 1 wherever nothing was predicted, so its number is told by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pixcore_scoring.clusters import Clusters
from pixcore_scoring.evaluation import unit_of

from pixcore.errors import one_line
from pixcore.figures.columns import FigureColumn, Own, ScoredMask, main_columns, mean_ious, with_own
from pixcore.figures.rows import Row, RowSpec, Summary, shown
from pixcore.figures.scores import is_correct
from pixcore.figures.summary import scored_mask
from pixcore.predictions.format import NO_PREDICTION
from pixcore.protocols import PROBINGS
from pixcore.records import Fidelity, ProtocolResult, Sample, SampleResult, Selection
from pixcore_statistics.best_of import EqualMasks
from pixcore_statistics.wording import flattery, joined, legend, plural

ABSENT = "absent"
_UNTOLD = "it did not say why"


class Accounts:
    """Takes in a run's results one sample at a time, and keeps counts alone.

    Args:
        rows: The table's rows.
        fidelity: Whose rules.
    """

    def __init__(self, rows: Sequence[RowSpec], fidelity: Fidelity) -> None:
        self._rows, self._fidelity = tuple(rows), fidelity
        self._samples = 0
        self._left_out: dict[str, Counter[str]] = {}
        self._troubled: dict[str, Counter[str]] = {}
        self._spared: dict[str, Counter[str]] = {}  # by row: of what is missing, what it counts as 1
        self._absent_as_one: dict[str, Counter[str]] = {}
        self._of_row: Counter[tuple[str, str, str]] = Counter()
        self._idle: dict[tuple[str, str], Counter[str]] = {}  # why a row chose nothing of candidates; "" where it chose
        self._noted: Counter[tuple[str, str]] = Counter()  # what strategies note of a choice, summed
        self._equal: dict[tuple[str, str], EqualMasks] = {}
        self._noticed: Counter[str] = Counter()  # what a reader of an answer has to know
        self._units = Clusters()
        self._sizes = bytearray()
        self._answers: dict[str, _Answers] = {}
        self._asked: Counter[str] = Counter()

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        sample = result.sample
        self._samples += 1
        unit = self._units.number(unit_of(sample))
        self._sizes.extend(bytes(max(0, unit + 1 - len(self._sizes))))
        self._sizes[unit] = min(self._sizes[unit] + 1, 255)
        for probing in dict.fromkeys((*PROBINGS, *result.by_probing)):
            outcome = result.by_probing.get(probing)
            masks = self._masks(sample, outcome)
            for entry in _entries(probing):
                if entry.answer is not None:
                    self._count_answer(entry.name, sample, outcome)
                elif entry.kind != "proportion":
                    self._count_mask(entry, sample, outcome, masks)
            if outcome is not None:
                self._asked[probing] += 1
                if outcome.response is not None and "notice" in outcome.response.extra:
                    self._noticed[str(outcome.response.extra["notice"])] += 1
                self._count_choices(sample, outcome)
                if masks and outcome.error is None and sample.expression is not None and not sample.absent:
                    for name in outcome.controls:
                        self._equal.setdefault((probing, name), EqualMasks()).add(sample, outcome, name)
                right = is_correct(sample, outcome)
                if right is not None:
                    answers = self._answers.setdefault(probing, _Answers())
                    answers.add(unit, right, _trouble(outcome) == "unread", paired=sample.pair is not None)

    def _count_answer(self, figure: str, sample: Sample, outcome: ProtocolResult | None) -> None:
        if outcome is None or is_correct(sample, outcome) is None:
            self._leave_out(figure, "not asked or not graded")
        elif trouble := _trouble(outcome):
            self._troubled.setdefault(figure, Counter())[trouble] += 1

    def _masks(self, sample: Sample, outcome: ProtocolResult | None) -> dict[str, ScoredMask]:
        """What each row's figures read of a sample's mask."""
        if sample.mask is None or outcome is None:
            return {}
        return {
            row.key: scored_mask(sample, outcome, row, score, self._fidelity)
            for row in self._rows
            if (score := outcome.scores.get(row.key)) is not None and score.iou is not None
        }

    def _count_mask(
        self, entry: FigureColumn, sample: Sample, outcome: ProtocolResult | None, masks: Mapping[str, ScoredMask]
    ) -> None:
        if sample.mask is None or outcome is None:
            self._leave_out(entry.name, "without a ground truth" if sample.mask is None else "not asked")
            return
        counted = {key: one for key, one in masks.items() if entry.mask is not None and entry.mask(one) is not None}
        if not counted:
            self._leave_out(entry.name, self._why(sample, entry, found=bool(masks)))
            return
        right = [key for key, one in counted.items() if one.iou == 1]
        if len(right) < len(counted) and (outcome.error is not None or _trouble(outcome) == "missing"):
            self._troubled.setdefault(entry.name, Counter())[_trouble(outcome)] += 1
            self._spared.setdefault(entry.name, Counter()).update(right)
        if self._fidelity.released and sample.absent and entry.name in _mean_ious():
            ones = self._absent_as_one.setdefault(entry.name, Counter())
            ones[""] += 1
            ones.update(right)

    def _why(self, sample: Sample, entry: FigureColumn, *, found: bool) -> str:
        if not found:
            return "without a mask"
        if self._fidelity is Fidelity.PAPER and entry.main:  # it counts every object, named and there or not
            return "nothing chosen"
        if sample.expression is None:
            return "no object named"
        return ABSENT if sample.absent else "nothing chosen"

    def _leave_out(self, figure: str, why: str) -> None:
        self._left_out.setdefault(figure, Counter())[why] += 1

    def _count_choices(self, sample: Sample, outcome: ProtocolResult) -> None:
        for row in self._rows if outcome.selections else ():
            self._of_row[row.key, outcome.protocol, "lacks"] += (
                row.pool is not None and sample.mask is not None and row.key not in outcome.selections
            )
            chosen = outcome.selections.get(row.key)
            if row.pool is None and chosen is not None and outcome.candidates:
                why = (chosen.reason or _UNTOLD) if chosen.outcome == "nothing" else ""
                self._idle.setdefault((row.key, outcome.protocol), Counter())[why] += 1
        for name, selection in outcome.selections.items():
            self._of_row[name, outcome.protocol, "failed"] += selection.outcome == "failed"
            skipped = self._fidelity is Fidelity.PAPER and selection.outcome == "nothing" and sample.mask is not None
            self._of_row[name, outcome.protocol, "nothing"] += skipped
            self._note(name, selection)

    def _note(self, name: str, selection: Selection) -> None:
        for noted in [one for one in ("flip_rate", "unread") if one in selection.details]:
            self._noted[name, noted] += selection.details[noted]
            self._noted[name, f"n {noted}"] += 1

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with its accounts, and with notes of what a reader has to know."""
        figures = dict.fromkeys(name for row in summary.rows for name in row.figures)
        accounts = {name: self._account(name, summary) for name in figures if name in self._known(summary.own)}
        notes = (
            *legend(summary),
            *flattery(summary),
            *self._notes(summary, accounts),
            *self._of_choices(),
            *(f"{plural(count, 'answer')}: {notice}" for notice, count in self._noticed.items()),
            *summary.notes,
        )
        return replace(summary, accounts=accounts, notes=notes)

    def _known(self, own: Own) -> set[str]:
        """Figures of which there is an account: not those whose number is what was predicted, or made of others."""
        return {one.name for one in with_own(own).values() if one.answer or (one.mask and one.kind != "proportion")}

    def _account(self, name: str, summary: Summary) -> dict[str, Any]:
        entry = with_own(summary.own)[name]
        left_out, troubled = Counter(self._left_out.get(name)), self._troubled.get(name, Counter())
        if entry.probing not in PROBINGS and (unasked := self._samples - self._asked[entry.probing or ""]):
            left_out["not asked or not graded" if entry.answer is not None else "not asked"] += unasked
        account: dict[str, Any] = {"of": self._samples, "left_out": dict(left_out), "as_wrong": dict(troubled)}
        answers = self._answers.get(entry.probing or "")
        figure = next((row.figures[name] for row in summary.rows if name in row.figures), None)
        if entry.answer is not None and answers is not None and figure is not None:
            if figure.per_pair and (halves := answers.halves(self._sizes)):
                account["left_out"]["without the other one of their pair"] = halves
            if troubled["unread"] and figure.value is not None:
                more = answers.right_if_read(self._sizes) if figure.per_pair else troubled["unread"]
                account["if_read"] = figure.value + 100 * more / figure.n
        if name in self._absent_as_one:
            ones = self._absent_as_one[name]
            account["absent"] = ones[""]
            account["absent_as_1"] = {row.key: ones[row.key] for row in self._rows}
        if (name, entry.probing) in mean_ious(summary.own):
            at = {of: one.account() for (probing, of), one in self._equal.items() if probing == entry.probing}
            if found := {of: one for of, one in at.items() if one}:
                account["at_equal_masks"] = found
        return account

    def _notes(self, summary: Summary, accounts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        main = main_columns(summary.own)
        for names, (left_out,) in _alike(accounts, main, "left_out"):
            count = self._samples - sum(left_out.values())
            why = joined(f"{number} {reason}" for reason, number in left_out.items()) if left_out else ""
            of = f"{count if left_out else 'all'} of {plural(self._samples, 'sample')}"
            yield f"{', '.join(names)}: {of}" + (f"; left out: {why}" if why else "")
        for name in main:
            troubled = accounts.get(name, {}).get("as_wrong")
            if troubled:
                entry, read = with_own(summary.own)[name], accounts[name].get("if_read")
                wrong = "wrong" if entry.answer is not None else "IoU 0"
                counted = joined(f"{number} {trouble}" for trouble, number in troubled.items())
                bound = "" if read is None else self._bounds(summary, name, read)
                yield f"{name} (under {entry.probing}): {counted} count as {wrong}{bound}{self._but(summary, name)}"
        for name, account in accounts.items():
            if account.get("absent"):
                ones = ", ".join(
                    self._absent(row, name, account["absent_as_1"][row.key]) for row in shown(summary.rows)
                )
                absent = plural(account["absent"], "image")
                yield (
                    f"{name} holds {absent} without the object, which count as 1 where nothing is predicted, whatever "
                    f"the model does: {ones}"
                )
            for of, one in account.get("at_equal_masks", {}).items():
                ends = "" if one["low"] is None else f"paired t, 95 % {one['low']:z.1f} to {one['high']:z.1f}, "
                yield (
                    f"{name}, best of as many distinct masks ({one['masks']:.1f} on average): own candidates "
                    f"{one['own']:.1f}, {of} {one['control']:.1f}; {one['less']:+z.1f} ({ends}n = {one['n']}"
                    + (f"; left out: {one['left_out']} without any mask)" if one["left_out"] else ")")
                )

    def _but(self, summary: Summary, name: str) -> str:
        """Which rows count some of it as 1: under `published` an oracle knows what is absent before it looks."""
        spared = self._spared.get(name, Counter())
        rows = [row for row in shown(summary.rows) if spared[row.key]]
        told = joined(f"{spared[row.key]} count as 1 in the row {row.label}" for row in rows)
        return f"; the object being absent, {told}" if told else ""

    def _bounds(self, summary: Summary, name: str, read: float) -> str:
        """Between what a figure lies, whatever the unread answers say: all of them wrong, or all of them right."""
        worst = next(row.figures[name].value for row in summary.rows if name in row.figures)
        return "" if worst is None else f"; whatever the unread ones say, it is between {worst:.1f} and {read:.1f}"

    def _absent(self, row: Row, name: str, ones: int) -> str:
        """How many absent images a row counts as 1, and its figure with and without them."""
        both = [row.figures.get(one) for one in (name, f"{name} there")]
        told = [f"{one.value:.1f}" for one in both if one is not None and one.value is not None]
        return f"{row.label} {ones}" + (f" ({told[0]}, without them {told[1]})" if len(told) == 2 else "")

    def _of_choices(self) -> Iterator[str]:
        for (name, probing, what), count in self._of_row.items():
            if count and what == "failed":
                yield f"{count} choice(s) of {name} failed under {probing}; they count as IoU 0 in its row alone"
            elif count and what == "lacks":
                yield (
                    f"{plural(count, 'sample')} of {name} under {probing}: not there (what lends to it may have "
                    "failed); its row leaves them out, and the difference to it their pairs"
                )
            elif count:
                yield f"{count} image(s) of which {name} chose nothing under {probing} are left out of its mean IoU"
        for (name, probing), reasons in self._idle.items():
            if not reasons[""]:
                (why, _), offered = reasons.most_common(1)[0], plural(sum(reasons.values()), "sample")
                yield f"{name} chose nothing under {probing}, of whatever candidates {offered} had: {one_line(why)}"
        for (name, noted), total in self._noted.items():
            asked = self._noted[name, f"n {noted}"]
            if noted == "flip_rate":
                share = f"{100 * total / asked:.1f} % of choices (n={asked})"
                yield f"{name}: another order of the pictures changes {share}"
            elif noted == "unread" and total:
                yield f"{name}: {total} answers could not be read, over {asked} selections; none was guessed"


class _Answers:
    """The answers to one probing by unit: how many, how many right, how many unread."""

    def __init__(self) -> None:
        self._counts = bytearray()

    def add(self, unit: int, right: bool, unread: bool, *, paired: bool) -> None:
        self._counts.extend(bytes(max(0, 4 * unit + 4 - len(self._counts))))
        for place, what in enumerate((True, right, unread, paired)):
            at = 4 * unit + place
            self._counts[at] = min(self._counts[at] + what, 255)

    def _units(self, sizes: Sequence[int]) -> Iterator[tuple[int, int, int, bool]]:
        """Answered, right and unread of each unit, and whether it counts in full."""
        for unit in range(len(self._counts) // 4):
            answered, right, unread, paired = self._counts[4 * unit : 4 * unit + 4]
            yield answered, right, unread, answered == sizes[unit] and (answered > 1 or not paired)

    def halves(self, sizes: Sequence[int]) -> int:
        """Count the answers whose pair is not there in full."""
        return sum(answered for answered, _, _, whole in self._units(sizes) if not whole)

    def right_if_read(self, sizes: Sequence[int]) -> int:
        """Count the units that would be right were every unread answer right, and are not."""
        return sum(
            whole and unread > 0 and right + unread == answered for answered, right, unread, whole in self._units(sizes)
        )


def _trouble(outcome: ProtocolResult) -> str:
    """Why an answer was bound to be wrong: "missing", "failed" or "unread"; "" where it was not."""
    verdict = outcome.verdict
    if NO_PREDICTION in (outcome.error, verdict.reason if verdict is not None else None):
        return "missing"
    if outcome.error is not None or (verdict is not None and verdict.error is not None):
        return "failed"
    return "unread" if verdict is not None and verdict.correct is None else ""


@cache
def _entries(probing: str) -> tuple[FigureColumn, ...]:
    """The figures that a probing feeds."""
    own = Own() if probing in PROBINGS else Own((probing,), (probing,))
    return tuple(one for one in with_own(own).values() if one.probing == probing)


@cache
def _mean_ious() -> frozenset[str]:
    return frozenset(name for name, _ in mean_ious())


def _alike(
    accounts: Mapping[str, Mapping[str, Any]], main: Iterable[str], *keys: str
) -> Iterator[tuple[list[str], list[Any]]]:
    """Put the main figures of which an account says the same together."""
    found: list[tuple[list[str], list[Any]]] = []
    for name in main:
        if name in accounts:
            said = [accounts[name].get(key) for key in keys]
            for names, known in found:
                if known == said:
                    names.append(name)
                    break
            else:
                found.append(([name], said))
    yield from found
