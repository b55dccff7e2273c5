"""Pictures, masks and a table become samples; whatever contradicts itself is named in one line."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from pixcore_folder.benchmark import Folder
from pixcore_folder.columns import ALIASES
from pixcore_folder.config import FolderConfig

from pixcore import cli, masks
from pixcore.errors import DataError
from pixcore.records import Image, Sample
from tests.damages import assert_told

GREY = (90, 120, 150)
BOX = (255, 5, 4, 15, 12)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "d"


def table(root: Path, text: str, name: str = "samples.csv") -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root


def benchmark(root: Path, **options: Any) -> Folder:
    return Folder(FolderConfig(root=root, **options))


def load(root: Path, **options: Any) -> dict[str, Sample]:
    return {one.id: one for one in benchmark(root, **options).samples()}


def inside(sample: Sample) -> int | None:
    return None if sample.mask is None else masks.area(sample.mask)


def test_a_name_that_ends_like_an_extension_takes_no_other_ones_mask(root: Path, paint: Any) -> None:
    for name in ("a", "a.jpg", "b.jpg"):
        paint(f"images/{name}.png", colour=GREY)
    paint("masks/a.png", (255, 0, 0, 1, 1))
    paint("masks/a.jpg.png", BOX)
    told = benchmark(table(root, "image,expression\na.png,one\na.jpg.png,two\nb.jpg.png,three\n"))
    assert [inside(one) for one in told.samples()] == [1, 80, None]
    (root / "masks/a.jpg.png").unlink()
    assert [inside(one) for one in benchmark(root).samples()] == [1, None, None]


def test_rows_about_one_picture_have_masks_by_the_ids_that_they_get(root: Path, paint: Any) -> None:
    paint("images/cat.png", colour=GREY)
    paint("masks/cat.0.png", (255, 0, 0, 1, 1))
    paint("masks/cat.1.png", BOX)
    samples = load(table(root, "image,expression\ncat.png,the ear\ncat.png,the box\n"))
    assert {name: inside(one) for name, one in samples.items()} == {"cat.0": 1, "cat.1": 80}


def test_one_mask_a_picture(root: Path, paint: Any) -> None:
    for name in "ab":
        paint(f"images/{name}.jpg", colour=GREY)
    paint("masks/a.png", BOX)
    samples = load(table(root, "image,expression\na.jpg,the box\nb.jpg,the cat\n"))
    assert list(samples) == ["a", "b"]
    expected = np.zeros((30, 40), bool)
    expected[4:12, 5:15] = True
    assert samples["a"].mask is not None
    np.testing.assert_array_equal(masks.decode(samples["a"].mask), expected)
    assert samples["a"].image.known_size == (40, 30)
    assert samples["b"].mask is None, "no mask is no ground truth, and nothing absent"
    assert not samples["b"].absent
    notes = benchmark(root).notes
    assert notes == ["1 of 2 samples have no mask: not scored for grounding (b)"]


def test_values_are_objects(root: Path, paint: Any) -> None:
    paint("images/a.png", colour=GREY)
    paint("masks/a.png", (1, 0, 0, 3, 3), (2, 10, 10, 12, 12), (7, 20, 20, 21, 21))
    rows = "image,expression,value\na,one,1\na,two,2\na,both,1 2\na,all,1;2;7\n"
    samples = load(table(root, rows))
    assert {name: inside(one) for name, one in samples.items()} == {"a.0": 9, "a.1": 4, "a.2": 13, "a.3": 14}
    assert_told(lambda: load(table(root, "image,expression,value\na,one,3\n")), "row 2: mask a.png has no value 3")
    assert_told(lambda: load(table(root, "image,expression\na,one\n")), "row 2: mask a.png has the values 0, 1, 2, 7")
    assert inside(load(root, threshold=2)["a"]) == 5


def test_absence_is_what_a_file_says(root: Path, paint: Any) -> None:
    for name in "abc":
        paint(f"images/{name}.png", colour=GREY)
    paint("masks/b.png")
    paint("masks/c.png", BOX)
    made = benchmark(table(root, "image,expression,absent\na,the cat,yes\nb,the dog,\nc,the box,no\nc,a cow,x\n"))
    samples = {one.id: one for one in made.samples()}
    assert [one.absent for one in samples.values()] == [True, True, False, True]
    assert made.notes == [
        "1 sample(s) have a mask with nothing in it: their objects count as absent (b)",
    ]


def test_a_json_table_says_the_same(root: Path, paint: Any) -> None:
    paint("images/a.png", colour=GREY)
    paint("masks/other.png", (3, *BOX[1:]))
    rows = [
        {
            "file_name": "a.png",
            "mask": "other.png",
            "value": 3,
            "caption": "the box",
            "question": "Which?",
            "options": ["x", "y|z"],
            "answer": 1,
            "pair": 4,
            "category": "kind",
            "colour": "red",
        }
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for name, text in (("samples.json", json.dumps({"samples": rows})), ("samples.jsonl", lines)):
        made = benchmark(table(root, text, name), table=name, categories=["colour"])
        (sample,) = made.samples()
        assert (sample.question, sample.options, sample.answer) == ("Which?", ("x", "y|z"), 1)
        assert (sample.pair, sample.categories) == ("4", {"colour": "red", "category": "kind"})
        assert inside(sample) == 80
        assert made.notes[0].endswith(
            "image from 'file_name', expression from 'caption' (`columns:` in the config says otherwise)"
        )


@pytest.mark.parametrize(
    ("options", "answer", "index"),
    [
        ("red | blue", "blue", 1),
        ("red | blue", "B", 1),
        ("red | blue", "(b)", 1),
        ("red | blue", "0", 0),
        ('["a | b", "c"]', "a | b", 0),
        ("3|4", "4", 1),
    ],
)
def test_answers_as_people_write_them(root: Path, paint: Any, options: str, answer: str, index: int) -> None:
    paint("images/a.png", colour=GREY)
    quoted = options.replace('"', '""')
    (sample,) = load(table(root, f'image,question,options,answer\na,Which?,"{quoted}",{answer}\n')).values()
    assert sample.answer == index


def test_a_table_from_a_spreadsheet(root: Path, paint: Any) -> None:
    paint("images/a.png", colour=GREY)
    samples = load(
        table(root, '\ufeffImage;Referring Expression;Note\na;"the box; left";\n;;\n'.replace("\n;;\n", "\n"))
    )
    assert samples["a"].expression == "the box; left"


def test_files_are_found_by_what_people_call_them(root: Path, paint: Any) -> None:
    decomposed = unicodedata.normalize("NFD", "Größe 1.5")
    for name in ("One.PNG", "sub/a b.JPEG", f"{decomposed}.png", "x.y.png"):
        paint(f"images/{name}", colour=GREY)
    called = ["One.png", "images/One.PNG", "One", "sub/a b", "sub\\a b.jpeg", "a b", "One.jpg", "Größe 1.5", "x.y"]
    rows = "".join(f"{number},{name},it\n" for number, name in enumerate(called))
    found = [one.image.name for one in load(table(root, f"id,image,expression\n{rows}")).values()]
    names = ["One.PNG"] * 3 + ["sub/a b.JPEG"] * 3 + ["One.PNG", f"{decomposed}.png", "x.y.png"]
    assert found == [str(root / "images" / name) for name in names]


def test_one_name_in_two_folders_is_two_pictures(root: Path, paint: Any) -> None:
    for number, name in enumerate(("x/a.png", "y/a.png", "a.png")):
        paint(f"images/{name}", colour=GREY)
        paint(f"masks/{name}", (255, 0, 0, number + 1, 1))
    samples = load(table(root, "image,expression\nx/a,it\ny/a.png,it\na,it\n"))
    assert {name: inside(one) for name, one in samples.items()} == {"x/a": 1, "y/a": 2, "a": 3}
    (root / "images/a.png").unlink()
    assert_told(lambda: load(root), "row 4, column 'image': picture 'a' may be x/a.png or y/a.png")


def test_a_mask_above_is_not_that_of_a_picture_below(root: Path, paint: Any) -> None:
    paint("images/a.png", colour=GREY)
    paint("images/x/b.png", colour=GREY)
    paint("masks/x/a.png", BOX)
    paint("masks/x/b.png", BOX)
    samples = load(table(root, "image,expression\na,it\nx/b,it\n"))
    assert [inside(one) for one in samples.values()] == [None, 80]


def test_two_pictures_that_share_a_mask_are_told(root: Path, paint: Any) -> None:
    paint("images/a.png", colour=GREY)
    paint("images/a.jpg", colour=GREY)
    paint("masks/a.png", BOX)
    assert_told(
        lambda: load(table(root, "image,expression\na.png,it\n")), "mask a.png may be that of a.png or of another"
    )
    samples = load(table(root, "image,expression,mask\na.png,it,a\na.jpg,it,a\n"))
    assert list(samples) == ["a.png", "a.jpg"]


def test_a_picture_that_its_exif_data_turns(root: Path, paint: Any) -> None:
    path = paint("images/a.jpg", colour=GREY, size=(40, 30))
    picture = PILImage.open(path)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(path, exif=exif)
    paint("masks/a.png", BOX, size=(30, 40))
    sample = load(table(root, "image,expression\na,the box\n"))["a"]
    assert sample.image.known_size == (30, 40) == sample.image.pil().size
    paint("masks/a.png", BOX, size=(40, 30))
    assert_told(lambda: load(root), "turned by its EXIF orientation")


def test_a_damaged_picture_is_the_runs_matter(root: Path, paint: Any) -> None:
    for name in "ab":
        paint(f"images/{name}.png", colour=GREY)
        paint(f"masks/{name}.png", BOX)
    (root / "images/b.png").write_bytes(b"no picture")
    samples = load(table(root, "image,expression\na,it\nb,it\n"))
    assert list(samples) == ["a", "b"]


def test_nothing_is_read_before_its_sample_is_taken(root: Path, paint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        paint(f"images/{number}.png", colour=GREY)
        paint(f"masks/{number}.png", BOX)
    made = benchmark(table(root, "image,expression\n" + "".join(f"{number},it\n" for number in range(6))))
    for number in range(2, 6):
        (root / f"images/{number}.png").write_bytes(b"")
        (root / f"masks/{number}.png").write_bytes(b"")
    stream = made.samples()
    assert [next(stream).id for _ in range(2)] == ["0", "1"]
    assert len(made) == 6
    assert_told(lambda: next(stream), "can't read mask")


def test_a_limited_run_reads_no_more_than_it_needs(workplace: Any, paint: Any, root: Path) -> None:
    paint("images/0.png", colour=GREY)
    paint("masks/0.png", BOX)
    for name in ("images/1.png", "masks/1.png"):
        (root / name).write_bytes(b"")
    table(root, "image,expression\n0,it\n1,it\n")
    workplace.environment["PIXCORE_PLUGINS"] = "toy,folder"
    config = workplace.config(benchmark={"name": "folder", "root": str(root)}, protocols=["segment"])
    workplace("run", str(config), "--limit", "1")
    assert workplace.summary()["samples"] == 1


def test_a_mask_is_no_picture_where_the_one_folder_lies_in_the_other(root: Path, paint: Any) -> None:
    paint("a.png", colour=GREY)
    paint("masks/a.png", BOX)
    paint("masks/b.png", BOX)
    table(root, "image,expression\na,it\nb,that\n")
    assert_told(lambda: load(root, images="."), f"row 3, column 'image': {root} has no picture 'b'")
    told = benchmark(table(root, "image,expression\na,it\n"), images=".")
    assert inside(next(iter(told.samples()))) == 80
    assert not any("pictures belong to no row" in note for note in told.notes)
    (root / "masks").rename(root / "images")
    told = benchmark(table(root, "image,expression\na,it\nb,that\n"), masks=".")
    assert [inside(one) for one in told.samples()] == [40 * 30, None]
    assert not any("masks belong to no row" in note for note in told.notes)


def test_one_folder_may_hold_pictures_and_masks(root: Path, paint: Any) -> None:
    paint("both/a.png", colour=GREY)
    paint("both/a_mask.png", BOX)
    samples = load(table(root, "image,mask,expression\na,a_mask,it\n"), images="both", masks="both")
    assert inside(samples["a"]) == 80


def test_a_mask_that_an_id_and_another_picture_name_is_told(root: Path, paint: Any) -> None:
    for name in ("1", "2"):
        paint(f"images/{name}.png", colour=GREY)
        paint(f"masks/{name}.png", BOX)
    text = "id,image,expression\n2,1,it\n1,2,that\n"
    assert_told(lambda: load(table(root, text)), "row 2: mask 2.png may be that of id 2 or of picture 2.png")
    samples = load(table(root, "id,image,mask,expression\n2,1,1,it\n1,2,2,that\n"))
    assert [inside(one) for one in samples.values()] == [80, 80]
    assert list(load(table(root, "id,image,expression\n2,2,it\n1,1,that\n"))) == ["2", "1"]


DAMAGES = {
    "no such picture": ("image,expression\nb,it\n", "row 2, column 'image': "),
    "no such mask": ("image,mask,expression\na,x.png,it\n", "row 2, column 'mask': "),
    "a value without a mask": ("image,expression,value\nbare,it,2\n", "row 2, column 'value': picture bare.png has no"),
    "an odd value": ("image,expression,value\na,it,two\n", "row 2, column 'value': got 'two'"),
    "nothing to ask": ("image,expression\na,it\na,\n", "row 3 has neither an expression nor a question"),
    "no picture named": ("image,expression\n,it\n", "row 2, column 'image': got None"),
    "no column of pictures": ("photo,expression\na,it\n", "has no column 'image'"),
    "two columns for one": (
        "image,text,caption\na,it,that\n",
        "the columns 'text' and 'caption' are both the expression",
    ),
    "one column twice": ("image,expression,image\na,it,a\n", "has two columns 'image'"),
    "an odd answer": ("image,question,options,answer\na,?,x|y,z\n", "row 2, column 'answer': got 'z'"),
    "an answer that may be two": ("image,question,options,answer\na,?,B|A,A\n", "row 2, column 'answer': got 'A'"),
    "an answer without options": ("image,question,answer\na,?,z\n", "row 2, column 'answer': got 'z'"),
    "options twice": ("image,question,options\na,?,x|x\n", "row 2, column 'options': got 'x|x'"),
    "options with letters in place of bars": (
        "image,question,options,answer\na,?,(a) Open (b) Closed,A\n",
        "row 2, column 'options': got '(a) Open (b) Closed'",
    ),
    "options cut short": ('image,question,options\na,?,"[""x"""\n', "row 2, column 'options': got"),
    "half absent": ("image,expression,absent\na,it,maybe\n", "row 2, column 'absent': got 'maybe'"),
    "absent with a mask": (
        "image,expression,mask,absent\na,it,a,yes\n",
        "row 2 says that its object is absent, and has",
    ),
    "there with nothing": ("image,expression,mask,absent\na,it,black,no\n", "mask black.png has nothing in it"),
    "an id twice": ("id,image,expression\n1,a,it\n1,a,that\n", "row 3: another sample has the id '1'"),
    "another size": ("image,mask,expression\na,small,it\n", "row 2: mask small.png is 10x10 pixels, its picture"),
    "a field too many": ("image,expression\na,it,that\n", "row 2 has 3 fields, its header 2"),
    "no rows": ("image,expression\n", "has no rows"),
    "no mask that belongs to a picture": ("image,expression\nbare,it\n", "no row has a mask among those of"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, root: Path, paint: Any) -> None:
    text, message = DAMAGES[case]
    for name in ("a", "bare"):
        paint(f"images/{name}.png", colour=GREY)
    paint("masks/a.png", BOX)
    paint("masks/black.png")
    paint("masks/small.png", size=(10, 10))
    assert_told(lambda: load(table(root, text)), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "holds no list of samples"),
        ("[1]", "row 1 is not an object"),
        ('[{"image": ["a"], "expression": "it"}]', "row 1, column 'image': got ['a']"),
        ('[{"image": "a", "expression": {"x": 1}}]', "row 1, column 'expression': got {'x': 1}"),
        ('[{"image": "a", "question": "?", "options": "x|y", "answer": true}]', "column 'answer': got True"),
        ('[{"image": "a", "question": "?", "options": [["x"]]}]', "column 'options': got [['x']]"),
        ('[{"image": "a", "question": "?", "options": ["x", NaN]}]', "column 'options': got ['x', nan]"),
    ],
)
def test_damaged_json_is_named(text: str, message: str, root: Path, paint: Any) -> None:
    paint("images/a.png", colour=GREY)
    assert_told(lambda: load(table(root, text, "samples.json")), message)


