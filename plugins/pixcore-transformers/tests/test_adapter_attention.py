"""The whole way through the adapter: text, rows, batches, replay, references, gradients, hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_attention.config import (
    GradientConfig,
    LocalizationHeadsConfig,
    LogitLensConfig,
    MeanConfig,
    RawConfig,
    RelativeConfig,
)
from pixcore_attention.gradient import Gradient
from pixcore_attention.localization_heads import LocalizationHeads
from pixcore_attention.logit_lens import LogitLens
from pixcore_attention.mean import Mean
from pixcore_attention.raw import Raw
from pixcore_attention.relative import Relative
from pixcore_transformers import reading
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.testing.checkpoints import spread_weights
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig

from pixcore.components import AttentionExtractor, Context, Needs, NoConfig
from pixcore.errors import ModelError
from pixcore.records import Fidelity, Image, Protocol, Request, Response

STEPS = 6
EQUAL = {"atol": 1e-5, "rtol": 0}
every_head_its_own = "llava, every head its own keys"
FAMILIES = [
    every_head_its_own, "llava_next", "qwen2_5_vl", "qwen3_vl", "gemma3", "gemma4", "internvl", "paligemma", "mistral3",
]  # fmt: skip


class Recorder(AttentionExtractor[NoConfig]):
    """Keeps all rows: `rows` is (steps, layers, batch, heads, cells)."""

    def __init__(self, **needs: Any) -> None:
        super().__init__(NoConfig())
        self._needs = Needs(**needs)

    @property
    def needs(self) -> Needs:
        return self._needs

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        self.expected = (layers, batch, heads, cells)
        self.steps: list[list[torch.Tensor]] = [[]]

    def observe(self, layer: int, rows: torch.Tensor) -> None:
        assert rows.dtype == torch.float32
        self.steps[-1].append(rows.clone())

    def end_step(self) -> None:
        assert (len(self.steps[-1]), *self.steps[-1][0].shape) == self.expected
        self.steps.append([])

    def maps(self) -> Sequence[np.ndarray]:
        self.rows = torch.stack([torch.stack(step) for step in self.steps[:-1]])
        return [own.numpy() for own in self.rows.mean((1, 3)).unbind(1)]


@pytest.fixture
def folder(checkpoint: Callable[..., Path], tmp_path: Path) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        if name != every_head_its_own:
            return checkpoint(name)
        source, made = checkpoint("llava"), tmp_path / "llava"
        made.mkdir()
        for path in source.iterdir():
            if path.suffix != ".safetensors":
                (made / path.name).write_bytes(path.read_bytes())
        config = AutoConfig.from_pretrained(source)
        config.text_config.num_key_value_heads = config.text_config.num_attention_heads
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(config)
        spread_weights(model)
        model.save_pretrained(made)
        return made

    return find


def picture(width: int, height: int, seed: int = 0) -> Image:
    return Image.from_pixels(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def ask(prompt: str = "Identify the cat.", seed: int = 0, size: tuple[int, int] = (60, 44)) -> Request:
    return Request(f"sample{seed}", Protocol.SEGMENT, picture(*size, seed=seed), prompt)


def adapter(folder: Path, fidelity: Fidelity = Fidelity.CORRECTED, **options: Any) -> TransformersAdapter:
    options = {"max_new_tokens": STEPS} | options
    return TransformersAdapter(TransformersConfig(checkpoint=str(folder), **options), Context(fidelity=fidelity))


def eager(model: TransformersAdapter, folder: Path, request: Request, steps: int, kernel: str = "eager") -> Any:
    """What transformers alone gives for the same input."""
    batch = model.prepare([request])
    plain = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation=kernel, dtype=torch.float32)
    settings = GenerationConfig(
        max_new_tokens=steps, do_sample=False, eos_token_id=model.end[0], pad_token_id=0, return_dict_in_generate=True,
        output_attentions=kernel == "eager",
    )  # fmt: skip
    return batch, plain.generate(**batch.inputs, generation_config=settings)


@pytest.mark.parametrize("name", FAMILIES)
def test_text_and_rows_are_those_of_transformers(folder: Callable[[str], Path], name: str) -> None:
    path, request, seen = folder(name), ask(), Recorder()
    model = adapter(path)
    [untapped], [tapped] = model.answer([request]), model.answer([request], seen)
    batch, fast = eager(model, path, request, STEPS, "sdpa")
    expected = fast.sequences[0, batch.length :].tolist()
    assert [token.id for token in untapped.tokens] == expected
    assert [token.id for token in tapped.tokens] == expected
    assert tapped.text == untapped.text
    _, slow = eager(model, path, request, len(expected))
    for step, layers in enumerate(slow.attentions):
        for layer, attention in enumerate(layers):
            known = batch.length + step
            whole = torch.nn.functional.pad(attention, (known - attention.shape[-1], 0))
            row = whole[:, :, -1, batch.columns[0]]
            torch.testing.assert_close(seen.rows[step, layer], row, **EQUAL)
    assert seen.rows.shape[0] == len(expected)


def same(one: Response, other: Response) -> None:
    assert one.tokens == other.tokens
    np.testing.assert_allclose(one.maps, other.maps, **EQUAL)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("query", ["predicting", "emitted"])
def test_replay_shows_what_generating_showed(
    folder: Callable[[str], Path], name: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(name)
    requests = [ask("Identify the cat.", 1), ask("What colour is the door?", 2, (40, 66))]
    extractor = Mean(MeanConfig(query=query))
    live = adapter(path).answer(requests, extractor)
    model = adapter(path, attention="replay")
    for one, other in zip(live, model.answer(requests, extractor), strict=True):
        same(one, other)
    monkeypatch.setattr(reading, "LARGEST_PASS", 0)  # token by token
    for one, other in zip(live, model.answer(requests, extractor), strict=True):
        same(one, other)


@pytest.mark.parametrize("mark", ["<|IMAGE|>", "<|AUDIO|>", "<|audio_bos|>", "<|vision_bos|>"])
def test_a_mark_that_a_model_writes_is_replayed_as_what_it_was_to_it(folder: Callable[[str], Path], mark: str) -> None:
    path = folder("qwen2_5_omni_thinker")
    live, replaying = adapter(path), adapter(path, attention="replay")
    for model in (live, replaying):
        number = model.loaded.tokenizer.convert_tokens_to_ids(mark)

        def prefer(module: object, given: object, scores: torch.Tensor, number: int = number) -> None:
            scores[..., number] += 1e4

        model.loaded.model.get_output_embeddings().register_forward_hook(prefer)
    [one], [other] = (model.answer([ask()], Mean(MeanConfig())) for model in (live, replaying))
    assert {token.id for token in one.tokens} == {number}
    same(one, other)


def test_text_from_elsewhere_is_replayed(folder: Callable[[str], Path]) -> None:
    model = adapter(folder("qwen2_vl"))
    [response] = model.replay([ask()], ["the cat's ear"], Mean(MeanConfig()))
    assert response.text == "the cat's ear"
    assert response.extra["finish"] == "stop"
    assert response.maps is not None
    assert response.maps.shape == (len(response.tokens), response.layout.tokens)


def test_an_emitted_row_is_the_next_tokens_predicting_row(folder: Callable[[str], Path]) -> None:
    model = adapter(folder("llava_next"))
    [before] = model.answer([ask()], Mean(MeanConfig(query="predicting")))
    [after] = model.answer([ask()], Mean(MeanConfig(query="emitted")))
    assert after.tokens == before.tokens
    np.testing.assert_allclose(after.maps[:-1], before.maps[1:], **EQUAL)
    assert after.maps[-1].sum() > 0


def test_the_published_alignments(folder: Callable[[str], Path]) -> None:
    path = folder("llava_next")
    model = adapter(path, Fidelity.PUBLISHED)
    batch, slow = eager(model, path, ask(), STEPS)

    def row(step: int, place: int) -> np.ndarray:
        layers = [attention[0, :, place, batch.columns[0]] for attention in slow.attentions[step]]
        return torch.stack(layers).mean((0, 1)).numpy()

    [predict] = model.answer([ask()], Mean(MeanConfig(), model.context))
    [query] = model.answer([ask()], Mean(MeanConfig(query="emitted"), model.context))
    np.testing.assert_allclose(predict.maps[0], row(0, -2), **EQUAL)
    np.testing.assert_allclose(predict.maps[1], row(1, -1), **EQUAL)
    np.testing.assert_allclose(query.maps, predict.maps, **EQUAL)
    assert query.tokens[0].id == model.loaded.tokenizer.bos_token_id
    assert [token.id for token in query.tokens[1:]] == [token.id for token in predict.tokens[:-1]]


def test_the_reference_is_the_other_prompts_last_row(folder: Callable[[str], Path]) -> None:
    model = adapter(folder("llava_next"))
    config = RelativeConfig(layers=(1,), reference_prompt="Describe it.")
    requests = [ask(), ask("And this one, please?", 3, (30, 61))]
    responses = model.answer(requests, Relative(config))
    general = [Request(r.sample_id, r.protocol, r.image, "Describe it.") for r in requests]
    for response, alone in zip(responses, model.answer(general, Mean(MeanConfig(layers=(1,)))), strict=True):
        np.testing.assert_allclose(response.reference, alone.maps[0], **EQUAL)
    for response, alone in zip(responses, model.answer(requests, Mean(MeanConfig(layers=(1,)))), strict=True):
        same(response, alone)


# so long that the first cells have left gemma3's window of 64 tokens, and not all
LONG = "Identify the cat, or else the dog. Where is it? And the other one?"


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        (every_head_its_own, "Identify the cat."),
        ("qwen2_5_vl", "Identify the cat."),
        ("gemma3", "Identify the cat."),
        ("gemma3", LONG),
        ("mistral_large4", "Identify the cat."),  # its last layer has the keys of another
    ],
)
def test_gradients_are_those_of_eager_attention(folder: Callable[[str], Path], name: str, prompt: str) -> None:
    path = folder(name)
    model = adapter(path)
    [response] = model.answer([ask(prompt)], Gradient(GradientConfig()))
    batch, _ = eager(model, path, ask(prompt), 1)
    if prompt == LONG:
        assert int(batch.columns[0, 0]) < batch.length - 64 < int(batch.columns[0, -1])
    plain = AutoModelForImageTextToText.from_pretrained(path, attn_implementation="eager", dtype=torch.float32)
    for step in (0, 2):
        known = [token.id for token in response.tokens[:step]]
        inputs = batch.with_text([known]) if known else dict(batch.inputs)
        output = plain(**inputs, output_attentions=True)
        chosen = torch.log_softmax(output.logits[0, -1], -1)[response.tokens[step].id]
        gradients = torch.autograd.grad(chosen, output.attentions)
        maps = [
            (attention * gradient.clamp(min=0))[0, :, -1, batch.columns[0]].mean(0)
            for attention, gradient in zip(output.attentions, gradients, strict=True)
        ]
        expected = torch.stack(maps).mean(0).detach().numpy()
        assert expected.max() > 0
        np.testing.assert_allclose(response.maps[step], expected, atol=1e-6 + 1e-3 * expected.max())


def test_a_model_that_sees_its_whole_prompt_has_no_such_gradients(folder: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="gradients of PaliGemma"):
        adapter(folder("paligemma")).answer([ask()], Gradient(GradientConfig()))


def keep_state(states: list[torch.Tensor], _: object, __: object, output: Any) -> None:
    states.append(output[0] if isinstance(output, tuple) else output)


@pytest.mark.parametrize(
    ("name", "config", "read_after"),
    [
        ("llava_next", {}, slice(None)),
        ("llava_next", {"layers": (-1,)}, slice(-1, None)),
        ("llava_next", {"layers": (0,)}, slice(1)),
        ("gemma3", {}, slice(None)),
        ("gemma4", {}, slice(None)),  # its last layers have the keys of others
    ],
)
def test_the_logit_lens_reads_the_layers_that_a_config_names(
    folder: Callable[[str], Path], name: str, config: dict[str, Any], read_after: slice
) -> None:
    path = folder(name)
    model = adapter(path)
    requests = [ask(), ask("And this one, please?", 3, (30, 61))]
    lens = LogitLens(LogitLensConfig.model_validate(config))
    for request, response in zip(requests, model.answer(requests, lens), strict=True):
        batch = model.prepare([request])
        plain = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
        states: list[torch.Tensor] = []
        decoder = plain.get_decoder()
        for layer in decoder.layers[read_after]:
            layer.register_forward_hook(partial(keep_state, states))
        with torch.no_grad():
            plain(**batch.inputs)
            read = [plain.lm_head(decoder.norm(own))[0, batch.columns[0]].softmax(-1) for own in states]
        best = torch.stack(read).amax(0)[:, [token.id for token in response.tokens]].T
        np.testing.assert_allclose(response.maps, best.numpy(), atol=1e-5)


def test_localization_heads_choose_before_they_add(folder: Callable[[str], Path]) -> None:
    model = adapter(folder("llava_next"))
    extractor = LocalizationHeads(LocalizationHeadsConfig(count=2, sigma=0))
    seen = Recorder()
    [response] = model.answer([ask()], extractor)
    model.answer([ask()], seen)
    heads = list(extractor.votes)
    assert len(heads) == 2
    expected = sum(seen.rows[:, layer, 0, head] for layer, head in heads)
    np.testing.assert_allclose(response.maps, expected.numpy(), **EQUAL)
    [fixed] = model.answer([ask()], LocalizationHeads(LocalizationHeadsConfig(chosen=tuple(heads), sigma=0)))
    same(fixed, response)


@pytest.mark.parametrize("chosen", [((-1, -1), (-2, 1)), ((1, -1), (0, 1), (0, 3))])
def test_chosen_heads_are_found_from_either_end(folder: Callable[[str], Path], chosen: Any) -> None:
    model, seen = adapter(folder("llava_next")), Recorder()
    [response] = model.answer([ask()], LocalizationHeads(LocalizationHeadsConfig(chosen=chosen, sigma=0)))
    model.answer([ask()], seen)
    expected = sum(seen.rows[:, layer, 0, head] for layer, head in chosen)
    np.testing.assert_allclose(response.maps, expected.numpy(), **EQUAL)


def test_raw_rows_are_on_disk(folder: Callable[[str], Path], tmp_path: Path) -> None:
    model, seen = adapter(folder("internvl")), Recorder()
    raw = Raw(RawConfig(folder=tmp_path / "rows"))
    responses = model.answer([ask("a", 1), ask("b", 2, (90, 33))], raw)
    model.answer([ask("b", 2, (90, 33))], seen)
    stored = np.load(tmp_path / "rows" / "sample2-segment.npy", allow_pickle=False)
    assert stored.shape[-1] == responses[1].layout.tokens
    np.testing.assert_allclose(stored, seen.rows[:, :, 0].numpy(), atol=1e-3)


@pytest.mark.parametrize(("field", "value"), [("layers", (7,)), ("layers", (-3,)), ("heads", (4,))])
def test_what_the_model_does_not_have(folder: Callable[[str], Path], field: str, value: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=rf"no attention {field[:-1]} {value[0]}"):
        adapter(folder("llava_next")).answer([ask()], Mean(MeanConfig(**{field: value})))
