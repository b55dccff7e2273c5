"""The toy components: deterministic, fast, and as small as the interfaces allow."""

import hashlib
import os
import time

import numpy as np
from pixcore_checkpoints.loading import loading

from pixcore import masks
from pixcore.components import (
    AttentionExtractor,
    Benchmark,
    Judge,
    MaskGenerator,
    ModelAdapter,
    Needs,
    PointSelector,
    SelectionStrategy,
    TokenGrouper,
)
from pixcore.errors import NotFiniteError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import (
    Image,
    MaskProposal,
    PointPrompt,
    Protocol,
    Response,
    Sample,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)

GRID = 6


def _log(config, line):
    if config.log is not None:
        with config.log.open("a") as file:
            file.write(line + "\n")


class ToyModel(ModelAdapter):
    """Looks at the brightest cell while saying its last word."""

    capabilities = frozenset({"text", "attention"})

    def answer(self, requests, extractor=None):
        if self.config.damaged:
            _log(self.config, "load")
            with loading("toy.bin"):
                raise KeyError("head.weight")
        if self.config.room is not None and len(requests) > self.config.room:
            _log(self.config, f"too many: {len(requests)}")
            raise MemoryError(f"{len(requests)} requests need more than there is")
        for request in requests:
            if request.sample_id in self.config.overflows_on:
                raise NotFiniteError("the logits", "float16")
            if request.sample_id in self.config.exits_on:
                os._exit(1)
            if request.sample_id in self.config.fails_on:
                raise RuntimeError(f"toy failure on {request.sample_id}")
        return [self._answer(request, extractor) for request in requests]

    def _answer(self, request, extractor):
        pixels = request.image.pixels()
        time.sleep(self.config.pause)
        _log(self.config, f"answer {request.protocol} {request.sample_id}")
        if request.protocol == Protocol.LETTER:
            return Response("A", (Token(1, "A", 0, 1), Token(0, "", 1, 1)))
        text = self.config.says.encode().decode("unicode_escape")
        words, tokens, start = text.split(), [], 0
        for word in words:
            start = text.index(word, start)
            tokens.append(Token(len(word), word, start, start + len(word)))
        tokens.append(Token(0, "", len(text), len(text)))
        layout = VisualLayout.single(VisualGrid.stretched(GRID, GRID, (pixels.shape[1], pixels.shape[0])))
        if extractor is None:
            return Response(text, tuple(tokens))
        cells = _cells(pixels)
        extractor.begin(1, 1, 1, cells.size)
        for index in range(len(tokens)):
            noise = np.random.default_rng([index, int(hashlib.sha256(request.prompt.encode()).hexdigest()[:8], 16)])
            row = cells.reshape(-1) if index == len(words) - 1 else noise.random(cells.size).astype(np.float32)
            extractor.observe(0, row[None, None])
            extractor.end_step()
        maps = extractor.maps()[0]
        if request.sample_id in self.config.blinks_on:
            maps = np.full_like(maps, np.nan)
        return Response(text, tuple(tokens), maps=maps, layout=layout)


def _cells(pixels):
    height, width = pixels.shape[:2]
    rows, cols = np.arange(height) * GRID // height, np.arange(width) * GRID // width
    cells = np.zeros((GRID, GRID), np.float32)
    np.add.at(cells, (rows[:, None], cols[None, :]), pixels[..., 0].astype(np.float32))
    return cells / cells.max() if cells.max() else cells


class ToyMasks(ModelAdapter):
    """Segments what is bright by itself; where it fails, its mask has another size than the image."""

    capabilities = frozenset({"text", "masks"})

    def answer(self, requests, extractor=None):
        bright = [request.image.pixels()[..., 0] > 128 for request in requests]
        wrong = [request.sample_id in self.config.fails_on for request in requests]
        found = [masks.encode(one.T if turned else one) for one, turned in zip(bright, wrong, strict=True)]
        return [Response("a box <script>alert(1)</script>", mask=mask, masks=(mask,)) for mask in found]


class ToyRows(AttentionExtractor):
    """The last layer's mean over heads."""

    needs = Needs(layers=(-1,))

    def begin(self, batch, layers, heads, cells):
        self._steps = []

    def observe(self, layer, rows):
        self._steps.append(np.asarray(rows).mean(1))

    def maps(self):
        return list(np.stack(self._steps, axis=1).astype(np.float32))


class ToyEach(TokenGrouper):
    """Every token that adds text is a group."""

    def group(self, text, tokens):
        return [TokenGroup((i,), t.text, t.start, t.end) for i, t in enumerate(tokens) if t.end > t.start]


class ToyStumbles(ToyEach):
    """Fails on every second text of a process, and on every batch of several."""

    calls = 0

    def group_many(self, responses):
        if len(responses) > 1:
            raise RuntimeError("too many at once")
        ToyStumbles.calls += 1
        if ToyStumbles.calls % 2:
            raise RuntimeError("can't parse this")
        return super().group_many(responses)


