"""The live demo: what it offers, what it refuses, what it keeps, the config it writes, and its page by real clicks."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import json
import os
import re
import struct
import threading
import tomllib
import urllib.request
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from PIL import Image as PILImage
from pixcore_app.desk import Desk, Question, Stopped
from pixcore_app.offered import CHOSEN, Choices, Offer
from pixcore_app.scenes import Scenes

import pixcore
from pixcore.errors import ConfigError, DataError
from pixcore.plugins import Kind, registry
from pixcore.records import Image, Sample
from tests.served import answering


def serving() -> Any:
    """The module that serves, imported where it is needed: Gradio takes seconds in each process that collects."""
    pytest.importorskip("gradio", reason="the demo's page is made with Gradio")
    return importlib.import_module("pixcore_app.serving")


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    pytest.importorskip("pixcore_mini")
    pytest.importorskip("pixcore_mini_world")
    desk = serving().desk_of([])
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def address(desk: Desk) -> Iterator[str]:
    server = serving().serve(desk)
    with answering(server):
        yield server.address


def _with(choices: Choices, *strategies: str) -> Choices:
    return Choices(choices.components, strategies)


def test_what_is_offered_needs_no_truth_and_no_weights_from_elsewhere(desk: Desk) -> None:
    offered = desk.offer.names(Kind.SELECTIONS)
    assert {"phrase-overlap", "mask-score", "random"} <= set(offered)
    assert "oracle" not in offered
    assert "mini" in desk.offer.names(Kind.MODEL)
    assert "llava-1.5" not in desk.offer.names(Kind.MODEL)
    assert desk.offer.first.components["model"] == "mini"


def test_a_config_adds_what_it_sets_up(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    labelled = {"name": "phrase-overlap", "label": "mine"}
    first.write_text(yaml.safe_dump({"model": "mini", "selections": ["oracle", labelled], "points": "centre"}))
    second.write_text(yaml.safe_dump({"model": {"name": "llava-1.5", "checkpoint": "nowhere"}}))
    desk = serving().desk_of([first, second])
    assert {"mini", "llava-1.5"} <= set(desk.offer.names(Kind.MODEL))
    assert desk.offer.first.strategies == ("mine",)
    written = desk.config(desk.offer.first, "a question")
    assert (written["selections"], written["points"], written["protocols"]) == ([labelled], "centre", ["question"])
    with pytest.raises(ConfigError):
        serving().desk_of([tmp_path / "none.yaml"])


def test_two_of_one_name_are_both_offered() -> None:
    small, large = ({"name": "llava-1.5", "checkpoint": size} for size in ("small", "large"))
    twice = [{"name": "phrase-overlap"}, {"name": "phrase-overlap", "label": "phrase-overlap 2"}]
    others = ({"model": one, "selections": "phrase-overlap"} for one in (large, small, {**large, "label": "llava-1.5"}))
    offer = Offer([{"model": small, "selections": twice}, *others], registry())
    named = [name for name in offer.names(Kind.MODEL) if "llava-1.5" in name]
    assert named == ["llava-1.5", "llava-1.5 2", "llava-1.5 3"]
    assert offer.first.components["model"] == "llava-1.5"
    assert offer.first.strategies == ("phrase-overlap", "phrase-overlap 2")
    for name, section in (("llava-1.5", small), ("llava-1.5 2", large)):
        chosen = Choices({**offer.first.components, "model": name}, offer.first.strategies)
        assert offer.document(chosen)["model"] == section
        assert offer.document(chosen)["selections"] == twice


def test_a_picture_that_is_too_large_is_refused_in_a_line_before_it_is_decoded(desk: Desk, tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for side in (6_000, 60_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = tmp_path / f"{side}.png"
        bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"0")))
        with pytest.raises(DataError, match=r"too large.*24,000,000 pixels") as refused:
            desk.picture(bomb)
        assert "\n" not in str(refused.value)
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(DataError, match="no image"):
        desk.picture(text)


def test_another_strategy_does_not_ask_the_model_again(desk: Desk) -> None:
    (scene,) = Scenes("mini-world", registry()).next()
    heard: list[str] = []
    first = Question(scene.image, scene.expression or "", "an expression", _with(desk.offer.first, "random"))
    shown = desk.answer(first, heard.append)
    assert shown.model
    assert any(line.startswith("the model answers") for line in heard)
    assert len(shown.view["tokens"]) == len(shown.view["maps"]) > 0
    other = Question(scene.image, first.text, first.asked, _with(desk.offer.first, "mask-score", "random"))
    again = desk.answer(other, heard.append)
    assert not again.model
    assert again.said == shown.said
    assert [one["name"] for one in again.view["choices"]] == ["mask-score", "random"]
    for text, told in (("  ", "to be typed"), ("x" * 3000, "3,000 characters")):
        with pytest.raises(DataError, match=told):
            desk.answer(Question(scene.image, text, "a question", desk.offer.first), heard.append)


def test_an_answer_is_shown_while_it_is_written_and_can_be_stopped(desk: Desk) -> None:
    (scene,) = Scenes({"name": "mini-world", "seed": 5}, registry()).next()
    question = Question(scene.image, scene.question or "", "a question", _with(desk.offer.first, "random"))
    stop, views = threading.Event(), []

    def show(view: Any) -> None:
        views.append(view)
        stop.set()

    with pytest.raises(Stopped):
        desk.answer(question, str, show, stop)
    assert len(views) == 1
    shown = desk.answer(question, str, views.append)
    assert shown.model  # what was stopped is no record
    assert len(views[0]["tokens"]) < len(shown.view["tokens"])
    for view in views:
        count = len(view["tokens"])
        assert view["going"]
        assert view["image"] == shown.view["image"]
        assert 0 < count == len(view["maps"]) <= len(shown.view["tokens"])
        assert view["tokens"] == shown.view["tokens"][:count]
        assert view["grid"] == shown.view["grid"]


def test_the_recipe_of_a_space_is_one() -> None:
    """Its three files: the page's head, what is installed, and what is run."""
    package = Path(__file__).parents[1]
    recipe = (package.parents[1] / "docs" / "tutorials" / "app.md").read_text(encoding="utf-8").split("Space\n\n")[1]
    head, script = re.findall(r"```(?:yaml|python)\n(.*?)```", recipe, re.DOTALL)
    said, project = (
        yaml.safe_load(head),
        tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"],
    )
    needed = {Requirement(one).name: Requirement(one).specifier for one in project["dependencies"]}
    assert (said["sdk"], said["app_file"]) == ("gradio", "app.py")
    assert said["sdk_version"] in needed["gradio"]
    assert said["python_version"] in SpecifierSet(project["requires-python"])
    (call,) = (node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Call))
    assert ast.unparse(call.func) == "pixcore_app.launch"
    given = inspect.signature(serving().launch).bind(
        **{one.arg: ast.literal_eval(one.value) for one in call.keywords if one.arg}
    )
    given.apply_defaults()
    assert (given.arguments["host"], given.arguments["port"]) == ("0.0.0.0", 7860)


