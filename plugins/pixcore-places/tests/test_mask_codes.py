"""PaliGemma's mask codes: the decoder against PyTorch's own layers, codes in texts, boxes without a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_places.accounts import PlaceAccounts
from pixcore_places.codebook import FILE, MaskDecoder
from pixcore_places.coded import MaskCodes
from pixcore_places.config import ByPromptConfig, MaskCodesConfig, WrittenPlacesConfig
from pixcore_places.groupers import WrittenPlaces, text_prompt
from pixcore_places.scanning import scan
from pixcore_places.several import ByPrompt

from pixcore.components import Context, MaskGenerator, ModelConfig, NoConfig
from pixcore.errors import ConfigError, DataError
from pixcore.figures.rows import Summary
from pixcore.notices import Notice
from pixcore.records import (
    Candidate,
    Image,
    MaskProposal,
    PointPrompt,
    ProtocolResult,
    Request,
    Response,
    Sample,
    SampleResult,
)

SIZE = (60, 40)
CODES = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3]
SEGS = "".join(f"<seg{code:03d}>" for code in CODES)
IMAGE = Image.from_pixels(np.full((SIZE[1], SIZE[0], 3), 128, np.uint8))
WIDTHS = (6, 5, 5, 4, 3, 2)
"""Of a tiny decoder: its codebook's, that of 4x4, and after each enlargement."""


def weights() -> dict[str, np.ndarray[Any, Any]]:
    rng, (book, wide, *after) = np.random.default_rng(0), WIDTHS
    shapes: dict[str, tuple[int, ...]] = {"decoder.0": (wide, book, 1, 1), "decoder.12": (1, after[-1], 1, 1)}
    for block in (2, 3):
        shapes |= {f"decoder.{block}.net.{layer}": (wide, wide, side, side) for layer, side in ((0, 3), (2, 3), (4, 1))}
    for layer, given, made in zip((4, 6, 8, 10), (wide, *after), after, strict=False):
        shapes[f"decoder.{layer}"] = (given, made, 4, 4)
    found = {"_vq_vae._embedding": rng.normal(size=(128, book))}
    for name, shape in shapes.items():
        made = shape[1] if name in ("decoder.4", "decoder.6", "decoder.8", "decoder.10") else shape[0]
        found |= {f"{name}.weight": rng.normal(size=shape), f"{name}.bias": rng.normal(size=made)}
    found["decoder.12.bias"] = np.array([-5070.0])  # so that some of a mask is inside and some outside
    return {name: value.astype(np.float32) for name, value in found.items()}


def written(folder: Path, values: dict[str, np.ndarray[Any, Any]] | None = None) -> Path:
    np.savez(folder / FILE, **(weights() if values is None else values))  # type: ignore[arg-type]
    return folder / FILE


def by_torch(codes: list[int]) -> np.ndarray[Any, Any]:
    """The same by PyTorch's layers, loaded by the file's own names."""
    torch = pytest.importorskip("torch")
    nn = torch.nn
    book, wide, *after = WIDTHS

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            first, second = nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, wide, 3, padding=1)
            self.net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(wide, wide, 1))

        def forward(self, values: Any) -> Any:
            return values + self.net(values)

    layers = [nn.Conv2d(book, wide, 1), nn.ReLU(), Block(), Block()]
    for given, made in zip((wide, *after), after, strict=False):
        layers += [nn.ConvTranspose2d(given, made, 4, stride=2, padding=1), nn.ReLU()]
    decoder = nn.Sequential(*layers, nn.Conv2d(after[-1], 1, 1))
    held = {name: torch.from_numpy(value) for name, value in weights().items()}
    vectors = held.pop("_vq_vae._embedding")
    decoder.load_state_dict({name.removeprefix("decoder."): value for name, value in held.items()})
    with torch.no_grad():
        values = vectors[codes].reshape(4, 4, book).permute(2, 0, 1)[None]
        found: np.ndarray[Any, Any] = decoder(values)[0, 0].numpy()
    return found


