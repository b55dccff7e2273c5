"""score, compare, emergence and figures on the command line, on small data of one's own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage

from pixcore import masks
from pixcore.cli import main

pytest.importorskip("pixcore_coco_referring")

TEXT = "The red roof of a house stands on the <script>alert(1)</script> left side."
RIGHT, WRONG = {"correct": True}, {"correct": False}


def mask(left: int) -> dict[str, Any]:
    array = np.zeros((24, 32), bool)
    array[4:20, left : left + 12] = True
    return dict(masks.encode(array))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    images, annotations = [], []
    for index in range(1, 7):
        PILImage.new("RGB", (32, 24), (40 * index, 90, 120)).save(folder / f"{index}.png")
        image = {"id": index, "file_name": f"{index}.png", "width": 32, "height": 24, "expression": "the roof"}
        asked = {"question": "Red?", "options": ["Yes", "No"], "answer": 0, "pair": (index + 1) // 2}
        images.append({**image, **asked})
        annotations.append({"id": 100 + index, "image_id": index, "segmentation": mask(6)})
    document = {"images": images, "annotations": annotations, "categories": []}
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder


def predictions(path: Path, offsets: list[int], verdicts: list[bool]) -> Path:
    with path.open("w") as out:
        for index, (offset, right) in enumerate(zip(offsets, verdicts, strict=True), start=1):
            candidates = [
                {"phrase": "The red roof", "start": 0, "end": 12, "masks": [mask(16)], "scores": [0.5]},
                {"phrase": "left side", "start": 64, "end": 73, "masks": [mask(6 + offset)], "scores": [0.4]},
            ]
            line = {"sample_id": str(index), "protocol": "segment", "text": TEXT, "candidates": candidates}
            out.write(json.dumps({**line, "choice": {"candidate": 1, "mask": 0}}) + "\n")
            answer = {
                "sample_id": str(index),
                "protocol": "question",
                "text": TEXT,
                "verdict": RIGHT if right else WRONG,
            }
            out.write(json.dumps(answer) + "\n")
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


def test_score_writes_what_it_prints(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = predictions(tmp_path / "p.jsonl", [0, 0, 6, 6, 0, 0], [True, True, True, False, True, True])
    data = ("--benchmark", "coco-referring", "--root", root)
    assert run("score", file, *data, "--json", tmp_path / "out.json") == 0
    document = json.loads((tmp_path / "out.json").read_text())
    (row,) = document["rows"]
    assert row["name"] == "choice"
    assert row["figures"]["A†"]["value"] == pytest.approx(100 * 2 / 3)
    assert row["figures"]["M"]["value"] == pytest.approx(100 * (4 + 2 / 3) / 6)
    assert [one["protocol"] for one in row["locations"]] == ["segment"]
    (failures,) = row["failures"]
    assert failures["both succeed"] == 2
    assert "choice" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "{file}"), "which benchmark do the predictions answer?"),
        (("score", "{file}", "--benchmark", "coco-reffering"), "did you mean 'coco-referring'"),
        (("score", "{file}", "--benchmark", "coco-referring"), "root"),
        (("score", "nowhere.jsonl", "--benchmark", "coco-referring", "--root", "{root}"), "can't read predictions"),
        (("score", "{file}", "--benchmark", "coco-referring", "--root", "{root}", "--sample", "77"), "'77'"),
        (
            ("score", "{file}", "--benchmark", "coco-referring", "--root", "{root}", "--json", "{file}/x"),
            "(choose another --json)",
        ),
        (("compare", "{file}"), "compare needs two runs"),
        (
            (
                "compare",
                "{file}",
                "{file}",
                "--benchmark",
                "coco-referring",
                "--root",
                "{root}",
                "--output",
                "{file}/x",
            ),
            "(choose another --output)",
        ),
        (
            ("compare", "{file}", "{file}", "--benchmark", "coco-referring", "--root", "{root}", "--row", "x"),
            "no row 'x'",
        ),
        (("emergence", "{file}", "--benchmark", "coco-referring", "--root", "{root}"), "no folder to write to"),
    ],
)
def test_mistakes_end_with_one_line(
    arguments: tuple[str, ...], message: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = predictions(tmp_path / "p.jsonl", [0] * 6, [True] * 6)
    assert run(*(argument.format(file=file, root=root) for argument in arguments)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_compare_says_how_many_flips_it_names(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = predictions(tmp_path / "left.jsonl", [0] * 6, [True] * 6)
    right = predictions(tmp_path / "right.jsonl", [6] * 6, [True] * 6)
    asked = ("compare", left, right, "--benchmark", "coco-referring", "--root", root)
    for named, told in ((10, "6 flipped\n"), (4, "6 flipped, of which 4 are named\n")):
        monkeypatch.setattr("pixcore_report.compare._NAMED", named)
        assert run(*asked) == 0
        said = capsys.readouterr().out
        assert told in said
        assert said.count(": IoU ") == min(named, 6)


def test_compare_writes_both_sides_and_runs_nothing_of_them(root: Path, tmp_path: Path) -> None:
    left = predictions(tmp_path / "left.jsonl", [0, 0, 6, 6, 0, 0], [True] * 6)
    right = predictions(tmp_path / "right.jsonl", [0] * 6, [True, False] * 3)
    out = tmp_path / "compared"
    assert run("compare", left, right, "--benchmark", "coco-referring", "--root", root, "--output", out) == 0
    found = json.loads((out / "compare.json").read_text())
    by_name = {one["name"]: one for one in found["differences"]}
    assert by_name["A†"]["difference"] == pytest.approx(-100)
    assert by_name["M"]["difference"] == pytest.approx(100 * (6 - 4 - 2 / 3) / 6)
    assert {flip["sample_id"] for flip in found["flips"] if flip["kind"] == "mask"} == {"3", "4"}
    page = (out / "compare.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert page.count("data:image/webp") == 2 * len(found["flips"])
    assert found["rows"] == ["choice", "choice"]
    data = ("--benchmark", "coco-referring", "--root", root, "--output", out)
    bare = [tmp_path / "bare.jsonl", tmp_path / "unchosen.jsonl"]
    for path, shifts in zip(bare, ([0] * 6, [6] * 6), strict=True):
        predictions(path, shifts, [True] * 6)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({k: v for k, v in one.items() if k != "choice"}) + "\n" for one in lines))
    assert run("compare", *bare, *data, "--select", "oracle", "--select", "mask-score") == 0
    assert json.loads((out / "compare.json").read_text())["rows"] == ["mask-score"] * 2  # an upper bound stands behind


def test_figures_are_a_page_pictures_and_numbers(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = predictions(tmp_path / "p.jsonl", [0, 0, 6, 6, 0, 0], [True, True, True, False, True, True])
    out, numbers = tmp_path / "drawn", tmp_path / "numbers.json"
    data = ("--benchmark", "coco-referring", "--root", root)
    assert run("figures", file, *data, "--out", out, "--json", numbers) == 0
    said = capsys.readouterr()
    assert "66.7" in said.out  # Pr@.5
    assert "not drawn, no object is absent" in said.err
    found = json.loads(numbers.read_text())
    assert found == json.loads((out / "figures.json").read_text())
    (success, *_) = found["plots"]
    assert success["panels"][0]["series"][0]["numbers"]["Pr@.5"]["value"] == pytest.approx(400 / 6)
    for name in ("success", "size", "candidates", "odds", "both"):
        assert "<svg" in (out / f"{name}.svg").read_text()
        assert len(list(csv.reader((out / f"{name}.csv").open()))) > 1
    assert not (out / "absence.svg").exists()
    page = (out / "figures.html").read_text()
    assert "No matched control" in page
    assert "n = 6 of 6 samples, in 3 pairs" in page
    assert "style=" not in page
    assert run("figures", file, *data, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == found
    assert run("figures", file, *data, "--out", out, "--protocol", "letter") == 2
    assert run("figures", file, *data) == 2
    assert "no folder to write to" in capsys.readouterr().err


def test_emergence_writes_its_page_figures_and_numbers(root: Path, tmp_path: Path) -> None:
    file = predictions(tmp_path / "p.jsonl", [0, 0, 6, 6, 0, 0], [True, True, True, False, True, True])
    judged = tmp_path / "judged.csv"
    judged.write_text("sample_id,letters\n" + "".join(f'{index},"(b), (c)"\n' for index in range(1, 7)))
    out = tmp_path / "emergence"
    data = ("--benchmark", "coco-referring", "--root", root, "--output", out, "--judged", judged)
    assert run("emergence", file, *data) == 0
    for name in ("places", "concepts", "iou-by-place", "iou-by-concept", "best-of-n", "best-of-n-distinct"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / f"{name}.svg").read_text()
        assert len(list(csv.reader((out / f"{name}.csv").open()))) > 1
    (model,) = json.loads((out / "emergence.json").read_text())["models"]
    own = model["concepts"][0]
    assert (own["candidates"], own["samples"]) == ("own candidates", 4)
    assert own["values"]["location and position"] == [100, None, None]
    assert model["places"][0]["values"]["80-90"] == [100, None, None]
    assert model["agreement"]["share"] == 1
    phrases = list(csv.DictReader((out / "phrases.csv").open()))
    assert {row["phrase"] for row in phrases} == {"left side"}
    assert all(row["prompt"].startswith("Can you classify") for row in phrases)
    page = (out / "emergence.html").read_text()
    assert "<script>alert" not in page
    assert page.count("data:image/jpeg") == 4  # the samples whose phrase does not name the roof and whose mask fits


def test_several_seeds_are_one_run_each_and_their_spread_is_told(workplace):
    config = str(workplace.config(model={"name": "toy"}))
    done = workplace("seeds", config, "--seed", "1", "--seed", "2", "--seed", "3")
    told = " ".join(done.stdout.split())
    assert "3 seeds, row toy-first" in told
    assert "question, 6 answers of 3 runs: Krippendorff's alpha" in told
    assert "seed-2 against seed-1" in told
    for seed in (1, 2, 3):
        assert (
            json.loads((workplace.folder / "out" / f"seed-{seed}" / "run.json").read_text())["config"]["seed"] == seed
        )
    assert "which seeds?" in workplace("seeds", config, status=2).stderr
    said = workplace("seeds", config, "--seed", "1", "--seed", "2", "--json", "-")
    assert json.loads(said.stdout) == json.loads((workplace.folder / "out" / "seeds.json").read_text())
    assert "no spread" in workplace("seeds", config, "--seed", "1", "--json", "-", status=2).stderr
    assert "one seed shows no spread" in workplace("seeds", config, "--seed", "1", "--seed", "1").stderr


def test_a_config_with_seeds_is_a_run_with_each_and_says_both_spreads(workplace):
    config = str(workplace.config(seeds=[5, 9], selections=["toy-random", "toy-best"]))
    done = workplace("run", config)
    assert "2 seeds, row toy-random" in done.stdout
    folder = workplace.folder / "out"
    assert not (folder / "run.json").exists()
    summaries = [workplace.summary(f"out/seed-{seed}") for seed in (5, 9)]
    found = json.loads((folder / "seeds.json").read_text())
    assert (found["runs"], found["row"], found["samples"]) == (["seed-5", "seed-9"], "toy-random", 6)
    told = {one["name"]: one for one in found["figures"]}
    assert {"M", "M†", "A per sample", "S"} <= told.keys()
    for name, one in told.items():
        values = [summary["rows"][0]["figures"][name]["value"] for summary in summaries]
        assert one["values"] == pytest.approx(values), name
        assert one["mean"] == pytest.approx(sum(values) / 2)
        assert one["error"] is None, "six samples tell no spread"
    assert workplace.predictions("out/seed-5") != workplace.predictions("out/seed-9")
    page = (folder / "seeds.html").read_text()
    assert "seed-9" in page
    assert "<b>toy-random</b>" in page
    again = workplace("run", config, "--set", "seeds=[]")
    assert (folder / "run.json").exists(), again.stderr


def test_each_seed_runs_in_a_folder_of_the_output_whatever_its_name_holds(workplace):
    workplace("run", str(workplace.config(seeds=[1, 2], output="runs/try #2")))
    assert [one.name for one in (workplace.folder / "runs").iterdir()] == ["try #2"]
    assert {"seed-1", "seed-2"} < {one.name for one in (workplace.folder / "runs" / "try #2").iterdir()}


def test_what_s_is_made_of_can_be_named_beforehand(workplace):
    best = {"toy-best": "oracle"}
    workplace("run", str(workplace.config(s_of=["A", "M†"], selections=list(best))))
    summary = workplace.summary()
    (row,) = [row for row in summary["rows"] if not row["control"]]
    a, m = (row["figures"][name]["value"] for name in ("A", "M†"))
    assert summary["s_of"] == ["A", "M†"]
    assert row["figures"]["S"]["value"] == pytest.approx(2 * a * m / (a + m) if a * m else 0)
    assert any(note.startswith("S is made of A and M†, which the config named beforehand") for note in summary["notes"])
    assert not any("flatters" in note for note in summary["notes"])
    scored = json.loads(workplace("score", "out", "--json", "-").stdout)
    assert scored["rows"][0]["figures"]["S"] == row["figures"]["S"]
    assert "S of A,M†" in " ".join(workplace("probing", "out").stdout.split())
    said = workplace("run", str(workplace.config(s_of=["M", "A"])), status=2).stderr
    assert "s_of" in said
