"""`report.html` and `pixcore seeds` as commands leave them: whose masks plots are of, a row that is none."""

from __future__ import annotations

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
