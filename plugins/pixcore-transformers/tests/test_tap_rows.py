"""The tap against eager attention, on text models that between them have every kind of attention."""

from __future__ import annotations

import threading
from copy import deepcopy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pixcore_transformers import waiting as waiting_rows
from pixcore_transformers.rows import allowed_at_once
from pixcore_transformers.tap import Tap, Watch, install, keys_alone, rows_alone, untapped
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma2Config,
    Gemma3TextConfig,
    GenerationConfig,
    GptOssConfig,
    LlamaConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from pixcore.errors import ModelError

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MODELS = {
    "llama, every head its own keys": LlamaConfig(**SIZES | {"num_key_value_heads": 4}),
    "llama, grouped queries": LlamaConfig(**SIZES),
    "qwen3, grouped queries, normed": Qwen3Config(**SIZES),
    "qwen2, one key head": Qwen2Config(**SIZES | {"num_key_value_heads": 1}),
    "mistral, sliding window": MistralConfig(**SIZES, sliding_window=6),
    "gemma3, two kinds of layers": Gemma3TextConfig(
        **SIZES, sliding_window=6, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    ),
    "gemma2, soft cap": Gemma2Config(**SIZES, sliding_window=8, attn_logit_softcapping=2.0),
    "gpt-oss, a learned sink in each head": GptOssConfig(
        **SIZES,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        num_local_experts=2,
        num_experts_per_tok=1,
    ),
}
STEPS = 7


class Recorder:
    """Keeps all rows: [step][layer] is (batch, heads, cells)."""

    def __init__(self) -> None:
        self.steps: list[dict[int, torch.Tensor]] = [{}]

    def observe(self, layer: int, rows: torch.Tensor) -> None:
        self.steps[-1][layer] = rows.clone()

    def end_step(self) -> None:
        self.steps.append({})

    def stack(self) -> torch.Tensor:
        """(steps, layers, batch, heads, cells)."""
        assert not self.steps[-1]
        return torch.stack([torch.stack([step[layer] for layer in sorted(step)]) for step in self.steps[:-1]])


def build(config: Any, kernel: str | None = None) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation=kernel).eval()
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif name.endswith("sinks"):
            torch.nn.init.normal_(parameter)
    return model


def tapped(config: Any) -> PreTrainedModel:
    model = build(config)
    install(model, model.config._attn_implementation)
    return model


def prompts(lengths: list[int]) -> dict[str, torch.Tensor]:
    """Random prompts, padded on the left."""
    generator = torch.Generator().manual_seed(1)
    longest = max(lengths)
    ids = torch.zeros(len(lengths), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, longest - length :] = torch.randint(3, 97, (length,), generator=generator)
        mask[row, longest - length :] = 1
    return {"input_ids": ids, "attention_mask": mask}


def watch(inputs: dict[str, torch.Tensor], model: PreTrainedModel, first: int = -1, **fields: Any) -> Watch:
    """The second to sixth token of each prompt, as if they were the visual ones."""
    batch, length = inputs["input_ids"].shape
    starts = length - inputs["attention_mask"].sum(1)
    columns = starts[:, None] + torch.arange(1, 6)
    layers = tuple(range(model.config.num_hidden_layers))
    return Watch(columns, torch.ones(batch, 5, dtype=torch.bool), length + first, length, layers, **fields)


def settings(**fields: Any) -> GenerationConfig:
    return GenerationConfig(max_new_tokens=STEPS, eos_token_id=97, pad_token_id=0, disable_compile=True, **fields)


def eager_rows(config: Any, inputs: dict[str, torch.Tensor], columns: torch.Tensor, row: int = -1) -> torch.Tensor:
    """(steps, layers, batch, heads, cells) out of `output_attentions`."""
    output = build(config, "eager").generate(
        **inputs, generation_config=settings(), output_attentions=True, return_dict_in_generate=True
    )
    steps = []
    for step, layers in enumerate(output.attentions):
        known = inputs["input_ids"].shape[1] + step
        rows = []
        for attention in layers:
            # a sliding layer shows its newest keys alone
            whole = torch.nn.functional.pad(attention, (known - attention.shape[-1], 0))
            picked = whole[:, :, row if step == 0 else -1]
            index = columns[:, None, :].expand(-1, picked.shape[1], -1)
            rows.append(picked.gather(2, index))
        steps.append(torch.stack(rows))
    return torch.stack(steps)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("row", [-1, -2])
