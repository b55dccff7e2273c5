"""One config: defaults, settings, and errors that name the key."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, field_validator

from pixcore.cli import main
from pixcore.components import Config
from pixcore.config import apply_settings, config_error, read_yaml, resolve
from pixcore.errors import ConfigError
from pixcore.files import at_home
from pixcore.plugins import Kind, registry


def test_settings_reach_everywhere():
    document = {"points": "peak", "selections": ["oracle", {"name": "random"}], "control": {"points": "random"}}
    changed = apply_settings(
        document,
        [
            "points.k=3",
            "selections.1.seed=4",
            "selections.0=mask-score",
            "control.points.n=[1, 2]",
            "judge=null",
            "a.b.c=x",
        ],
    )
    assert changed == {
        "points": {"name": "peak", "k": 3},
        "selections": ["mask-score", {"name": "random", "seed": 4}],
        "control": {"points": {"name": "random", "n": [1, 2]}},
        "judge": None,
        "a": {"b": {"c": "x"}},
    }
    assert document["points"] == "peak"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("points", "has no key=value"),
        ("=3", "has no key=value"),
        ("points=[1", "is not a YAML value"),
        ("selections.7=x", "not a place in a list of 1"),
        ("selections.x=x", "not a place in a list of 1"),
        ("seed.deeper=1", "nothing can be set inside 'seed'"),
    ],
)
def test_settings_that_make_no_sense(setting, message):
    with pytest.raises(ConfigError, match=message):
        apply_settings({"selections": ["a"], "seed": 1}, [setting])


# PyYAML itself takes these for line breaks, or for the mark at a file's beginning
_text = st.text(st.characters(exclude_characters="\x85\u2028\u2029\ufeff"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.text("abcd", min_size=1, max_size=4), values, max_size=4))
def test_yaml_round_trip(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    if document:
        assert read_yaml(path) == document


def test_the_resolved_config_runs_again(workplace):
    workplace("run", str(workplace.config(model="toy")))
    document = json.loads((workplace.folder / "out" / "run.json").read_text())["config"]
    assert document["model"]["pause"] == 0.0
    path = workplace.folder / "again.yaml"
    path.write_text(yaml.safe_dump(document))
    before = workplace.summary()
    again = workplace("run", str(path))
    assert "0 of" not in again.stderr
    assert workplace.summary() == before


def test_the_schema_covers_installed_plugins(workplace):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(workplace("schema").stdout)
    good = yaml.safe_load(workplace.config().read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(good, schema)
    jsonschema.validate({**good, "budget": 5}, schema)
    assert all(value.get("description") for value in schema["properties"].values())
    assert schema["$defs"]["model-toy"]["properties"]["pause"]["description"] == "Seconds that an answer takes."
    inherited = schema["$defs"]["points-toy-anywhere"]["properties"]
    assert all("description" in value for name, value in inherited.items() if name != "name")
    for key, value in {"model": "tay", "batch_size": 0, "points": {"name": "toy-peak", "k": 1}, "sed": 1}.items():
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, key: value}, schema)


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {"name": "mini", "checkpoint": "~nobody-at-all/x"}},
        {"model": {"name": "mini-seg", "checkpoint": "~nobody-at-all/x"}},
        {"model": {"name": "worker", "manifest": "~nobody-at-all/x"}},
        {"model": {"name": "transformers", "checkpoint": "~nobody-at-all/x"}},
        {"model": {"name": "lisa", "checkpoint": "~nobody-at-all/x"}},
        {"model": "mini", "masks": {"name": "sam", "checkpoint": "~nobody-at-all/x"}},
        {"model": "mini", "grouper": {"name": "noun-phrases", "pipeline": "~nobody-at-all/x"}},
    ],
    ids=lambda changed: str([*changed.values()][-1]["name"]),
)
def test_the_home_of_nobody_is_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"benchmark": "mini-world", "output": str(tmp_path / "out"), **changed}))
    with pytest.raises(SystemExit):
        main(["run", str(path), "--limit", "1"])
    said = capsys.readouterr().err
    assert "~nobody-at-all/x" in said
    assert "failure of pixcore" not in said


def test_merge_keys_and_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("a: &a {k: 1, name: peaks}\nb: {<<: *a, k: 2}\n")
    assert read_yaml(path)["b"] == {"k": 2, "name": "peaks"}
    monkeypatch.setenv("HOME", "/home/of/someone")
    for path_at_home in ("~/runs", "$HOME/runs", "${HOME}/runs"):
        assert at_home(Path(path_at_home)) == Path("/home/of/someone/runs")
        assert at_home(path_at_home) == "/home/of/someone/runs"
    somebody = pwd.getpwuid(os.getuid())
    assert at_home(Path(f"~{somebody.pw_name}/runs")) == Path(somebody.pw_dir, "runs")
    assert [at_home(value) for value in ("~nobody-at-all/x", "a/~/b", "$HOMES", 3, None)] == [
        "~nobody-at-all/x",
        "a/~/b",
        "$HOMES",
        3,
        None,
    ]


@pytest.mark.parametrize("words", [["run", "~/runs"], ["run", "no.yaml", "--json=~/runs"]])
def test_a_path_of_the_command_line_may_begin_at_home(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no shell puts it where the path is quoted, or stands behind a =
    (tmp_path / "runs").mkdir()
    with pytest.raises(SystemExit):
        main(words)
    assert f"{tmp_path}/runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "model: &m {name: toy, checkpoint: *m}\n",
        "a: &a [*a]\n",
    ],
)
def test_aliases_that_multiply_or_hold_themselves(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="alias"):
        read_yaml(path)


@pytest.mark.parametrize("word", ["yes", "No", "on", "off", "true", "null", "~"])
def test_a_key_is_the_word_that_is_written(tmp_path: Path, word: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"{word}: {word}\npoints: {{name: peak, {word}: 3}}\n")
    assert list(read_yaml(path)) == [word, "points"]
    assert read_yaml(path)["points"] == {"name": "peak", word: 3}
    assert not read_yaml(path)[word] or read_yaml(path)[word] is True
    assert apply_settings({}, [f"points={{name: peak, {word}: 3}}"]) == {"points": {"name": "peak", word: 3}}
    path.write_text(f"{word}: 1\n'{word}': 2\n")
    with pytest.raises(ConfigError, match=f"line 2: the key '{word}' appears twice"):
        read_yaml(path)


@pytest.mark.parametrize("word", ["010", "-017", "0_7", "1:30", "+1:30:00", "1:30.5"])
def test_what_yaml_would_take_for_another_number_is_the_text_that_is_written(tmp_path: Path, word: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"seed: {word}\npoints: {{name: peak, k: [{word}]}}\n")
    assert read_yaml(path) == {"seed": word, "points": {"name": "peak", "k": [word]}}
    assert apply_settings({}, [f"seed={word}"]) == {"seed": word}


def test_other_numbers_are_those_that_are_written() -> None:
    settings = ["a=0", "b=-10", "c=0x10", "d=1.50", "e=1_000", "f=0.5", "g='010'"]
    assert list(apply_settings({}, settings).values()) == [0, -10, 16, 1.5, 1000, 0.5, "010"]


def test_a_setting_says_what_is_wrong_with_its_value() -> None:
    with pytest.raises(ConfigError, match=r"is not a YAML value: the key 'k' appears twice \(quote it, or mend it\)"):
        apply_settings({}, ["points={name: peak, k: 1, k: 2}"])
    with pytest.raises(ConfigError, match="is not a YAML value: month must be in"):
        apply_settings({}, ["points=2001-99-99"])


class Options(Config):
    """What a component may be told."""

    threshold: float | None = None
    count: int = 3
    whole: bool = False
    either: bool | int = 1
    folder: Path = Path()

    @field_validator("count")
    @classmethod
    def _few(cls, value: int) -> int:
        if value > 9:
            raise ValueError
        return value


@pytest.mark.parametrize("given", [{"threshold": False}, {"count": True}])
def test_a_yes_or_no_is_no_number(given: dict[str, bool]) -> None:
    """`threshold: off` would be a threshold of 0, and `count: on` one."""
    with pytest.raises(ValidationError, match="yes, no, on and off are none"):
        Options(**given)  # type: ignore[arg-type]
    assert Options(whole=True, either=True).either is True
    assert Options(count="3", threshold=1).count == 3  # type: ignore[arg-type]
    assert Options(folder="~/runs").folder == Path.home() / "runs"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"output": ""}, "output"),
        ({"store": ""}, "store"),
        ({"benchmark": {"name": "folder", "root": ""}}, "benchmark.root"),
    ],
)
def test_a_path_that_is_empty_is_not_the_current_folder(changed: dict[str, object], where: str) -> None:
    """A run whose shell variable was not set was written over what lay there."""
    document = {"model": "mini", "benchmark": "mini-world", "output": "out"}
    with pytest.raises(ConfigError, match=rf"{where}: got ''.*an empty path is none; the current folder is \."):
        resolve(document | changed, registry())
    assert resolve(document | {"output": "."}, registry()).config.output == Path()


def test_an_option_that_is_refused_without_a_word_is_named() -> None:
    with pytest.raises(ValidationError) as refused:
        Options(count=10)
    assert config_error(refused.value, Options, "points").message == "points.count: got 10"


def test_a_plugins_probing_is_asked_under_a_fidelity_that_there_is() -> None:
    pytest.importorskip("pixcore_places")
    pytest.importorskip("pixcore_mini")
    document = {"benchmark": None, "model": "mini", "protocols": ["box"], "fidelity": "exact"}
    with pytest.raises(ConfigError, match="fidelity: got 'exact'"):
        resolve(document, registry())


@pytest.mark.parametrize("kind", [Kind.MODEL, Kind.MASKS])
def test_weights_of_no_name_are_refused_whichever_component_reads_them(kind: Kind) -> None:
    """An empty name was the current folder's."""
    named = ("checkpoint", "lora_adapter", "vision_tower", "towers", "language", "clip")
    asked = 0
    for registration in registry().all(kind):
        fields = registration.config_class.model_fields
        for name in (one for one in named if one in fields and fields[one].annotation is not Path):
            asked += 1
            empty = [""] if name == "towers" else ""
            needed = {} if name == "checkpoint" or not fields.get("checkpoint") else {"checkpoint": "a/b"}
            with pytest.raises(ValidationError, match=r"a folder, or a name on the hub|at least 1 character"):
                registration.config_class.model_validate({**needed, name: empty})
    assert asked >= {Kind.MODEL: 8, Kind.MASKS: 2}[kind]
