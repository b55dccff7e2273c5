"""Draw the masks that PaliGemma writes in codes: into their boxes, where its decoder is at hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from pixcore.components import Context, MaskGenerator
from pixcore.notices import notice
from pixcore.plugins import Kind
from pixcore.records import Image, MaskProposal, PointPrompt
from pixcore_places.codebook import FILE, MaskDecoder
from pixcore_places.config import MaskCodesConfig, check_texts, inner, words_alone


class MaskCodes(MaskGenerator[MaskCodesConfig]):
    """Decodes a prompt's codes into its box; a prompt without codes is another generator's.

    Where there is no decoder, every box is the other generator's, which a notice says.
    """

    text_prompts = True

    def __init__(self, config: MaskCodesConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._inner: MaskGenerator[Any] = inner(Kind.MASKS, config.of).create(self.context)

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Give a coded prompt one mask, and any other what the generator inside finds.

        Raises:
            ConfigError: A prompt is words alone, and the generator inside takes none.
        """
        coded = [index for index, prompt in enumerate(prompts) if prompt.text and prompt.box] if self._decoder else []
        others = [index for index in range(len(prompts)) if index not in coded]
        found = {index: self._drawn(prompts[index], image.size) for index in coded}
        if others:
            bare = [one if words_alone(one) else replace(one, text=None) for one in map(prompts.__getitem__, others)]
            check_texts(self._inner, bare)
            found |= zip(others, self._inner.segment(image, bare), strict=True)
        return [found[index] for index in range(len(prompts))]

    @cached_property
    def _decoder(self) -> MaskDecoder | None:
        path = self.config.decoder
        if path is None:
            folder = getattr(self.context.model_config, "checkpoint", None)
            path = Path(str(folder)) / FILE
            if not folder or not path.is_file():
                notice(
                    f"masks: mask-codes found no {FILE} beside the checkpoint: boxes are segmented, codes are not "
                    "read; name the file as `decoder:` to have them read"
                )
                return None
        return MaskDecoder(path)

    def _drawn(self, prompt: PointPrompt, size: tuple[int, int]) -> MaskProposal:
        """One mask, of the whole pixels that the box is nearest to, as in training, and resized as in evaluation.

        Source: big_vision's `refcoco_mask2str` and its segmentation evaluator, which cuts an edge that is written a
        little too short to the pixel before.
        """
        assert self._decoder is not None
        assert prompt.box is not None
        assert prompt.text is not None
        codes = [int(code) for code in re.findall(r"\d+", prompt.text)]
        x0, y0, x1, y1 = (round(edge) for edge in prompt.box)
        mask = np.zeros(size[::-1], np.bool_)
        if x1 > x0 and y1 > y0:
            small = PILImage.fromarray(self._decoder.decode(codes))
            mask[y0:y1, x0:x1] = np.asarray(small.resize((x1 - x0, y1 - y0), PILImage.Resampling.BILINEAR)) > 0
        return MaskProposal(mask[None], np.ones(1, np.float32))

    def close(self) -> None:
        """Close the generator inside."""
        self._inner.close()