def test_rows_are_those_of_eager_attention(name: str, row: int) -> None:
    model, inputs = tapped(MODELS[name]), prompts([12])
    seen, watched = Recorder(), watch(inputs, model, row)
    untouched = build(MODELS[name]).generate(**inputs, generation_config=settings())
    with Tap(model, watched, seen):
        text = model.generate(**inputs, generation_config=settings())
    assert torch.equal(text, untouched)
    assert torch.equal(model.generate(**inputs, generation_config=settings()), untouched)
    torch.testing.assert_close(seen.stack(), eager_rows(MODELS[name], inputs, watched.columns, row), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_rows_do_not_depend_on_how_many_steps_wait(name: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = tapped(MODELS[name]), prompts([12, 9])
    seen, watched = Recorder(), watch(inputs, model)
    monkeypatch.setattr(waiting_rows, "AT_ONCE", at_once)
    with Tap(model, watched, seen):
        model.generate(**inputs, generation_config=settings())
    torch.testing.assert_close(seen.stack(), eager_rows(MODELS[name], inputs, watched.columns), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_there_as_soon_as_they_are_asked_for(name: str) -> None:
    model, inputs = tapped(MODELS[name]), prompts([12, 9])
    waiting, asked = Recorder(), Recorder()
    there: list[int] = []
    with Tap(model, watch(inputs, model), waiting):
        model.generate(**inputs, generation_config=settings())
    with Tap(model, watch(inputs, model), asked) as tap:

        def ask() -> None:
            tap.flush()
            there.append(len(asked.steps) - 1)

        model.generate(**inputs, generation_config=settings(), logits_processor=LogitsProcessorList([Noting(ask)]))
    assert there == list(range(1, STEPS + 1))
    torch.testing.assert_close(asked.stack(), waiting.stack(), atol=1e-6, rtol=0)


@given(st.data(), st.booleans())
def test_masks_of_steps_are_those_of_each(data: st.DataObject, additive: bool) -> None:
    steps, before = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 4))
    widths = [before + step + 1 for step in range(steps)]
    seen = [data.draw(st.lists(st.booleans(), min_size=width, max_size=width)) for width in widths]
    masks = [torch.tensor(own)[None, None, None] for own in seen]
    if additive:
        masks = [torch.zeros(own.shape).masked_fill(~own, -1e9) for own in masks]
    found = allowed_at_once(masks, widths[-1], torch.device("cpu"))
    assert found.shape == (1, 1, steps, widths[-1])
    for step, own in enumerate(seen):
        row = found[0, 0, step]
        assert (row > -1).tolist() == [*own, *[False] * (widths[-1] - len(own))]
        assert row[row > -1].count_nonzero() == 0  # what is allowed stays as it was
    unmasked = allowed_at_once([None] * steps, widths[-1], torch.device("cpu"))
    assert (unmasked[0, 0] == 0).tolist() == [[key < width for key in range(widths[-1])] for width in widths]


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_its_samples_one_by_one(name: str) -> None:
    model = tapped(MODELS[name])
    lengths = [12, 7, 20, 9, 6, 15, 8, 11]
    inputs = prompts(lengths)
    seen = Recorder()
    with Tap(model, watch(inputs, model), seen):
        together = model.generate(**inputs, generation_config=settings())[:, 20:]
    rows = seen.stack()
    for sample, length in enumerate(lengths):
        alone = {key: value[sample : sample + 1, 20 - length :] for key, value in inputs.items()}
        one = Recorder()
        with Tap(model, watch(alone, model), one):
            text = model.generate(**alone, generation_config=settings())[0, length:]
        assert torch.equal(text, together[sample])
        torch.testing.assert_close(rows[:, :, sample], one.stack()[:, :, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "way",
    [{"cache_implementation": "static"}, {"prefill_chunk_size": 5}, {"prefill_chunk_size": 11}, {"use_cache": False}],
    ids=str,
)
def test_the_cache_and_the_prefill_do_not_matter(name: str, way: dict[str, Any]) -> None:
    model, inputs = tapped(MODELS[name]), prompts([12, 9])
    usual, other = Recorder(), Recorder()
    for row in (-1, -2):
        with Tap(model, watch(inputs, model, row), usual):
            expected = model.generate(**inputs, generation_config=settings())
        with Tap(model, watch(inputs, model, row), other):
            found = model.generate(**inputs, generation_config=settings(**way))
        assert torch.equal(found, expected)
    torch.testing.assert_close(other.stack(), usual.stack(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_one_pass_shows_what_generating_showed(name: str) -> None:
    model, inputs = tapped(MODELS[name]), prompts([12])
    live, replayed = Recorder(), Recorder()
    with Tap(model, watch(inputs, model), live):
        text = model.generate(**inputs, generation_config=settings())
    with torch.no_grad(), Tap(model, watch(inputs, model), replayed):
        model(input_ids=text[:, :-1])
    torch.testing.assert_close(replayed.stack(), live.stack(), atol=1e-5, rtol=0)


def passed(model: PreTrainedModel) -> list[int]:
    """Collect the layers that computed all of a pass."""
    layers: list[int] = []
    for number, layer in enumerate(model.get_decoder().layers):
        layer.register_forward_hook(lambda *_, number=number: layers.append(number))
    return layers


def test_a_pass_for_rows_alone_ends_with_the_last_of_them() -> None:
    model, inputs = tapped(MODELS["llama, grouped queries"]), prompts([12])
    watched = watch(inputs, model)
    few = Watch(watched.columns, watched.valid, 5, 9, layers=(0, 1))
    whole, ended = Recorder(), Recorder()
    layers = passed(model)
    with torch.no_grad(), Tap(model, few, whole):
        model(**inputs)
    assert layers == [0, 1, 2]
    layers.clear()
    with torch.no_grad(), rows_alone(Tap(model, few, ended)):
        model(**inputs)
    assert layers == [0]
    assert torch.equal(ended.stack(), whole.stack())
    with torch.no_grad():  # and the next one is whole again
        assert model(**inputs).logits.shape[1] == 12


def test_a_pass_for_keys_alone_leaves_those_of_a_whole_one() -> None:
    model, inputs = tapped(MODELS["llama, grouped queries"]), prompts([12])
    whole, ended = DynamicCache(config=model.config), DynamicCache(config=model.config)
    layers = passed(model)
    with torch.no_grad():
        model(**inputs, past_key_values=whole)
        layers.clear()
        with keys_alone(model):
            model(**inputs, past_key_values=ended)
    assert layers == [0, 1]
    for one, other in zip(ended.layers, whole.layers, strict=True):
        assert torch.equal(one.keys, other.keys)
        assert torch.equal(one.values, other.values)


def test_only_the_wanted_layers_and_heads_are_read() -> None:
    model, inputs = tapped(MODELS["llama, grouped queries"]), prompts([9])
    everything, some = Recorder(), Recorder()
    with Tap(model, watch(inputs, model), everything):
        model.generate(**inputs, generation_config=settings())
    watched = watch(inputs, model)
    few = Watch(watched.columns, watched.valid, watched.first, watched.after, layers=(0, 2), heads=(3, 0))
    with Tap(model, few, some):
        model.generate(**inputs, generation_config=settings())
    torch.testing.assert_close(some.stack(), everything.stack()[:, [0, 2]][:, :, :, [3, 0]])


def test_half_precision_rows_are_sums_of_float32() -> None:
    model, inputs = tapped(MODELS["llama, grouped queries"]).to(torch.bfloat16), prompts([9])
    seen = Recorder()
    with Tap(model, watch(inputs, model), seen):
        model.generate(**inputs, generation_config=settings())
    assert seen.stack().dtype == torch.float32


class Noting(LogitsProcessor):
    """Does something else in the middle of a generation."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.what()
        return scores


def test_nested_taps_do_not_see_each_other() -> None:
    outer, inner = tapped(MODELS["llama, grouped queries"]), tapped(MODELS["qwen3, grouped queries, normed"])
    inputs, other = prompts([12]), prompts([9])
    seen, alone, within = Recorder(), Recorder(), []

    def nested() -> None:
        within.append(Recorder())
        with Tap(inner, watch(other, inner), within[-1]):
            inner.generate(**other, generation_config=settings())
        inner.generate(**other, generation_config=settings())  # and without one

    with Tap(outer, watch(inputs, outer), alone):
        expected = outer.generate(**inputs, generation_config=settings())
    with Tap(outer, watch(inputs, outer), seen):
        text = outer.generate(
            **inputs, generation_config=settings(), logits_processor=LogitsProcessorList([Noting(nested)])
        )
    assert torch.equal(text, expected)
    assert torch.equal(seen.stack(), alone.stack())
    assert len(within) == STEPS
    assert all(torch.equal(one.stack(), within[0].stack()) for one in within)


def test_the_tapped_model_may_be_used_meanwhile() -> None:
    model, inputs, other = tapped(MODELS["llama, grouped queries"]), prompts([12]), prompts([9])
    seen, alone = Recorder(), Recorder()

    def meanwhile() -> None:
        with untapped():
            model.generate(**other, generation_config=settings())

    with Tap(model, watch(inputs, model), alone):
        model.generate(**inputs, generation_config=settings())
    with Tap(model, watch(inputs, model), seen):
        processors = LogitsProcessorList([Noting(meanwhile)])
        model.generate(**inputs, generation_config=settings(), logits_processor=processors)
    assert torch.equal(seen.stack(), alone.stack())


def test_taps_in_threads_do_not_see_each_other() -> None:
    model = tapped(MODELS["llama, grouped queries"])
    lengths = [12, 9, 15, 7]
    alone, together = [Recorder() for _ in lengths], [Recorder() for _ in lengths]

    def read(length: int, into: Recorder) -> None:
        inputs = prompts([length])
        with Tap(model, watch(inputs, model), into):
            model.generate(**inputs, generation_config=settings())

    for length, into in zip(lengths, alone, strict=True):
        read(length, into)
    threads = [threading.Thread(target=read, args=pair) for pair in zip(lengths, together, strict=True)]
    for thread in threads:
        thread.start()
    model.generate(**prompts([10]), generation_config=settings())  # untapped, at the same time
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one.stack(), other.stack())


def test_an_exception_leaves_nothing_behind() -> None:
    model, inputs = tapped(MODELS["llama, grouped queries"]), prompts([12])
    before, broken, after = Recorder(), Recorder(), Recorder()
    with Tap(model, watch(inputs, model), before):
        expected = model.generate(**inputs, generation_config=settings())
    calls = []

    def fail() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"), Tap(model, watch(inputs, model), broken):
        model.generate(**inputs, generation_config=settings(), logits_processor=LogitsProcessorList([Noting(fail)]))
    count = len(broken.steps)
    assert torch.equal(model.generate(**inputs, generation_config=settings()), expected)
    assert len(broken.steps) == count
    with Tap(model, watch(inputs, model), after):
        model.generate(**inputs, generation_config=settings())
    assert torch.equal(after.stack(), before.stack())


def test_beam_search_is_refused() -> None:
    model, inputs = tapped(MODELS["llama, grouped queries"]), prompts([12])
    with pytest.raises(ModelError, match="beam search"), Tap(model, watch(inputs, model), Recorder()):
        model.generate(**inputs, generation_config=settings(num_beams=2))


def test_kernels_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ModelError, match="flex_attention"):
        install(build(MODELS["llama, grouped queries"]), "flex_attention")
    with pytest.raises(ModelError, match="Gemma2"):
        install(build(MODELS["gemma2, soft cap"]), "sdpa")
