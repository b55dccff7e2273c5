"""The fields of a FiftyOne data set: a free name for each, and what FiftyOne's `metadata.json` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from typing import Any

_FIELDS, _LABELS = "fiftyone.core.fields", "fiftyone.core.labels"
_DEFAULT = ("id", "filepath", "media_reference", "tags", "metadata", "created_at", "last_modified_at")
_LONGEST = 60  # characters, as a field of masks is a folder too


class Fields:
    """The fields that a data set's samples have, in order; those that every data set has are there from the start."""

    def __init__(self) -> None:
        self._taken = set(_DEFAULT)
        self._documents = [
            _plain("id", "ObjectIdField", db_field="_id"),
            _plain("filepath", "StringField"),
            _strings("tags"),
            _embedded(
                "metadata",
                "fiftyone.core.metadata.ImageMetadata",
                [
                    _plain("size_bytes", "IntField"),
                    _plain("mime_type", "StringField"),
                    *(_plain(name, "IntField") for name in ("width", "height", "num_channels")),
                ],
            ),
            _plain("created_at", "DateTimeField", read_only=True),
            _plain("last_modified_at", "DateTimeField", read_only=True),
        ]

    @property
    def documents(self) -> list[Mapping[str, Any]]:
        """What `metadata.json` says of them."""
        return list(self._documents)

    def add(self, wished: str, kinds: Mapping[str, str]) -> str:
        """Add fields that begin alike, under a name that leaves each of them free.

        Args:
            wished: What they should begin with; what no Python name may hold becomes an underscore.
            kinds: By what each ends with, its kind: "Segmentation", "Heatmap", "strings", or the name of one of
                FiftyOne's classes of fields.

        Returns:
            What they begin with.
        """
        stem = _identifier(wished)
        names = chain([stem], (f"{stem}_{number}" for number in count(2)))
        name = next(one for one in names if self._taken.isdisjoint(one + ending for ending in kinds))
        for ending, kind in kinds.items():
            self._taken.add(name + ending)
            self._documents.append(_field(name + ending, kind))
        return name


def _identifier(text: str) -> str:
    letters = "".join(one if f"a{one}".isidentifier() else " " for one in text.lower().replace("_", " "))
    name = "_".join(letters.split())[:_LONGEST]
    return name if name.isidentifier() else f"field_{name}"


def _field(name: str, kind: str) -> dict[str, Any]:
    if kind == "strings":
        return _strings(name)
    if kind in ("Segmentation", "Heatmap"):
        what = "mask" if kind == "Segmentation" else "map"
        of_map = [_plain("range", "HeatmapRangeField", subfield=f"{_FIELDS}.FloatField")] * (what == "map")
        inner = [_plain("id", "ObjectIdField", db_field="_id"), _strings("tags"), _plain(what, "ArrayField")]
        return _embedded(name, f"{_LABELS}.{kind}", [*inner, _plain(f"{what}_path", "StringField"), *of_map])
    return _plain(name, kind)


def _strings(name: str) -> dict[str, Any]:
    return _plain(name, "ListField", subfield=f"{_FIELDS}.StringField")


def _embedded(name: str, kind: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return _plain(name, "EmbeddedDocumentField", embedded_doc_type=kind, fields=fields)


def _plain(name: str, kind: str, **more: Any) -> dict[str, Any]:
    kinds: dict[str, Any] = {"ftype": f"{_FIELDS}.{kind}", "embedded_doc_type": None, "subfield": None, "fields": []}
    about = {"db_field": name, "description": None, "info": None, "read_only": False, "created_at": None}
    return {"name": name, **kinds, **about, **more}
