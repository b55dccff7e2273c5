"""Discovery: lazy, isolated, and clear about what went wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
import warnings
from importlib import metadata

import pytest

from pixcore import hookimpl
from pixcore.errors import PluginError
from pixcore.plugins import GuestKind, Kind, Registry
from pixcore.versions import version_of


def plugin(**hooks):
    module = types.ModuleType("a_plugin")
    for name, hook in hooks.items():
        setattr(module, name, hookimpl(hook))
    return module


def offering(name, *, target="some.module:Class", hook="register_judges", **fields):
    return plugin(**{hook: lambda register: register(name, target, **fields)})


def loaded(**plugins):
    entries = []
    for name, value in plugins.items():
        load = value if callable(value) and not isinstance(value, types.ModuleType) else lambda value=value: value
        entries.append((name, f"dist-{name}", lambda: "1.0", load))
    return Registry(entries)


def broken():
    raise ImportError("no module named nonsense")


def test_targets_are_not_imported_until_used():
    registry = loaded(lazy=offering("strict", target="no.such.module:Judge"))
    registration = registry.get(Kind.JUDGE, "strict")
    with pytest.raises(PluginError, match=r"judge 'strict' can't be imported: No module named 'no'.*dist-lazy"):
        _ = registration.component_class


def test_a_target_must_be_of_its_kind():
    registry = loaded(wrong=offering("path", target="pathlib:Path"))
    with pytest.raises(PluginError, match="does not derive from Judge"):
        _ = registry.get(Kind.JUDGE, "path").component_class
    with pytest.raises(PluginError, match="does not exist"):
        _ = loaded(x=offering("gone", target="pathlib:Nowhere")).get(Kind.JUDGE, "gone").component_class


IMPORTS = {
    "import nonsense_lib.inner": r"No module named 'nonsense_lib' \(pip install dist-x brings what it needs; "
    "if nonsense_lib is none of that, install it too",
    "from pixcore.records import Nonsense": r"ImportError: cannot import name 'Nonsense' from 'pixcore.records'.*"
    r"\(pip install dist-x brings what it needs\)",
    "import math; math.nonsense": r"AttributeError: module 'math' has no attribute 'nonsense' \(a mistake in plugin",
    "raise OSError('no GPU')": r"OSError: no GPU \(a mistake in plugin 'x' \(dist-x\)\)",
    "import sys; sys.exit('leaves')": r"SystemExit: leaves \(a mistake in plugin 'x'",
    "def": r"SyntaxError: .* \(a mistake in plugin 'x'",
    "def __getattr__(name): import nonsense_lib": r"No module named 'nonsense_lib' \(pip install dist-x brings",
}


@pytest.mark.parametrize("source", IMPORTS)
def test_what_a_components_module_lacks_or_does_wrong_is_named(source, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"component_{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    registry = loaded(x=offering("mine", target=f"{name}:Judge"))
    with pytest.raises(PluginError, match=f"judge 'mine' can't be imported: {IMPORTS[source]}"):
        _ = registry.get(Kind.JUDGE, "mine").component_class


def test_a_module_that_a_plugin_names_and_lacks_is_its_mistake():
    registry = loaded(x=offering("mine", target="pixcore.no_such:Judge"))
    with pytest.raises(PluginError, match=r"No module named 'pixcore.no_such' \(a mistake in plugin 'x' \(dist-x\)\)"):
        _ = registry.get(Kind.JUDGE, "mine").component_class


def test_a_package_with_an_extra_is_installed_with_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "extra_component.py").write_text("import nonsense_lib")
    registry = loaded(x=offering("mine", target="extra_component:Judge", extra="heavy"))
    with pytest.raises(PluginError, match=r"pip install 'dist-x\[heavy\]' brings what it needs; if nonsense_lib"):
        _ = registry.get(Kind.JUDGE, "mine").component_class


def test_a_summary_that_is_no_text_spoils_no_help():
    registry = loaded(x=adding("tidy", summary=None), y=adding("mend"))
    assert "registers the summary None" in registry.failures[0].error
    assert [guest.name for guest in registry.guests(GuestKind.COMMAND)] == ["mend"]


def test_a_group_of_commands_hides_no_writer_of_its_name():
    """Without the core's, a run would leave no predictions."""
    core = offering("predictions", hook="register_run_writers", default=True)
    registry = loaded(pixcore=core, x=adding("predictions fetch"))
    assert [guest.name for guest in registry.guests(GuestKind.WRITER)] == ["predictions"]