def test_the_decoder_equals_pytorchs_layers(tmp_path: Path) -> None:
    found = MaskDecoder(written(tmp_path)).decode(CODES)
    expected = by_torch(CODES)
    assert found.shape == (64, 64)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    decoder = MaskDecoder(written(tmp_path))
    for codes in (CODES[:15], [*CODES[:15], 128]):
        with pytest.raises(ValueError, match="16 codes below 128"):
            decoder.decode(codes)
    lacking = {name: value for name, value in weights().items() if name != "decoder.6.bias"}
    with pytest.raises(DataError, match=r"has no decoder\.6\.bias"):
        MaskDecoder(written(tmp_path, lacking))
    (tmp_path / FILE).write_bytes(b"no")
    with pytest.raises(DataError, match="can't read the mask decoder"):
        MaskDecoder(tmp_path / FILE)


class Gemma(ModelConfig):
    family = "paligemma"
    checkpoint: str = ""


def prompt(text: str, image: Image = IMAGE, **options: Any) -> PointPrompt:
    grouper = WrittenPlaces(WrittenPlacesConfig(**options), Context(model_config=Gemma()))
    request = Request("1", "box", image, "segment it")
    ((group,),) = grouper.group_asked([(request, Response(text))])
    assert group.prompt is not None
    return group.prompt


BOX = "<loc0256><loc0256><loc0768><loc0768>"


def test_codes_stand_beside_their_box() -> None:
    assert scan(f"{BOX}{SEGS} dog")[0].codes == tuple(CODES)
    coded = prompt(f"{BOX}{SEGS} dog", masks="codes")
    assert coded.text == SEGS
    assert coded.box == pytest.approx([60 * 256 / 1023, 40 * 256 / 1023, 60 * 768 / 1023, 40 * 768 / 1023])
    assert prompt(f"{BOX}{SEGS} dog").text is None
    for broken in (f"{BOX}{SEGS[:-8]}", f"{BOX}{SEGS[:-8]}<seg128>", f"{BOX} dog"):
        assert prompt(broken, masks="codes").text is None


@pytest.mark.parametrize("masks", ["codes", "box"])
def test_two_masks_in_one_box_are_two(masks: str) -> None:
    other = SEGS.replace("<seg003>", "<seg100>")
    config = WrittenPlacesConfig.model_validate({"masks": masks})
    said = Response(f"{BOX}{SEGS} dog ; {BOX}{other} dog ; {BOX}{SEGS} dog")
    (groups,) = WrittenPlaces(config, Context(model_config=Gemma())).group_asked(
        [(Request("1", "box", IMAGE, "segment it"), said)]
    )
    texts = [group.prompt.text for group in groups if group.prompt is not None]
    assert texts == ([SEGS, other] if masks == "codes" else [None])
    result = ProtocolResult("box", "segment it", said, tuple(Candidate(one, one.prompt, (), ()) for one in groups))
    accounts = PlaceAccounts()
    accounts.add(SampleResult(Sample("1", IMAGE), {"box": result}))
    (note,) = accounts.closed(Summary("b", "m", "corrected", 1, 0, (), {}, ())).notes
    assert note == f"1 answers state 3 places, {1 if masks == 'codes' else 2} of them again, and all were read."


def test_a_coded_mask_is_drawn_into_its_box(tmp_path: Path) -> None:
    generator = MaskCodes(MaskCodesConfig(of={"name": "regions"}, decoder=written(tmp_path)))
    coded, bare = generator.segment(IMAGE, [prompt(f"{BOX}{SEGS}", masks="codes"), prompt(BOX, masks="codes")])
    assert coded.masks.shape == (1, 40, 60)
    torch = pytest.importorskip("torch")
    small = torch.from_numpy(by_torch(CODES))[None, None]
    inside = torch.nn.functional.interpolate(small, (20, 30), mode="bilinear", antialias=True)[0, 0] > 0
    expected = np.zeros((40, 60), bool)
    expected[10:30, 15:45] = inside.numpy()
    assert (coded.masks[0] != expected).sum() <= 2
    assert 50 < expected.sum() < 550
    assert len(bare.masks)


class Seen(MaskGenerator[NoConfig]):
    """Remembers what it was asked for."""

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        self.prompts = prompts
        return [MaskProposal(np.zeros((1, 40, 60), np.bool_), np.zeros(1, np.float32)) for _ in prompts]


class SeenWords(Seen):
    text_prompts = True


