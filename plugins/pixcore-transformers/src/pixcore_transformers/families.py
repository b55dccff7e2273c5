"""Tell the adapter about an architecture: which prompt tokens are visual, and where in the image they lie.

Adding a model is one `VisualFamily`: everything else (loading, batching, generation, the tap, replay, spans) is the
adapter's and the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pixcore.geometry import VisualLayout


@dataclass(frozen=True)
class Processed:
    """One request as the processor left it.

    Attributes:
        size: (width, height) of the original image.
        input_ids: (length,) int64, this request's prompt without padding.
        inputs: The processor's whole output for this request alone (a batch of one; torch tensors).
        config: The model's config.
        processor: The processor.
    """

    size: tuple[int, int]
    input_ids: NDArray[np.int64]
    inputs: Mapping[str, Any]
    config: Any
    processor: Any


class VisualFamily(ABC):
    """Knows how one architecture turns an image into visual tokens.

    Attributes:
        one_pass: Text that follows the prompt in one forward pass is causal; not so where the model lets all of its
            input see itself (PaliGemma), which is then replayed token by token.
        options: What the processor is called with besides, where the model needs more than it gives by itself.
        nested: The processor takes a list of images for each prompt; not so GOT-OCR's, which would take it for pages.
        injected: What is seen is added before the first decoder layer, and not embedded (Granite 4 Vision).
        apart: A batch is answered sample by sample, as an image is read in another way beside others: padded to their
            size, which the tower sees (Emu3), or counted as the second of one prompt (HunYuan-VL).
    """

    one_pass: ClassVar[bool] = True
    options: ClassVar[Mapping[str, Any]] = {}
    nested: ClassVar[bool] = True
    injected: ClassVar[bool] = False
    apart: ClassVar[bool] = False

    @abstractmethod
    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out the visual tokens, in the order in which `visual` marks them.

        Raises:
            ModelError: The processor's settings are such that the places can't be told.
        """

    def visual(self, processed: Processed) -> NDArray[np.bool_]:
        """Mark the tokens of the prompt that are visual, (length,): by default the image placeholder's.

        A separator that is a token of the prompt (a row break) may be marked or left out; what is marked has its place
        in `layout`.
        """
        token = getattr(processed.config, "image_token_id", None)  # Chameleon's and Emu3's have a vocabulary instead
        return np.asarray(processed.input_ids == (processed.processor.image_token_id if token is None else token))

    def decided(self, processed: Processed) -> NDArray[np.bool_]:
        """Mark the prompt's tokens whose input is the image's, not their own, (length,): by default, the visual."""
        return self.visual(processed)

    def prompt(self, text: str) -> str | None:
        """Write the full prompt, placeholder included, for a model without a chat template; None if it has one."""
        return None