def test_what_may_be_installed_and_broken_is_told_with_what_failed(monkeypatch):
    monkeypatch.delenv("PIXCORE_PLUGINS", raising=False)
    registry = loaded(bad=broken)
    with pytest.raises(PluginError, match=r"pip install pixcore-mini \(1 plugin\(s\) failed to load, see:"):
        registry.get(Kind.MODEL, "mini")


def test_a_broken_plugin_takes_no_other_down():
    registry = loaded(bad=broken, good=offering("fine"))
    assert registry.get(Kind.JUDGE, "fine").plugin == "good"
    (failure,) = registry.failures
    assert (failure.plugin, failure.error) == ("bad", "ImportError: no module named nonsense")
    with pytest.raises(PluginError, match=r"1 plugin\(s\) failed to load"):
        registry.get(Kind.JUDGE, "other")


def test_a_plugin_whose_version_cannot_be_read_takes_no_other_down():
    def unreadable():
        raise json.JSONDecodeError("Expecting value", "", 0)

    good = ("good", "dist-good", lambda: "1.0", lambda: offering("fine"))
    registry = Registry([("bad", "dist-bad", unreadable, lambda: offering("lost")), good])
    assert registry.get(Kind.JUDGE, "fine").plugin == "good"
    with pytest.raises(PluginError, match=r"version of dist-bad can't be read: JSONDecodeError: Expecting value"):
        _ = registry.get(Kind.JUDGE, "lost").version


def test_a_plugin_that_exits_takes_no_other_down():
    def leaves():
        sys.exit("this needs another Python")

    assert [failure.error for failure in loaded(bad=leaves, good=offering("fine")).failures] == [
        "SystemExit: this needs another Python"
    ]


@pytest.fixture
def installed(tmp_path):
    """Gives the version of a package of one module, as it is installed: with its origin, where it has one."""

    def version(
        text, *, origin=None, source="", marked=True, files=("my_plugin/adapter.py",), target="my_plugin.adapter"
    ):
        place = tmp_path / "site"
        code = (tmp_path / source if origin and origin.get("dir_info", {}).get("editable") else place) / "my_plugin"
        code.mkdir(parents=True, exist_ok=True)
        (code / "adapter.py").write_text(text)
        if marked:
            (code / "__init__.py").touch()
        record = place / "my_plugin-1.dist-info"
        record.mkdir(parents=True, exist_ok=True)
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1\n")
        (record / "RECORD").write_text("".join(f"{file},,\n" for file in (*files, "my_plugin-1.dist-info/RECORD")))
        (record / "entry_points.txt").write_text(f"[pixcore]\nmine = {target}\n")
        if origin is not None:
            (record / "direct_url.json").write_text(json.dumps({"url": tmp_path.as_uri()} | origin))
        (entry,) = metadata.distributions(path=[str(place)])
        return version_of(entry)

    return version


EDITABLE = {"dir_info": {"editable": True}}


@pytest.mark.parametrize("source", ["src", ""])
@pytest.mark.parametrize("marked", [True, False], ids=["package", "no __init__.py"])
def test_edits_change_the_version_of_an_editable_install(installed, source, marked):
    found = [installed(text, origin=EDITABLE, source=source, marked=marked) for text in ("one = 1\n", "one = 2\n")]
    assert found[0] != found[1]
    assert all(version.startswith("1+") for version in found)


@pytest.mark.parametrize(
    "origin",
    [{"dir_info": {}}, {"archive_info": {}}, {"vcs_info": {"vcs": "git", "commit_id": "1"}}],
    ids=["folder", "wheel", "repository"],
)
def test_edits_change_the_version_of_a_copy_that_is_from_no_index(installed, origin):
    """Its author need not have counted the version up; the code is what an editable install would have."""
    found = [installed(text, origin=origin, marked=False) for text in ("one = 1\n", "one = 2\n")]
    assert found[0] != found[1]
    assert installed("one = 2\n", origin=EDITABLE, source="src", marked=False) == found[1]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("my_plugin/prompt.txt", True),
        ("my_plugin/words.yaml", True),
        ("my_plugin/weights.safetensors", False),
        ("my_plugin.egg-info/SOURCES.txt", False),  # what setuptools leaves there is no part of the package
    ],
)
def test_so_do_edits_of_the_texts_beside_its_code_and_not_its_weights(installed, tmp_path, name, counts):
    """A judge's prompt may lie in a file of its own; a config's fingerprint knows weights."""
    (tmp_path / "src" / name).parent.mkdir(parents=True)
    found = []
    for text in ("Is there a fish?", "Is there one?"):
        (tmp_path / "src" / name).write_text(text)
        found.append(installed("one = 1\n", origin=EDITABLE, source="src"))
    assert (found[0] != found[1]) == counts


