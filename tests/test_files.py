"""Files and samples of a user's that are none, or not what they were."""

from __future__ import annotations

import json
import os
import platform
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_datasets.pictures import measured

from pixcore.config import read_yaml
from pixcore.errors import ConfigError, DataError, StoreError
from pixcore.files import replacing, write_json
from pixcore.records import Image, Sample


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_or_a_device_is_no_image(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        for look in (lambda image: image.pil(), lambda image: image.digest):
            with pytest.raises(DataError, match="can't read image"):
                look(Image.from_path(path))
        with pytest.raises(DataError, match="can't read image"):
            measured(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_measured_as_it_is_decoded(orientation: int, kind: str, tmp_path: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    PILImage.new("RGB", (40, 24), (9, 99, 200)).save(path, kind, exif=exif)
    size = measured(path).size
    assert size == Image.from_path(path).pil().size
    assert size == ((24, 40) if orientation >= 5 else (40, 24))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "BMP", "WEBP"])
def test_a_damaged_image_is_refused_by_no_other_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    PILImage.effect_noise((60, 40), 90).convert("RGB").save(path, kind)
    content = path.read_bytes()
    for cut in range(0, len(content) - 1, max(1, len(content) // 25)):
        path.write_bytes(content[:cut])
        with suppress(DataError):  # nothing else may come
            Image.from_path(path).pil()


def test_an_image_that_changes_is_not_shown_under_the_content_that_it_had(tmp_path: Path) -> None:
    """A record's key names the content: another picture's answer under it would be taken over for good."""
    path = tmp_path / "picture.png"
    PILImage.new("RGB", (4, 3), "red").save(path)
    image = Image.from_path(path)
    assert image.pil().getpixel((0, 0)) == (255, 0, 0)
    _ = image.digest
    PILImage.new("RGB", (4, 3), "blue").save(path)
    with pytest.raises(DataError, match=r"picture.png has changed since the run began"):
        image.pil()
    assert Image.from_path(path).pil().getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize("answer", [2, -1, "B", True, 1.0, np.int64(2)])
def test_an_answer_is_one_of_the_options(answer: Any) -> None:
    """Else every answer would be wrong, in silence."""
    image = Image.from_pixels(np.zeros((3, 4, 3), np.uint8))
    assert Sample("s", image, question="Which?", options=("a", "b"), answer=1).answer == 1
    assert type(Sample("s", image, options=("a", "b"), answer=np.int64(1)).answer) is int  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"sample s has the answer .*, and 2 options"):
        Sample("s", image, question="Which?", options=("a", "b"), answer=answer)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"options": "Yes"}, "sample s has the options 'Yes'"),
        ({"options": (1, 2)}, r"sample s has the options \(1, 2\)"),
        ({"options": (None, "b")}, r"sample s has the options \(None, 'b'\)"),
        ({"options": {"a": "red", "b": "blue"}}, "sample s has the options {'a': 'red', 'b': 'blue'}"),
        ({"options": {"red"}}, "sample s has the options {'red'}"),
        ({"options": None}, "sample s has the options None"),
        ({"question": 5}, "sample s has the question 5"),
        ({"expression": 5}, "sample s has the expression 5"),
        ({"pair": 0}, "sample s has the pair 0"),
        ({"categories": {"year": 2024}}, "sample s has the categories {'year': 2024}"),
        ({"categories": {1: "one"}}, "sample s has the categories {1: 'one'}"),
        ({"mask": np.ones((3, 4), bool)}, "mask of sample s is not COCO RLE"),
        ({"mask": {"size": [3, 4], "counts": b"0<"}}, "mask of sample s is not COCO RLE"),
        ({"mask": {"size": [3, 4], "counts": [0, 12]}}, "mask of sample s is not COCO RLE"),
        ({"mask": {"size": [3, 4], "counts": "0;"}}, r"fills its size: {'size': \[3, 4\], 'counts': '0;'}"),
        ({"mask": {"size": 12, "counts": "0<"}}, "mask of sample s is not COCO RLE"),
    ],
)
def test_a_sample_holds_texts_and_a_mask_in_coco_rle(given: Any, said: str) -> None:
    """A text's letters were the options; numbers went through a whole run, and its report failed."""
    with pytest.raises(DataError, match=said):
        Sample("s", Image.from_pixels(np.zeros((3, 4, 3), np.uint8)), **given)


