"""Make matplotlib's SVG small, safe for a strict page, and at home in light and dark.

A page whose policy allows no style of others would ignore matplotlib's `style` attributes: they become presentation
attributes. Every colour of ours gets a class beside it, so that a style sheet can give it another one in the dark;
whoever knows no style sheets shows the colours as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

INK, SOFT, GRID, PAPER = "#1f2328", "#5b636d", "#e3e1da", "#ffffff"

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
"""Okabe and Ito's palette, which readers with any colour vision can tell apart."""

IN_THE_DARK: Mapping[str, str] = {
    INK: "#e4e6e9",
    SOFT: "#a3abb5",
    GRID: "#2d333b",
    PAPER: "#1b1f24",
    "#0072b2": "#56b4e9",
    "#e69f00": "#f0b93a",
    "#009e73": "#4fd0a6",
    "#cc79a7": "#e3a3c6",
    "#56b4e9": "#9bd3f5",
    "#d55e00": "#ff8f4d",
    "#000000": "#ffffff",
}
"""What each colour becomes on a dark page."""

_CLASSES = {colour: f"k{number}" for number, colour in enumerate(IN_THE_DARK)}
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_ILLEGIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ROTATED = re.compile(r"rotate\(-?0 [^)]*\) ?")
_KEPT = frozenset(
    [
        "fill",
        "stroke",
        "stroke-width",
        "stroke-dasharray",
        "stroke-dashoffset",
        "opacity",
        "fill-opacity",
        "stroke-opacity",
    ]
)


def legible(text: str) -> str:
    """Replace what no XML can hold, such as control characters and halves of surrogate pairs, in names of others."""
    return _ILLEGIBLE.sub("\ufffd", text)


def dark_rules(prefix: str = "") -> str:
    """Give the style sheet's rules that turn plots dark, each selector under a prefix."""
    return "\n".join(
        f"{prefix}.{name}f {{ fill: {IN_THE_DARK[colour]}; }} {prefix}.{name}s {{ stroke: {IN_THE_DARK[colour]}; }}"
        for colour, name in _CLASSES.items()
    )


def page_rules() -> str:
    """Give the rules of a page whose theme follows the system's until its reader chooses one (`data-theme`)."""
    following, chosen = ':root:not([data-theme="light"]) .plot ', ':root[data-theme="dark"] .plot '
    on_screen = f"@media screen and (prefers-color-scheme: dark) {{\n{dark_rules(following)}\n}}"  # paper is white
    return f"{on_screen}\n@media screen {{\n{dark_rules(chosen)}\n}}"


def compact(source: str, title: str, description: str) -> str:
    """Make an SVG that can stand in a page.

    Args:
        source: What matplotlib wrote.
        title: What it shows, in a few words.
        description: What can be seen in it, for those who can't see it.
    """
    return ElementTree.tostring(_cleaned(source, title, description), "unicode")


def standing_alone(source: str, title: str, description: str) -> str:
    """Make an SVG file that follows the theme of whoever opens it."""
    root = _cleaned(source, title, description)
    root.set("xmlns", _SVG)
    style = Element("style")
    style.text = (
        f":root {{ background: {PAPER}; color-scheme: light dark; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ background: {IN_THE_DARK[PAPER]}; }}\n{dark_rules()}\n}}"
    )
    root.insert(2, style)
    return ElementTree.tostring(root, "unicode") + "\n"


def _cleaned(source: str, title: str, description: str) -> Element:
    root = ElementTree.fromstring(source)
    used = set(re.findall(r'(?:url\(#|xlink:href="#)([\w-]+)', source))
    clean = Element(
        "svg",
        {
            "viewBox": root.attrib["viewBox"],
            "role": "img",
            "aria-label": legible(title),
            "font-family": "DejaVu Sans, Verdana, sans-serif",
            "stroke-linejoin": "round",
            "fill": INK,
            "class": f"{_CLASSES[INK]}f",
        },
    )
    for name, text in (("title", title), ("desc", description)):
        said = Element(name)
        said.text = legible(text)
        clean.append(said)
    for child in root:
        clean.extend(_parts(child, used))
    return clean


def _parts(element: Element, used: set[str]) -> Iterator[Element]:
    """Give what is to be seen of an element: itself, or its children where it is a group that says nothing."""
    name = str(element.tag).removeprefix(f"{{{_SVG}}}") if isinstance(element.tag, str) else ""
    if name in ("", "metadata", "style") or name.startswith("{"):
        return
    attributes = dict(_attributes(name, element, used))
    children = [part for child in element for part in _parts(child, used)]
    if name in ("g", "defs") and not children:
        return
    if name == "g" and not attributes:
        yield from children
        return
    if name == "path" and attributes.get("fill") == "none" and "stroke" not in attributes and "id" not in attributes:
        return  # a background that nobody sees
    clean = Element(name, attributes)
    clean.text = element.text if name == "text" else None
    clean.extend(children)
    yield clean


def _attributes(name: str, element: Element, used: set[str]) -> Iterator[tuple[str, str]]:
    given = {key.removeprefix(f"{{{_SVG}}}"): value for key, value in element.attrib.items()}
    styles = dict(part.split(":", 1) for part in given.pop("style", "").split(";") if ":" in part)
    styles = {key.strip(): value.strip() for key, value in styles.items()}
    if name == "text":
        yield from _of_text(styles)
    classes = []
    # a marker takes its colours from where it is used: rules that name what is around it don't reach into its copies
    drawn_elsewhere = name == "path" and given.get("id") in used
    for key, value in styles.items():
        if drawn_elsewhere and key in ("fill", "stroke"):
            continue
        if key in _KEPT and not (name == "text" and (key, value) == ("fill", INK)):
            yield key, _rounded(value, 2)
            if value in _CLASSES:
                classes.append(_CLASSES[value] + key[0])
    if classes:
        yield "class", " ".join(classes)
    for key, value in given.items():
        if key == "id":
            if value in used:
                yield key, value
        elif key == _HREF:
            yield "href", value
        elif key == "transform":
            if turned := _ROTATED.sub("", value).strip():
                yield key, _rounded(turned, 1)
        elif key in ("d", "x", "y", "width", "height", "patternUnits"):
            yield key, _rounded(" ".join(value.split()), 1)


def _of_text(styles: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Read matplotlib's shorthand, "font: 10px 'DejaVu Sans'; text-anchor: middle"."""
    size = re.search(r"([\d.]+)px", styles.get("font", styles.get("font-size", "")))
    if size:
        yield "font-size", size[1]
    if "bold" in styles.get("font", "") or "700" in styles.get("font", "") or "font-weight" in styles:
        yield "font-weight", "bold"
    if styles.get("text-anchor", "start") != "start":
        yield "text-anchor", styles["text-anchor"]


def _rounded(text: str, digits: int) -> str:
    return _NUMBER.sub(partial(_short, digits=digits), text)


def _short(found: re.Match[str], *, digits: int) -> str:
    return f"{round(float(found[0]), digits):g}"