def test_a_script_that_lies_elsewhere_is_none_of_a_copys_code(installed, tmp_path):
    """Of what is on another disk than its package, pip records the whole path."""
    script = tmp_path / "script.py"
    script.touch()
    files = ("my_plugin/adapter.py", script, "my_plugin-1.dist-info/entry_points.txt")
    assert installed("", origin={"dir_info": {}}, files=files) == installed("", origin={"dir_info": {}})


def test_an_entry_point_that_names_nothing_spoils_no_version(installed):
    found = [installed(text, origin=EDITABLE, target="my-plugin.adapter") for text in ("one = 1\n", "one = 2\n")]
    assert found[0] != found[1]


def test_a_release_from_an_index_is_its_version(installed):
    assert installed("one = 1\n") == installed("one = 2\n") == "1"


def test_a_plugin_that_fails_half_way_offers_nothing():
    def register(register):
        register("first", "a:B")
        raise RuntimeError("half way")

    registry = loaded(half=plugin(register_judges=register), good=offering("fine"))
    assert [one.name for one in registry] == ["fine"]
    assert "half way" in registry.failures[0].error


def test_a_misspelt_hook_is_reported():
    registry = loaded(typo=plugin(register_judgez=lambda register: None), good=offering("fine"))
    assert "register_judgez" in registry.failures[0].error
    assert registry.get(Kind.JUDGE, "fine")


def test_an_unknown_argument_is_reported():
    registry = loaded(typo=plugin(register_judges=lambda registrar: None))
    assert "registrar" in registry.failures[0].error


@pytest.mark.parametrize("name", ["Upper", "two words", "", "-x", "a/b", "trailing-"])
def test_names_are_words_joined_by_hyphens(name):
    assert "lower-case" in loaded(x=offering(name)).failures[0].error


def test_targets_name_a_module_and_a_class():
    assert "package.module:Class" in loaded(x=offering("a", target="module.Class")).failures[0].error


def test_two_plugins_that_claim_one_name_are_both_named():
    registry = loaded(one=offering("same"), two=offering("same"), three=offering("other"))
    assert registry.get(Kind.JUDGE, "other")
    assert "'one'" in registry.failures[0].error
    with pytest.raises(
        PluginError, match=r"'one' \(dist-one 1.0\) and 'two' \(dist-two 1.0\) both claim the judge 'same'"
    ):
        registry.get(Kind.JUDGE, "same")


def adding(name, target="some.module:command", **fields):
    return offering(name, target=target, hook="register_commands", **fields)


def test_two_plugins_with_one_command_are_told_like_two_with_one_component():
    registry = loaded(one=adding("tidy up"), two=adding("tidy up"), three=adding("tidy away"))
    assert [guest.name for guest in registry.guests(GuestKind.COMMAND)] == ["tidy away"]
    said = r"'one' \(dist-one 1.0\) and 'two' \(dist-two 1.0\) both claim the command 'tidy up'"
    (failure,) = registry.failures
    assert re.search(said, failure.error)
    with pytest.raises(PluginError, match=said):
        registry.guest(GuestKind.COMMAND, "tidy up")


def test_a_command_can_be_no_group_as_well():
    registry = loaded(one=adding("tidy up"), two=adding("tidy"))
    assert "'tidy', which is a group" in registry.failures[0].error
    assert [guest.name for guest in registry.guests(GuestKind.COMMAND)] == ["tidy up"]


@pytest.mark.parametrize("name", ["", "Tidy", "tidy  up", "tidy up now", "tidy -x"])
def test_a_command_is_one_word_or_a_group_and_a_word(name):
    registry = loaded(x=adding(name))
    assert "registers the" in registry.failures[0].error
    assert not registry.guests(GuestKind.COMMAND)


def test_a_command_that_is_not_there_is_told_when_it_is_called():
    registry = loaded(x=adding("tidy", target="no.such.module:tidy"))
    with pytest.raises(PluginError, match=r"command 'tidy' can't be imported: No module named 'no'.*dist-x"):
        _ = registry.guest(GuestKind.COMMAND, "tidy").loaded


