"""The worker in other environments: another Python, and a port's own code beside the port."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pixcore_worker.adapter import Worker

from pixcore import masks
from pixcore.cli import main
from pixcore.errors import SampleError
from pixcore.records import Request
from tests.adapters import run_on_mini_world

# A command of pyenv runs nothing until it is told which of its Pythons is meant.
PYENV = {"PYENV_VERSION": "3.8"}


@pytest.fixture(scope="module")
def python_3_8() -> str:
    found = shutil.which("python3.8")
    if found is None or subprocess.run([found, "-c", ""], env=os.environ | PYENV, check=False).returncode:
        pytest.skip("no python3.8 on the path")
    return found


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_python_3_8(
    make_worker: Callable[..., Worker], requests: list[Request], python_3_8: str, transport: str
) -> None:
    handler = """
        import sys

        def load(options):
            return options["word"]

        def predict(model, request):
            if request["prompt"] == "prompt 1":
                raise ValueError("no such thing")
            assert sys.version_info[:2] == (3, 8)
            left = [[column < 2 for column in range(request["width"])] for row in range(request["height"])]
            return {"text": model, "masks": [left], "mask_spans": [[0, 4]]}
    """
    worker = make_worker(handler, python=python_3_8, environment=PYENV, options={"word": "fine"}, transport=transport)
    (response,) = worker.answer(requests[:1])
    assert response.text == "fine"
    width, height = requests[0].image.size
    assert (masks.decode(response.masks[0]) == np.broadcast_to(np.arange(width) < 2, (height, width))).all()
    assert response.extra["worker"]["python"].startswith("3.8.")
    with pytest.raises(SampleError, match="ValueError: no such thing"):
        worker.answer(requests[1:2])
    assert worker.answer(requests[2:3])[0].text == "fine"


def test_compare_finds_no_difference_between_a_model_and_itself_in_a_worker(
    write_manifest: Callable[..., Path], tmp_path: Path
) -> None:
    """The native run of a tiny LISA, and the same checkpoint behind the handler that a lab would write."""
    for package in ("pixcore_lisa", "pixcore_mini_world", "pixcore_judges"):
        pytest.importorskip(package)
    from pixcore_lisa.config import LisaConfig
    from pixcore_segtoken.testing import TINY_SAM, write_grounded

    checkpoint = write_grounded(
        tmp_path / "lisa",
        sam_prefix="model.visual_model.",
        projector={"model.mm_projector": ("clip", "language")},
        added=("[SEG]", "<im_start>", "<im_end>"),
        image_size=56,
    )
    options = {"checkpoint": str(checkpoint), "max_new_tokens": 8, "sam": TINY_SAM.model_dump()}
    manifest = write_manifest(
        """
        from pixcore import masks
        from pixcore.components import Context
        from pixcore.records import Image, Protocol, Request
        from pixcore_lisa.adapter import Lisa
        from pixcore_lisa.config import LisaConfig

        def load(options):
            return Lisa(LisaConfig.model_validate(options), Context())

        def predict(model, request):
            image = Image.from_path(request["image_path"])
            asked = Request(request["id"], Protocol(request["protocol"]), image, request["prompt"])
            (response,) = model.answer([asked])
            return {"text": response.text, "masks": [masks.decode(mask) for mask in response.masks]}
        """,
        python=sys.executable,
        startup_timeout=600,
        options=options,
        prompts={protocol.value: prompt for protocol, prompt in LisaConfig.prompts.items()},
    )

    native, worker = (
        run_on_mini_world(model, tmp_path)
        for model in ({"name": "lisa", **options}, {"name": "worker", "manifest": str(manifest)})
    )
    said = [[json.loads(line)["text"] for line in (run / "predictions.jsonl").open()] for run in (native, worker)]
    assert said[0] == said[1]
    assert len(set(said[0])) > 1
    assert pixcore("compare", native, worker, "--output", tmp_path / "compared") == 0
    found = json.loads((tmp_path / "compared/compare.json").read_text())
    assert found["flips"] == []
    measured = {one["name"]: one["difference"] for one in found["differences"] if one["difference"] is not None}
    assert {"M", "M†"} <= measured.keys()
    assert set(measured.values()) == {0}


def pixcore(*arguments: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0
