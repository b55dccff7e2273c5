"""`report.html` and `pixcore seeds` as commands leave them: whose masks plots are of, a row that is none."""

from __future__ import annotations

import json
from pathlib import Path

from pixcore.files import RUN
from tests.workplace import Workplace

OWN = {"name": "describe", "template": "Describe {expression}.", "masks": True}


def test_plots_are_of_the_first_probing_that_has_masks(workplace: Workplace) -> None:
    benchmark = {"name": "toy-boxes", "pairs": 6}
    workplace("run", str(workplace.config(benchmark=benchmark, protocols=["letter", OWN])))
    page = (workplace.folder / "out" / "report.html").read_text()
    assert "masks under <b>describe</b>" in page


def test_a_run_of_one_sample_is_told_in_the_singular(workplace: Workplace) -> None:
    workplace("run", str(workplace.config()), "--limit", "1")
    assert '<p class="lead">1 sample · fidelity' in (workplace.folder / "out" / "report.html").read_text()
    workplace("figures", "out")
    assert '<p class="lead">1 sample · masks' in (workplace.folder / "out" / "figures" / "figures.html").read_text()


def test_a_row_that_no_seed_can_have_is_told_before_any_runs(workplace: Workplace) -> None:
    config = str(workplace.config())
    said = workplace("seeds", config, "--seed", "1", "--seed", "2", "--row", "toy-frist", status=2).stderr
    assert "the config has no row 'toy-frist'" in said
    assert "did you mean 'toy-first'?" in said
    assert said.count("\n") == 1
    assert not list((workplace.folder / "out").rglob("run.json"))
    assert "row toy-best" in workplace("seeds", config, "--seed", "1", "--seed", "2", "--row", "toy-best").stdout
    page = (workplace.folder / "out" / "seeds.html").read_text()
    assert "<li>seed-2: every box is bright</li>" in page  # what the runs' own tables note


def test_a_run_of_other_versions_says_which(workplace: Workplace) -> None:
    workplace("run", str(workplace.config()))
    path = workplace.folder / "out" / RUN
    document = json.loads(path.read_text())
    store = Path(document["stores"]["select"][0])
    other = store.with_name("select-00000000000000000000.sqlite")
    (workplace.folder / other).write_bytes((workplace.folder / store).read_bytes())
    document["stores"]["select"][0] = str(other)
    ((toy, here),) = document["plugins"].items()
    path.write_text(json.dumps(document))
    said = workplace("report", "out", status=2).stderr
    assert "run out was made by other weights or files than those that are here, or other versions of what" in said
    path.write_text(json.dumps(document | {"plugins": {toy: "0.0.7", "pixcore-gone": "1.0"}}))
    said = workplace("report", "out", status=2).stderr
    assert f"run out was made by other versions than those that are here: {toy} 0.0.7 (here {here})" in said
    assert "more" not in said
    assert said.count("\n") == 1


def test_a_run_whose_records_are_of_other_versions_leaves_few_empty_files(workplace: Workplace) -> None:
    workplace("run", str(workplace.config()))
    path = workplace.folder / "out" / RUN
    document = json.loads(path.read_text())
    there = {name: [Path(one) for one in stores] for name, stores in document["stores"].items()}
    for name, stores in there.items():
        moved = [one.with_name(f"{name}-{number:020}.sqlite") for number, one in enumerate(stores)]
        for one, target in zip(stores, moved, strict=True):
            (workplace.folder / one).rename(workplace.folder / target)
        document["stores"][name] = [str(one) for one in moved]
    path.write_text(json.dumps(document))
    assert "other weights or files" in workplace("report", "out", status=2).stderr
    made = [one for stores in there.values() for one in stores if (workplace.folder / one).exists()]
    assert len(made) == 1
    assert made[0] in there["answer"]


def test_seeds_whose_folder_cannot_be_made_end_in_a_line(workplace: Workplace) -> None:
    (workplace.folder / "link").symlink_to("nowhere")
    config = str(workplace.config(output="link"))
    said = workplace("seeds", config, "--seed", "1", "--seed", "2", status=2).stderr
    assert "can't write link/seed-1" in said
    assert said.count("\n") == 1