def test_a_plugin_takes_no_command_of_the_core_away(workplace):
    """Installed the way a real one is."""
    (workplace.folder / "greedy.py").write_text(
        "from pixcore import hookimpl\n\n\n@hookimpl\ndef register_commands(register):\n"
        "    register('plugins', 'greedy:plugins', summary='Greedy.')\n"
    )
    record = workplace.folder / "greedy-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: greedy\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[pixcore]\ngreedy = greedy\n")
    workplace.environment["PYTHONPATH"] += os.pathsep + str(workplace.folder)
    workplace.environment["PIXCORE_PLUGINS"] = "greedy"
    assert json.loads(workplace("plugins", "--json").stdout)["components"][0]["target"] == "pixcore.runs.execute:Local"
    assert "Greedy" not in workplace("--help").stdout
    (failure,) = json.loads(workplace("plugins", "--json").stdout)["failures"]
    assert failure["plugin"] == "greedy"
    assert "the command 'plugins' is that of pixcore, not of greedy" in failure["error"]


def test_commands_of_a_plugin(workplace):
    """One, and one under a group; help imports neither."""
    workplace.environment["PIXCORE_PLUGINS"] = "toy"
    help_text = workplace("--help").stdout
    assert "toy-greet  Says hello." in help_text
    assert "toy-box    open, stuck" in help_text
    assert workplace("toy-greet", "you").stdout == "hello you\n"
    assert "Opens." in workplace("toy-box", "--help").stdout
    assert workplace("toy-box", "open").stdout == "open\n"
    assert "command 'toy-box stuck' can't be imported" in workplace("toy-box", "stuck", status=2).stderr
    assert "did you mean 'toy-greet'?" in workplace("toy-gret", status=2).stderr
    assert "report" not in help_text
    assert (
        "command 'report' is not installed: pip install pixcore-report" in workplace("report", "out", status=2).stderr
    )


def test_a_component_is_the_default_of_a_place_that_it_names():
    def selecting(name, *places):
        return offering(name, hook="register_selection_strategies", default_for=places)

    registry = loaded(one=selecting("a", "ground"), two=selecting("b", "control.selection"))
    assert (registry.default_for("ground"), registry.default_for("control.selection")) == ("a", "b")
    assert registry.default_for("control.points") is None
    with pytest.raises(PluginError, match=r"'a'.*'b'.*default selection strategy for ground"):
        loaded(one=selecting("a", "ground"), two=selecting("b", "ground")).default_for("ground")
    assert (
        "no selection strategy serves 'control.points'" in loaded(a=selecting("a", "control.points")).failures[0].error
    )


def test_two_defaults_of_a_kind_that_has_one():
    registry = loaded(one=offering("a", default=True), two=offering("b", default=True))
    with pytest.raises(PluginError, match=r"'a'.*'b'.*both want to be the default judge"):
        registry.defaults(Kind.JUDGE)


def test_the_nearest_name_is_suggested():
    with pytest.raises(PluginError, match=r"did you mean 'exact-match'\?"):
        loaded(x=offering("exact-match")).get(Kind.JUDGE, "exact-mach")


def test_every_kind_has_a_hook_that_works():
    for kind in Kind:
        registry = loaded(x=offering("one", hook=kind.hook))
        assert registry.get(kind, "one").kind is kind


