"""Measure the concept rules on labelled phrases: `python -m pixcore_emergence.labelled PHRASES.csv`.

The table has the columns `half` (seen: the rules were made with it in view; held out: they were not), `expression`,
`text`, `phrase`, and the letters of the first and the second pass.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixcore_datasets.tables import read_table

from pixcore.errors import DataError
from pixcore_emergence.concepts import Concept
from pixcore_emergence.rules import classify
from pixcore_emergence.standing import parser

COLUMNS = ("half", "expression", "text", "phrase", "first", "second")


@dataclass(frozen=True)
class Labelled:
    """A phrase with the labels of two passes.

    Attributes:
        half: Which half of the set it is in.
        expression: What was asked for.
        text: What it stands in.
        phrase: It.
        first: The first pass's label.
        second: The second pass's.
    """

    half: str
    expression: str
    text: str
    phrase: str
    first: Concept
    second: Concept


@dataclass(frozen=True)
class Agreement:
    """How far a classifier's concepts are those of the labels.

    Attributes:
        agreed: Phrases to which both passes gave one label.
        share: Of those, the ones with that label.
        kappa: Cohen's, on those.
        phrases: All phrases.
        either: Of all, those with one of the two labels.
    """

    agreed: int
    share: float
    kappa: float
    phrases: int
    either: float


def read_labelled(path: Path) -> list[Labelled]:
    """Read a table of labelled phrases.

    Raises:
        DataError: It can't be read, lacks a column, or has a label that is none.
    """
    return [
        Labelled(
            half=row["half"],
            expression=row["expression"],
            text=row["text"],
            phrase=row["phrase"],
            first=_concept(path, row, "first"),
            second=_concept(path, row, "second"),
        )
        for row in read_table(path, COLUMNS)
    ]


def by_rules(labelled: Labelled) -> Concept:
    """Classify a labelled phrase offline."""
    return classify(labelled.phrase, text=labelled.text, expression=labelled.expression)


def evaluate(phrases: Sequence[Labelled], classifier: Callable[[Labelled], Concept] = by_rules) -> Agreement:
    """Measure a classifier on labelled phrases, of which there is at least one on which both passes agree."""
    found = [classifier(phrase) for phrase in phrases]
    agreed = [(label, one.first) for label, one in zip(found, phrases, strict=True) if one.first is one.second]
    either = sum(label in {one.first, one.second} for label, one in zip(found, phrases, strict=True))
    share = sum(label is given for label, given in agreed) / len(agreed)
    return Agreement(len(agreed), share, cohens_kappa(agreed), len(phrases), either / len(phrases))


def cohens_kappa(pairs: Sequence[tuple[Concept, Concept]]) -> float:
    """Take the share of equal labels beyond what their frequencies give by chance, over the most that it could be."""
    one, other = Counter(first for first, _ in pairs), Counter(second for _, second in pairs)
    share = sum(first is second for first, second in pairs) / len(pairs)
    chance = sum(one[label] * other[label] for label in Concept) / len(pairs) ** 2
    return (share - chance) / (1 - chance) if chance < 1 else 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how far the rules agree with the labels, half by half."""
    options = argparse.ArgumentParser(description="Measure the concept rules on labelled phrases.")
    options.add_argument("phrases", type=Path, help=f"a CSV with the columns {', '.join(COLUMNS)}")
    options.add_argument("--wrong", action="store_true", help="list the phrases of the seen half that differ")
    chosen = options.parse_args(arguments)
    phrases = read_labelled(chosen.phrases)
    print(f"parsed by: {parser() or 'plain rules'}")
    for half in sorted({phrase.half for phrase in phrases}):
        own = [phrase for phrase in phrases if phrase.half == half]
        found = evaluate(own)
        passes = cohens_kappa([(phrase.first, phrase.second) for phrase in own])
        print(
            f"{half}: {100 * found.share:.1f} % of {found.agreed} phrases on which both passes agree, kappa "
            f"{found.kappa:.2f}; one of the two labels of {100 * found.either:.1f} % of {found.phrases}; the passes' "
            f"kappa {passes:.2f}"
        )
    for phrase in phrases:
        label = by_rules(phrase)
        if chosen.wrong and phrase.half == "seen" and label not in {phrase.first, phrase.second}:
            print(f"  {phrase.phrase!r} in {phrase.text!r}: {label}, labelled: {phrase.first}")


def _concept(path: Path, row: Mapping[str, str], column: str) -> Concept:
    letter = row[column].strip().lower()
    for concept in Concept:
        if concept.letter == letter:
            return concept
    raise DataError(
        f"{path} has {row[column]!r} as {column!r} of {row['phrase']!r}",
        hint=f"one of {', '.join(concept.letter for concept in Concept)}",
    )


if __name__ == "__main__":
    main()
