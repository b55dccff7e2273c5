"""The greedy loop against transformers' own generate, and its promises about states."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pixcore_segtoken.language import generate, splice
from pixcore_segtoken.mask_adapter import finite
from pixcore_segtoken.sizes import llama_config
from transformers import LlamaForCausalLM

from pixcore.errors import NotFiniteError


@pytest.fixture
def prompts(tiny_llama: LlamaForCausalLM) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(length, 16, dtype=torch.float64, generator=generator) for length in (5, 9, 2)]


def test_tokens_are_those_of_transformers_generate(tiny_llama: LlamaForCausalLM, prompts: list[torch.Tensor]) -> None:
    for prompt, answer in zip(prompts, generate(tiny_llama, prompts, max_new_tokens=7), strict=True):
        theirs = tiny_llama.generate(
            inputs_embeds=prompt[None], max_new_tokens=7, do_sample=False, eos_token_id=-1, pad_token_id=0
        )
        assert answer.token_ids == tuple(theirs[0].tolist())


def test_batched_cache_equals_recomputing_one_by_one(tiny_llama: LlamaForCausalLM, prompts: list[torch.Tensor]) -> None:
    batched = generate(tiny_llama, prompts, max_new_tokens=6, keep_logits=True)
    for prompt, answer in zip(prompts, batched, strict=True):
        (alone,) = generate(tiny_llama, [prompt], max_new_tokens=6, use_cache=False, keep_logits=True)
        assert answer.token_ids == alone.token_ids
        torch.testing.assert_close(answer.states, alone.states, rtol=0, atol=1e-5)
        torch.testing.assert_close(answer.prompt_states, alone.prompt_states, rtol=0, atol=1e-5)
        torch.testing.assert_close(answer.logits, alone.logits, rtol=0, atol=1e-4)


def test_state_predicts_its_token_and_the_next_row_is_the_state_at_it(
    tiny_llama: LlamaForCausalLM, prompts: list[torch.Tensor]
) -> None:
    (answer,) = generate(tiny_llama, prompts[:1], max_new_tokens=4)
    with torch.no_grad():
        assert tiny_llama.lm_head(answer.states).argmax(-1).tolist() == list(answer.token_ids)
    torch.testing.assert_close(answer.states[0], answer.prompt_states[-1])
    tokens = tiny_llama.model.embed_tokens(torch.tensor(answer.token_ids[:2]))
    whole = tiny_llama.model(inputs_embeds=torch.cat([prompts[0], tokens])[None]).last_hidden_state[0]
    torch.testing.assert_close(answer.states[2], whole[-1], rtol=0, atol=1e-5)


def test_logits_that_are_no_numbers_are_no_answer(tiny_llama: LlamaForCausalLM, prompts: list[torch.Tensor]) -> None:
    prompts[1][3] = torch.nan
    with pytest.raises(NotFiniteError, match="logits are not finite in float64"):
        generate(tiny_llama, prompts, max_new_tokens=2)
    assert generate(tiny_llama, prompts[:1], max_new_tokens=2)


def test_mask_logits_that_are_no_numbers_are_no_empty_mask() -> None:
    logits = torch.tensor([-1.0, 2.0])
    assert finite(logits, torch.float16) is logits
    with pytest.raises(NotFiniteError, match="mask logits are not finite in float16"):
        finite(logits / 0 * 0, torch.float16)


def test_stopping(tiny_llama: LlamaForCausalLM, prompts: list[torch.Tensor]) -> None:
    free = generate(tiny_llama, prompts, max_new_tokens=6)
    stop_token = free[0].token_ids[1]
    stopped = generate(tiny_llama, prompts, max_new_tokens=6, stop_ids=[stop_token])
    for before, after in zip(free, stopped, strict=True):
        cut = before.token_ids.index(stop_token) + 1 if stop_token in before.token_ids else 6
        assert after.token_ids == before.token_ids[:cut]
        assert len(after.states) == cut
    by_rule = generate(tiny_llama, prompts, max_new_tokens=6, stop=lambda tokens: len(tokens) == 3)
    assert [len(answer.token_ids) for answer in by_rule] == [3, 3, 3]


def test_forced_tokens_then_free_ones(tiny_llama: LlamaForCausalLM, prompts: list[torch.Tensor]) -> None:
    (free,) = generate(tiny_llama, prompts[:1], max_new_tokens=5)
    (same,) = generate(tiny_llama, prompts[:1], max_new_tokens=5, forced=[free.token_ids[:2]])
    assert same.token_ids == free.token_ids
    (other,) = generate(tiny_llama, prompts[:1], max_new_tokens=2, forced=[[41, 42]])
    assert other.token_ids == (41, 42)


def test_splice_puts_images_where_the_placeholders_are(tiny_llama: LlamaForCausalLM) -> None:
    embedding = tiny_llama.model.embed_tokens
    first, second = torch.ones(3, 16), torch.zeros(1, 16)
    spliced = splice(embedding, [4, -200, 5, 6, -200], [first, second])
    assert spliced.shape == (3 + 3 + 1, 16)
    torch.testing.assert_close(spliced[[0, 4, 5]], embedding.weight[[4, 5, 6]])
    assert (spliced[1:4] == 1).all()
    assert (spliced[6] == 0).all()
    with pytest.raises(ValueError, match="1 image placeholders in the prompt for 2 images"):
        splice(embedding, [1, -200], [first, second])


def test_stretched_positions_are_those_that_the_config_names() -> None:
    """Linear scaling, as the long Vicunas have it, divides every position by the factor."""
    content = {
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4},
        **{"vocab_size": 100, "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}},
    }
    plain, stretched = (
        LlamaForCausalLM(llama_config(content | changes, Path("config.json"))).model.rotary_emb.inv_freq
        for changes in ({"rope_scaling": None}, {})
    )
    torch.testing.assert_close(plain, 5e5 ** (-torch.arange(0, 16, 2) / 16))
    torch.testing.assert_close(stretched, plain / 4)
