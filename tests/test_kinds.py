"""A new kind of component takes its hook, its interface, its row of `Kind` and the stage that uses it, and no more.

The kind is a mask refiner, between the generator and the strategy. It is no part of pixcore: the change is made to a
copy of the sources, whole and with each of its four pieces forgotten.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import pixcore
from pixcore import masks
from pixcore.plugins import Kind, hold_to_kinds
from tests.workplace import Workplace

CHANGE = {
    "hook": [
        (
            "hookspecs.py",
            "@hookspec\ndef register_benchmarks",
            "@hookspec\ndef register_mask_refiners(register: Register) -> None:\n"
            '    """Offer mask refiners (`pixcore.components.MaskRefiner`)."""\n\n\n',
        )
    ],
    "interface": [
        (
            "components.py",
            "class Benchmark(Component[ConfigT]):",
            "class MaskRefiner(Component[ConfigT]):\n"
            '    """Makes a generator\'s masks better."""\n\n'
            "    @abstractmethod\n"
            "    def refine(self, image: Image, proposal: MaskProposal) -> MaskProposal:\n"
            '        """Refine what a prompt gave, mask by mask."""\n\n\n',
        )
    ],
    "row": [
        (
            "plugins.py",
            "    SELECTIONS = _Row(",
            '    REFINER = _Row("MaskRefiner", {"refiner": "Who mends."}, nullable=True)\n',
        )
    ],
    "stage": [
        ("stages/propose.py", '        "transforms": Kind.TRANSFORMS,\n', '        "refiner": Kind.REFINER,\n'),
        (
            "stages/propose.py",
            "        if wrong := _misdrawn(",
            '        for one in self.components.several("refiner") if "refiner" in self.uses else ():\n'
            "            refiner = one.create(self.context)\n"
            "            proposals = [refiner.refine(image, proposal) for proposal in proposals]\n",
        ),
    ],
}
"""What each piece puts where: the file, and the text that it stands before."""

PLUGIN = """
from dataclasses import replace

from pixcore import hookimpl


@hookimpl
def register_mask_refiners(register):
    register("shave", "shaving:Shave", config="shaving:ShaveConfig", summary="Takes rows away.")
"""

COMPONENT = """
from dataclasses import replace

from pixcore.components import Config, MaskRefiner


class ShaveConfig(Config):
    rows: int = 1


class Shave(MaskRefiner):
    def refine(self, image, proposal):
        kept = proposal.masks.copy()
        kept[:, : self.config.rows] = False
        return replace(proposal, masks=kept)
"""


class Changed(Workplace):
    """A folder with a copy of pixcore's sources, changed, and a plugin that offers a refiner."""

    def __init__(self, folder: Path, forgotten: str = "") -> None:
        super().__init__(folder)
        core = folder / "changed" / "pixcore"
        shutil.copytree(Path(pixcore.__file__).parent, core, ignore=shutil.ignore_patterns("__pycache__"))
        for piece, edits in CHANGE.items():
            for name, before, added in edits if piece != forgotten else ():
                text = (core / name).read_text(encoding="utf-8")
                assert text.count(before) == 1, f"{name} has changed: where does the {piece} go?"
                (core / name).write_text(text.replace(before, added + before), encoding="utf-8")
        record = folder / "changed" / "shaving-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: shaving\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text("[pixcore]\nshaving = shaving_plugin\n")
        (folder / "changed" / "shaving_plugin.py").write_text(PLUGIN)
        (folder / "changed" / "shaving.py").write_text(COMPONENT)
        self.environment["PYTHONPATH"] = os.pathsep.join([str(folder / "changed"), self.environment["PYTHONPATH"]])
        self.environment["PIXCORE_PLUGINS"] += ",shaving"

    def masks(self) -> list[np.ndarray]:
        """All masks of the run's predictions."""
        candidates = [one for line in self.predictions() for one in line.get("candidates", ())]
        return [masks.decode(mask) for one in candidates for mask in one["masks"]]


def test_four_pieces_make_a_kind(tmp_path: Path) -> None:
    workplace = Changed(tmp_path)
    assert "shave" in workplace("plugins", "refiner").stdout
    workplace("run", str(workplace.config()))
    plain = workplace.masks()
    assert any(mask[:3].any() for mask in plain)
    assert json.loads((tmp_path / "out/run.json").read_text())["config"]["refiner"] is None

    def refined(**options: int) -> list[np.ndarray]:
        shown = workplace("run", str(workplace.config(refiner={"name": "shave", **options})))
        assert shown.stdout
        return workplace.masks()

    for rows, found in ((1, refined()), (3, refined(rows=3)), (1, refined(rows=1))):
        for before, after in zip(plain, found, strict=True):
            assert not after[:rows].any()
            assert np.array_equal(before[rows:], after[rows:])
    document = json.loads((tmp_path / "out/run.json").read_text())
    assert document["config"]["refiner"] == {"name": "shave", "rows": 1}
    assert document["plugins"]["shaving"] == "1.0"
    assert len(list((tmp_path / "store").glob("propose-*.sqlite"))) == 3
    assert len(list((tmp_path / "store").glob("answer-*.sqlite"))) == 2

    schema = json.loads(workplace("schema").stdout)
    assert schema["properties"]["refiner"]["description"] == "Who mends."
    assert schema["$defs"]["refiner-shave"]["properties"]["rows"]["default"] == 1
    said = workplace("run", str(workplace.config(refiner={"name": "shave", "row": 1})), status=2).stderr
    assert "refiner.row: no such key" in said
    assert "there is no check_mask_refiner" in workplace("check", "shave").stdout


@pytest.mark.parametrize(
    ("forgotten", "said"),
    [
        ("hook", "pixcore.hookspecs has no register_mask_refiners, which pixcore.plugins.Kind names"),
        ("interface", "pixcore.components has no MaskRefiner, which pixcore.plugins.Kind names"),
        ("row", "pixcore.plugins.Kind has no register_mask_refiners, which pixcore.hookspecs names"),
        ("stage", "the `uses` of pixcore.stages has no mask refiner, which pixcore.plugins.Kind names"),
    ],
)
def test_a_piece_that_is_forgotten_is_told_before_anything_is_computed(
    tmp_path: Path, forgotten: str, said: str
) -> None:
    workplace = Changed(tmp_path, forgotten)
    assert said in workplace("run", str(workplace.config()), status=1).stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_a_stage_makes_no_component_that_it_does_not_use(tmp_path: Path) -> None:
    """One of another stage, whose options would be no part of its key."""
    workplace = Changed(tmp_path)
    stage = tmp_path / "changed/pixcore/stages/propose.py"
    stage.write_text(
        stage.read_text().replace('self.components.several("refiner")', 'self.components.several("judge")')
    )
    said = workplace("run", str(workplace.config(judge="toy-judge")), status=None)
    assert "no component is called 'judge' here" in said.stderr
    assert said.returncode != 0


def test_rows_and_another_place_name_the_same() -> None:
    hold_to_kinds("nowhere", [kind.hook for kind in Kind], [kind.hook for kind in reversed(Kind)])
    with pytest.raises(TypeError, match=r"nowhere has no b, which pixcore.plugins.Kind names"):
        hold_to_kinds("nowhere", ["a", "b"], ["a"])
    with pytest.raises(TypeError, match=r"pixcore.plugins.Kind has no c, which nowhere names"):
        hold_to_kinds("nowhere", ["a"], ["a", "c"])