@pytest.mark.parametrize("options", [["a", "b"], np.array(["a", "b"])])
def test_options_may_be_a_list_or_an_array_of_texts(options: Any) -> None:
    """An array of them went through a run, and the report failed: "The truth value of an array"."""
    image = Image.from_pixels(np.zeros((3, 4, 3), np.uint8))
    assert Sample("s", image, options=options, answer=1).options == ("a", "b")


def test_an_id_is_text() -> None:
    """A number went through a whole run, whose report and predictions then failed."""
    with pytest.raises(DataError, match="sample 7 has the id 7"):
        Sample(7, Image.from_pixels(np.zeros((3, 4, 3), np.uint8)))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_pixel_that_is_no_number_is_black_and_darkens_no_other(odd: float, tmp_path: Path) -> None:
    """One of a depth map would make the whole picture black."""
    values = np.linspace(0.1, 0.5, 12, dtype=np.float32).reshape(3, 4)
    values[0, 0] = odd
    PILImage.fromarray(values).save(tmp_path / "depth.tiff")
    shown = Image.from_path(tmp_path / "depth.tiff").pixels()[..., 0]
    assert shown[0, 0] == 0
    assert shown[-1, -1] == 255
    assert (np.diff(shown.reshape(-1)[1:].astype(int)) > 0).all()


WRITING = """
import sys
from pathlib import Path
from pixcore.files import replacing

with replacing(Path(sys.argv[1])) as file:
    file.write("half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_cleared_by_the_next_and_never_what_a_live_one_writes(tmp_path: Path) -> None:
    target, other = tmp_path / "summary.json", tmp_path / "report.html"
    command = [sys.executable, "-c", WRITING]
    with (
        subprocess.Popen([*command, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed,
        subprocess.Popen([*command, str(other)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as live,
    ):
        for process in (killed, live):
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
        killed.kill()
        killed.wait()
        elsewhere = tmp_path / f".run.json.{killed.pid}.another-machine-than-{platform.node()[:9]}.part"
        foreign = tmp_path / ".film.part"
        earlier = tmp_path / f".predictions.jsonl.{killed.pid}.part"
        for path in (elsewhere, foreign, earlier):
            path.touch()
        assert len(list(tmp_path.glob(f".*.{killed.pid}.*part"))) == 3
        with replacing(target) as file:
            file.write("whole")
        left = {path.name for path in tmp_path.iterdir()}
        (half,) = (name for name in left if name.startswith(f".report.html.{live.pid}."))
        assert left == {"summary.json", half, elsewhere.name, foreign.name}
        live.communicate(b"")
    assert (target.read_text(), other.read_text()) == ("whole", "half")


def test_what_is_written_to_a_pipe_or_a_device_goes_into_it(tmp_path: Path) -> None:
    """Root, as in most containers, may replace /dev/null by a file, and then nothing works any more."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    write_json(pipe, {"a": 1})
    assert json.loads(reader.communicate(timeout=60)[0]) == {"a": 1}
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    try:
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
        write_json(tmp_path / "null", {"a": 1})
    except (PermissionError, StoreError):
        return  # this user, or this disk, has no devices
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)


def test_a_pipe_is_no_config_and_nesting_has_an_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    deep = tmp_path / "deep.yaml"
    deep.write_text("model: " + "[" * 5000 + "]" * 5000)
    for path, said in ((tmp_path / "pipe.yaml", "a pipe or a device"), (deep, "nested too deeply")):
        with pytest.raises(ConfigError, match=said):
            read_yaml(path)
