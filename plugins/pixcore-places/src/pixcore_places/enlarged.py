"""Show a model an image larger than it is, as PixFoundation's box baseline of Qwen2.5-VL does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from pixcore.components import AttentionExtractor, Capability, Context, ModelAdapter
from pixcore.geometry import VisualLayout
from pixcore.plugins import Kind
from pixcore.records import Image, Request, Response
from pixcore.services import Expense
from pixcore_places.config import EnlargedConfig, inner


class Enlarged(ModelAdapter[EnlargedConfig]):
    """Answers as another model does that is shown the image so many times as large; places are the image's own."""

    def __init__(self, config: EnlargedConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._inner: ModelAdapter[Any] = inner(Kind.MODEL, config.of).create(self.context)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the model inside, but for masks, which would have another size than the image."""
        return self._inner.capabilities - {"masks"}

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Have the model inside answer, and bring its layouts to the images as they are."""
        shown = [replace(request, image=self._shown(request.image)) for request in requests]
        return [self._back(response) for response in self._inner.answer(shown, extractor)]

    def replay(self, requests: Sequence[Request], texts: Sequence[str], extractor: Any) -> list[Response]:
        """Give the maps of text from elsewhere, likewise."""
        shown = [replace(request, image=self._shown(request.image)) for request in requests]
        return [self._back(response) for response in self._inner.replay(shown, texts, extractor)]

    def expected_cost(self, request: Request) -> Expense:
        """Say what the model's answer to the enlarged image will cost."""
        return self._inner.expected_cost(replace(request, image=self._shown(request.image)))

    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        """Give what the model inside makes of the enlarged image."""
        return self._inner.probability(self._shown(image), prompt, continuations)

    def layout(self, image: Image) -> VisualLayout:
        """Say where the visual tokens of the enlarged image lie in the image."""
        return self._smaller(self._inner.layout(self._shown(image)))

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Give what the model inside sees of the enlarged image."""
        return self._inner.visual_embeddings(self._shown(image))

    def close(self) -> None:
        """Close the model inside."""
        self._inner.close()

    def _shown(self, image: Image) -> Image:
        """Resize by Pillow's default, which is bicubic, as the released script does."""
        pil = image.pil()
        larger = pil.resize(
            (pil.width * self.config.times, pil.height * self.config.times), PILImage.Resampling.BICUBIC
        )
        return Image.from_pixels(np.asarray(larger, np.uint8), name=image.name)

    def _back(self, response: Response) -> Response:
        layout = None if response.layout is None else self._smaller(response.layout)
        return replace(response, layout=layout, mask=None, masks=(), mask_spans=())

    def _smaller(self, layout: VisualLayout) -> VisualLayout:
        grids = []
        for grid in layout.grids:
            x0, y0, x1, y1 = (edge / self.config.times for edge in grid.box)
            grids.append(replace(grid, box=(x0, y0, x1, y1)))
        return replace(layout, grids=tuple(grids))