def test_scenes_come_one_after_the_other_and_round_again() -> None:
    scenes = Scenes({"name": "mini-world", "pairs": 2}, registry())
    names = [one.id for _ in range(3) for one in scenes.next(2)]
    assert len(set(names)) == 4
    assert names[4:] == names[:2]
    assert Scenes(None, registry()).next(3) == []


@contextmanager
def somebody_else(desk: Desk, text: str) -> Iterator[None]:
    """Somebody else is being answered meanwhile, who asks what nobody has asked yet."""
    gate, held = threading.Event(), threading.Event()

    def wait(line: str) -> None:
        held.set()
        gate.wait()

    (scene,) = Scenes({"name": "mini-world", "seed": 6}, registry()).next()
    other = threading.Thread(
        target=desk.answer, args=(Question(scene.image, text, "an expression", desk.offer.first), wait)
    )
    other.start()
    held.wait()
    yield
    gate.set()
    other.join()


def _asked(address: str, picture: dict[str, Any], desk: Desk, session: str) -> dict[str, Any]:
    """What the page's server says to a question about a picture, sent as anybody can send it."""
    first = desk.offer.first
    chosen = [first.components[kind.value] for kind in CHOSEN]
    given = [picture | {"meta": {"_type": "gradio.FileData"}}, "the boat", "an expression", None, *chosen]
    return _called(address, "_ask", [*given, ["mask-score"]], session)


