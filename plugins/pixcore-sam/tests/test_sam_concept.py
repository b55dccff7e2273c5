"""SAM 3 told in words: masks as its model gives them, texts alone, and what is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pixcore_sam.concept import SamConcept  # noqa: E402
from pixcore_sam.config import SamConceptConfig  # noqa: E402
from pixcore_sam.generator import resized  # noqa: E402

from pixcore.errors import ConfigError, ModelError  # noqa: E402
from pixcore.notices import Notice  # noqa: E402
from pixcore.records import Image, PointPrompt  # noqa: E402

NOWHERE = PointPrompt.at((0, 0))


def told(text: str) -> PointPrompt:
    return replace(NOWHERE, points=NOWHERE.points[:0], labels=NOWHERE.labels[:0], text=text)


def made(folder: Path, **options: Any) -> SamConcept:
    return SamConcept(SamConceptConfig(checkpoint=str(folder), device="cpu", **options))


@pytest.mark.parametrize("size", [(300, 200), (90, 131)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_masks_are_what_one_pass_from_pixels_and_words_gives(
    size: tuple[int, int], concept: Path, picture: Callable[[int, int], Image]
) -> None:
    """As transformers' own post-processing has them: scores, threshold, probabilities resized, cut at a half."""
    image = picture(*size)
    model = transformers.Sam3Model.from_pretrained(concept).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(concept)
    words = tokenizer("the red ball", padding="max_length", max_length=16, return_tensors="pt")
    pixels = torch.from_numpy(resized(image.pixels(), (112, 112))).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        output = model(pixel_values=pixels, input_ids=words.input_ids, attention_mask=words.attention_mask)
    scores = (output.pred_logits.sigmoid() * output.presence_logits.sigmoid())[0]
    threshold = float(scores.sort(descending=True).values[1:3].mean())
    order = [index for index in scores.argsort(descending=True).tolist() if scores[index] > threshold]
    whole = torch.nn.functional.interpolate(output.pred_masks.sigmoid(), size[::-1], mode="bilinear")[0] > 0.5
    (proposal,) = made(concept, threshold=threshold).segment(image, [told("the red ball")])
    each = whole[order].numpy()
    assert len(each) == 2
    assert (proposal.masks[1:] != each).mean() < 1e-3
    assert (proposal.masks[0] != each.any(axis=0)).mean() < 1e-3
    assert proposal.scores.tolist() == pytest.approx([float(scores.max()), *(float(scores[one]) for one in order)])


def test_what_is_not_there_is_an_empty_mask(concept: Path, picture: Callable[[int, int], Image]) -> None:
    (proposal,) = made(concept, threshold=0.99).segment(picture(60, 40), [told("a cat")])
    assert proposal.masks.shape == (1, 40, 60)
    assert not proposal.masks.any()


def test_at_most_so_many_instances_follow_the_union(concept: Path, picture: Callable[[int, int], Image]) -> None:
    image = picture(60, 40)
    (all_,), (few,) = (made(concept, threshold=0, most=most).segment(image, [told("a cat")]) for most in (8, 1))
    assert (len(all_.masks), len(few.masks)) == (6, 2)
    assert np.array_equal(few.masks, all_.masks[:2])


def test_a_text_that_is_cut_is_told(
    concept: Path, picture: Callable[[int, int], Image], recwarn: pytest.WarningsRecorder
) -> None:
    """The checkpoint has room for 16 tokens."""
    one, words = made(concept, threshold=0), "the red ball " * 6
    one.segment(picture(60, 40), [told("a cat")])
    assert not [str(each.message) for each in recwarn if each.category is Notice]
    one.segment(picture(60, 40), [told(words)])
    (said,) = [str(each.message) for each in recwarn if each.category is Notice]
    assert said == f"sam3-concept hears the first 16 tokens of a text and cuts the rest, such as of {words!r}"


def test_points_are_refused(concept: Path, picture: Callable[[int, int], Image]) -> None:
    with pytest.raises(ConfigError, match="is told in words what to find, and got points"):
        made(concept).segment(picture(60, 40), [NOWHERE])


def test_a_checkpoint_without_a_tokenizer_is_refused(concept: Path, tmp_path: Path) -> None:
    for path in concept.iterdir():
        if "token" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ModelError, match="has no tokenizer"):
        made(tmp_path)


def test_another_sam_is_no_detector(converted: Path) -> None:
    with pytest.raises(ModelError, match="is a 'sam', no SAM"):
        made(converted)
