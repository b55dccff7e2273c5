"""The token view: its data, its widget, and the view itself by real clicks, as anywidget runs it."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_notebook.tokens import blank_data, said_data, token_data, view_script, view_style, widget_script

import pixcore
from pixcore.records import SampleResult

_HOST = """<!doctype html><meta charset="utf-8"><style>%s</style><div id="cell"></div><script type="module">
import widget from "./widget.js";
const values = { data: %s, tokens: [] }, heard = {};
window.model = {
  get: (name) => values[name],
  set: (name, value) => { values[name] = value; (heard[`change:${name}`] ?? []).forEach((call) => call()); },
  on: (name, call) => (heard[name] ??= []).push(call),
  off: (name, call) => { heard[name] = heard[name].filter((one) => one !== call); },
  save_changes: () => { window.saved = (window.saved ?? 0) + 1; },
};
window.done = widget.render({ model: window.model, el: document.getElementById("cell") });
</script>"""


@pytest.fixture
def data(finished: pixcore.Run) -> dict[str, Any]:
    sample = finished.samples()[0]
    return token_data(sample.result, "segment", names=["phrase-overlap"])


def test_the_data_say_what_the_records_say(finished: pixcore.Run, data: dict[str, Any]) -> None:
    response = finished.samples()[0].result.by_probing["segment"].response
    assert response is not None
    assert response.maps is not None
    assert response.layout is not None
    assert "".join(data["tokens"]).split() == response.text.split() or len(data["tokens"]) == len(response.tokens)
    for (low, high, cells), given in zip(data["maps"], response.maps, strict=True):
        bytes_ = np.frombuffer(base64.b64decode(cells), np.uint8)
        back = low + (high - low) * bytes_ / 255
        assert np.allclose(back, given, atol=(high - low) / 255)
    assert [one["name"] for one in data["choices"]] == ["phrase-overlap"]
    json.dumps(data)
    first = finished.samples()[0].result
    with pytest.raises(pixcore.DataError, match=r"no answer under 'question' \(it has one under segment, letter\)"):
        token_data(first, "question")
    with pytest.raises(pixcore.DataError, match=r"has no answer \(it failed"):
        token_data(SampleResult(first.sample, {}), "")


def test_a_grounding_and_a_sample_give_a_widget(finished: pixcore.Run) -> None:
    pytest.importorskip("anywidget")
    sample = finished.samples()[0]
    view = sample.tokens()
    assert view.data["maps"]
    assert view.data["choices"][0]["name"] == "oracle"
    view.tokens = [0, 1]
    assert view.get_state()["tokens"] == [0, 1]
    found = pixcore.ground(sample.image, sample.asked, model="mini")
    assert found.tokens().data["tokens"] == view.data["tokens"]
    assert found.maps is not None
    assert len(found.maps) == len(view.data["tokens"])


def test_the_view_by_clicks(browser: Any, finished: pixcore.Run, data: dict[str, Any], tmp_path: Path) -> None:
    hostile = '<img src=x onerror="window.pwned=1">\u202e'
    sample = finished.samples()[0].result
    response = sample.by_probing["segment"].response
    assert response is not None
    assert response.maps is not None
    beginning = replace(response, tokens=response.tokens[:2], maps=response.maps[:2])
    making = blank_data(sample.sample.image) | said_data(beginning, sample.sample.image.size)
    data = data | {"tokens": [*data["tokens"][:-1], hostile]}
    (tmp_path / "widget.js").write_text(widget_script(), encoding="utf-8")
    page_text = _HOST % (view_style(), json.dumps(data))
    (tmp_path / "index.html").write_text(page_text, encoding="utf-8")
    context = browser.new_context(viewport={"width": 600, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    kinds = {"html": "text/html", "js": "text/javascript"}

    def give(route: Any) -> None:
        name = route.request.url.rpartition("/")[2] or "index.html"
        if not (tmp_path / name).is_file():
            route.abort()
            return
        body = (tmp_path / name).read_text(encoding="utf-8")
        route.fulfill(body=body, content_type=kinds[name.rpartition(".")[2]])

    page.route("**/*", give)
    page.goto("http://cell.invalid/")
    tokens = page.locator(".token")
    tokens.first.wait_for()
    assert tokens.count() == len(data["tokens"])

    def pixels() -> int:
        return int(
            page.evaluate("""() => { const c = document.querySelector("canvas"); let sum = 0;
          for (const v of c.getContext("2d").getImageData(0, 0, c.width, c.height).data) sum = (sum * 31 + v) % 1e9;
          return sum; }""")
        )

    bare = pixels()
    tokens.nth(1).hover()
    first = pixels()
    assert first != bare
    tokens.nth(2).hover()
    assert pixels() not in (bare, first)
    assert "looked at" in page.inner_text(".told")

    tokens.nth(1).hover()  # a drag takes several
    page.mouse.down()
    tokens.nth(2).hover()
    tokens.nth(3).hover()
    page.mouse.up()
    page.mouse.move(590, 890)
    assert page.evaluate("model.get('tokens')") == [1, 2, 3]
    assert page.evaluate("window.saved") >= 1
    page.evaluate("model.set('tokens', [0])")  # from Python
    assert tokens.nth(0).get_attribute("aria-pressed") == "true"
    assert tokens.nth(1).get_attribute("aria-pressed") == "false"
    tokens.nth(0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("model.get('tokens')") == [1]
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("model.get('tokens')") == [1, 2]
    page.keyboard.press("Escape")
    assert page.evaluate("model.get('tokens')") == []
    assert tokens.last.inner_text().startswith("<img")
    assert page.evaluate("window.pwned === undefined")
    page.evaluate("done()")
    assert tokens.count() == 0
    page.evaluate(f"""{view_script()}
      window.view = pixcore.tokenView(document.getElementById("cell"), {json.dumps(making)})""")  # in the making
    assert tokens.all_inner_texts() == [one.strip() for one in data["tokens"][:2]]
    assert tokens.nth(1).inner_text() in page.inner_text(".told")
    page.evaluate(f"view.update({json.dumps(data)})")
    assert tokens.count() == len(data["tokens"])
    assert page.inner_text(".told") == data["choices"][0]["told"]
    assert not wrong
    context.close()


def test_what_a_notebook_shows_works_in_a_frame_of_its_own(
    browser: Any, finished: pixcore.Run, data: dict[str, Any]
) -> None:
    """Colab shows an output in a frame that reaches nothing else; VS Code runs no script of a notebook not trusted."""
    sample = finished.samples()[0]
    shown = "".join(one._repr_html_() for one in (finished, sample))
    view = f"{view_script()} pixcore.tokenView(document.body, {json.dumps(data)});"
    scripted = f"<style>{view_style()}</style><script>addEventListener('load', () => {{ {view} }})</script>"
    frames = ((shown, ""), (scripted, "allow-scripts"))
    tab = browser.new_page(viewport={"width": 700, "height": 900})
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    paper = "<!doctype html><meta charset='utf-8'><style>:root { color-scheme: light dark }</style>"
    tab.set_content(
        "".join(
            f'<iframe width="680" height="700" sandbox="{sandbox}" srcdoc="{html.escape(paper + inside)}"></iframe>'
            for inside, sandbox in frames
        )
    )
    still, live = (tab.frame_locator("iframe").nth(place) for place in (0, 1))
    still.get_by_text("phrase-overlap").first.wait_for()
    boxes = [one.bounding_box() for one in still.locator("img").all()]
    assert len(boxes) >= 2
    assert all(box is not None and box["width"] > 50 for box in boxes)
    live.locator(".token").nth(1).click()
    assert "looked at" in live.locator(".told").inner_text()
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for frame in (still, live):
            colour = frame.locator("p").first.evaluate("node => getComputedStyle(node).color")
            ink = [int(level) for level in re.findall(r"\d+", colour)[:3]]  # the frame's own
            assert max(ink) < 60 if scheme == "light" else min(ink) > 200
    tab.close()
    assert not wrong
