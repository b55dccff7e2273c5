"""Groups that bring their own prompts: places that a text states, and texts for generators that take them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pixcore.components import Config, Context, ModelConfig, NoConfig, TokenGrouper
from pixcore.plugins import Kind
from pixcore.records import PointPrompt, Request, Response, Token, TokenGroup
from pixcore_places.config import EnlargedConfig, SaidPhrasesConfig, WrittenPlacesConfig, inner
from pixcore_places.conventions import chosen
from pixcore_places.reading import Place, Reading, Resizing, read


class WrittenPlaces(TokenGrouper[WrittenPlacesConfig]):
    """Makes a group of each object that the text says a place of, with that place as its prompt."""

    gives_prompts = True

    def __init__(self, config: WrittenPlacesConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        model = self.context.model_config
        self._family = model.family if isinstance(model, ModelConfig) else ""
        self._times = 1
        if isinstance(model, EnlargedConfig):
            self._times, model = model.times, model.inside()[0].config
        self._resizing = Resizing(**{"least": config.least_pixels, "most": config.most_pixels, **resizing_of(model)})

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make no group: without the image nobody knows where a place is."""
        return []

    def group_asked(self, asked: Sequence[tuple[Request, Response]]) -> list[list[TokenGroup]]:
        """Make the groups of several responses."""
        return [self._groups(response, self.reading(request, response)) for request, response in asked]

    def reading(self, request: Request, response: Response) -> Reading:
        """Read what a response says of places in its image."""
        size = request.image.size
        convention = chosen(self.config.convention, self._family)
        resized = self._seen(response, size) if convention.unit == "resized" else None
        if convention.unit == "pixels" and self._times != 1:  # of the enlarged image, which is what the model saw
            convention, resized = replace(convention, unit="resized"), (self._times * size[0], self._times * size[1])
        coded = self.config.masks == "codes"
        return read(response.text, size, convention, resized, whole_pixels=self.context.published, codes=coded)

    def _seen(self, response: Response, size: tuple[int, int]) -> tuple[int, int]:
        """The size that the model saw: what its visual tokens say, or else as it resizes by its own rule."""
        if response.layout is not None and len(response.layout.grids) == 1:
            grid = response.layout.grids[0]
            return grid.cols * self._resizing.multiple, grid.rows * self._resizing.multiple
        return self._resizing.resized((self._times * size[0], self._times * size[1]))

    def _groups(self, response: Response, reading: Reading) -> list[TokenGroup]:
        coded = self.config.masks == "codes"
        return [
            _group(response, places, self.config.objects, coded) for places in _objects(reading, self.config.objects)
        ]