def _called(address: str, name: str, data: list[Any], session: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}config", timeout=60) as response:
        config = json.load(response)
    event = next(one for one in config["dependencies"] if one["api_name"] == name)
    api = f"{address.rstrip('/')}{config['api_prefix']}"
    body = {"data": data, "session_hash": session, "fn_index": event["id"]}
    join = urllib.request.Request(f"{api}/queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(join, timeout=60).close()
    with urllib.request.urlopen(f"{api}/queue/data?session_hash={session}", timeout=60) as lines:
        said = (json.loads(line.removeprefix(b"data: ")) for line in lines if line.strip())
        return next(one for one in said if one["msg"] == "process_completed")


def test_a_visitor_reads_no_picture_of_this_machine(address: str, desk: Desk, tmp_path: Path) -> None:
    secret, own = tmp_path / "secret.png", Path(desk.scratch) / "own.png"
    PILImage.new("RGB", (40, 30), (9, 200, 9)).save(secret)
    assert not _asked(address, {"path": str(secret)}, desk, "one")["success"]
    secret.rename(own)  # where what visitors bring lies
    assert _asked(address, {"path": str(own)}, desk, "two")["success"]


def test_who_asks_again_when_the_first_picture_is_gone_is_answered(address: str, desk: Desk) -> None:
    first, second = (Path(desk.scratch) / name for name in ("first.png", "second.png"))
    PILImage.new("RGB", (40, 30), (9, 200, 9)).save(first)
    PILImage.new("RGB", (40, 30), (200, 9, 9)).save(second)
    assert _shown(_asked(address, {"path": str(first)}, desk, "three")) == 1
    for path in Path(desk.scratch).rglob("*.png"):  # as uploads go after an hour
        if path != second:
            path.unlink()
    assert _shown(_asked(address, {"path": str(second)}, desk, "three")) == 2
    assert _shown(_asked(address, {"path": str(second)}, desk, "three")) == 2  # the same is there once


def _shown(done: dict[str, Any]) -> int:
    """How many pictures the history has once a question is answered."""
    assert done["success"]
    return len(done["output"]["data"][3]["value"])


def test_a_picture_that_is_damaged_costs_no_other_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pixcore_folder")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # serving sets it, and the other server's is needed again
    (tmp_path / "images").mkdir()
    for name, colour in (("a", (9, 200, 9)), ("b", (200, 9, 9))):
        noise = PILImage.effect_noise((80, 60), 90).convert("RGB")
        PILImage.blend(noise, PILImage.new("RGB", noise.size, colour), 0.5).save(tmp_path / "images" / f"{name}.png")
    damaged = tmp_path / "images" / "b.png"
    damaged.write_bytes(damaged.read_bytes()[:-5000])
    (tmp_path / "samples.csv").write_text("image,expression\na.png,the green one\nb.png,the red one\n")
    desk = serving().desk_of([{"benchmark": {"name": "folder", "root": str(tmp_path)}}])
    server = serving().serve(desk)
    with answering(server):
        done = _called(server.address, "_draw", [], "one")
    desk.close()
    assert [scene["caption"] for scene in done["output"]["data"][0]["value"]] == ["the green one"]


def test_a_scene_that_is_taken_again_is_kept_as_long_as_one_that_is_new(desk: Desk) -> None:
    serving()
    from pixcore_app.page import _Page

    scenes: Any = None
    page = _Page(desk, scenes)
    scene = Sample("1", Image.from_pixels(np.zeros((30, 40, 3), np.uint8)), expression="the boat")
    first: Any = SimpleNamespace(index=0)
    for _ in range(2):
        path, _ = page._take([scene], "an expression", first)
        assert Path(path).stat().st_mtime > 1e9
        os.utime(path, (0, 0))  # it has been there for long


def test_a_visitors_address_is_not_fetched() -> None:
    serving()
    from pixcore_app.page import uploaded

    async def taken(place: Any) -> str:
        return str(place)

    with ThreadPoolExecutor(1) as thread:  # a browser's loop may be at work in this one
        assert thread.submit(asyncio.run, uploaded(taken)("/tmp/a.png")).result() == "/tmp/a.png"
        for address in ("http://example.org/a.png", "https://example.org/a.png"):
            with pytest.raises(ValueError, match="no picture is fetched"):
                thread.submit(asyncio.run, uploaded(taken)(address)).result()


def test_who_stops_and_asks_again_at_once_is_answered(address: str, desk: Desk, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator("#scenes button:has(img)").first.click()
    page.locator("#picture img").wait_for()
    with somebody_else(desk, "b"):
        page.click("#look")
        page.locator("#stop:not([disabled])").click()
        page.locator("#status", has_text="stopped").wait_for()
        page.click("#look")
        page.locator("#status", has_text="waiting for the model").wait_for()
    page.locator("#status", has_text="asked of mini").wait_for()
    context.close()


def test_the_page_by_clicks(address: str, desk: Desk, browser: Any, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(120_000)
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    page.locator("#scenes button:has(img)").first.click()
    page.locator("#picture img").wait_for()
    assert list(Path(desk.scratch).rglob("*.webp"))  # what is shown lies there too, not where all users' pages put it

    with somebody_else(desk, "a"):
        page.click("#look")
        page.locator("#stop:not([disabled])").click()
        page.locator("#status", has_text="stopped").wait_for()
    assert page.locator("#view .token").count() == 0

    page.click("#look")
    page.locator("#status", has_text="asked of mini").wait_for()

    token = page.locator("#view .token").nth(2)
    token.hover()
    assert f"looked at “{token.inner_text()}”" in page.inner_text("#view .told")
    token.click()
    page.mouse.move(0, 0)
    assert token.get_attribute("aria-pressed") == "true"
    page.locator("#view .choice").first.click()
    assert "looked" not in page.inner_text("#view .told")

    page.click("#strategies input")
    page.locator("#strategies [role=option]", has_text="attention-inside").click()
    page.locator("#view .choice", has_text="attention-inside").wait_for()
    assert "not asked again" in page.inner_text("#status")
    page.keyboard.press("Escape")

    page.locator("#asked label", has_text="a question").click()
    page.wait_for_function("document.querySelector('#text textarea').value.endsWith('?')")
    page.fill("#text textarea", "<b>Is</b> there a boat?")
    page.click("#look")
    page.locator("#status", has_text="<b>Is</b> there a boat?").wait_for()
    page.locator("#history button:has(img)").nth(2).wait_for()
    page.locator("#history button:has(img)").nth(2).click()
    page.locator("#status", has_text="asked of mini").wait_for()

    page.locator("button", has_text="The same for a benchmark").click()
    page.click("#write")
    page.locator("#download").wait_for()
    with page.expect_download() as got:
        page.click("#download")
    config = tmp_path / "run.yaml"
    got.value.save_as(config)
    context.close()
    assert not wrong
    assert all(url.startswith((address.rpartition("/")[0].rpartition("/")[0], "data:", "blob:")) for url in asked)

    folders = {"output": tmp_path / "run", "store": tmp_path / "store"}
    run = pixcore.run(config, limit=2, **folders)
    assert {"attention-inside", "phrase-overlap"} <= {row.key for row in run.summary.rows}
    assert run.summary.samples == 2