CELL = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(),
    st.sampled_from(["a", "a.png", "yes", "x|y", "A", "1", "1 255", "#ff0000", "[", '["x"]', "../a", "", "\0"]),
    st.text(max_size=8),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(st.dictionaries(st.sampled_from([*ALIASES, "text", "file", "odd"]), CELL), max_size=3))
def test_whatever_a_table_holds_it_is_read_or_refused_in_a_line(rows: list[dict[str, Any]], tables: Path) -> None:
    (tables / "samples.json").write_text(json.dumps(rows), encoding="utf-8")
    samples = read_or_refused(tables, "samples.json")
    if samples is not None:
        assert len(samples) == len(rows)
        assert all(one.expression or one.question for one in samples)
        assert all(one.answer is None or 0 <= one.answer < len(one.options) for one in samples)


@settings(deadline=None, max_examples=150)
@given(text=st.text(st.sampled_from('imagexprsonvluebt,;\n\r"|\t1 '), max_size=60))
def test_whatever_text_a_table_is_it_is_read_or_refused_in_a_line(text: str, tables: Path) -> None:
    (tables / "samples.csv").write_text(f"image,expression,value\n{text}", encoding="utf-8", newline="")
    read_or_refused(tables, "samples.csv")


def read_or_refused(root: Path, name: str) -> list[Sample] | None:
    """What a table gives, or None where it is refused with a hint."""
    error: DataError | None = None
    samples: list[Sample] = []
    try:
        samples = list(benchmark(root, table=name).samples())
    except DataError as caught:
        error = caught
    assert error is None or (error.message and error.hint)
    return samples if error is None else None


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one picture and its mask."""
    root = tmp_path_factory.mktemp("tables")
    for name, picture in (("images", PILImage.new("RGB", (8, 6))), ("masks", PILImage.new("L", (8, 6), 1))):
        (root / name).mkdir()
        picture.save(root / name / "a.png")
    return root


def test_what_the_folder_lacks_is_named(root: Path, paint: Any) -> None:
    assert_told(lambda: load(root), "there is no folder")
    paint("images/a.png", colour=GREY)
    assert_told(lambda: load(root), "has no samples.csv")
    table(root, "image,expression\na,it\n")
    assert_told(lambda: load(root, images="pictures"), "there is no folder")
    assert_told(lambda: load(root, columns={"expression": "said"}), "has no column 'said'")
    table(root, "[]", "samples.json")
    assert_told(lambda: load(root), "has both samples.csv and samples.json")


def test_a_column_that_no_sample_has_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["check", "folder", "--set", f"root={root}", "--set", "columns={expresion: said}"])
    assert end.value.code == 2
    assert "did you mean 'expression'?" in capsys.readouterr().err


def test_the_check_decodes_every_picture(root: Path, paint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        paint(f"images/{name}.png", colour=GREY)
    table(root, "image,expression\na,it\nb,it\n", "rows.csv")
    command = ["benchmarks", "check", "folder", "--root", str(root), "--set", "table=rows.csv"]
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert not end.value.code
    assert "ok      rows.csv" in capsys.readouterr().out
    whole = (root / "images/b.png").read_bytes()
    (root / "images/b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    said = capsys.readouterr()
    assert end.value.code == 2
    assert "b.png" in said.out
    assert "1 picture(s) can't be used" in said.err


def test_the_check_decodes_a_picture_of_several_samples_once(
    root: Path, paint: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, colour in (("a", GREY), ("b", (9, 9, 9))):
        paint(f"images/{name}.png", colour=colour)
    table(root, "image,expression\na,it\na,that\nb,it\n")
    decoded, decode = list[str](), Image.pil
    monkeypatch.setattr(Image, "pil", lambda image: decoded.append(Path(image.name).stem) or decode(image))
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmarks", "check", "folder", "--root", str(root)])
    assert (end.value.code or 0, decoded) == (0, ["a", "b"])
    assert "3 images there" in capsys.readouterr().out


def test_a_folder_of_masks_that_is_named_is_there(root: Path, paint: Any) -> None:
    """A misspelt name would leave all samples without ground truth."""
    paint("images/a.png", colour=GREY)
    table(root, "image,expression\na,it\n")
    assert_told(lambda: load(root, masks="maks"), "there is no folder")
    assert inside(load(root, masks="masks")["a"]) is None