def resizing_of(model: Config | None) -> dict[str, int]:
    """Read how a model of transformers resizes an image, where it says so.

    Args:
        model: Its config: `image_options`, and of its checkpoint the processor's file.

    Returns:
        Those fields of `Resizing` of which it says something.
    """
    found: dict[str, Any] = {}
    checkpoint, revision = getattr(model, "checkpoint", None), getattr(model, "revision", None)
    for settings in (_stored(str(checkpoint), revision) if checkpoint else {}, getattr(model, "image_options", {})):
        size = settings.get("size")
        edges = {**size} if isinstance(size, Mapping) else {}
        found["least"] = settings.get("min_pixels") or edges.get("shortest_edge") or found.get("least")
        found["most"] = settings.get("max_pixels") or edges.get("longest_edge") or found.get("most")
        found |= {name: settings[name] for name in ("patch_size", "merge_size") if name in settings}
    patch, merged = found.pop("patch_size", None), found.pop("merge_size", None)
    found["multiple"] = patch * merged if isinstance(patch, int) and isinstance(merged, int) else None
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _stored(checkpoint: str, revision: str | None) -> Mapping[str, Any]:
    """What a checkpoint says of its image processor; nothing where it is silent or not here: whoever loads it will."""
    found: Any = {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        try:
            content = json.loads(_file_of(checkpoint, revision, name).read_bytes())
        except (OSError, ValueError, ImportError):
            continue
        if isinstance(content, Mapping):  # transformers 5 keeps all of a processor's parts in one file
            found = content if name.startswith("pre") else content.get("image_processor", found)
    return found if isinstance(found, Mapping) else {}


def _file_of(checkpoint: str, revision: str | None, name: str) -> Path:
    """Where a file of a checkpoint lies: in its folder, or in the hub's cache."""
    folder = Path(checkpoint)
    if folder.is_dir():
        return folder / name
    from huggingface_hub import try_to_load_from_cache  # who loads by a name on the hub has it

    found = try_to_load_from_cache(checkpoint, name, revision=revision)
    return Path(found) if isinstance(found, str) else folder / name


def _objects(reading: Reading, how: str) -> Iterable[list[Place]]:
    """Places of one object; boxes go into one prompt alone, so that `together` leaves each on its own."""
    objects: dict[object, list[Place]] = {}
    for number, place in enumerate(reading.places):
        tag, label = place.stated.tag, place.stated.label.casefold()
        one = label or (("tag", tag) if tag >= 0 else ("place", number))
        apart = how == "each" or (how == "together" and place.box is not None)
        objects.setdefault(("place", number) if apart else "all" if how == "all" else one, []).append(place)
    return objects.values()


def _group(response: Response, places: Sequence[Place], how: str, coded: bool) -> TokenGroup:
    first, last = places[0].stated, places[-1].stated
    prompts = [_prompt([place], coded) for place in places]
    prompt = replace(prompts[0], also=tuple(prompts[1:])) if how in ("united", "all") else _prompt(places, coded)
    spoken = [place.stated for place in places]
    inside = tuple(
        index
        for index, token in enumerate(response.tokens)
        if token.start < token.end and any(token.start < one.end and token.end > one.start for one in spoken)
    )
    start, end = first.start, max(first.end, last.end)
    return TokenGroup(inside, response.text[start:end], start, end, first.label or None, prompt)


def _prompt(places: Sequence[Place], coded: bool) -> PointPrompt:
    (first, *_) = places
    if first.box is not None:
        codes = "".join(f"<seg{code:03d}>" for code in first.stated.codes) if coded else ""
        return PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), first.box, codes or None)
    return PointPrompt.at(*(place.point for place in places if place.point is not None))


@lru_cache(maxsize=4096)
def text_prompt(text: str) -> PointPrompt:
    """Make a prompt of words alone; of the same words the same, so that equal groups are equal."""
    return PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), text=text)


class AskedExpression(TokenGrouper[NoConfig]):
    """Makes one group of the expression that was asked for, whatever the model said: the specialist's baseline."""

    gives_prompts = True

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make no group: the text does not say what was asked for."""
        return []

    def group_asked(self, asked: Sequence[tuple[Request, Response]]) -> list[list[TokenGroup]]:
        """Make one group for each request that refers to something."""
        said = [(request.expression or "").strip() for request, _ in asked]
        return [[TokenGroup((), one, 0, 0, prompt=text_prompt(one))] if one else [] for one in said]


class SaidPhrases(TokenGrouper[SaidPhrasesConfig]):
    """Gives each phrase of the answer to the generator as a text."""

    gives_prompts = True

    def __init__(self, config: SaidPhrasesConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._inner: TokenGrouper[Any] = inner(Kind.GROUPER, config.of).create(self.context)

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make the groups of one response."""
        return self.group_many([(text, tokens)])[0]

    def group_many(self, responses: Sequence[tuple[str, Sequence[Token]]]) -> list[list[TokenGroup]]:
        """Group several responses; a response without tokens is taken as a single one."""
        found = self._inner.group_many([(text, tokens or _one_token(text)) for text, tokens in responses])
        return [_worded(groups, bool(tokens)) for groups, (_, tokens) in zip(found, responses, strict=True)]

    def group_asked(self, asked: Sequence[tuple[Request, Response]]) -> list[list[TokenGroup]]:
        """Group several responses likewise; the grouper inside knows what they answer."""
        whole = [
            (request, replace(response, tokens=response.tokens or _one_token(response.text), maps=None))
            for request, response in asked
        ]
        found = self._inner.group_asked(whole)
        return [_worded(groups, bool(response.tokens)) for groups, (_, response) in zip(found, asked, strict=True)]

    def close(self) -> None:
        """Close the grouper inside."""
        self._inner.close()


def _one_token(text: str) -> tuple[Token, ...]:
    return (Token(0, text, 0, len(text)),) if text else ()


def _worded(groups: Sequence[TokenGroup], tokens: bool) -> list[TokenGroup]:
    return [
        replace(group, tokens=group.tokens if tokens else (), prompt=text_prompt(group.phrase.strip()))
        for group in groups
        if group.phrase.strip()
    ]
