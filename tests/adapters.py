"""What every model adapter must do, once: an adapter's tests inherit the suites that fit what it gives.

`AdapterSuite` is for all; `AttentionAdapterSuite` and `MaskAdapterSuite` extend it; `VisualTokensSuite` is for those
whose image tokens have places, `PlacingSuite` for those whose weights can be placed, `FolderSuite` for those that read
a checkpoint's folder, `HubSuite` for those that download one, `MemorySuite` for those that answer in batches. They need
the fixture `subject`, and `MaskAdapterSuite` its responses too.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pixcore_attention.config import MeanConfig, RelativeConfig
from pixcore_attention.mean import Mean
from pixcore_attention.relative import Relative
from pixcore_segtoken.mask_adapter import MaskAdapter
from pixcore_testing.conformance import check_registration
from pixcore_testing.geometry import check_geometry
from safetensors.torch import save_file
from torch import nn

from pixcore import masks
from pixcore.cli import main
from pixcore.components import AttentionExtractor, Context, ModelAdapter
from pixcore.config import ChosenComponent, ChosenComponents
from pixcore.errors import ModelError, SampleError
from pixcore.notices import Notice, hearing
from pixcore.plugins import Kind, registry
from pixcore.records import Fidelity, Image, Protocol, Request, Response, Sample
from pixcore.runs.execute import StoppingMonitor
from pixcore.runs.progress import Display
from pixcore.stages.answer import Answer, Loader
from pixcore.stages.base import Item
from pixcore.terminal import Console
from tests.hub import Hub, hub

SIZES = ((90, 60), (48, 80), (70, 70), (200, 33))
"""(width, height) of the images that are asked about: wide, tall, square, and very wide."""

FIDELITIES = (Fidelity.CORRECTED, Fidelity.PUBLISHED)
"""What an adapter may be told: `paper` is told to strategies alone."""


def requests_of(
    questions: Sequence[str],
    seed: int = 0,
    protocol: Protocol = Protocol.SEGMENT,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> list[Request]:
    """Ask each question about an image of noise of its own size."""
    rng = np.random.default_rng(seed)
    images = [Image.from_pixels(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for width, height in sizes]
    return [
        Request(str(index), protocol, image, question)
        for index, (image, question) in enumerate(zip(images, questions, strict=True))
    ]


def run_on_mini_world(
    model: Mapping[str, Any], folder: Path, fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any
) -> Path:
    """Take a model that gives masks through `pixcore run` on two pairs of mini-world, as a user would.

    Args:
        model: The config's section, name and options.
        folder: Where the config, the stores and the run are written.
        fidelity: Whose rules.
        changes: Other sections of the config; without them no mask is mined.

    Returns:
        The run's folder.
    """
    document: dict[str, Any] = {
        "benchmark": {"name": "mini-world", "pairs": 2},
        "model": dict(model),
        "extractor": None,
        "masks": None,
        "selections": [],
        "control": None,
        "judge": "exact-match",
        "letter_judge": "exact-match",
        "fidelity": str(fidelity),
        "batch_size": 4,
        "output": str(folder / f"run-{model['name']}"),
        "store": str(folder / "store"),
        **changes,
    }
    config = folder / f"run-{model['name']}.yaml"
    config.write_text(json.dumps(document))  # JSON is YAML
    with pytest.raises(SystemExit) as ended:
        main(["run", str(config)])
    assert not ended.value.code
    return Path(document["output"])


SPENT = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 23.65 GiB of which 12.75 MiB is "
    "free. Process 7 has 23.63 GiB memory in use. Of the allocated memory 23.10 GiB is allocated by PyTorch, and 95.21 "
    "MiB is reserved by PyTorch but unallocated."
)
"""torch's words for a GPU that is full."""


