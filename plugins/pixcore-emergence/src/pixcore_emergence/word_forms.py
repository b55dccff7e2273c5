"""Ask of a single word whether it is in a list, in whatever number, and whether it names a doing."""

from __future__ import annotations

from collections.abc import Set

from pixcore_emergence.vocabulary import NOT_DOING


def in_list(word: str, known: Set[str]) -> bool:
    """Say whether a word, or what it may be the plural of, is in a list."""
    return not known.isdisjoint(forms(word))


def forms(word: str) -> frozenset[str]:
    """Give a word and what it may be the plural of."""
    found = {word, *_IRREGULAR.get(word, ())}
    if word.endswith("s") and len(word) > 3 and not word.endswith("ss"):
        found.add(word[:-1])
        if word.endswith("es"):
            found.add(word[:-2])
        if word.endswith("ies"):
            found.add(word[:-3] + "y")
        if word.endswith("ves"):
            found |= {word[:-3] + "f", word[:-3] + "fe"}
    return frozenset(found - {""})


def is_doing(word: str) -> bool:
    """Say whether a word in -ing tells what someone does, as "sitting", not what is there, as "ceiling"."""
    return word.endswith("ing") and len(word) > 4 and word not in NOT_DOING and not word.endswith("thing")


_IRREGULAR = {
    "feet": ("foot",),
    "teeth": ("tooth",),
    "geese": ("goose",),
    "mice": ("mouse",),
    "men": ("man",),
    "women": ("woman",),
    "children": ("child",),
    "antennae": ("antenna",),
    "vertebrae": ("vertebra",),
    "stigmata": ("stigma",),
    "calves": ("calf",),
}