class ToyPeak(PointSelector):
    """The highest pixel."""

    def select(self, relevance):
        row, col = np.unravel_index(int(relevance.argmax()), relevance.shape)
        return PointPrompt.at((float(col), float(row)))


class ToyAnywhere(PointSelector):
    """Any pixel."""

    def select(self, relevance):
        height, width = relevance.shape
        return PointPrompt.at((float(self.rng.integers(width)), float(self.rng.integers(height))))


class ToySquares(MaskGenerator):
    """Three squares around the point."""

    def segment(self, image, prompts):
        width, height = image.size
        return [self._squares(prompt, width, height) for prompt in prompts]

    def _squares(self, prompt, width, height):
        x, y = prompt.points[0]
        ys, xs = np.mgrid[:height, :width]
        distance = np.maximum(np.abs(xs - x), np.abs(ys - y))
        return MaskProposal(np.stack([distance <= r for r in (2, 5, 9)]), np.array([0.3, 0.2, 0.1], np.float32))


class ToyUnsure(ToySquares):
    """The same squares; of two images the scores or the stability is NaN, as of a generator in half precision."""

    def segment(self, image, prompts):
        proposals = super().segment(image, prompts)
        if image.name not in ("s0", "s1"):
            return proposals
        unsure = np.full(3, np.nan, np.float32)
        given = (unsure, None) if image.name == "s0" else (np.ones(3, np.float32), unsure)
        return [MaskProposal(one.masks, *given) for one in proposals]


class ToyFirst(SelectionStrategy):
    """The first mask of the first candidate."""

    def select(self, sample, response, candidates):
        return Selection.chosen(0, 0) if candidates else Selection.nothing("no candidate")


class ToyBeyond(SelectionStrategy):
    """The first mask; of one sample a candidate that is none."""

    def select(self, sample, response, candidates):
        return Selection.chosen(len(candidates) if sample.id == "s3" else 0, 0)


class ToyCareless(SelectionStrategy):
    """The first mask, with NumPy's numbers; of some samples nothing that could be kept."""

    def select(self, sample, response, candidates):
        if sample.id == "s1":
            raise RuntimeError("toy strategy failed")
        if sample.id == "s2":
            return None
        details = {"votes": np.arange(3)} if sample.id == "s3" else {"votes": np.int64(3)}
        return Selection.chosen(np.int64(0), np.int32(0), score=np.float32(0.5), details=details)


class ToyRandom(SelectionStrategy):
    """Any candidate."""

    def select(self, sample, response, candidates):
        return Selection.chosen(int(self.rng.integers(len(candidates))), 0) if candidates else Selection.nothing()


class ToyBest(SelectionStrategy):
    """The mask with the best IoU."""

    uses_ground_truth = True

    def select(self, sample, response, candidates):
        if not candidates:
            return Selection.nothing("no candidate")
        ious = np.array([masks.iou(candidate.masks, [sample.mask])[:, 0] for candidate in candidates])
        candidate, mask = np.unravel_index(int(ious.argmax()), ious.shape)
        return Selection.chosen(int(candidate), int(mask), score=float(ious.max()))


class ToyBoxes(Benchmark):
    """A bright box on the left or on the right."""

    notes = ("every box is bright",)

    def samples(self):
        config = self.config
        for index in range(2 * config.pairs):
            pixels, inside = _scene(index, config.size)
            name = f"s{0 if config.twice else index}"
            image = Image.from_pixels(pixels, name=name)
            if config.folder is not None:
                image = Image.from_path(config.folder / f"{name}.png", known_size=config.size)
            yield Sample(
                id=name,
                image=image,
                question="Is the box on the left or on the right?",
                options=("left", "right"),
                answer=index % 2,
                expression="the box",
                mask=masks.encode(inside),
                pair=str(index // 2),
                categories={"side": "left" if index % 2 == 0 else "right"},
            )


def _scene(index, size):
    width, height = size
    rng = np.random.default_rng(index // 2)
    pixels = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
    inside = np.zeros((height, width), bool)
    x = width // 8 if index % 2 == 0 else width // 2 + width // 8
    inside[height // 4 : height // 4 + max(height // 3, 1), x : x + max(width // 5, 1)] = True
    pixels[inside] = 230
    return pixels, inside


class ToySulkyJudge(Judge):
    """Fails on every answer in words."""

    def grade(self, question, options, answer, response):
        if len(response) > 1:
            raise RuntimeError("too many words")
        return Verdict(response.strip().lower() == "ab"[answer], "toy rule")


class ToyJudge(Judge):
    """Right when the option's text or letter is the answer's start."""

    def grade(self, question, options, answer, response):
        correct = response.strip().lower() in (options[answer], "ab"[answer])
        return Verdict(correct, "toy rule")