class SmallDevice:
    """A device on which language models can work on so many sequences at once; on more, memory runs out.

    Attributes:
        refused: Sizes of the batches that memory ran out on.
        alive: Tensors of failed batches that were still held when the next batch came.
    """

    def __init__(self, room: int) -> None:
        self.refused: list[int] = []
        self.alive = 0
        self._room = room
        self._failed: list[weakref.ref[torch.Tensor]] = []

    def look(self, module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        """Hear of every module that is about to work."""
        kind = type(module)
        if not (kind.__name__.endswith("DecoderLayer") and kind.__module__.startswith("transformers.models")):
            return
        (states, *_) = given
        self.alive += sum(tensor() is not None for tensor in self._failed)
        self._failed = []
        if len(states) > self._room:
            self.refused.append(len(states))
            self._failed = [weakref.ref(each) for each in given if torch.is_tensor(each)]
            raise torch.OutOfMemoryError(SPENT)


@contextmanager
def looking(look: Callable[[torch.nn.Module, tuple[Any, ...]], None]) -> Iterator[None]:
    """While open, every module that is about to work is shown to `look` first."""
    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def small_device(room: int) -> Iterator[SmallDevice]:
    """While open, every language model works on a device that is too small for more than `room` sequences."""
    device = SmallDevice(room)
    with looking(device.look):
        yield device


WIDTHS = ("intermediate_size", "moe_intermediate_size", "shared_intermediate_size", "block_ff_dim")
"""Entries of a config.json that say how wide a language model's layers are inside."""


def change_config(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the language model's sizes in a config.json, wherever in it they stand."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for part in (content, content.get("text_config")):
        if part is not None and "num_hidden_layers" in part:
            part |= change(part)
    path.write_text(json.dumps(content))


@dataclass(frozen=True)
class Subject:
    """The adapter under test.

    Attributes:
        name: As it is registered.
        options: Its config's options, for a tiny checkpoint.
        requests: What it is asked.
        flips: How many pixels of a mask may differ between a batch and one alone: padding may round a state otherwise.
        tolerance: How far a map may differ between a batch and one alone.
        draws: How often each region is covered with other noise to find the tokens that see it.
        misplaced: Fidelities whose layout is wrong on purpose, as the released script's is.
        marker: What stands for a mask in the answer.
        marked: Fidelities that leave markers in the text.
        folder: The option that names the folder with config.json.
        silent: Fidelities under which nothing of an answer can be told before it is whole.
    """

    name: str
    options: dict[str, Any]
    requests: list[Request]
    flips: int = 0
    tolerance: float = 1e-5
    draws: int = 2
    misplaced: frozenset[Fidelity] = frozenset()
    marker: str = "[SEG]"
    marked: frozenset[Fidelity] = frozenset()
    folder: str = "checkpoint"
    silent: frozenset[Fidelity] = frozenset()

    def chosen(self, **changes: Any) -> ChosenComponent:
        """The adapter as a run has chosen it, with some options changed."""
        registration = registry().get(Kind.MODEL, self.name)
        return ChosenComponent(registration, registration.config_class.model_validate({**self.options, **changes}))

    def stage(self, folder: Path, batch_size: int, **changes: Any) -> tuple[Answer, list[Item]]:
        """The stage of a run in which it answers, and what it is asked there."""
        model = self.chosen(**changes)
        mean = registry().get(Kind.EXTRACTOR, "mean")
        extractor = ChosenComponent(mean, mean.config_class())
        components = ChosenComponents({"model": model, "extractor": extractor})
        loader = Loader(model, Context())
        stage = Answer(folder, Context(), components, loader=loader, batch_size=batch_size)
        return stage, [Item(Sample(each.sample_id, each.image), each, segmented=False) for each in self.requests]

    def copied(self, to: Path, *, weights: bool = True) -> tuple[Path, dict[str, Any]]:
        """Copy the folder with config.json, with or without its weights: the copy, and the options that name it."""
        if self.folder not in self.options:
            pytest.skip("it has no folder of its own")
        without = None if weights else shutil.ignore_patterns("*.safetensors", "*.bin", "*.pth", "*.pt")
        copy = Path(shutil.copytree(self.options[self.folder], to / "copy", ignore=without))
        return copy, {self.folder: str(copy)}

    def refusal(self, folder: Path, options: dict[str, Any]) -> ModelError:
        """Run the stage in which it answers, on options with which it can't be loaded: what ends the run at once."""
        stage, items = self.stage(folder, batch_size=1, **options)
        monitor = Display(Console(file=io.StringIO()))
        with pytest.raises(ModelError) as refused:
            stage.run(items, StoppingMonitor("record", monitor))
        assert not any(map(stage.has, items))
        assert "this file can still be loaded" not in str(refused.value)
        return refused.value

    @contextmanager
    def adapter(self, fidelity: Fidelity = Fidelity.CORRECTED) -> Iterator[ModelAdapter[Any]]:
        """Make the adapter as a run does, and close it."""
        registration = registry().get(Kind.MODEL, self.name)
        made: ModelAdapter[Any] = registration.create(
            registration.config_class.model_validate(self.options), Context(fidelity=fidelity)
        )
        try:
            yield made
        finally:
            made.close()


def beginnings_of(adapter: ModelAdapter[Any]) -> list[Response]:
    """What the adapter says is written by now of its answers in the making; one that says nothing skips the test."""
    if not hasattr(adapter, "partial"):
        pytest.skip("it says nothing of answers in the making")
    return cast(list[Response], adapter.partial())


def hold_to_its_beginnings(
    adapter: ModelAdapter[Any],
    requests: list[Request],
    extractor: AttentionExtractor[Any] | None,
    *,
    silent: bool = False,
) -> list[list[Response]]:
    """Hold what is told of answers in the making to the answers, and these to the ones that nobody hears of.

    Args:
        adapter: Answers.
        requests: What it is asked, as one batch.
        extractor: Reads attention; maps are told meanwhile where its steps stand alone.
        silent: Nothing can be told before an answer is whole.

    Returns:
        What was told, each time.
    """
    assert beginnings_of(adapter) == []
    unheard = adapter.answer(requests, extractor)
    heard: list[list[Response]] = []
    with hearing(lambda tokens, most: heard.append(beginnings_of(adapter))):
        final = adapter.answer(requests, extractor)
    assert beginnings_of(adapter) == []
    told = [each for each in heard if each]
    says = any(whole.text for whole in final)
    assert any(one.text for each in told for one in each) is (says and not silent)
    for each in told:
        for one, whole, same in zip(each, final, unheard, strict=True):
            assert (whole.text, whole.tokens) == (same.text, same.tokens)
            assert whole.text.startswith(one.text)
            assert one.tokens == whole.tokens[: len(one.tokens)]
            assert (one.maps is not None) is bool(getattr(extractor, "stepwise", False))
            if one.maps is not None:
                assert one.layout is not None
                np.testing.assert_array_equal(one.maps, cast(Any, whole.maps)[: len(one.maps)])
                # a processor may add up few rows otherwise than many
                np.testing.assert_allclose(cast(Any, whole.maps), cast(Any, same.maps), rtol=0, atol=1e-6)
    for place in range(len(requests)):
        lengths = [len(each[place].text) for each in told]
        assert lengths == sorted(lengths)
    return told


class AdapterSuite:
    """Tests for every adapter; a suite that extends it says what else a response has to share with one alone."""

    def extractor(self, fidelity: Fidelity) -> AttentionExtractor[Any] | None:
        """Read attention where the adapter gives any."""
        return None

    def assert_same(self, subject: Subject, together: Response, alone: Response) -> None:
        """Hold a response of a batch to the same request's alone."""
        assert together.text == alone.text
        assert together.tokens == alone.tokens

    @pytest.mark.parametrize("fidelity", FIDELITIES)
    def test_a_batch_says_what_each_sample_alone_says(self, subject: Subject, fidelity: Fidelity) -> None:
        with subject.adapter(fidelity) as adapter:
            together = adapter.answer(subject.requests, self.extractor(fidelity))
            for request, response in zip(subject.requests, together, strict=True):
                (alone,) = adapter.answer([request], self.extractor(fidelity))
                self.assert_same(subject, response, alone)

    def test_tokens_tile_the_text(self, subject: Subject) -> None:
        with subject.adapter() as adapter:
            for response in adapter.answer(subject.requests):
                said = "".join(token.text for token in response.tokens)
                assert said == response.text or not response.tokens  # a system of its own may not tell them
                assert all(response.text[token.start : token.end] == token.text for token in response.tokens)

    def test_a_long_answer_tells_how_long_it_is(self, subject: Subject) -> None:
        heard: list[tuple[int, int]] = []
        with subject.adapter() as adapter, hearing(lambda tokens, most: heard.append((tokens, most))):
            most = getattr(adapter.config, "max_new_tokens", None)
            if most is None:
                pytest.skip("it does not generate by itself")
            adapter.answer(subject.requests[:1])
        assert heard == [(count, most) for count in range(1, len(heard) + 1)]
        assert heard

    @pytest.mark.parametrize("fidelity", FIDELITIES)
    def test_what_is_told_meanwhile_is_the_beginning_of_the_answer(self, subject: Subject, fidelity: Fidelity) -> None:
        with subject.adapter(fidelity) as adapter:
            silent = fidelity in subject.silent
            hold_to_its_beginnings(adapter, subject.requests, self.extractor(fidelity), silent=silent)

    def test_whoever_hears_may_stop_it_and_the_next_answer_is_as_ever(self, subject: Subject) -> None:
        class Enough(BaseException):
            pass

        heard: list[int] = []

        def stop(tokens: int, most: int) -> None:
            heard.append(tokens)
            if tokens == 2:
                raise Enough

        with subject.adapter() as adapter:
            beginnings_of(adapter)
            extractor = self.extractor(Fidelity.CORRECTED)
            before = adapter.answer(subject.requests[:1], extractor)
            with hearing(stop), pytest.raises(Enough):
                adapter.answer(subject.requests[:1], extractor)
            assert heard[-2:] == [1, 2]
            assert beginnings_of(adapter) == []
            (after,) = adapter.answer(subject.requests[:1], extractor)
        assert (after.text, after.tokens, after.mask) == (before[0].text, before[0].tokens, before[0].mask)
        if before[0].maps is not None:
            np.testing.assert_array_equal(cast(Any, after.maps), before[0].maps)

    def test_what_can_not_fit_is_refused_by_config_json_alone(self, subject: Subject, tmp_path: Path) -> None:
        copy, options = subject.copied(tmp_path, weights=False)
        change_config(copy, lambda content: {name: 10**10 for name in content if name in WIDTHS})
        error = subject.refusal(tmp_path, options)
        sizes = re.search(
            r"needs ([\d.]+) GiB of this machine's memory for its weights in float32, ([\d.]+) GiB are free$",
            error.message,
        )
        assert sizes is not None, error.message
        assert float(sizes[1]) > 500
        assert "4bit" not in error.hint

    def test_a_config_json_of_no_model_is_refused_alone(self, subject: Subject, tmp_path: Path) -> None:
        copy, options = subject.copied(tmp_path, weights=False)
        change_config(copy, lambda content: {"num_hidden_layers": "many"})
        error = subject.refusal(tmp_path, options)
        assert "config.json" in error.message or "num_hidden_layers" in error.message
        assert "folder whole" not in error.hint

    def test_a_file_that_is_cut_short_is_named(self, subject: Subject, tmp_path: Path) -> None:
        copy, options = subject.copied(tmp_path)
        files = [path for path in sorted(copy.iterdir()) if path.suffix in (".safetensors", ".bin", ".pth")]
        for path in files:
            path.write_bytes(path.read_bytes()[:-64])
        error = subject.refusal(tmp_path, options)
        assert any(path.name in error.message for path in files), error.message
        assert "damaged" in error.message

    def test_a_tensor_of_another_shape_is_named(self, subject: Subject, tmp_path: Path) -> None:
        copy, options = subject.copied(tmp_path)
        change_config(copy, lambda content: {name: content[name] * 2 for name in content if name in WIDTHS})
        error = subject.refusal(tmp_path, options)
        assert re.search(r"\w+\.\w+\.\w*(gate|up|down|fc|w|linear)\w*", error.message), error.message
        assert "shape" in error.message or re.search(r" is \(\d+, \d+\)", error.message), error.message

    @pytest.mark.parametrize("name", ["../model.safetensors", "/etc/model.safetensors", 7])
    def test_an_index_names_files_of_its_folder_alone(self, subject: Subject, tmp_path: Path, name: str | int) -> None:
        copy, options = subject.copied(tmp_path)
        index = {"metadata": {}, "weight_map": {"model.norm.weight": name}}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
        error = subject.refusal(tmp_path, options)
        assert "model.safetensors.index.json" in error.message

    @pytest.mark.parametrize("fidelity", FIDELITIES)
    def test_the_contract_of_adapters(self, subject: Subject, fidelity: Fidelity) -> None:
        registration = registry().get(Kind.MODEL, subject.name)
        config = registration.config_class.model_validate(subject.options)
        assert check_registration(registration, config, Context(fidelity=fidelity), geometry=False, asks=True) == []


class MemorySuite:
    """Tests for adapters whose language model is transformers' and works in this process."""

    def test_memory_that_runs_out_halves_the_batch_and_costs_no_sample(self, subject: Subject, tmp_path: Path) -> None:
        stage, items = subject.stage(tmp_path, batch_size=4)
        with warnings.catch_warnings(record=True) as told, small_device(1) as device:
            warnings.simplefilter("always")
            stage.run(items, Display(Console(file=io.StringIO())))
        assert device.refused == [4, 2]
        assert device.alive == 0
        assert ["memory ran out" in str(each.message) for each in told if each.category is Notice].count(True) == 1
        whole, items = subject.stage(tmp_path / "whole", batch_size=1)
        whole.run(items, Display(Console(file=io.StringIO())))
        for item in items:
            made, expected = stage.response(item), whole.response(item)
            assert made is not None
            assert expected is not None
            assert made.text == expected.text

    def test_memory_that_one_sample_exhausts_stops_the_run(self, subject: Subject, tmp_path: Path) -> None:
        stage, items = subject.stage(tmp_path, batch_size=1)
        said = ""
        with small_device(0) as device:
            try:
                stage.run(items, Display(Console(file=io.StringIO())))
            except ModelError as error:
                said = error.message
        assert said == (
            f"memory ran out in stage answer on sample {items[0].sample.id} alone: 20.00 MiB more were needed, 12.75 "
            "MiB of GPU 0's 23.65 GiB are free"
        )
        assert device.refused == [1]


class VisualTokensSuite:
    """A test for adapters that say where their image tokens lie."""

    @pytest.mark.parametrize("fidelity", FIDELITIES)
    def test_visual_tokens_lie_where_the_layout_says(self, subject: Subject, fidelity: Fidelity) -> None:
        with subject.adapter(fidelity) as adapter:
            findings = check_geometry(adapter, draws=subject.draws)
        assert bool(findings) == (fidelity in subject.misplaced), findings


class RestSuite:
    """A test for adapters whose tower's side need be no multiple of its patch."""

    def test_what_is_left_after_the_last_patch_belongs_to_no_cell(
        self, subject: Subject, options_of_a_rest: dict[str, object]
    ) -> None:
        with replace(subject, options=options_of_a_rest).adapter() as adapter:
            assert check_geometry(adapter, draws=subject.draws) == []


class PlacingSuite:
    """Tests for adapters whose weights can be placed and quantized; a CPU alone shows what does not hang on a GPU."""

    @pytest.mark.parametrize(
        "placing",
        [{"offload_towers": True}, {"device_map": "cpu"}, {"device_map": "auto"}, {"device_map": {"": "cpu"}}],
        ids=str,
    )
    def test_where_weights_are_changes_nothing(self, subject: Subject, placing: dict[str, Any]) -> None:
        asked = subject.requests[:2]
        with subject.adapter() as adapter:
            expected = adapter.answer(asked)
        with replace(subject, options={**subject.options, **placing}).adapter() as adapter:
            found = adapter.answer(asked)
        for response, other in zip(found, expected, strict=True):
            assert response.text == other.text
            assert response.tokens == other.tokens
            assert response.masks == other.masks

    def test_eight_bits_answer(self, subject: Subject) -> None:
        pytest.importorskip("bitsandbytes")
        with replace(subject, options={**subject.options, "quantization": "8bit"}).adapter() as adapter:
            responses = adapter.answer(subject.requests[:2])
            kinds = Counter(type(module).__name__ for module in modules_of(adapter.loaded))
        assert len(responses) == 2
        assert kinds["Linear8bitLt"] >= 8  # four of attention in each of two layers

    def test_four_bits_need_a_gpu(self, subject: Subject) -> None:
        options = {**subject.options, "quantization": "4bit", "device_map": "cpu"}
        with (
            replace(subject, options=options).adapter() as adapter,
            pytest.raises(ModelError, match=r"4bit needs a GPU \(on a CPU try dtype: bfloat16, or quantization: 8bit"),
        ):
            adapter.answer(subject.requests[:1])

    def test_what_is_missing_is_named_with_its_extra(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pixcore_transformers.placing.is_bitsandbytes_available", lambda: False)
        monkeypatch.setattr("pixcore_transformers.placing.is_accelerate_available", lambda: False)
        for option, hint in (({"quantization": "8bit"}, "quantized"), ({"device_map": "auto"}, "device-map")):
            with (
                replace(subject, options={**subject.options, **option}).adapter() as adapter,
                pytest.raises(ModelError, match=rf"needs .*accelerate \(pip install 'pixcore-transformers\[{hint}\]'"),
            ):
                adapter.answer(subject.requests[:1])

    @pytest.mark.parametrize("device", ["gpu", "mps", {"": "cuda:99"}], ids=str)
    def test_a_device_that_is_not_there(self, subject: Subject, device: Any) -> None:
        with (
            replace(subject, options={**subject.options, "device_map": device}).adapter() as adapter,
            pytest.raises(ModelError, match="device_map: "),
        ):
            adapter.answer(subject.requests[:1])


def modules_of(loaded: Any) -> Iterator[nn.Module]:
    """All modules of what an adapter has loaded, whatever it is made of."""
    for part in vars(loaded).values():
        if isinstance(part, nn.Module):
            yield from part.modules()


class FolderSuite:
    """Tests for adapters that read folders of checkpoints: what else stands in one changes nothing, or is named."""

    def test_a_generation_config_is_not_followed_in_silence(self, subject: Subject, tmp_path: Path) -> None:
        entries = {"num_beams": 3, "bad_words_ids": [[1]], "length_penalty": 2.0, "max_length": 7, "do_sample": True}

        def alter(folder: Path) -> None:
            (folder / "generation_config.json").write_text(json.dumps(entries), encoding="utf-8")

        with pytest.warns(Notice, match="not followed: bad_words_ids, length_penalty, num_beams"):
            self._hold(subject, tmp_path, alter)

    def test_a_kernel_that_a_config_names_is_not_asked_for(self, subject: Subject, tmp_path: Path) -> None:
        def alter(folder: Path) -> None:
            path = folder / "config.json"
            if path.is_file():
                stored = json.loads(path.read_text(encoding="utf-8"))
                stored |= {"_attn_implementation": "flash_attention_2", "attn_implementation": "flash_attention_2"}
                path.write_text(json.dumps(stored), encoding="utf-8")

        self._hold(subject, tmp_path, alter)

    def test_consolidated_weights_are_not_read(self, subject: Subject, tmp_path: Path) -> None:
        def alter(folder: Path) -> None:
            save_file({"layers.0.attention.wq.weight": torch.zeros(2, 2)}, folder / "consolidated.safetensors")

        self._hold(subject, tmp_path, alter)

    def _hold(self, subject: Subject, tmp_path: Path, alter: Callable[[Path], None]) -> None:
        def copied(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [copied(each) for each in value]
            if not isinstance(value, str | Path) or not Path(value).is_dir():
                return value
            folder = Path(shutil.copytree(value, tmp_path / f"{len(list(tmp_path.iterdir()))}-{Path(value).name}"))
            alter(folder)
            return str(folder)

        request = subject.requests[:1]
        altered = replace(subject, options={name: copied(value) for name, value in subject.options.items()})
        assert altered.options != subject.options
        with subject.adapter() as adapter, altered.adapter() as other:
            (expected,) = adapter.answer(request)
            (found,) = other.answer(request)
        assert found.text == expected.text
        assert found.tokens == expected.tokens
        assert found.masks == expected.masks


class HubSuite:
    """Tests for adapters whose folders may be names on a hub, which one on this machine stands in for."""

    def test_it_answers_from_the_hub_as_from_its_folders(self, subject: Subject, tmp_path: Path) -> None:
        with hub(tmp_path / "cache") as server:
            options = {name: on_hub(value, server) for name, value in subject.options.items()}
            assert server.folders
            with subject.adapter() as adapter, replace(subject, options=options).adapter() as other:
                (expected,) = adapter.answer(subject.requests[:1])
                (found,) = other.answer(subject.requests[:1])
        assert found.text == expected.text
        assert found.tokens == expected.tokens
        assert found.masks == expected.masks

    @pytest.mark.parametrize(
        "change",
        [lambda content: {name: 10**10 for name in content if name in WIDTHS}, lambda _: {"num_hidden_layers": "many"}],
        ids=["too large", "no model"],
    )
    def test_what_config_json_refuses_is_not_downloaded(
        self, subject: Subject, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        copy, options = subject.copied(tmp_path)
        change_config(copy, change)
        with hub(tmp_path / "cache") as server:
            change_config(copy, lambda content: {name: on_hub(value, server) for name, value in content.items()})
            options = {name: on_hub(value, server) for name, value in {**subject.options, **options}.items()}
            error = subject.refusal(tmp_path, options)
        assert "GiB" in error.message or "config.json" in error.message or "num_hidden_layers" in error.message
        assert {Path(name).name for name in server.sent} == {"config.json"}


def on_hub(value: Any, server: Hub) -> Any:
    """An option's value with names on a hub in place of folders."""
    if isinstance(value, list | tuple):
        return [on_hub(each, server) for each in value]
    return server.serve(Path(value)) if isinstance(value, str | Path) and Path(value).is_dir() else value


class AttentionAdapterSuite(AdapterSuite):
    """Tests for adapters whose attention can be read."""

    def extractor(self, fidelity: Fidelity) -> AttentionExtractor[Any] | None:
        return Mean(MeanConfig.model_validate({}), Context(fidelity=fidelity))

    def assert_same(self, subject: Subject, together: Response, alone: Response) -> None:
        super().assert_same(subject, together, alone)
        assert together.layout is not None
        assert alone.layout is not None
        assert together.layout.grids == alone.layout.grids
        np.testing.assert_array_equal(together.layout.cell_of, alone.layout.cell_of)
        assert together.maps is not None
        assert alone.maps is not None
        assert len(together.maps) == len(together.tokens)
        np.testing.assert_allclose(together.maps, alone.maps, rtol=0, atol=subject.tolerance)

    def test_reading_attention_changes_no_answer(self, subject: Subject) -> None:
        with subject.adapter() as adapter:
            plain = adapter.answer(subject.requests)
            read = adapter.answer(subject.requests, self.extractor(Fidelity.CORRECTED))
        assert [response.tokens for response in plain] == [response.tokens for response in read]
        assert all(response.maps is None for response in plain)


class SegmentingAttentionSuite:
    """Tests for systems that segment by themselves: with `attention: true` their language model's looks are read."""

    def test_what_its_language_model_looks_at_is_read(self, subject: Subject) -> None:
        """Against one eager pass over prompt and text; the text is that of a model that segments."""
        mean = Mean(MeanConfig.model_validate({}))
        with subject.adapter() as adapter:
            said = [response.text for response in adapter.answer(subject.requests)]
            with pytest.raises(ModelError, match="attention: true"):
                adapter.answer(subject.requests[:1], mean)
        with replace(subject, options={**subject.options, "attention": True}).adapter() as made:
            adapter = cast(MaskAdapter[Any, Any], made)
            assert adapter.capabilities == {"text", "attention"}
            plain = adapter.answer(subject.requests)
            together = adapter.answer(subject.requests, mean)
            assert [response.text for response in plain] == [response.text for response in together] == said
            assert all(response.mask is None and response.maps is None for response in plain)
            for request, response in zip(subject.requests, together, strict=True):
                (alone,) = adapter.answer([request], mean)
                assert alone.maps is not None
                assert response.maps is not None
                np.testing.assert_allclose(response.maps, alone.maps, rtol=0, atol=subject.tolerance)
                np.testing.assert_allclose(alone.maps, self.eager(adapter, request, alone), rtol=0, atol=1e-5)
            (emitted,) = adapter.answer([request], Mean(MeanConfig.model_validate({"query": "emitted"})))
            assert emitted.maps is not None
            assert alone.maps is not None
            np.testing.assert_allclose(emitted.maps[:-1], alone.maps[1:], rtol=0, atol=1e-6)
            assert emitted.maps[-1].sum() > 0
            (relative,) = adapter.answer([request], Relative(RelativeConfig.model_validate({"layers": [0]})))
            assert relative.reference is not None
            assert relative.reference.sum() > 0
            told = ["a cat", "cat"]
            replayed = adapter.replay([request, request], told, mean)
            assert [response.text for response in replayed] == told
            for response in replayed:
                assert response.maps is not None
                assert response.mask is None
                np.testing.assert_allclose(response.maps, self.eager(adapter, request, response), rtol=0, atol=1e-5)

    def test_masks_and_attention_are_of_one_answer(self, subject: Subject) -> None:
        """Both are what either setting alone gives."""
        mean = Mean(MeanConfig.model_validate({}))
        with subject.adapter() as adapter:
            segmented = adapter.answer(subject.requests)
        with replace(subject, options={**subject.options, "attention": True}).adapter() as adapter:
            looked = adapter.answer(subject.requests, mean)
        with replace(subject, options={**subject.options, "attention": "with-masks"}).adapter() as adapter:
            assert adapter.capabilities == {"text", "attention", "masks"}
            both = adapter.answer(subject.requests, mean)
            alone = adapter.answer(subject.requests)
        for one, own, seen, blind in zip(both, segmented, looked, alone, strict=True):
            assert (one.text, one.tokens) == (seen.text, seen.tokens) == (blind.text, blind.tokens)
            assert (one.mask, one.masks, one.mask_spans) == (own.mask, own.masks, own.mask_spans)
            assert one.maps is not None
            assert seen.maps is not None
            np.testing.assert_allclose(one.maps, seen.maps, rtol=0, atol=1e-6)
            assert blind.maps is None

    @pytest.mark.parametrize("attention", [True, "with-masks"])
    @pytest.mark.parametrize("fidelity", FIDELITIES)
    def test_its_maps_are_told_meanwhile(self, subject: Subject, fidelity: Fidelity, attention: bool | str) -> None:
        with replace(subject, options={**subject.options, "attention": attention}).adapter(fidelity) as adapter:
            for query in ("predicting", "emitted"):
                mean = Mean(MeanConfig.model_validate({"query": query}), Context(fidelity))
                hold_to_its_beginnings(adapter, subject.requests, mean)
            relative = Relative(RelativeConfig.model_validate({"layers": [0]}))
            hold_to_its_beginnings(adapter, subject.requests, relative)

    @staticmethod
    def eager(adapter: MaskAdapter[Any, Any], request: Request, response: Response) -> NDArray[np.float32]:
        """What transformers' own eager attention has at the visual tokens, whose embeddings are the image's."""
        (shown,) = adapter.show([request])
        cells = slice(shown.start, shown.start + shown.layout.tokens)
        np.testing.assert_allclose(
            shown.embedded[cells].float().numpy(), adapter.visual_embeddings(request.image), rtol=0, atol=1e-5
        )
        language = adapter.language
        tapped = language.config._attn_implementation
        try:
            language.set_attn_implementation("eager")
            with torch.no_grad():
                ids = torch.tensor([token.id for token in response.tokens])
                whole = torch.cat([shown.embedded.clone(), language.model.embed_tokens(ids)])
                places = {}
                if shown.positions is not None:
                    behind = shown.positions.max() + torch.arange(1, len(ids) + 1)
                    places["position_ids"] = torch.cat([shown.positions, behind.expand(3, -1)], dim=1)[:, None]
                attentions = language(inputs_embeds=whole[None], output_attentions=True, **places).attentions
        finally:
            language.set_attn_implementation(tapped)
        last = len(shown.embedded) - 1
        rows = torch.stack(attentions)[:, 0, :, last : last + len(ids), cells]
        found: NDArray[np.float32] = rows.mean(dim=(0, 1)).numpy()
        return found


class MaskAdapterSuite(AdapterSuite):
    """Tests for adapters that give masks; they need the fixture `corrected` too: the responses of one batch."""

    def assert_same(self, subject: Subject, together: Response, alone: Response) -> None:
        super().assert_same(subject, together, alone)
        extra, expected_extra = dict(together.extra), dict(alone.extra)
        # a mask's score is written with four digits, and a batch adds in another order
        scores, expected_scores = extra.pop("mask_scores", []), expected_extra.pop("mask_scores", [])
        assert scores == pytest.approx(expected_scores, abs=1.5e-4)
        assert extra == expected_extra
        for mask, expected in zip(together.masks, alone.masks, strict=True):
            assert (masks.decode(mask) != masks.decode(expected)).sum() <= subject.flips

    def test_masks_have_the_image_size_and_are_united(self, subject: Subject, corrected: list[Response]) -> None:
        assert any(response.mask is not None and masks.area(response.mask) for response in corrected)
        assert sum(len(response.masks) for response in corrected) >= 3
        for response, request in zip(corrected, subject.requests, strict=True):
            assert response.mask is not None
            assert masks.size_of(response.mask) == request.image.size
            assert response.mask == masks.union(response.masks, request.image.size)
            assert len(response.mask_spans) == len(response.masks)

    @pytest.mark.parametrize("fidelity", FIDELITIES)
    def test_a_run_on_mini_world(self, subject: Subject, tmp_path: Path, fidelity: Fidelity) -> None:
        folder = run_on_mini_world({"name": subject.name, **subject.options}, tmp_path, fidelity)
        lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
        assert len(lines) == 4 * 3
        assert {line["protocol"] for line in lines} == {"question", "segment", "letter"}
        assert all(line["mask"] is not None for line in lines)
        assert any(subject.marker in line["text"] for line in lines) == (fidelity in subject.marked)

    def test_a_mark_of_its_own_in_a_question_is_refused(self, subject: Subject) -> None:
        with subject.adapter() as adapter:
            tokenizer = getattr(getattr(adapter, "loaded", None), "tokenizer", None)
            if tokenizer is None:
                pytest.skip("it is asked elsewhere")
            for mark in tokenizer.marks[:6]:
                asked = replace(subject.requests[0], prompt=f"Is {mark} written there?")
                with pytest.raises(SampleError, match=f"its text holds .*{re.escape(mark)}"):
                    adapter.answer([asked])

    @pytest.mark.parametrize("index", [10**12, 1.5, 0, None, {}], ids=str)
    def test_a_token_without_an_id_of_its_own_ends_the_run(
        self, subject: Subject, tmp_path: Path, index: object
    ) -> None:
        copy, options = subject.copied(tmp_path)
        path = copy / "added_tokens.json"
        if path.is_file():
            path.write_text(json.dumps(json.loads(path.read_text()) | {subject.marker: index}))
        else:
            path = copy / "tokenizer_config.json"
            listed = json.loads(path.read_text())
            listed["added_tokens_decoder"] |= {str(index): {"content": subject.marker if index else None}}
            path.write_text(json.dumps(listed))
        error = subject.refusal(tmp_path, options)
        assert subject.marker in error.message or "tokenizer_config.json" in error.message
        assert str(copy) in error.message

    def test_attention_is_refused(self, subject: Subject) -> None:
        with subject.adapter() as adapter, pytest.raises(ModelError, match=r"not attention|no attention"):
            adapter.answer(subject.requests, extractor=object())  # type: ignore[arg-type]


class SegmentingAdapterSuite(MaskAdapterSuite, SegmentingAttentionSuite, VisualTokensSuite, FolderSuite):
    """Tests for adapters that segment beside a language model of transformers and read a checkpoint's folders."""


class PlacesSuite(PlacingSuite, HubSuite, MemorySuite):
    """Where weights come from and lie, and memory that runs out: for all adapters the same code.

    LLaVA-1.5's tests and LISA's hold it daily, the others' in `make test-long`.
    """
