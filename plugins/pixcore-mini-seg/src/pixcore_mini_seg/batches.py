"""Make training batches with masks, each a function of (variant, seed, step) alone: training resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from pixcore_mini.batches import Packed, all_queries, pack, told_share
from pixcore_mini_world.render import Picture, render
from pixcore_mini_world.scene import make_scene, scene_random
from torch import Tensor
from torch.utils.data import Dataset

from pixcore_mini_seg.dialogue import Grounded, Variant, training_turns
from pixcore_mini_seg.words import MarkedEncoder


@dataclass(frozen=True)
class Masked:
    """Packed turns, and the mask of every [SEG] in them.

    Attributes:
        packed: The turns, no longer than the longest row.
        masks: (n, side, side) bool, in the order in which the [SEG] come, row by row.
        owners: (n,) the row that each belongs to.
        parts: (n,) bool, whether it is a part's.
        attributes: (rows, queries) what mini's vision stage asks of each scene; in a training from scratch alone.
    """

    packed: Packed
    masks: Tensor
    owners: Tensor
    parts: Tensor
    attributes: Tensor = field(default_factory=lambda: torch.zeros((0, 0), dtype=torch.long))

    def to(self, device: torch.device) -> Masked:
        """Bring the batch to a device."""
        return Masked(*(getattr(self, f.name).to(device) for f in fields(self)))


def pack_masked(encoder: MarkedEncoder, rows: list[tuple[Picture, list[Grounded]]]) -> Masked:
    """Pack the turns about each picture into one row; the masks of turns that do not fit are left out with them."""
    packed = _trimmed(pack(encoder, [(picture.image, [one.turn for one in said]) for picture, said in rows]))
    masks, owners, parts = [], [], []
    for row, (picture, said) in enumerate(rows):
        fitted = set(packed.turns[row].tolist())
        for number, one in enumerate(said, 1):
            for region in one.regions if number in fitted else ():
                masks.append(picture.mask(*region))
                owners.append(row)
                parts.append(region[1] is not None)
    side = rows[0][0].labels.shape
    drawn = torch.from_numpy(np.stack(masks)) if masks else torch.zeros((0, *side), dtype=torch.bool)
    return Masked(packed, drawn, torch.tensor(owners, dtype=torch.long), torch.tensor(parts, dtype=torch.bool))


def _trimmed(packed: Packed) -> Packed:
    """Cut off the columns that are padding in every row."""
    longest = max(1, int((packed.turns >= 0).sum(dim=1).max()))
    texts = (f.name for f in fields(packed) if f.name != "images")
    return replace(packed, **{name: getattr(packed, name)[:, :longest].contiguous() for name in texts})


class MaskedBatches(Dataset[Masked]):
    """The batches of one variant."""

    def __init__(
        self, encoder: MarkedEncoder, variant: Variant, seed: int, rows: range, *, scratch: int | None = None
    ) -> None:
        """Takes what a batch follows from.

        Args:
            encoder: Turns text into ids.
            variant: Whose.
            seed: Of the training.
            rows: The images of a batch, or those of them that are drawn here.
            scratch: From scratch, the steps of the training: letter questions begin easy and scenes come with their
                attributes, as in mini's own last stage.
        """
        self._encoder, self._variant, self._seed, self._rows, self._scratch = encoder, variant, seed, rows, scratch
        self._queries = all_queries()

    def __getitem__(self, step: int) -> Masked:
        """The batch of one step."""
        keys = (self._seed, "mini-seg", self._variant, step)
        told = {} if self._scratch is None else {"told": told_share(step, self._scratch)}
        rows, scenes = [], []
        for row in self._rows:
            rng = scene_random("train", *keys, row)
            scene = make_scene(rng, "train")
            rows.append((render(scene), training_turns(self._variant, scene, rng, **told)))
            scenes.append(scene)
        batch = pack_masked(self._encoder, rows)
        if self._scratch is None:
            return batch
        asked = [[query.target(scene) for query in self._queries] for scene in scenes]
        return replace(batch, attributes=torch.tensor(asked))
