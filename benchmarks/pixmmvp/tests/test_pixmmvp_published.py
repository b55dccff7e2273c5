"""The released evaluator's figures on the released annotations, against an independent rewriting of its rules.

Nothing of pixcore is used on the right-hand side: masks are arrays, files are sorted names, loops are plain.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pixcore_scoring.command import score
from pycocotools import mask as coco

Candidates = list[dict[str, Any]]
ZERO = np.zeros((224, 224), bool)


def text_of(index: int) -> str:
    return "x" * (20 + index % 37)


def letter_of(index: int) -> str:
    return ("A", "(b).", "The answer is A", "B. Closed", "Answer: b", "yes", "")[index % 7]


def iou(left: np.ndarray, right: np.ndarray) -> float:
    if not left.any() and not right.any():
        return 1.0
    return np.logical_and(left, right).sum() / np.logical_or(left, right).sum()


def files(candidates: Candidates, index: int) -> list[tuple[str, np.ndarray, Candidates]]:
    named = [
        (f"{index}_{group:03d}_{mask:03d}.png", coco.decode({**one, "counts": one["counts"].encode()}) > 0, [entry])
        for group, entry in enumerate(candidates)
        for mask, one in enumerate(entry["masks"])
    ]
    return sorted(named, key=lambda file: file[0])


def oracle(candidates: Candidates, index: int, truth: np.ndarray) -> tuple[np.ndarray | None, dict[str, Any] | None]:
    if not truth.any():
        return ZERO, None
    best, chosen = 0.0, (None, None)
    for _, mask, (entry,) in files(candidates, index):
        if iou(mask, truth) >= best:
            best, chosen = iou(mask, truth), (mask, entry)
    return chosen


def spacy(candidates: Candidates, index: int) -> np.ndarray | None:
    best, chosen = 0.0, None
    for _, mask, (entry,) in files(candidates, index):
        if entry["similarity"] >= best:
            best, chosen = entry["similarity"], mask
    if chosen is not None and best < 0.7:
        return ZERO
    return chosen


def letter(answer: str) -> str:
    answer = answer.lower().strip()
    for lead in ("answer is", "answer is:", "answer:"):
        if lead in answer:
            answer = answer.split(lead)[-1]
    return answer.strip().rstrip(".:,").lstrip("(").rstrip(")")


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory, formula: Callable[[int], Candidates]) -> Path:
    path = tmp_path_factory.mktemp("published") / "predictions.jsonl"
    with path.open("w") as out:
        for index in range(300, 0, -1):  # any order: samples are joined by id
            one = {"sample_id": str(index), "protocol": "segment", "text": text_of(index), "candidates": formula(index)}
            out.write(json.dumps(one) + "\n")
            two = {"sample_id": str(index), "protocol": "letter", "text": letter_of(index)}
            out.write(json.dumps(two) + "\n")
    return path


def scored(predictions: Path, released: Path, select: str, *more: str) -> dict[str, Any]:
    arguments = [str(predictions), "--benchmark", "pixmmvp", "--root", str(released), "--select", select, "--json", "-"]
    result = CliRunner().invoke(score, [*arguments, *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def questions(released: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((released / "visual_patterns.csv").open()))


@pytest.mark.parametrize("select", ["oracle", "given-similarity", "spacy-similarity"])
def test_miou_with_and_without_the_unnamed_images(
    select: str,
    predictions: Path,
    released: Path,
    truths: dict[int, np.ndarray],
    formula: Callable[[int], Candidates],
) -> None:
    none = {int(line.split(".")[0]) for line in (released / "meta_none.txt").read_text().split()}
    values = {}
    for index, truth in truths.items():
        candidates = formula(index)
        chosen = oracle(candidates, index, truth)[0] if select == "oracle" else spacy(candidates, index)
        values[index] = 0.0 if chosen is None else iou(chosen, truth)
    (row,) = scored(predictions, released, select, "--fidelity", "published")["rows"]
    found = row["mIoU"]["segment"]
    assert (found["n_with_none"], found["n_without_none"]) == (300, 286)
    assert found["with_none"] == pytest.approx(100 * np.mean(list(values.values())), abs=1e-9)
    named = [value for index, value in values.items() if index not in none]
    assert found["without_none"] == pytest.approx(100 * np.mean(named), abs=1e-9)


def first_release_oracle(candidates: Candidates, index: int, truth: np.ndarray) -> np.ndarray | None:
    if truth.any():
        return oracle(candidates, index, truth)[0]
    smallest, area = None, 1e20
    for _, mask, _ in files(candidates, index):
        if area > mask.sum():
            smallest, area = mask, mask.sum()
    return smallest


def first_release_spacy(candidates: Candidates, index: int, truth: np.ndarray) -> np.ndarray | None:
    best, chosen = 0.0, None
    for _, mask, (entry,) in files(candidates, index):
        if entry["similarity"] >= best:
            best, chosen = entry["similarity"], mask
    return chosen


FIRST_RELEASE = {
    "oracle": first_release_oracle,
    "given-similarity": first_release_spacy,
    "spacy-similarity": first_release_spacy,
}


@pytest.mark.parametrize("left_out", [0, 25])
@pytest.mark.parametrize("select", FIRST_RELEASE)
def test_the_first_release_is_a_fidelity_of_its_own(
    select: str,
    left_out: int,
    tmp_path: Path,
    predictions: Path,
    released: Path,
    truths: dict[int, np.ndarray],
    formula: Callable[[int], Candidates],
) -> None:
    """No cut, no zero mask for an absent object, all 300 images, and an image without a mask is skipped."""
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(predictions.read_text().splitlines()[2 * left_out :]))  # the last images have no line
    total, images = 0.0, 0
    for index, truth in truths.items():
        candidates = formula(index) if index <= 300 - left_out else []
        chosen = FIRST_RELEASE[select](candidates, index, truth)
        if chosen is not None:
            total, images = total + iou(chosen, truth), images + 1
    assert images < 300 - left_out  # some have no candidates
    document = scored(path, released, select, "--fidelity", "paper")
    (row,) = document["rows"]
    assert row["figures"]["M"]["n"] == images
    assert row["figures"]["M"]["value"] == pytest.approx(100 * total / images, abs=1e-9)
    assert "M with none" not in row["figures"]
    assert any(f"{300 - images} image(s) of which {select} chose nothing" in note for note in document["notes"])
    last = scored(path, released, select, "--fidelity", "published")["rows"][0]["figures"]
    assert row["figures"]["A"] == last["A"]


def pair_accuracy(released: Path) -> list[bool]:
    rows = questions(released)
    right = []
    for row in rows:
        options = row["Options"].replace("(b)", "(a)").split("(a)")[1:]
        gold = row["Correct Answer"][1]
        text = options["ab".index(gold)].strip().lower()
        right.append(letter(letter_of(int(row["Index"]))) in (gold, text))
    return [right[at] and right[at + 1] for at in range(0, 300, 2)]


def test_letters_and_the_failure_histogram(
    predictions: Path, released: Path, truths: dict[int, np.ndarray], formula: Callable[[int], Candidates]
) -> None:
    accurate = pair_accuracy(released)
    (row,) = scored(predictions, released, "oracle", "--fidelity", "published")["rows"]
    assert row["figures"]["A"]["value"] == pytest.approx(100 * sum(accurate) / 150, abs=1e-9)
    assert row["figures"]["A"]["n"] == 150
    counts = [0, 0, 0, 0]
    for pair in range(150):
        grounded = True
        for index in (2 * pair + 1, 2 * pair + 2):
            mask, truth = oracle(formula(index), index, truths[index])[0], truths[index]
            if truth.any():
                grounded &= mask is not None and iou(mask, truth) > 0.5
            else:
                grounded &= mask is not None and mask.mean() < 0.5
        way = {(False, True): 0, (True, False): 1, (False, False): 2, (True, True): 3}[accurate[pair], bool(grounded)]
        counts[way] += 1
    (found,) = row["failures"]
    assert (found["answers"], found["grounding"]) == ("letter", "segment")
    assert [count for key, count in found.items() if key not in ("answers", "grounding")] == counts


def test_the_location_histogram(
    predictions: Path, released: Path, truths: dict[int, np.ndarray], formula: Callable[[int], Candidates]
) -> None:
    none = {int(line.split(".")[0]) for line in (released / "meta_none.txt").read_text().split()}
    places = []
    for index, truth in truths.items():
        if index in none or not truth.any():
            continue
        entry = oracle(formula(index), index, truth)[1]
        if entry is not None:
            places.append(100 * entry["start"] / len(text_of(index)))
    expected = [sum(10 * i <= place < 10 * i + 10 for place in places) for i in range(10)]
    (row,) = scored(predictions, released, "oracle", "--fidelity", "published")["rows"]
    assert row["locations"][0]["counts"] == expected


def test_automatic_choices_come_with_the_file(
    tmp_path: Path, released: Path, truths: dict[int, np.ndarray], formula: Callable[[int], Candidates]
) -> None:
    path, values = tmp_path / "automatic.jsonl", []
    with path.open("w") as out:
        for index, truth in truths.items():
            candidates = formula(index)
            choice: Any = "absent" if index % 9 == 0 else "nothing"
            chosen = ZERO if index % 9 == 0 else None
            if candidates and index % 9:
                choice = {"candidate": len(candidates) - 1, "mask": index % 3}
                one = candidates[-1]["masks"][index % 3]
                chosen = coco.decode({**one, "counts": one["counts"].encode()}) > 0
            values.append(0.0 if chosen is None else iou(chosen, truth))
            line = {"sample_id": str(index), "protocol": "segment", "text": "", "candidates": candidates}
            out.write(json.dumps({**line, "choice": choice}) + "\n")
    (row,) = scored(path, released, "automatic", "--fidelity", "published")["rows"]
    assert row["name"] == "automatic"
    assert row["mIoU"]["segment"]["with_none"] == pytest.approx(100 * np.mean(values), abs=1e-9)


def test_masks_of_a_pixel_level_model(
    tmp_path: Path, released: Path, truths: dict[int, np.ndarray], formula: Callable[[int], Candidates]
) -> None:
    path, values = tmp_path / "own.jsonl", []
    with path.open("w") as out:
        for index, truth in truths.items():
            candidates = formula(index)
            mask = candidates[0]["masks"][1] if candidates else None
            line = {"sample_id": str(index), "protocol": "segment", "text": "[SEG]", "mask": mask}
            out.write(json.dumps(line) + "\n")
            array = coco.decode({**mask, "counts": mask["counts"].encode()}) > 0 if mask else ZERO
            values.append(iou(array, truth))
    arguments = [str(path), "--benchmark", "pixmmvp", "--root", str(released), "--fidelity", "published", "--json", "-"]
    result = CliRunner().invoke(score, arguments, catch_exceptions=False)
    (row,) = json.loads(result.stdout)["rows"]
    assert row["name"] == "own masks"
    assert row["mIoU"]["segment"]["with_none"] == pytest.approx(100 * np.mean(values), abs=1e-9)


def test_corrected_measures_absence_on_its_own(
    predictions: Path, released: Path, truths: dict[int, np.ndarray], formula: Callable[[int], Candidates]
) -> None:
    (row,) = scored(predictions, released, "given-similarity", "--fidelity", "corrected")["rows"]
    figures = row["figures"]
    assert figures["M"]["n"] == 247
    assert figures["absence recall"]["n"] == 39
    assert 0 < figures["absence precision"]["value"] < 100
    assert "M with none" not in figures
