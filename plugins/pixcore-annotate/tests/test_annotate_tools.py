"""What is drawn, painted, erased and clicked in a real browser is what the journal has, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_annotate.desks import Drawing, Reviewing
from pixcore_annotate.journal import Journal
from pixcore_annotate.project import Instance, Item, State, read_tasks, write_tasks
from pixcore_annotate.review import Reviews
from pixcore_annotate.segmenting import Segmenter
from pixcore_annotate.server import Server

from pixcore import masks
from tests.served import answering

SIZE = (200, 120)


class Opened:
    """The page in a browser, and where pixels of the image are on the screen."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.page = browser.new_page(viewport={"width": 1200, "height": 800}, **options)
        self.page.set_default_timeout(60_000)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#canvas[data-item]")

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("#canvas").bounding_box()
        return box["x"] + x * box["width"] / SIZE[0], box["y"] + y * box["height"] / SIZE[1]

    def click(self, x: float, y: float, **options: Any) -> None:
        self.page.mouse.click(*self.on_screen(x, y), **options)

    def drag(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.on_screen(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.on_screen(*point), steps=4)
        self.page.mouse.up()

    def draw_rectangle(self, left: float, top: float, right: float, bottom: float) -> None:
        """As a polygon, from its upper left corner to the right."""
        self.page.keyboard.press("p")
        for corner in ((left, top), (right, top), (right, bottom), (left, bottom)):
            self.click(*corner)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#polygons >> text=polygon of 4 points")

    def slow_down(self) -> None:
        """Let every answer of the server come 0.7 seconds late from now on."""
        self.page.evaluate(
            "() => { const real = window.fetch; const wait = () => new Promise((go) => setTimeout(go, 700));"
            " window.fetch = async (...all) => { await wait(); return real(...all); } }"
        )

    def close(self) -> None:
        self.page.close()
        assert not self.problems


@pytest.fixture
def work(folder: Path) -> Path:
    """The folder, whose first item has thirteen masks: more than there are keys for."""
    tasks = list(read_tasks(folder).values())
    more = [np.zeros((SIZE[1], SIZE[0]), bool) for _ in range(11)]
    for place, mask in enumerate(more):
        mask[2:8, 10 * place : 10 * place + 6] = True
    extra = tuple(Instance(f"m{place}", f"mark {place}", masks.encode(mask)) for place, mask in enumerate(more))
    many = Item(**{**vars(tasks[0]), "instances": (*tasks[0].instances, *extra)})
    other = folder.parent / "other"
    other.mkdir()
    for item in tasks:
        (other / item.image).write_bytes((folder / item.image).read_bytes())
    write_tasks(other, [many, *tasks[1:]])
    return other


@pytest.fixture
def opened(work: Path, browser: Any) -> Iterator[Opened]:
    pytest.importorskip("pixcore_regions")
    journal = Journal(work, "ann", read_tasks(work))
    server = Server(work, Drawing(journal, Segmenter("regions")))
    with answering(server):
        opened = Opened(browser, server.address)
        yield opened
        opened.close()


def kept(folder: Path, item: str = "item-0") -> State:
    return Journal(folder, "ann", read_tasks(folder))[item]


def pixels(folder: Path, item: str = "item-0") -> NDArray[np.bool_]:
    return masks.decode(kept(folder, item).mask(read_tasks(folder)[item]))


def capsule(start: tuple[float, float], end: tuple[float, float], width: float) -> NDArray[np.bool_]:
    """The pixels within half a width of a line: what a round brush paints."""
    ys, xs = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    along = np.array(end) - start
    share = np.clip(((xs - start[0]) * along[0] + (ys - start[1]) * along[1]) / max(along @ along, 1e-9), 0, 1)
    far = np.hypot(xs - start[0] - share * along[0], ys - start[1] - share * along[1])
    return far <= width / 2


def agree(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    return float((found & wanted).sum() / (found | wanted).sum())


def test_a_picture_that_cant_be_shown_stops_nobody(work: Path, browser: Any) -> None:
    (work / "0.png").write_bytes(b"no picture")
    server = Server(work, Drawing(Journal(work, "ann", read_tasks(work))))
    with answering(server):
        opened = Opened(browser, server.address)
        opened.page.wait_for_selector("#problem >> text=0.png can't be shown: skip it")
        opened.page.keyboard.press("s")
        opened.page.wait_for_selector("#canvas[data-item='item-1']")
        opened.page.wait_for_selector("#problem:empty", state="attached")
        opened.page.keyboard.press("ArrowLeft")
        opened.page.wait_for_selector("#problem >> text=0.png can't be shown: skip it")
        opened.close()
    assert kept(work).status == "skipped"


def test_enter_opens_the_list_of_keys_and_decides_nothing(opened: Opened, work: Path) -> None:
    opened.page.keyboard.press("1")
    opened.page.wait_for_selector("li.kept")
    opened.page.locator(".keys summary").focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector(".keys[open]")
    assert kept(work).status == "open"


def test_a_label_turns_no_writing_but_its_own(work: Path, browser: Any) -> None:
    tasks = list(read_tasks(work).values())
    turned = Instance("17", "door \u202eevil", tasks[0].instances[0].mask)
    other = work.parent / "turned"
    other.mkdir()
    (other / "0.png").write_bytes((work / "0.png").read_bytes())
    write_tasks(other, [Item(**{**vars(tasks[0]), "instances": (turned,)})])
    server = Server(other, Drawing(Journal(other, "ann", read_tasks(other))))
    with answering(server):
        opened = Opened(browser, server.address)
        left, right = opened.page.locator("#instances .label").evaluate(
            """label => [" · ", "px"].map((part) => {
                const text = label.lastChild, range = document.createRange(), at = text.data.indexOf(part);
                range.setStart(text, at);
                range.setEnd(text, at + part.length);
                return range.getBoundingClientRect().left;
            })"""
        )
        opened.close()
    assert left < right


def test_brush_eraser_and_undo_across_a_restart(opened: Opened, work: Path) -> None:
    page = opened.page
    page.keyboard.press("b")
    opened.drag((130, 60), (180, 60))
    page.wait_for_selector("#polygons >> text=painted")
    wide = capsule((130, 60), (180, 60), 16)
    assert agree(pixels(work), wide) > 0.97
    page.keyboard.press("e")
    page.keyboard.press("[")
    page.keyboard.press("[")
    opened.drag((155, 45), (155, 75))
    page.wait_for_selector("#polygons >> text=erased")
    cut = capsule((155, 45), (155, 75), 8)
    assert agree(pixels(work), wide & ~cut) > 0.96
    # a candidate that is kept is erased too, where the eraser went over it
    page.keyboard.press("1")
    page.wait_for_selector("#instances li.kept >> text=house")
    with page.expect_response("**/items/0"):
        opened.drag((30, 30), (110, 30))
    page.reload()
    page.wait_for_selector("#canvas[data-item='item-0']")
    house = masks.decode(read_tasks(work)["item-0"].instances[0].mask)
    whole = (house & ~capsule((30, 30), (110, 30), 8)) | (wide & ~cut)
    assert agree(pixels(work), whole) > 0.97
    for _ in range(3):
        page.wait_for_selector("main[aria-busy='false']")
        page.keyboard.press("u")
    page.wait_for_selector("main[aria-busy='false']")
    assert agree(pixels(work), wide) > 0.97


def test_a_stroke_that_is_under_way_counts_where_a_key_goes_on(opened: Opened, work: Path) -> None:
    page = opened.page
    page.keyboard.press("1")
    page.wait_for_selector("#instances li.kept")
    page.keyboard.press("b")
    page.mouse.move(*opened.on_screen(130, 60))
    page.mouse.down()
    page.mouse.move(*opened.on_screen(180, 60), steps=4)
    page.keyboard.press("Enter")
    page.wait_for_selector("#canvas[data-item='item-1']")
    page.mouse.move(*opened.on_screen(60, 60), steps=4)
    page.mouse.up()
    page.wait_for_selector("main[aria-busy='false']")
    assert kept(work).status == "done"
    house = masks.decode(read_tasks(work)["item-0"].instances[0].mask)
    assert agree(pixels(work), house | capsule((130, 60), (180, 60), 16)) > 0.97
    assert kept(work, "item-1") == State(expression="the door of house 1")


def test_what_is_drawn_and_not_taken_is_told_before_an_item_is_done(opened: Opened, work: Path) -> None:
    page = opened.page
    page.keyboard.press("1")
    page.wait_for_selector("#instances li.kept")
    page.keyboard.press("p")
    for corner in ((140, 20), (190, 20), (190, 100)):
        opened.click(*corner)
    page.locator("#done").click()
    page.wait_for_selector("#problem >> text=the polygon is not closed")
    page.keyboard.press("Enter")
    page.wait_for_selector("#polygons >> text=polygon of 3 points")
    page.keyboard.press("c")
    opened.click(100, 80)
    page.wait_for_selector("#hint >> text=Enter accepts")
    page.locator("#done").click()
    page.wait_for_selector("#problem >> text=the mask of your clicks is not taken")
    assert kept(work).status == "open"
    page.keyboard.press("Escape")
    page.locator("#done").click()
    page.wait_for_selector("#canvas[data-item='item-1']")
    assert (kept(work).status, len(kept(work).polygons)) == ("done", 1)


def test_zoomed_in_a_corner_is_moved_made_and_removed(opened: Opened, work: Path) -> None:
    page = opened.page
    opened.draw_rectangle(140, 20, 190, 100)
    before = page.locator("#canvas").bounding_box()["width"]
    page.mouse.move(*opened.on_screen(165, 60))
    page.mouse.wheel(0, -250)
    page.wait_for_function(f"() => document.getElementById('canvas').getBoundingClientRect().width > {1.3 * before}")
    place = opened.on_screen(165, 60)
    opened.drag((100, 60), (90, 60))  # a drag beside every corner pans
    assert math.dist(place, opened.on_screen(165, 60)) > 20
    assert not kept(work).keep
    opened.drag((140, 60), (120, 60))  # the middle of an edge makes a corner
    page.wait_for_selector("#polygons >> text=polygon of 5 points")
    page.keyboard.press("f")
    opened.drag((140, 100), (150, 110))
    page.keyboard.down("Alt")
    opened.click(190, 20)
    page.keyboard.up("Alt")
    page.wait_for_selector("#polygons >> text=polygon of 4 points")
    corners = np.reshape(kept(work).polygons[0], (-1, 2))
    wanted = np.array([(140, 20), (190, 100), (150, 110), (120, 60)])
    assert np.abs(corners - wanted).max() < 1.5


def test_corners_that_are_moved_and_removed_faster_than_the_server_answers_all_count(
    opened: Opened, work: Path
) -> None:
    page = opened.page
    opened.draw_rectangle(140, 20, 190, 100)
    opened.slow_down()
    opened.drag((140, 60), (120, 60))
    opened.drag((140, 100), (150, 110))
    page.keyboard.down("Alt")
    opened.click(190, 20)
    page.keyboard.up("Alt")
    page.wait_for_selector("#polygons >> text=polygon of 5 points")
    page.wait_for_selector("#polygons >> text=polygon of 4 points")
    corners = np.reshape(kept(work).polygons[0], (-1, 2))
    wanted = np.array([(140, 20), (190, 100), (150, 110), (120, 60)])
    assert np.abs(corners - wanted).max() < 1.5


def test_polygons_that_are_removed_faster_than_the_server_answers_are_those_that_were_meant(
    opened: Opened, work: Path
) -> None:
    for left in (10, 70, 130):
        opened.draw_rectangle(left, 20, left + 40, 100)
        opened.page.wait_for_selector(f"#polygons > li:nth-child({left // 60 + 1})")
    opened.slow_down()
    for place in (1, 2):
        opened.page.locator(f"#polygons > li:nth-child({place}) button").click()
    opened.page.wait_for_function("() => document.querySelectorAll('#polygons > li').length === 1")
    (ring,) = kept(work).polygons
    assert min(ring[0::2]) == pytest.approx(130, abs=1.5)


def test_strokes_that_are_drawn_faster_than_the_server_answers_all_count(opened: Opened, work: Path) -> None:
    page = opened.page
    opened.slow_down()
    page.keyboard.press("b")
    opened.drag((130, 30), (180, 30))
    opened.drag((130, 60), (180, 60))
    page.keyboard.press("e")
    opened.drag((150, 20), (150, 70))
    page.keyboard.press("b")
    page.mouse.move(*opened.on_screen(130, 90))
    page.mouse.down()
    page.mouse.move(*opened.on_screen(155, 90), steps=4)
    page.wait_for_selector("#polygons >> text=erased")  # answers come while the pointer is down
    page.mouse.move(*opened.on_screen(180, 90), steps=4)
    page.keyboard.press("v")  # and ends the stroke
    page.mouse.up()
    with page.expect_response("**/items/0"):
        page.wait_for_timeout(1)
    wide = [capsule((130, y), (180, y), 16) for y in (30, 60, 90)]
    wanted = ((wide[0] | wide[1]) & ~capsule((150, 20), (150, 70), 16)) | wide[2]
    assert agree(pixels(work), wanted) > 0.96


def test_clicks_ask_the_generator_and_keys_reach_every_mask(opened: Opened, work: Path) -> None:
    page = opened.page
    tasks = read_tasks(work)
    page.keyboard.press("c")
    opened.click(65, 55)
    page.wait_for_selector("#hint:has-text('mask 1 of')")
    made = Segmenter("regions").masks(work / "0.png", [(65, 55, 1)])
    door = tasks["item-0"].instances[1].mask
    best = int(np.argmax(masks.iou([mask for mask, _ in made], [door])[:, 0]))
    page.keyboard.press(str(best + 1))
    page.wait_for_selector(f"#hint:has-text('mask {best + 1} of')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#polygons >> text=painted")
    assert masks.iou([kept(work).mask(tasks["item-0"])], [made[best][0]])[0, 0] == 1
    # a click outside narrows what is meant
    page.keyboard.press("c")
    opened.click(30, 90)
    page.wait_for_selector("#hint:has-text('mask 1 of')")
    page.keyboard.down("Alt")
    opened.click(65, 55)
    page.keyboard.up("Alt")
    page.wait_for_selector("#hint:has-text('mask 1 of')")
    page.keyboard.press("Escape")
    # the thirteenth mask has no number, and is kept by keys alone
    page.locator("#canvas").focus()
    page.mouse.move(5, 5)
    for _ in range(13):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("#instances li.kept >> text=mark 10")
    assert kept(work).keep == ("m10",)


def test_a_second_person_accepts_or_returns(work: Path, browser: Any) -> None:
    tasks = read_tasks(work)
    journal = Journal(work, "ann", tasks)
    journal.decide("item-0", State(("17",), (), "the house", "done"))
    journal.decide("item-1", State((), (), "a tree", "absent"))
    server = Server(work, Reviewing(journal, Reviews(work, "ben", tasks)))
    with answering(server):
        opened = Opened(browser, server.address, color_scheme="dark")
        page = opened.page
        assert page.locator(".drawing:visible").count() == 0
        page.keyboard.press("1")  # nothing is changed here
        page.keyboard.press("r")
        page.keyboard.type("the door is meant, not the house")
        page.keyboard.press("Enter")
        page.wait_for_selector("#canvas[data-item='item-1']")
        page.keyboard.press("Enter")
        page.wait_for_selector("#count:has-text('2 of 2')")
        opened.close()
    assert kept(work) == State(("17",), (), "the house", "done")
    server = Server(work, Drawing(Journal(work, "ann", tasks), Segmenter()))
    with answering(server):
        opened = Opened(browser, server.address)
        page = opened.page
        page.wait_for_selector("#said.returned:has-text('returned by ben: the door is meant, not the house')")
        page.keyboard.press("1")
        page.keyboard.press("2")
        page.wait_for_selector("#instances li.kept >> text=door")
        page.keyboard.press("Enter")
        page.wait_for_selector("#canvas[data-item='item-1']")
        assert page.inner_text("#said") == "accepted by ben"
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#said", state="hidden")  # who has drawn it anew has answered
        opened.close()
