"""PaliGemma's mask codes: the decoder against PyTorch's own layers, codes in texts, boxes without a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_places.codebook import FILE, MaskDecoder
from pixcore_places.coded import MaskCodes
from pixcore_places.config import MaskCodesConfig, WrittenPlacesConfig
from pixcore_places.groupers import WrittenPlaces
from pixcore_places.scanning import scan

from pixcore.components import Context, ModelConfig
from pixcore.errors import ConfigError, DataError
from pixcore.notices import Notice
from pixcore.records import Image, PointPrompt, Request, Response

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


def prompt(text: str, **options: Any) -> PointPrompt:
    grouper = WrittenPlaces(WrittenPlacesConfig(**options), Context(model_config=Gemma()))
    request = Request("1", "box", IMAGE, "segment it")
    ((group,),) = grouper.group_asked([(request, Response(text))])
    assert group.prompt is not None
    return group.prompt


BOX = "<loc0256><loc0256><loc0768><loc0768>"


def test_codes_stand_beside_their_box() -> None:
    assert scan(f"{BOX}{SEGS} dog")[0].codes == tuple(CODES)
    coded = prompt(f"{BOX}{SEGS} dog", masks="codes")
    assert (coded.box, coded.text) == ((15.0, 10.0, 45.0, 30.0), SEGS)
    assert prompt(f"{BOX}{SEGS} dog").text is None
    for broken in (f"{BOX}{SEGS[:-8]}", f"{BOX}{SEGS[:-8]}<seg128>", f"{BOX} dog"):
        assert prompt(broken, masks="codes").text is None


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