def test_observers_are_called_and_harm_nothing():
    seen = []

    def fail(run, summary):
        raise RuntimeError("tracker is down")

    registry = loaded(
        good=plugin(run_finished=lambda run, summary: seen.append((run, summary))), bad=plugin(run_finished=fail)
    )
    with pytest.warns(UserWarning, match=r"observer bad.run_finished failed: RuntimeError: tracker is down"):
        registry.notify("run_finished", run="folder", summary={"samples": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.notify("run_finished", run="folder", summary={})
    assert len(seen) == 2


def test_an_observer_that_exits_harms_nothing():
    def leave(run, summary):
        sys.exit("enough")

    registry = loaded(bad=plugin(run_finished=leave))
    with pytest.warns(UserWarning, match=r"observer bad.run_finished failed: SystemExit: enough"):
        registry.notify("run_finished", run="folder", summary={})


def test_an_installed_plugin_is_found(workplace):
    listed = json.loads(workplace("plugins", "--json").stdout)
    assert {one["distribution"] for one in listed["components"] if one["kind"] != "executor"} == {"toy-pixcore"}
    assert {one["kind"] for one in listed["components"]} == {kind.value for kind in Kind} - {"transforms"}
    models = json.loads(workplace("plugins", "model", "--json").stdout)["components"]
    assert [one["name"] for one in models] == ["toy", "toy-masks"]


def test_the_list_fits_a_screen_and_a_kind_says_more(workplace):
    workplace.environment |= {"PIXCORE_PLUGINS": "toy", "COLUMNS": "80"}
    lines = workplace("plugins").stdout.splitlines()
    assert len(lines) <= 24
    named = {line.split()[0]: line.split()[1:] for line in lines}
    assert named["model"] == ["toy", "toy-masks"]
    assert named["judge"] == ["toy-judge", "toy-sulky-judge"]
    assert {"run", "toy-greet"} <= set(named["commands"])
    assert named["writers"][:2] == ["predictions", "*"]
    assert "observers" in named
    assert "counts" in workplace("plugins", "model").stdout
    assert "Says hello." in workplace("plugins", "commands").stdout
    assert "predictions" in workplace("plugins", "writers").stdout
    assert json.loads(workplace("plugins", "commands", "--json").stdout)["commands"][0]["name"] == "run"
    workplace.environment["PIXCORE_PLUGINS"] = "toy,toy-observer"
    heard = ["run_started", "stage_advanced", "sample_finished", "part_finished", "run_finished"]
    assert json.loads(workplace("plugins", "observers", "--json").stdout)["observers"] == {"toy-observer": heard}
    assert "hears run_started" in workplace("plugins", "observers").stdout
    assert workplace("plugins", "toy-observer").stdout == workplace("plugins", "observers").stdout
    assert "did you mean 'toy-observer'" in workplace("plugins", "toy-observr", status=2).stderr


def test_names_stay_whole_at_any_width(workplace):
    workplace.environment.pop("PIXCORE_PLUGINS")
    for columns in (60, 80):
        workplace.environment["COLUMNS"] = str(columns)
        lines = workplace("plugins").stdout.splitlines()
        assert max(map(len, lines)) <= columns
        listed = "  ".join(line[12:] for line in lines)
        assert {"benchmarks parse-objects", "llava-grounding", "subtract-mean *"} <= set(re.split(r"\s{2,}", listed))


def test_a_kind_or_name_that_is_not_there_is_told_with_the_nearest(workplace):
    assert "did you mean 'model'? pixcore plugins lists" in workplace("plugins", "modle", status=2).stderr
    assert "did you mean 'toy-masks'? pixcore plugins lists" in workplace("plugins", "toy-maks", status=2).stderr
    assert "'zzz' (pixcore plugins lists what there is)" in workplace("plugins", "zzz", status=2).stderr
    (only,) = json.loads(workplace("plugins", "toy-masks", "--json").stdout)["components"]
    assert only["name"] == "toy-masks"


def test_the_environment_restricts_plugins(workplace):
    workplace.environment["PIXCORE_PLUGINS"] = ""
    listed = json.loads(workplace("plugins", "--json").stdout)
    assert (listed["failures"], listed["observers"]) == ([], {})
    assert workplace("plugins", "points").stdout.split() == ["none", "is", "installed"]
    assert {one["plugin"] for one in listed["components"] + listed["commands"] + listed["writers"]} == {"pixcore"}
    workplace.environment["PIXCORE_PLUGINS"] = "pixcore,toy"
    assert "toy-greet" in workplace("plugins").stdout
    workplace.environment["PIXCORE_PLUGINS"] = "toy,toi"
    assert "PIXCORE_PLUGINS names 'toi'" in workplace("plugins", status=2).stderr


HEAVY = ("torch", "transformers", "spacy", "openai", "skimage", "matplotlib")
SLOW = ("numpy", "pydantic", "PIL")
"""What help does without, besides: each takes longer than everything else that help does."""


@pytest.mark.parametrize(
    "statement",
    [
        "import pixcore",
        *(
            f"from pixcore.cli import main; main({words})"
            for words in (["plugins"], ["--help"], ["benchmarks", "--help"])
        ),
    ],
)
def test_nothing_heavy_is_imported(statement):
    """With every plugin of the project installed."""
    unwanted = (*HEAVY, *SLOW) if "--help" in statement else HEAVY
    program = (
        "import sys\n"
        f"try:\n    exec({statement!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', [name for name in {unwanted!r} if name in sys.modules])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PIXCORE_PLUGINS"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip().endswith("LOADED []"), done.stdout[-300:]
