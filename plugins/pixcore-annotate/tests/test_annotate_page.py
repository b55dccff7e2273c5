"""The page in a real browser, with real clicks and keys; and what the server refuses."""

from __future__ import annotations

import io
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_annotate.desks import Drawing
from pixcore_annotate.journal import Journal
from pixcore_annotate.project import read_tasks
from pixcore_annotate.server import Server

from pixcore import masks
from pixcore.errors import DataError
from tests.pages import check_accessible, check_break_is_seen, check_fits, check_look, open_page
from tests.served import answering

PICTURES = Path(__file__).parents[3] / "tests" / "pictures"


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[Server, Path]]:
    tasks = read_tasks(folder)
    server = Server(folder, Drawing(Journal(folder, "ann", tasks)))
    with answering(server):
        yield server, folder


@pytest.fixture
def page(served: tuple[Server, Path], browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(served[0].address)
    page.wait_for_selector("#canvas[data-item='item-0']")
    yield page
    page.close()
    assert not problems


def journal(folder: Path) -> Journal:
    return Journal(folder, "ann", read_tasks(folder))


def click_at(page: Any, x: float, y: float) -> None:
    box = page.locator("#canvas").bounding_box()
    page.mouse.click(box["x"] + x * box["width"] / 200, box["y"] + y * box["height"] / 120)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_picture_that_its_exif_turns_is_shown_as_its_masks_lie(ending: str, folder: Path, browser: Any) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = 6
    with PILImage.open(folder / "0.png") as picture:
        picture.transpose(PILImage.Transpose.ROTATE_90).save(folder / f"turned.{ending}", exif=exif)
        upright = np.asarray(picture.convert("RGB"), np.int64)
    tasks = read_tasks(folder)
    tasks["item-0"] = replace(tasks["item-0"], image=f"turned.{ending}", instances=())
    server = Server(folder, Drawing(Journal(folder, "ann", tasks)))
    with answering(server):
        page = browser.new_page()
        page.goto(server.address)
        page.wait_for_selector("#canvas[data-item='item-0']")
        pixels = page.evaluate(
            "() => [...document.getElementById('canvas').getContext('2d').getImageData(0, 0, 200, 120).data]"
        )
        page.close()
    shown = np.array(pixels).reshape(120, 200, 4)[..., :3]
    assert np.abs(shown - upright).mean() < 3


def test_a_pass_with_mouse_and_keys(page: Any, served: tuple[Server, Path]) -> None:
    folder = served[1]
    # what stands in a question is shown, not run
    assert "<b>bold</b>" in page.inner_text("#question")

    # a click means the smallest mask under it: the door, not the house around it
    click_at(page, 65, 55)
    page.wait_for_selector("#instances li.kept >> text=door")
    assert journal(folder)["item-0"].keep == ("23",)
    # a click beside it means the house; a key takes it away again
    click_at(page, 30, 90)
    page.wait_for_selector("#instances li.kept >> text=house")
    page.keyboard.press("1")
    page.wait_for_selector("#instances li:not(.kept) >> text=house")

    page.fill("#expression", "the red door")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#canvas[data-item='item-1']")
    assert journal(folder)["item-0"].expression == "the red door"
    assert journal(folder)["item-0"].status == "done"

    # draw a polygon where no mask fits
    page.keyboard.press("p")
    for x, y in ((140, 20), (190, 20), (190, 100), (140, 100)):
        click_at(page, x, y)
    page.keyboard.press("Enter")
    page.wait_for_selector("#polygons li")
    state = journal(folder)["item-1"]
    drawn = masks.decode(state.mask(read_tasks(folder)["item-1"]))
    expected = np.zeros((120, 200), bool)
    expected[20:100, 140:190] = True
    assert np.logical_and(drawn, expected).sum() / np.logical_or(drawn, expected).sum() > 0.95
    page.click("#done")
    page.wait_for_selector("#canvas[data-item='item-2']")

    # absent, and a change of mind
    page.keyboard.press("0")
    page.wait_for_selector("#count:has-text('3 of 3')")
    assert journal(folder)["item-2"].status == "absent"
    page.click("#undo")
    page.wait_for_selector("#count:has-text('2 of 3')")
    assert journal(folder)["item-2"].status == "open"

    # nothing kept is not a decision
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:has-text('nothing is kept')")
    assert journal(folder)["item-2"].status == "open"


def test_the_page_goes_on_where_it_stopped(page: Any, served: tuple[Server, Path]) -> None:
    page.keyboard.press("a")
    page.wait_for_selector("#instances li.kept >> nth=1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#canvas[data-item='item-1']")
    page.reload()
    page.wait_for_selector("#canvas[data-item='item-1']")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#canvas[data-item='item-0']")
    assert page.locator("#instances li.kept").count() == 2


def test_a_second_enter_decides_nothing_about_an_item_that_nobody_has_seen(
    page: Any, served: tuple[Server, Path]
) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/items/1/image", hold)
    page.keyboard.press("2")
    page.wait_for_selector("#instances li.kept >> text=door")
    for _ in range(4):
        page.keyboard.press("Enter")
    page.keyboard.press("0")
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()  # the picture comes when all keys have been pressed
    page.wait_for_selector("#canvas[data-item='item-1']")
    page.wait_for_timeout(500)
    kept = journal(served[1])
    assert [kept[f"item-{number}"].status for number in range(3)] == ["done", "open", "open"]
    assert kept["item-1"].expression == page.input_value("#expression") == "the door of house 1"


def test_an_expression_that_could_not_be_saved_stays_and_goes_out_with_the_next_decision(
    served: tuple[Server, Path], browser: Any
) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(served[0].address)
    page.wait_for_selector("#canvas[data-item='item-0']")
    page.route("**/items/0", lambda route: route.abort())
    page.fill("#expression", "the red door")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:has-text('not saved')")
    assert page.input_value("#expression") == "the red door"
    page.unroute("**/items/0")
    page.keyboard.press("2")
    page.wait_for_selector("#instances li.kept >> text=door")
    assert page.input_value("#expression") == "the red door"
    assert journal(served[1])["item-0"].expression == "the red door"
    page.close()


def answer(
    address: str, *, host: str | None = None, body: bytes | None = None, origin: str | None = None
) -> tuple[int, bytes]:
    headers = {name: value for name, value in (("Host", host), ("Origin", origin)) if value}
    request = urllib.request.Request(address, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_picture_that_no_browser_shows_comes_as_one_that_all_do(folder: Path) -> None:
    tasks = read_tasks(folder)
    tasks["item-0"] = replace(tasks["item-0"], image="item-0.tif")
    picture = PILImage.open(folder / "0.png")
    picture.save(folder / "item-0.tif")
    server = Server(folder, Drawing(Journal(folder, "ann", tasks)))
    with answering(server):
        status, given = answer(server.address + "items/0/image")
        assert status == 200
        assert given.startswith(b"\x89PNG")
        assert np.array_equal(PILImage.open(io.BytesIO(given)), picture)
        (folder / "item-0.tif").write_bytes(b"no picture")
        status, said = answer(server.address + "items/0/image")
        assert status >= 400
        assert b"item-0.tif" in said
        assert answer(server.address + "items/1/image") == (200, (folder / "1.png").read_bytes())


def test_what_the_server_refuses(served: tuple[Server, Path]) -> None:
    server, folder = served
    assert server.address.startswith("http://127.0.0.1:")
    origin = server.address.split("/", 3)
    root = "/".join(origin[:3]) + "/"
    assert answer(root)[0] == 404
    assert answer(root + "wrong-token/items")[0] == 404
    assert answer(server.address + "items", host="evil.example")[0] == 400
    assert answer(server.address + "items")[0] == 200
    assert answer(server.address + "items/99")[0] == 404
    assert answer(server.address + "items/0/masks/7")[0] == 404
    assert answer(server.address + "project.py")[0] == 404
    assert answer(server.address + "items/0", body=b"{")[0] == 400
    status, said = answer(server.address + "items/0", body=decision("item-0", keep=["99"], seen=seen(server, 0)))
    assert (status, json.loads(said)["error"]) == (400, "item item-0 has no instance '99'")
    assert not (folder / "decisions-ann.jsonl").exists()


def seen(server: Server, place: int) -> str:
    return str(json.loads(answer(f"{server.address}items/{place}")[1])["seen"])


def decision(item: str, **change: Any) -> bytes:
    return json.dumps(
        {"item": item, "keep": ["23"], "polygons": [], "expression": "x", "status": "done", **change}
    ).encode()


def test_a_decision_is_about_the_item_that_it_names(served: tuple[Server, Path]) -> None:
    server, folder = served
    assert answer(server.address + "items/1", body=decision("item-0"))[0] == 409
    assert answer(server.address + "items/1", body=b"{}")[0] == 409
    for nothing in ({"keep": []}, {"keep": [], "polygons": [[5, 5, 5, 5, 5, 5]]}):
        status, said = answer(server.address + "items/1", body=decision("item-1", seen=seen(server, 1), **nothing))
        assert (status, "nothing kept or drawn" in json.loads(said)["error"]) == (400, True)
    for odd in (b"[" * 100_000, b"[1]", decision("item-1", seen=seen(server, 1), polygons=[[10**400, 1, 2, 3, 4, 5]])):
        assert answer(server.address + "items/1", body=odd)[0] in (400, 409)
    assert not (folder / "decisions-ann.jsonl").exists()
    assert answer(server.address + "items/1", body=decision("item-1", seen=seen(server, 1)))[0] == 200
    assert journal(folder)["item-1"].keep == ("23",)


def test_a_tab_that_has_not_seen_the_newest_decision_takes_nothing_back(
    page: Any, served: tuple[Server, Path], browser: Any
) -> None:
    server, folder = served
    older = browser.new_page()
    older.goto(server.address)
    older.wait_for_selector("#canvas[data-item='item-0']")
    page.click("#instances button >> nth=1")
    page.wait_for_selector("#instances li.kept")
    with older.expect_response("**/items/0"):
        older.click("#instances button >> nth=0")
    older.wait_for_selector("#problem:not(:empty)")
    assert older.inner_text("#problem") == "not saved: item item-0 was changed in another tab: reload the page"
    assert journal(folder)["item-0"].keep == ("23",)
    older.keyboard.press("ArrowRight")
    older.wait_for_selector("#canvas[data-item='item-1']")
    older.keyboard.press("ArrowLeft")
    older.wait_for_selector("#canvas[data-item='item-0']")
    older.keyboard.press("u")
    older.wait_for_selector("#problem:not(:empty)")
    assert older.inner_text("#problem") == "not saved: something was decided in another tab: reload the page"
    assert journal(folder)["item-0"].keep == ("23",)
    older.reload()
    older.wait_for_selector("#instances li.kept")
    older.click("#instances button >> nth=0")
    older.wait_for_selector("#instances li.kept >> nth=1")
    assert set(journal(folder)["item-0"].keep) == {"17", "23"}
    older.close()


def test_another_page_can_send_nothing(served: tuple[Server, Path]) -> None:
    server = served[0]
    own = server.address.rsplit("/", 2)[0]
    for origin in ("https://evil.example", "null", own.replace("127.0.0.1", "localhost")):
        assert answer(server.address + "items/0", body=decision("item-0"), origin=origin)[0] == 403
    assert answer(server.address + "items/0", body=decision("item-0", seen=seen(server, 0)), origin=own)[0] == 200


def test_no_body_is_read_beyond_its_limit_and_a_broken_one_is_told_in_a_line(
    served: tuple[Server, Path], caplog: pytest.LogCaptureFixture
) -> None:
    server = served[0]
    _, _, place, token, _ = server.address.split("/")
    host, port = place.split(":")
    start = f"POST /{token}/items/0 HTTP/1.1\r\nHost: {place}\r\nContent-Length: {1 << 40}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(start)
        with suppress(OSError):  # it may hang up before we are done
            for _ in range(6):
                connection.sendall(b"x" * (1 << 20))
        assert b" 413 " in connection.recv(100)
    caplog.clear()
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(start + b"half")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not caplog.records:
        time.sleep(0.05)
    (record,) = caplog.records
    assert record.getMessage() == "a request was broken off: POST /items/0"


def test_two_servers_on_one_journal_are_refused(served: tuple[Server, Path]) -> None:
    folder = served[1]
    tasks = read_tasks(folder)
    with pytest.raises(DataError, match="worked on by another"):
        Server(folder, Drawing(Journal(folder, "ann", tasks)))
    other = Journal(folder, "ben", tasks)
    Server(folder, Drawing(other))
    other.release()


def test_no_file_outside_the_folders_is_served(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "0.png").rename(elsewhere / "0.png")
    (folder / "0.png").symlink_to(elsewhere / "0.png")
    tasks = read_tasks(folder)
    with pytest.raises(DataError, match="outside the folder of work"):
        Server(folder, Drawing(Journal(folder, "ann", tasks)))
    held = Journal(folder, "ann", tasks)
    Server(folder, Drawing(held), images=elsewhere)
    held.release()


def test_axe_finds_nothing(served: tuple[Server, Path], browser: Any) -> None:
    pytest.importorskip("axe_playwright_python")
    tab = browser.new_page(bypass_csp=True)
    tab.goto(served[0].address)
    tab.wait_for_selector("#canvas[data-item='item-0']")
    check_accessible(tab)
    tab.close()


def test_the_page_looks_as_it_did(served: tuple[Server, Path], browser: Any) -> None:
    tab = open_page(browser, served[0].address, "#canvas[data-item='item-0']")
    check_look(tab, "annotate", PICTURES)
    check_break_is_seen(tab, "annotate", PICTURES, "desktop-light", "main { grid-template-columns: 1fr !important; }")
    check_fits(tab)
    tab.close()
