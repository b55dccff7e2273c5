"""Checkpoints in every form, and every way in which one can be wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pixcore_segtoken import checkpoint, loading
from pixcore_segtoken.checkpoint import CheckpointError, CheckpointFile
from pixcore_segtoken.keymap import Ignore, Merge, Rename, Rule, Split, both
from pixcore_segtoken.loading import Source, load_weights, parameters_on_meta
from safetensors.torch import save_file
from torch import Tensor, nn

from pixcore.errors import ModelError

RULES: tuple[Rule, ...] = (
    Rename(r"enc\.(weight|bias)", r"encoder.\1"),
    Ignore(r"enc\.steps", "only training counts steps"),
    Split(r"shared", both("left", "right")),
)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 2)
        self.left = nn.Parameter(torch.zeros(2))
        self.right = nn.Parameter(torch.zeros(2))
        self.register_buffer("computed", torch.arange(4.0), persistent=False)


@pytest.fixture
def official() -> dict[str, Tensor]:
    return {
        "enc.weight": torch.arange(6.0).reshape(2, 3),
        "enc.bias": torch.tensor([7.0, 8.0]),
        "enc.steps": torch.tensor(5),
        "shared": torch.tensor([0.5, -0.5]),
    }


def build() -> Small:
    with parameters_on_meta():
        return Small()


def check(module: Small, official: dict[str, Tensor]) -> None:
    assert torch.equal(module.encoder.weight, official["enc.weight"])
    assert torch.equal(module.encoder.bias, official["enc.bias"])
    assert torch.equal(module.left, official["shared"])
    assert torch.equal(module.right, official["shared"])
    assert torch.equal(module.get_buffer("computed"), torch.arange(4.0))


def _safetensors(folder: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, folder / "model.safetensors")
    return folder


def _bin(folder: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save(tensors, folder / "pytorch_model.bin")
    return folder


def _wrapped_pth(folder: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save({"state_dict": tensors, "meta": {"epoch": 3}}, folder / "head.pth")
    return folder / "head.pth"


def _old_pth(folder: Path, tensors: dict[str, Tensor]) -> Path:
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


def _sharded_bin(folder: Path, tensors: dict[str, Tensor]) -> Path:
    names = list(tensors)
    weight_map = {}
    for number, part in enumerate((names[:2], names[2:])):
        torch.save({name: tensors[name] for name in part}, folder / f"pytorch_model-{number}.bin")
        weight_map |= dict.fromkeys(part, f"pytorch_model-{number}.bin")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    # Something else that ends in .bin, as trainers leave it.
    torch.save({"not": "weights"}, folder / "training_args.bin")
    return folder


@pytest.mark.parametrize("write", [_safetensors, _bin, _wrapped_pth, _old_pth, _sharded_bin])
def test_every_form(
    write: Callable[[Path, dict[str, Tensor]], Path], tmp_path: Path, official: dict[str, Tensor]
) -> None:
    module = build()
    report = load_weights(module, write(tmp_path, official), RULES)
    check(module, official)
    assert report.ignored == {"enc.steps": "only training counts steps"}
    assert report.loaded["left"] == ("shared",)


def test_dtype_is_converted_for_floats_only(tmp_path: Path, official: dict[str, Tensor]) -> None:
    module = build()
    load_weights(module, _safetensors(tmp_path, official), RULES, dtype=torch.float16)
    assert module.encoder.weight.dtype == torch.float16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(new=torch.zeros(1)), "1 tensors unknown to the key map: new"),
        (lambda t: t.pop("shared"), "2 tensors without weights in our module: left, right"),
        (
            lambda t: t.update({"enc.bias": torch.zeros(9)}),
            r"1 tensors of another shape: enc.bias is \(9,\), encoder.bias needs \(2,\)",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    change: Callable[[dict[str, Tensor]], object], message: str, tmp_path: Path, official: dict[str, Tensor]
) -> None:
    change(official)
    with pytest.raises(CheckpointError, match=message):
        load_weights(build(), _safetensors(tmp_path, official), RULES)


def test_a_target_given_twice(tmp_path: Path, official: dict[str, Tensor]) -> None:
    official["again"] = torch.zeros(2)
    with pytest.raises(CheckpointError, match="given twice: left by again and shared"):
        load_weights(build(), _safetensors(tmp_path, official), [Rename("again", "left"), *RULES])


def test_parts_are_merged_across_sources(tmp_path: Path, official: dict[str, Tensor]) -> None:
    down, up = torch.randn(1, 3), torch.randn(2, 1)
    save_file({"enc.A": down, "enc.B": up}, tmp_path / "adapter.safetensors")
    torch.save(official, tmp_path / "base.pth")
    rules: list[Rule] = [
        Merge(
            {"base": r"(enc)\.weight", "down": r"lora:(enc)\.A", "up": r"lora:(enc)\.B"},
            lambda match, parts: [("encoder.weight", parts["base"] + 0.5 * parts["up"] @ parts["down"])],
        ),
        *RULES,
    ]
    sources = [Source(tmp_path / "adapter.safetensors", "lora:"), Source(tmp_path / "base.pth")]
    module = build()
    load_weights(module, sources, rules)
    torch.testing.assert_close(module.encoder.weight.data, official["enc.weight"] + 0.5 * up @ down)
    with pytest.raises(CheckpointError, match=r"incomplete: enc\.weight waits for its other parts"):
        load_weights(build(), sources[1:], rules)


def test_the_cache_is_read_until_the_sources_change(tmp_path: Path, official: dict[str, Tensor]) -> None:
    path, cache = _wrapped_pth(tmp_path, official), tmp_path / "cache"
    assert not load_weights(build(), path, RULES, cache=cache).from_cache
    module = build()
    assert load_weights(module, path, RULES, cache=cache).from_cache
    check(module, official)
    official["enc.bias"] = torch.tensor([1.0, 1.0])
    official["extra"] = torch.zeros(1000)
    _wrapped_pth(tmp_path, official)
    rules = (*RULES, Ignore("extra", "to make the file larger"))
    module = build()
    assert not load_weights(module, path, rules, cache=cache).from_cache
    check(module, official)


@pytest.mark.parametrize("write", [_safetensors, _bin])
def test_a_cache_of_another_checkpoint_with_equal_names_sizes_and_times(
    write: Callable[[Path, dict[str, Tensor]], Path], tmp_path: Path, official: dict[str, Tensor]
) -> None:
    """Files out of an archive or an image all have one date."""
    other = {name: tensor + 1 for name, tensor in official.items()}
    for name, tensors in (("first", official), ("second", other)):
        (tmp_path / name).mkdir()
        for file in write(tmp_path / name, tensors).iterdir():
            os.utime(file, (0, 0))
        module = build()
        assert not load_weights(module, tmp_path / name, RULES, cache=tmp_path / "cache").from_cache
        check(module, tensors)
    os.utime(next((tmp_path / "second").iterdir()))
    assert load_weights(build(), tmp_path / "second", RULES, cache=tmp_path / "cache").from_cache


def test_the_cache_depends_on_what_no_pattern_shows(tmp_path: Path, official: dict[str, Tensor]) -> None:
    path, cache = _wrapped_pth(tmp_path, official), tmp_path / "cache"

    def doubled(scale: float) -> Small:
        split = Split(r"shared", lambda match, tensor: [("left", tensor * scale), ("right", tensor)])
        module = build()
        load_weights(module, path, [split, *RULES], cache=cache, variant={"scale": scale})
        return module

    assert torch.equal(doubled(2.0).left, 2 * official["shared"])
    assert torch.equal(doubled(3.0).left, 3 * official["shared"])
    assert load_weights(build(), path, RULES, cache=cache, package="pixcore").from_cache is False
    assert load_weights(build(), path, RULES, cache=cache, package="pixcore-transformers").from_cache is False
    # A copy that another one replaced is gone.
    assert len(list(cache.glob("*.safetensors"))) == 1


def test_a_cache_whose_rewriting_was_cut_short(
    tmp_path: Path, official: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_CACHE_FILE_BYTES", 8)  # a file for every tensor
    other = {name: tensor + 1 for name, tensor in official.items()}
    first, second, cache = _wrapped_pth(tmp_path, official), _old_pth(tmp_path, other), tmp_path / "cache"
    load_weights(build(), first, RULES, cache=cache)
    written = 0

    def interrupted(tensors: dict[str, Tensor], file: Path) -> None:
        nonlocal written
        if written == 2:
            raise KeyboardInterrupt
        written += 1
        save_file(tensors, file)

    with monkeypatch.context() as patched:
        patched.setattr(loading, "save_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_weights(build(), second, RULES, cache=cache)
    for source, tensors, from_cache in ((first, official, True), (second, other, False), (second, other, True)):
        module = build()
        assert load_weights(module, source, RULES, cache=cache).from_cache == from_cache
        check(module, tensors)


def test_a_checkpoint_is_not_overwritten_by_a_cache(tmp_path: Path, official: dict[str, Tensor]) -> None:
    path = _safetensors(tmp_path, official)
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(official, "model.safetensors")}))
    with pytest.raises(CheckpointError, match="holds a checkpoint of its own"):
        load_weights(build(), path, RULES, cache=path)


def test_pickles_are_not_executed(tmp_path: Path) -> None:
    torch.save({"enc.weight": Path("anything")}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="not a plain file of weights"):
        load_weights(build(), tmp_path / "evil.pth", RULES)


def test_absent_and_damaged_files(tmp_path: Path, official: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_weights(build(), tmp_path / "nowhere", RULES)
    with pytest.raises(CheckpointError, match="holds no weights"):
        load_weights(build(), tmp_path, RULES)
    _safetensors(tmp_path, official)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_weights(build(), tmp_path, RULES)
    file.unlink()
    _sharded_bin(tmp_path, official)
    (tmp_path / "pytorch_model-1.bin").unlink()
    with pytest.raises(CheckpointError, match=r"pytorch_model-1\.bin, absent"):
        load_weights(build(), tmp_path, RULES)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_file_is_opened_anew_and_gives_the_same_in_any_order(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {f"{index}.weight": torch.full((4, 4), float(index)) for index in range(9)}
    path = tmp_path / f"model.{suffix}"
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    opened = []
    monkeypatch.setattr(checkpoint, "_MAPPED_BYTES", 2 * 64)
    monkeypatch.setattr(checkpoint, "_MAPPED_SHARE", 1 << 20)
    real = checkpoint._open
    monkeypatch.setattr(checkpoint, "_open", lambda given: opened.append(given) or real(given))
    file = CheckpointFile(path)
    assert set(file.names) == set(tensors)
    for name in [*file.names, *reversed(file.names)]:
        assert torch.equal(file.tensor(name), tensors[name])
    assert len(opened) == 9  # two tensors each time
    file.close()
    assert torch.equal(file.tensor("3.weight"), tensors["3.weight"])


def test_a_part_that_comes_twice_before_it_is_merged_is_named(tmp_path: Path) -> None:
    for number in (1, 2):
        save_file({"base": torch.ones(2)}, tmp_path / f"{number}.safetensors")
    save_file({"added": torch.ones(2)}, tmp_path / "3.safetensors")
    rule = Merge({"base": "base", "added": "added"}, lambda _, parts: [("weight", parts["base"] + parts["added"])])
    module = nn.Module()
    module.weight = nn.Parameter(torch.zeros(2))
    with pytest.raises(CheckpointError, match="given twice: base and base"):
        load_weights(module, [Source(tmp_path / f"{number}.safetensors") for number in (1, 2, 3)], [rule])


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.bin"):
        CheckpointFile(tmp_path / "gone.bin")


@pytest.mark.parametrize("name", ["../outside.safetensors", "/outside.safetensors", 5])
def test_no_file_outside_the_folder_is_read(name: object, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"weight": name}}))
    with pytest.raises(ModelError, match=r"index\.json (is no index|names )"):
        checkpoint.shards(tmp_path)
