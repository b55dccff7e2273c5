"""What `import pixcore` gives: every public name, nothing loaded, and types for whoever checks them."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pixcore

ROOT = Path(__file__).parents[1]
GUESTS = {"Grounding", "Run", "ground", "open_run", "run"}


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_it_loads_nothing() -> None:
    heavy = "{'numpy', 'pydantic', 'pluggy', 'click', 'rich', 'PIL', 'pixcore.records', 'pixcore.plugins'}"
    assert python(f"import sys, pixcore; print(sorted({heavy} & set(sys.modules)))") == "[]\n"


def test_every_name_is_the_one_of_its_module() -> None:
    pytest.importorskip("pixcore_notebook")
    names = set(dir(pixcore)) - {"__version__"}
    assert names >= GUESTS
    assert len(names) >= 60
    for name in names:
        place = import_module(pixcore._PLACES[name])
        expected = place if place.__name__ == f"pixcore.{name}" else getattr(place, name)
        assert getattr(pixcore, name) is expected, name


def test_what_a_plugins_author_needs_is_there() -> None:
    """The hooks' own types, every interface behind a hook with what it takes and gives, every error."""
    components, errors, records = map(import_module, ("pixcore.components", "pixcore.errors", "pixcore.records"))
    for module in (components, errors, records):
        own = [name for name, one in vars(module).items() if getattr(one, "__module__", "") == module.__name__]
        classes = {name for name in own if isinstance(getattr(module, name), type) and not name.startswith("_")}
        assert not classes - set(dir(pixcore)), module.__name__
    assert {"hookimpl", "Register", "RegisterCommand", "RegisterWriter", "RunWriter"} <= set(dir(pixcore))


def test_the_list_fits_a_screen() -> None:
    assert len((ROOT / "pixcore" / "__init__.py").read_text().splitlines()) <= 60


def test_modules_below_it_are_imported_as_ever() -> None:
    program = "from pixcore import config, masks; import pixcore; print(config.__name__, pixcore.masks is masks)"
    assert python(program) == "pixcore.config True\n"


def test_a_name_that_it_lacks_is_an_attribute_error() -> None:
    assert not hasattr(pixcore, "nonsense")
    with pytest.raises(ImportError):
        exec("from pixcore import nonsense")


def test_a_guest_that_is_not_installed_is_named_with_its_package() -> None:
    program = (
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'pixcore_notebook' else find(name)\n"
        "import pixcore\n"
        "try: pixcore.ground\n"
        "except pixcore.PluginError as error: print(error)\n"
        "print('ground' in dir(pixcore), 'Sample' in dir(pixcore))\n"
    )
    assert python(program) == "pixcore.ground is not installed (pip install pixcore-notebook)\nFalse True\n"


def test_a_star_import_gives_what_is_listed() -> None:
    pytest.importorskip("pixcore_notebook")
    assert python("from pixcore import *; print(ground.__name__, Sample.__name__, 'import_module' in dir())") == (
        "ground Sample False\n"
    )


def test_a_notebook_is_shown_a_users_mistake_as_one_line() -> None:
    error = pixcore.DataError("no\nsuch file", hint="check the path")
    assert error._render_traceback_() == ["DataError: no such file (check the path)"]
    assert not hasattr(pixcore.SampleError("x"), "_render_traceback_")


CHECKED = """
import pixcore
from pixcore import Config, Register, Sample, Selection, SelectionStrategy, hookimpl, masks


class Mine(SelectionStrategy[Config]):
    pass


found: pixcore.Grounding = pixcore.ground("photo.jpg", "the cat's ear", model="llava-1.5", checkpoint="a/b")
text: str = found.text
inside: int = int(found.mask.sum())
frame = found.to_pandas().head()
run: pixcore.Run = pixcore.run({"model": "mini"}, limit=3)
for one in pixcore.open_run("runs/demo").samples():
    name: str = one.id
area: int = masks.area(found.candidates[0].masks[0])
EVERY
"""


def test_strict_type_checking_of_code_that_uses_it_passes(tmp_path: Path) -> None:
    pytest.importorskip("pixcore_notebook")
    every = "\n".join(f"pixcore.{name}" for name in dir(pixcore))
    script = tmp_path / "users.py"
    script.write_text(CHECKED.replace("EVERY", every))
    command = [sys.executable, "-m", "mypy", "--strict", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    script.write_text("import pixcore\npixcore.nonsense\npixcore.ground(1, 2)\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.count("error:") == 3, done.stdout