def test_words_alone_are_for_a_generator_that_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = MaskCodes(MaskCodesConfig(of={"name": "regions"}, decoder=written(tmp_path)))
    monkeypatch.setattr(generator, "_inner", seen := SeenWords(NoConfig()))
    generator.segment(IMAGE, [text_prompt("dog")])
    assert [one.text for one in seen.prompts] == ["dog"]
    monkeypatch.setattr(generator, "_inner", Seen(NoConfig()))
    with pytest.raises(ConfigError, match="Seen takes no text prompts"):
        generator.segment(IMAGE, [text_prompt("dog")])


def test_a_box_with_codes_is_a_place_and_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = ByPrompt(ByPromptConfig(places={"name": "regions"}, texts={"name": "regions"}))
    places, texts = SeenWords(NoConfig()), SeenWords(NoConfig())
    monkeypatch.setattr(generator, "_places", places)
    monkeypatch.setattr(generator, "_texts", texts)
    coded = prompt(f"{BOX}{SEGS}", masks="codes")
    generator.segment(IMAGE, [coded, text_prompt("dog")])
    assert [list(one.prompts) for one in (places, texts)] == [[coded], [text_prompt("dog")]]
    for kind, asked in (("_places", coded), ("_texts", text_prompt("dog"))):
        monkeypatch.setattr(generator, kind, Seen(NoConfig()))
        with pytest.raises(ConfigError, match="Seen takes no text prompts"):
            generator.segment(IMAGE, [asked])


def test_another_decoder_of_the_same_size_makes_other_records(tmp_path: Path) -> None:
    options = MaskCodesConfig(of={"name": "regions"}, decoder=written(tmp_path))
    first, size = options.fingerprint(), (tmp_path / FILE).stat().st_size
    written(tmp_path, {name: value + 1 for name, value in weights().items()})
    assert (tmp_path / FILE).stat().st_size == size
    assert options.fingerprint() != first


def test_a_decoder_that_lies_about_is_not_that_of_a_model_without_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    generator = MaskCodes(MaskCodesConfig(of={"name": "regions"}), Context(model_config=NoConfig()))
    with pytest.warns(Notice, match="found no vae-oid.npz"):
        generator.segment(IMAGE, [prompt(f"{BOX}{SEGS}", masks="codes")])


def test_a_mask_fills_the_pixels_that_its_training_cut_out(tmp_path: Path) -> None:
    """Tokens as big_vision's `refcoco_mask2str` makes them of a box's whole pixels, and a mask that is all inside."""
    decoder = written(tmp_path, weights() | {"decoder.12.bias": np.array([1e6], np.float32)})
    generator = MaskCodes(MaskCodesConfig(of={"name": "regions"}, decoder=decoder))
    rng = np.random.default_rng(0)
    for size in [(60, 40), (333, 500), (900, 7), *map(tuple, rng.integers(2, 900, (40, 2)).tolist())]:
        (x0, x1), (y0, y1) = (sorted(rng.choice(side + 1, 2, replace=False).tolist()) for side in size)
        edges = zip((y0, x0, y1, x1), (*size[::-1], *size[::-1]), strict=True)
        box = "".join(f"<loc{round(1023 * edge / side):04d}>" for edge, side in edges)
        image = Image.from_pixels(np.zeros((size[1], size[0], 3), np.uint8))
        (drawn,) = generator.segment(image, [prompt(f"{box}{SEGS}", image, masks="codes")])
        expected = np.zeros(size[::-1], np.bool_)
        expected[y0:y1, x0:x1] = True
        assert np.array_equal(drawn.masks[0], expected)


def test_the_decoder_is_looked_for_beside_the_checkpoint(tmp_path: Path) -> None:
    context = Context(model_config=Gemma(checkpoint=str(tmp_path)))
    options = MaskCodesConfig(of={"name": "regions"})
    coded = prompt(f"{BOX}{SEGS}", masks="codes")
    with pytest.warns(Notice, match="found no vae-oid.npz"):
        (boxed,) = MaskCodes(options, context).segment(IMAGE, [coded])
    written(tmp_path)
    (drawn,) = MaskCodes(options, context).segment(IMAGE, [coded])
    assert drawn.masks.shape[0] == 1
    assert boxed.masks.shape != drawn.masks.shape or (boxed.masks != drawn.masks).any()
    with pytest.raises(ConfigError, match="there is no"):
        MaskCodesConfig(of={"name": "regions"}, decoder=tmp_path / "none.npz").check_ready()
