"""The explorer in a real browser, with real clicks and keys: what is shown, what is not run, who is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pixcore_explorer.export import export
from pixcore_explorer.server import Explorer, serve
from pixcore_pictures.drawing import data_uri
from pixcore_report.figures import figures

import pixcore
from pixcore import masks
from pixcore.terminal import Console
from tests.pages import check_accessible
from tests.served import answering


class Tab:
    """A page that notes every complaint and every request."""

    def __init__(self, browser: Any, address: str) -> None:
        self._context = browser.new_context(viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
        self.page = self._context.new_page()
        self.page.set_default_timeout(60_000)
        self.address = address
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def go(self, place: str) -> Any:
        self.page.goto("about:blank")
        self.page.goto(self.address + place)
        return self.page

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def tab(browser: Any, shown: Any) -> Iterator[Tab]:
    tab = Tab(browser, shown.address)
    yield tab
    tab.close()
    assert not tab.complaints
    assert all(url.startswith((shown.address, "data:", "about:")) for url in tab.requests)


def until(page: Any, holds: str) -> None:
    """Wait until an expression holds (the page's policy forbids Playwright's own way, which evaluates text)."""
    for _ in range(1200):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {holds}")


def count_of(page: Any, text: str) -> None:
    until(page, f"document.getElementById('count')?.textContent.trim() === {text!r}")


def pixels(page: Any) -> str:
    drawn: str = page.evaluate("document.querySelector('.stage canvas').toDataURL()")
    return drawn


def test_the_index_sorts_searches_notes_and_follows_a_run(tab: Tab, shown: Any) -> None:
    page = tab.go("#/")
    page.wait_for_selector("#runs tbody tr >> nth=2")
    names = lambda: [one.split("\n")[0] for one in page.locator("#runs tbody th a").all_inner_texts()]  # noqa: E731
    assert set(names()) == {"first", "second", "going"}
    # a run that goes on tells its stage, its rate and what is left: 4 records in 2 seconds, 2 to go
    state = page.locator(f"tr[data-run='{shown.key('going')}'] .state").inner_text()
    for said in ("running", "answer: 6 of 8", "2.0/s, 1 s left"):
        assert said in state
    # figures with their intervals, as summary.json has them
    row = json.loads((shown.root / "first/summary.json").read_text())["rows"][1]
    cell = page.locator(f"tr[data-run='{shown.key('first')}'] td.figure").nth(4).inner_text().split("\n")
    assert cell[0] == f"{row['figures']['M']['value']:.1f}"
    page.get_by_role("button", name="run", exact=True).click()
    assert names() == ["first", "going", "second"]
    page.get_by_role("button", name="run ↑").click()
    assert names() == ["second", "going", "first"]
    page.get_by_label("state").select_option("done")
    page.keyboard.press("/")
    page.keyboard.type("sec")
    until(page, "document.querySelectorAll('#runs tbody tr').length === 1")
    page.get_by_role("button", name="notes").click()
    page.locator("input[name=tags]").fill("rank two, <b>bold</b>")
    page.locator("textarea[name=note]").fill("the second peak")
    page.get_by_role("button", name="keep").click()
    page.wait_for_selector(".tag:has-text('<b>bold</b>')")
    assert json.loads((shown.root / "second/notes.json").read_text()) == {
        "tags": ["rank two", "<b>bold</b>"],
        "note": "the second peak",
    }
    page.locator("#filter").fill("")
    page.get_by_label("leaderboard").select_option("mini-world")
    until(page, "document.querySelectorAll('#runs tbody tr').length > 4")
    heads = page.locator("#runs thead th").all_inner_texts()
    column = next(place for place, head in enumerate(heads, 1) if head == "S ↓")
    shown_s = page.locator(f"#runs tbody tr > :nth-child({column})").all_inner_texts()
    scores = [float(one.split("\n")[0]) for one in shown_s]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_index_has_all_its_columns_on_the_screen(browser: Any, shown: Any, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(shown.address)
    page.wait_for_selector("#runs tbody tr >> nth=2")
    beyond = page.locator("#runs :is(th, td, progress)").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).filter(box => box.left < 0 || box.right > innerWidth)"
    )
    box = page.locator("#runs").locator("xpath=..")
    assert (beyond, box.evaluate("box => box.scrollWidth - box.clientWidth")) == ([], 0)
    told = page.locator(f"tr[data-run='{shown.key('going')}'] .state").inner_text()
    assert "running" in told
    for head in page.locator("#runs thead button").all():
        assert head.is_visible()
    page.close()


def test_any_category_can_be_picked(tab: Tab, shown: Any) -> None:
    values = ["none", 'say "hi"', "back\\slash", "two  spaces", "a line\nand another", "true", "3", None]

    def with_odd_categories(route: Any) -> None:
        answered = route.fetch()
        data = answered.json()
        for line, value in zip(data["entries"], values, strict=False):  # none, where it asks for more
            names = ("2024", "not", "m", "M", "answer")
            line["categories"] = {} if value is None else dict.fromkeys(names, value)
        route.fulfill(response=answered, json=data)

    shown.explorer.opened(shown.key("first"))[0].wait()
    tab.page.route("**/lines?*", with_odd_categories)
    page = tab.go(f"#/run/{shown.key('first')}")
    count_of(page, "8 of 8")
    # the first two read as something else, the third as the figure M, and two are called like a figure and a field
    for name in ("2024", "not", "m", "category: M", "category: answer"):
        for value in values[:-1]:
            page.locator("#filter").fill("")
            page.locator(f"xpath=//label[text()='{name}']/select").select_option(value)
            count_of(page, "1 of 8")
    page.locator("#filter").fill("m = none")
    count_of(page, "1 of 8")


def test_a_link_with_a_bare_percent_sign_says_what_is_not_there(tab: Tab, shown: Any) -> None:
    page = tab.go(f"#/run/{shown.key('first')}/sample/50%25%")
    page.wait_for_selector("text=the run has no sample '50%25%'")
    assert all("400" in said for said in tab.complaints)
    tab.complaints.clear()


def test_a_place_is_in_percent_with_and_without_the_sign(tab: Tab, shown: Any) -> None:
    key = shown.key("first")
    found = [line["protocols"]["question"].get("place", -1) for line in shown.explorer.opened(key)[0].wait()]
    last = max(found)
    late = sum(one >= last for one in found)
    assert late < sum(one >= last / 100 for one in found)
    page = tab.go(f"#/run/{key}?probing=question")
    for said in (f"place >= {last}", f"place >= {last}%"):
        page.locator("#filter").fill(said)
        count_of(page, f"{late} of 8")


def test_samples_are_filtered_sorted_and_walked_by_keys(tab: Tab, shown: Any) -> None:
    run = pixcore.open_run(shown.root / "first")
    low = [one.id for one in run.samples() if (one.result.by_probing["segment"].scores["mask-score"].iou or 0) < 0.2]
    page = tab.go(f"#/run/{shown.key('first')}")
    count_of(page, "8 of 8")
    page.wait_for_selector(".tile img")
    page.get_by_label("row").select_option("mask-score")
    page.keyboard.press("/")
    page.keyboard.type("M < 0.2")
    count_of(page, f"{len(low)} of 8")
    assert page.locator(".tile").evaluate_all("all => all.map(one => one.dataset.id)") == low
    # the address is what one sees
    address = page.url
    page = tab.go(address.removeprefix(tab.address))
    count_of(page, f"{len(low)} of 8")
    for wrong, said in (
        ("M <", "column 4: expected a number or a text, found the end"),
        ("colours = red", 'column 1: there is no figure or category "colours"; there are'),
        ("(M < 1", "column 7: expected a closing )"),
        ('M of "nobody" > 0', 'there is no row "nobody"'),
        ("target > 3", "column 1: target is no number: =, != and ~ compare it"),
        ("not id <= 3", "column 5: id is no number: =, != and ~ compare it"),
    ):
        page.locator("#filter").fill(wrong)
        page.wait_for_selector(f"#filter-error:has-text('{said}')")
        assert "\n" not in page.inner_text("#filter-error")
    categories = [one.result.sample.categories for one in run.samples()]
    target = categories[0]["target"]
    page.locator("#filter").fill(f'M of "oracle" >= 0 and target = "{target}" and not (answer = none)')
    count_of(page, f"{sum(one['target'] == target for one in categories)} of 8")
    page.locator("#filter").fill("")
    page.get_by_role("button", name="table", exact=True).click()
    page.locator(".line.head button", has_text="best").click()
    page.wait_for_function("""() => {
        const all = [...document.querySelectorAll(".scroller a.line")].map(one => Number(one.children[6].textContent))
        return all.length === 8 && all.every((one, place) => place === 0 || all[place - 1] <= one)
    }""")
    page.locator(".scroller").focus()
    page.keyboard.press("?")
    page.wait_for_selector("#help")
    page.keyboard.press("Escape")
    page.wait_for_selector("#help", state="detached")
    second = page.locator(".scroller a.line").nth(1).get_attribute("data-id")
    page.keyboard.press("j")
    page.wait_for_selector(f".scroller a.line.here[data-id='{second}']")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1:has-text('{second}')")
    page.wait_for_selector("text=2 of 8")  # it knows by now what stands before
    page.keyboard.press("k")
    page.wait_for_selector("text=1 of 8")
    page.keyboard.press("Escape")
    count_of(page, "8 of 8")


def test_enter_presses_the_button_that_has_the_focus(tab: Tab, shown: Any) -> None:
    page = tab.go(f"#/run/{shown.key('first')}")
    count_of(page, "8 of 8")
    page.get_by_role("button", name="table", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".scroller a.line >> nth=3")
    assert "/sample/" not in page.url
    # whoever goes on with j and k opens what is marked
    page.keyboard.press("j")
    second = page.locator(".scroller a.line").nth(1).get_attribute("data-id")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1:has-text('{second}')")
    page.keyboard.press("Escape")
    fourth = page.locator(".scroller a.line").nth(3)
    name = fourth.get_attribute("data-id")
    fourth.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1:has-text('{name}')")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="atlas").focus()
    page.keyboard.press("Enter")
    until(page, "location.hash.endsWith('/atlas')")


def test_a_slider_goes_on_and_the_matrix_stays_open_while_maps_are_read(tab: Tab, shown: Any) -> None:
    name = next(iter(shown.explorer.opened(shown.key("first"))[0].wait()))["id"]
    page = tab.go(f"#/run/{shown.key('first')}/sample/{name}?t=1")
    page.get_by_label("layer").focus()
    for layer in (0, 1):
        page.keyboard.press("ArrowRight")
        until(page, f"location.hash.includes('layer={layer}')")
    page.locator(".heads summary").click()
    for place in (5, 2):
        page.locator(".matrix button").nth(place).click()
        until(page, f"document.querySelectorAll('.matrix button')[{place}].className === 'on'")


def test_showing_all_of_a_picture_sets_no_point(tab: Tab, shown: Any) -> None:
    name = next(iter(shown.explorer.opened(shown.key("first"))[0].wait()))["id"]
    page = tab.go(f"#/run/{shown.key('first')}/sample/{name}")
    page.wait_for_selector(".chip")
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    page.wait_for_selector(".corner")
    page.keyboard.press("p")
    page.locator(".corner").click()
    page.wait_for_selector(".corner", state="detached")
    page.locator(".stage").click()
    page.wait_for_selector("#whatif")
    assert sum(url.split("?")[0].endswith("/masks") for url in tab.requests) == 1


def test_a_server_that_was_away_is_asked_again(tab: Tab, shown: Any) -> None:
    page = tab.go("#/")
    page.wait_for_selector("#runs tbody tr")
    page.route("**/runs", lambda route: route.abort())
    page.wait_for_selector("text=pixcore view does not answer")
    page.unroute("**/runs")
    page.wait_for_selector("#runs tbody tr")
    assert all("ERR_FAILED" in said for said in tab.complaints)
    tab.complaints.clear()


def test_a_runs_samples_are_asked_for_again_where_the_server_was_away(tab: Tab, shown: Any) -> None:
    """The page of a run that was not wholly read said so until it was loaded anew."""
    page = tab.page
    page.route("**/lines?*", lambda route: route.abort())
    tab.go(f"#/run/{shown.key('first')}")
    page.wait_for_selector("text=pixcore view does not answer")
    page.unroute("**/lines?*")
    count_of(page, "8 of 8")
    assert page.locator("text=pixcore view does not answer").count() == 0
    assert all("ERR_FAILED" in said for said in tab.complaints)
    tab.complaints.clear()


def test_a_run_that_is_gone_on_with_grows_on_the_pages_that_show_it(browser: Any, tmp_path: Path) -> None:
    config = {
        "benchmark": {"name": "mini-world", "pairs": 2},
        "protocols": ["segment"],
        "store": str(tmp_path / "store"),
    }
    pixcore.run(config, output=tmp_path / "runs/grown", limit=2)
    explorer = Explorer([tmp_path / "runs"])
    server, key = serve(explorer), explorer.runs()[0]["key"]
    with answering(server):
        tab = Tab(browser, server.address)
        page = tab.go(f"#/run/{key}")
        count_of(page, "2 of 2")
        pixcore.run(config, output=tmp_path / "runs/grown")
        count_of(page, "4 of 4")
        page.keyboard.press("a")
        page.wait_for_selector(".atlas")
        assert "of 4 samples" in page.inner_text(".atlas")
        server.stop()
        page.keyboard.press("Escape")
        page.wait_for_timeout(6000)
        count_of(page, "4 of 4")  # what is shown stays while the server is away
        assert all("ERR_CONNECTION" in said for said in tab.complaints)
        tab.close()


def test_an_atlas_without_phrases_says_so(tab: Tab, shown: Any) -> None:
    def without(route: Any) -> None:
        answered = route.fetch()
        data = answered.json()
        for own in data["atlas"]["probings"].values():
            own["dots"] = [{"of": 0, "drawn": []} for _ in own["dots"]]
        route.fulfill(response=answered, json=data)

    shown.explorer.opened(shown.key("first"))[0].wait()
    tab.page.route("**/atlas", without)
    page = tab.go(f"#/run/{shown.key('first')}/atlas")
    page.wait_for_selector("text=no phrase has a mask under this protocol")
    assert page.locator(".plot").count() == 0
    page.get_by_label("protocol").select_option("question")  # another one may have some
    until(page, "location.hash.includes('question')")


def test_a_thin_picture_can_be_zoomed(tab: Tab, shown: Any) -> None:
    def thin(route: Any) -> None:
        answered = route.fetch()
        data = answered.json()
        data["payload"] |= {"width": 3000, "height": 12}
        route.fulfill(response=answered, json=data)

    tab.page.route("**/sample?*", thin)
    name = next(iter(shown.explorer.opened(shown.key("first"))[0].wait()))["id"]
    page = tab.go(f"#/run/{shown.key('first')}/sample/{name}")
    page.wait_for_selector(".chip")
    assert page.locator(".stage").bounding_box()["height"] >= 150


@pytest.mark.parametrize("width", [390, 1280])
def test_a_tables_heads_stand_above_their_columns_wherever_one_scrolls(tab: Tab, shown: Any, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 500})
    page = tab.go(f"#/run/{shown.key('first')}?view=table")
    count_of(page, "8 of 8")
    page.wait_for_selector(".scroller a.line")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    lefts = "all => all.map(one => one.getBoundingClientRect().left)"
    for right in (0, 240, 10_000):
        page.locator(".scroller").evaluate("(one, left) => one.scrollTo(left, 90)", right)
        heads, cells = (page.locator(f"{one} > *").evaluate_all(lefts) for one in (".line.head", "a.line.here"))
        assert heads == pytest.approx(cells, abs=1)
    last = page.locator(".line.head button").last.bounding_box()
    assert last["x"] + last["width"] <= width
    # the line before is never under the heads, however one comes to it
    for key in ("j", "k"):
        for _ in range(7):
            page.keyboard.press(key)
    until(page, "document.querySelector('a.line.here') === document.querySelector('.scroller a.line')")
    tops = "one => one.getBoundingClientRect()"
    assert page.locator("a.line.here").evaluate(tops)["top"] >= page.locator(".line.head").evaluate(tops)["bottom"] - 1


def test_one_sample_shows_each_word_and_makes_masks_of_points_that_one_moves(tab: Tab, shown: Any) -> None:
    run = pixcore.open_run(shown.root / "first")
    one = next(view for view in run.samples() if len(view.result.by_probing["segment"].candidates) > 1)
    page = tab.go(f"#/run/{shown.key('first')}/sample/{one.id}?row=oracle")
    page.wait_for_selector(".chip")
    tokens = one.result.by_probing["segment"].response.tokens
    assert page.locator(".chip").count() == len(tokens)
    before = pixels(page)
    page.locator(".chip").nth(1).hover()
    until(page, "document.querySelectorAll('.chip.on').length === 1")
    hovered = pixels(page)
    assert hovered != before
    page.locator(".chip").nth(1).click()
    until(page, "location.hash.includes('t=1')")
    # dragging takes several: their mean
    first, last = (page.locator(".chip").nth(place).bounding_box() for place in (1, 3))
    page.mouse.move(first["x"] + 4, first["y"] + 8)
    page.mouse.down()
    page.mouse.move(last["x"] + 4, last["y"] + 8, steps=4)
    page.mouse.up()
    until(page, "location.hash.includes('t=1-3')")
    page.mouse.move(5, 5)
    pinned = pixels(page)
    page.get_by_label("layer").focus()
    page.keyboard.press("ArrowRight")
    until(page, "location.hash.includes('layer=0')")
    until(page, f"document.querySelector('.stage canvas').toDataURL() !== {pinned!r}")
    page.get_by_label("smooth").check()
    until(page, "location.hash.includes('smooth')")
    page.locator(".heads summary").click()
    page.wait_for_selector(".matrix canvas >> nth=15")
    page.locator(".matrix button").nth(5).click()
    until(page, "location.hash.includes('layer=1') && location.hash.includes('head=1')")
    # a click in the middle of the picture: the run's own generator makes masks there
    page.keyboard.press("p")
    box = page.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#whatif")
    width, height = one.image.size
    generator = run._job.resolved.components.one("masks").create(run._job.context)
    (proposal,) = generator.segment(one.image, [pixcore.PointPrompt.at((width / 2, height / 2))])
    found = masks.encode_many(proposal.masks, proposal.size)
    ious = masks.iou(found, [one.result.sample.mask])[:, 0]
    told = page.inner_text("#whatif")
    assert [f"IoU {value:.2f}" in told for value in ious] == [True] * 3
    page.get_by_role("button", name="back to the run's").click()
    page.keyboard.press("p")
    page.get_by_role("button", name="masks at the peak").click()
    page.wait_for_selector("#whatif")
    page.get_by_role("button", name="back to the run's").click()
    # the best candidate is first, a control's stand beside
    best = [max(values) for values in one.result.by_probing["segment"].ious]
    ranked = page.locator(".candidates li").evaluate_all("all => all.map(one => Number(one.dataset.candidate))")
    assert [best[place] for place in ranked] == sorted(best, reverse=True)
    assert page.locator(".beside").count() == len(best)
    page.get_by_label("whose").select_option("random points")
    until(page, "location.hash.includes('control=')")
    page.get_by_label("whose").select_option("")
    page.locator(".candidates li .mask").first.click()
    # what is copied is the mask itself
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="copy RLE").click()
    page.wait_for_selector("#told:has-text('RLE copied')")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied == one.result.by_probing["segment"].candidates[ranked[0]].masks[0]
    page.get_by_role("button", name="copy SVG").click()
    page.wait_for_selector("#told:has-text('SVG copied')")
    assert page.evaluate("navigator.clipboard.readText()").startswith("<svg xmlns=")
    page.get_by_role("button", name="copy PNG").click()
    page.wait_for_selector("#told:has-text('PNG copied')")
    page.get_by_role("button", name="copy command").click()
    page.wait_for_selector("#told:has-text('command copied')")
    assert one.id in page.evaluate("navigator.clipboard.readText()")
    # the wheel zooms; a double click shows all again
    page.locator(".stage").hover()
    page.mouse.wheel(0, -600)
    page.wait_for_selector(".corner")
    page.locator(".stage").dblclick()
    page.wait_for_selector(".corner", state="detached")


def test_runs_side_by_side_flips_and_the_atlas(tab: Tab, shown: Any) -> None:
    first, second = shown.key("first"), shown.key("second")
    page = tab.go(f"#/flips?left={first}&right={second}&row=mask-score")
    sides = [pixcore.open_run(shown.root / name) for name in ("first", "second")]
    found = [
        [
            (view.result.by_probing[name].scores["mask-score"].iou or 0) > 0.5
            for view in side.samples()
            for name in ("question", "segment")
        ]
        for side in sides
    ]
    flips = int(np.sum(np.array(found[0]) != np.array(found[1])))
    count_of(page, f"{flips} flipped")
    if flips:
        page.locator(".flip").first.click()
    else:
        page = tab.go(f"#/run/{first}/sample/{sides[0].samples()[0].id}?with={second}")
    until(
        page, "document.querySelectorAll('.panel .chip').length > 4 && document.querySelectorAll('.panel').length === 2"
    )
    # the same word is shown in both
    page.locator(".panel").first.locator(".chip").nth(1).hover()
    until(page, "[...document.querySelectorAll('.panel')].every(one => one.querySelectorAll('.chip.on').length === 1)")
    page = tab.go(f"#/run/{first}/atlas?probing=segment")
    page.wait_for_selector(".chart svg")
    dots = sum(len(view.result.by_probing["segment"].candidates) for view in sides[0].samples())
    page.wait_for_selector(f"text={dots} phrases")
    assert page.locator(".chart").first.locator("a circle, circle").count() >= dots
    page.locator(".card").nth(1).locator("svg a").first.click()
    until(page, "location.hash.includes('filter=concept')")
    page.wait_for_selector(".tile")


def test_flips_find_an_object_above_one_half_and_need_a_sample_in_common(tab: Tab, shown: Any) -> None:
    first, second = shown.key("first"), shown.key("second")

    def changed(iou: float, name: str) -> Any:
        def answered(route: Any) -> None:
            given = route.fetch()
            data = given.json()
            for line in data["entries"]:
                line["id"] = name + line["id"]
                for one in line["protocols"].values():
                    one |= {"iou": [iou] * len(one["iou"]), "answer": "right"}
            route.fulfill(response=given, json=data)

        return answered

    for key in (first, second):
        shown.explorer.opened(key)[0].wait()
    for ious, names, said in (
        ((0.5, 0.2), ("", ""), "nothing flipped between these runs"),
        ((0.51, 0.5), ("", "another "), "these runs have no sample in common"),
    ):
        for key, iou, name in zip((first, second), ious, names, strict=True):
            tab.page.unroute(f"**/{key}/lines?*")
            tab.page.route(f"**/{key}/lines?*", changed(iou, name))
        page = tab.go(f"#/flips?left={first}&right={second}")
        page.wait_for_selector(f"text={said}")
        count_of(page, "0 flipped")


def test_flips_name_the_row_on_the_right_where_it_is_another(tab: Tab, shown: Any) -> None:
    first, second = (pixcore.open_run(shown.root / name) for name in ("first", "second"))
    page = tab.go(f"#/flips?left={shown.key('first')}&right={shown.key('second')}&row=phrase-overlap")

    def found(view: Any, probing: str, row: str) -> bool:
        return bool((view.result.by_probing[probing].scores[row].iou or 0) > 0.5)

    def flipped(right: str) -> int:
        sides = list(zip(first.samples(), second.samples(), strict=True))
        both = [(found(a, name, "phrase-overlap"), found(b, name, right)) for a, b in sides for name in probings]
        return sum(before != after for before, after in both)

    probings = ("question", "segment")
    rows = page.get_by_label("row on the right")
    assert rows.input_value() == "mask-score"  # the first of its own, as it has no phrase-overlap
    count_of(page, f"{flipped('mask-score')} flipped")
    rows.select_option("oracle")
    count_of(page, f"{flipped('oracle')} flipped")
    assert flipped("oracle") > 0
    page.get_by_role("button", name="swap").click()
    until(page, "document.querySelector('.toolbar select').value === 'oracle'")
    assert rows.input_value() == "phrase-overlap"
    count_of(page, f"{flipped('oracle')} flipped")
    page.locator(".flip").first.click()
    until(page, "document.querySelectorAll('.panel .chip').length > 4")
    assert "other=phrase-overlap" in page.url


def test_hostile_texts_stay_inert_and_legible_and_a_run_that_goes_on_shows_its_samples(tab: Tab, shown: Any) -> None:
    page = tab.go(f"#/run/{shown.key('first')}/sample/{shown.hostile}?probing=question")
    page.wait_for_selector(".chip")
    for part in (".chips", ".noted"):
        said = page.inner_text(part)
        for shown_as in ("<script>", "␛[31m", "⟨202e⟩", "שלום"):
            assert shown_as in said
    assert said.startswith("note found by covering")
    assert page.evaluate("window.pwned === undefined && document.querySelectorAll('img[src=x]').length === 0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page = tab.go(f"#/run/{shown.key('first')}?view=table&filter=onerror")
    count_of(page, "1 of 8")
    page = tab.go(f"#/run/{shown.key('going')}")
    until(page, "document.getElementById('count')?.textContent.startsWith('8 of 8, reading 8 of 8')")
    # a sample that is not there is told, in the page
    page = tab.go(f"#/run/{shown.key('first')}/sample/nobody")
    page.wait_for_selector("text=the run has no sample 'nobody'")
    tab.complaints = [one for one in tab.complaints if "400 (Bad Request)" not in one]
    page.set_viewport_size({"width": 390, "height": 800})
    for place in (
        "#/",
        f"#/run/{shown.key('first')}",
        f"#/run/{shown.key('first')}/sample/{shown.hostile}?probing=question",
    ):
        page = tab.go(place)
        page.wait_for_selector("h1")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), place


def test_on_a_phone_the_reasons_of_strategies_are_not_cut_within_words(tab: Tab, shown: Any) -> None:
    tab.page.set_viewport_size({"width": 390, "height": 800})
    page = tab.go(f"#/run/{shown.key('first')}/sample/{pixcore.open_run(shown.root / 'first').samples()[0].id}")
    page.wait_for_selector(".picks .note")
    cut = page.locator(".picks .note").evaluate_all("""notes => {
        const walked = document.createTreeWalker(document.querySelector(".picks"), NodeFilter.SHOW_TEXT), cut = [];
        for (let node = walked.nextNode(); node; node = walked.nextNode())
            for (const word of notes.some(note => note.contains(node)) ? node.data.matchAll(/[a-z]+/g) : []) {
                const range = document.createRange();
                range.setStart(node, word.index);
                range.setEnd(node, word.index + word[0].length);
                if (range.getClientRects().length > 1) cut.push(word[0]);
            }
        return cut;
    }""")
    assert cut == []


def test_figures_are_those_of_the_command_whatever_a_row_is_called(tab: Tab, shown: Any, tmp_path: Path) -> None:
    written = CliRunner().invoke(figures, [str(shown.root / "second"), "--out", str(tmp_path)])
    assert written.exit_code == 0, written.output
    page = tab.go(f"#/run/{shown.key('second')}")
    page.wait_for_selector(".tile img")
    page.keyboard.press("f")
    page.wait_for_selector(".plot figure svg")
    numbers = json.loads((tmp_path / "figures.json").read_text())
    drawn = {one["name"]: one for one in numbers["plots"]}
    panels = page.locator(".plot").evaluate_all(
        "all => all.map(one => [one.id.slice(5), one.querySelectorAll('figure > svg').length])"
    )
    assert panels == [[name, len(one["panels"])] for name, one in drawn.items()]
    assert drawn["success"]["cannot"] in page.inner_text("#plot-success")
    with page.expect_download() as saved:
        page.get_by_role("link", name="success.csv").click()
    assert saved.value.path().read_bytes() == (tmp_path / "success.csv").read_bytes()
    # a row's name is text, and turns nothing but itself
    assert "<img src=x" in page.inner_text("#plot-success")
    assert page.evaluate("window.pwned === undefined && document.querySelectorAll('main img').length === 0")
    assert page.locator("#plot-success figcaption > bdi").count() == len(drawn["success"]["panels"])
    colour = "getComputedStyle(document.querySelector('.plot figure > svg')).fill"
    until(page, f"{colour} === 'rgb(31, 35, 40)'")
    page.locator("#theme").click()
    until(page, f"{colour} === 'rgb(228, 230, 233)'")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    page.get_by_label("protocol").select_option("question")
    until(page, "location.hash.includes('probing=question')")
    page.wait_for_selector(".plot figure svg")
    page = tab.go(f"#/run/{shown.key('going')}/figures")
    page.wait_for_selector("text=the run has no figures yet")


@pytest.mark.long
def test_exported_pages_open_from_disk(browser: Any, shown: Any, tmp_path: Path) -> None:
    path = export(shown.explorer, tmp_path / "site", Console(quiet=True))
    assert not [one for one in path.parent.rglob("*") if one.is_file() and str(shown.root) in one.read_text("latin-1")]
    tab = Tab(browser, path.as_uri())
    page = tab.go("#/")
    page.wait_for_selector("#runs tbody tr >> nth=1")
    assert page.locator("#runs tbody tr").count() == 2  # the one that goes on is left out
    opened, _ = shown.explorer.opened(shown.key("first"))
    seen = set()
    for row in ("oracle", "random", "mask-score"):
        page = tab.go(f"#/run/{shown.key('first')}?row={row}&probing=question")
        page.wait_for_selector(".tile img >> nth=7")
        for tile in page.locator(".tile").all():
            picture = opened.thumbnail(tile.get_attribute("data-id"), "question", row)
            seen.add(picture)
            assert tile.locator("img").get_attribute("src") == data_uri(picture, "webp"), "the picked row's mask"
    assert len(seen) > 8
    page.locator(".tile").first.click()
    page.wait_for_selector(".chip")
    page.locator(".chip").nth(1).click()
    until(page, "location.hash.includes('t=1')")
    assert page.get_by_role("button", name="move the point").count() == 0
    page = tab.go(f"#/run/{shown.key('first')}/atlas")
    page.wait_for_selector(".chart svg")
    page = tab.go(f"#/run/{shown.key('first')}/figures")
    page.wait_for_selector(".plot figure svg")
    files = page.locator(".plot .notes a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert files
    assert all((path.parent / name).stat().st_size for name in files)
    tab.close()
    assert not tab.complaints
    assert all(url.startswith(("file:", "data:", "about:", "blob:")) for url in tab.requests)


def test_axe_finds_nothing(browser: Any, shown: Any) -> None:
    pytest.importorskip("axe_playwright_python")
    tab = browser.new_page(bypass_csp=True)
    run = f"#/run/{shown.key('first')}"
    for place in ("#/", run, f"{run}?view=table", f"{run}/sample/{shown.hostile}?probing=question", f"{run}/atlas"):
        tab.goto("about:blank")
        tab.goto(shown.address + place)
        tab.locator("h1").wait_for()
        check_accessible(tab, "none")
    tab.close()
