"""Run InternLM2 as a Llama: grouped projections split, LoRA merged or kept beside, official names mapped.

InternLM2 is Llama with other names and one other layout: queries, keys and values lie in one matrix `wqkv`, grouped by
key head (for each group its query heads, then its key head, then its value head). Rotation and everything else are
Llama's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pixcore_segtoken.keymap import Ignore, Merge, Named, Rename, Rule, Split
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from pixcore.errors import ModelError

_ADAPTED = "llm.base_model.model."
"""Prefix of the language model's names in the fine-tuned file; the base model's files have none."""

# Official linear layers within a decoder layer, and the Llama layers made of them.
_LINEARS = {
    "attention.wqkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.wo": ("self_attn.o_proj",),
    "feed_forward.w1": ("mlp.gate_proj",),
    "feed_forward.w2": ("mlp.down_proj",),
    "feed_forward.w3": ("mlp.up_proj",),
}
_NORMS = {"attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}

_ROWS = 64
"""Rows of a weight that are merged at once: what they take in float32 should leave no large holes between weights."""

LoraMode = Literal["merged", "beside"]
"""Whether adapters are added into the weights or computed beside them, as the release does."""


@dataclass(frozen=True)
class GroupedLayout:
    """How `wqkv` lies in memory.

    Attributes:
        heads: Query heads.
        kv_heads: Key and value heads: the number of groups.
        head_dim: Rows of one head.
    """

    heads: int
    kv_heads: int
    head_dim: int

    @classmethod
    def of(cls, config: LlamaConfig) -> GroupedLayout:
        """Read the layout of a converted model."""
        return cls(config.num_attention_heads, config.num_key_value_heads, config.head_dim)

    def split(self, grouped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sort the rows of `grouped` ((heads + 2 kv_heads) * head_dim, ...) into queries, keys and values."""
        per_group = self.heads // self.kv_heads
        groups = grouped.reshape(self.kv_heads, per_group + 2, self.head_dim, *grouped.shape[1:])
        query, key, value = torch.split(groups, [per_group, 1, 1], dim=1)
        return query.flatten(0, 2), key.flatten(0, 2), value.flatten(0, 2)

    def join(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Undo `split`: queries, keys and values become one."""
        pieces = [part.reshape(self.kv_heads, -1, self.head_dim, *part.shape[1:]) for part in (query, key, value)]
        return torch.cat(pieces, dim=1).flatten(0, 2)


class LoraLinear(nn.Module):
    """A linear layer with its adapter beside it: `W x + scale * B (A x)`."""

    def __init__(self, base: nn.Linear, *, rank: int, scale: float) -> None:
        super().__init__()
        self.base = base
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_b = nn.Parameter(torch.empty(base.out_features, rank))
        self.scale = scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        beside = inputs.to(self.lora_a.dtype) @ self.lora_a.T @ self.lora_b.T
        adapted: Tensor = self.base(inputs) + (beside * self.scale).to(inputs.dtype)
        return adapted


@dataclass(frozen=True)
class Adapters:
    """Which official layers a fine-tuned file adapts, and what it replaces outright.

    Attributes:
        rank: Of every adapter; 0 without any.
        scale: alpha / rank; the release has 256 / 512.
        layers: Official names of adapted layers inside a decoder layer.
        output: Whether the output projection is adapted (by the official code it is).
        embeddings: Whether the file has its own token embeddings.
        head: Official name of the file's own output projection, or None.
    """

    rank: int = 0
    scale: float = 0.5
    layers: frozenset[str] = frozenset()
    output: bool = False
    embeddings: bool = False
    head: str | None = None

    @classmethod
    def found_in(cls, shapes: Mapping[str, tuple[int, ...]], *, scale: float = 0.5) -> Adapters:
        """Read adapters from the names and shapes of a fine-tuned file."""
        prefix = re.escape(_ADAPTED)
        inside = {
            match[1]
            for name in shapes
            if (match := re.fullmatch(rf"{prefix}model\.layers\.\d+\.(.+)\.lora_A\.weight", name))
        }
        unknown = inside - _LINEARS.keys()
        if unknown:
            raise ModelError(
                f"the fine-tuned file adapts {', '.join(sorted(unknown))}", hint=f"known layers: {', '.join(_LINEARS)}"
            )
        ranks = {shape[0] for name, shape in shapes.items() if name.endswith(".lora_A.weight")}
        if len(ranks) > 1:
            raise ModelError(
                f"adapters of several ranks: {sorted(ranks)}", hint="expected one rank, 512 in the release"
            )
        heads = [name for name in ("output.base_layer.weight", "output.weight") if _ADAPTED + name in shapes]
        return cls(
            rank=max(ranks, default=0),
            scale=scale,
            layers=frozenset(inside),
            output=f"{_ADAPTED}output.lora_A.weight" in shapes,
            embeddings=f"{_ADAPTED}model.tok_embeddings.weight" in shapes,
            head=heads[0] if heads else None,
        )


def add_adapters(model: LlamaForCausalLM, adapters: Adapters) -> None:
    """Put a `LoraLinear` in place of every adapted layer of a converted model; their weights come with `rules`."""
    for official in sorted(adapters.layers):
        for layer in model.model.layers:
            for name in _LINEARS[official]:
                _wrap(layer, name, adapters)
    if adapters.output:
        _wrap(model, "lm_head", adapters)


def _wrap(owner: nn.Module, name: str, adapters: Adapters) -> None:
    parent_name, _, leaf = name.rpartition(".")
    parent = owner.get_submodule(parent_name)
    base = parent.get_submodule(leaf)
    assert isinstance(base, nn.Linear)
    setattr(parent, leaf, LoraLinear(base, rank=adapters.rank, scale=adapters.scale))


def merged(weight: Tensor, down: Tensor, up: Tensor, scale: float, dtype: torch.dtype | None = None) -> Tensor:
    """Work out `weight + scale * up @ down` in float32 or wider; returned in `dtype`, or the weight's own.

    Some rows at a time: in float32 the output projection alone would take a tenth of the whole model's memory, thrice.
    """
    result = torch.empty_like(weight, dtype=dtype)
    wide = torch.promote_types(result.dtype, torch.float32)
    narrow = down.to(wide)
    for rows in range(0, len(weight), _ROWS):
        part = slice(rows, rows + _ROWS)
        result[part] = torch.addmm(weight[part].to(wide), up[part].to(wide), narrow, alpha=scale)
    return result


def rules(
    layout: GroupedLayout,
    *,
    adapters: Adapters | None = None,
    lora: LoraMode = "merged",
    dtype: torch.dtype | None = None,
    ours: str = "",
) -> Sequence[Rule]:
    """Give the key map of InternLM2 into `transformers.LlamaForCausalLM`.

    Args:
        layout: Of the grouped projection.
        adapters: What the fine-tuned file brings; None for the base model alone.
        lora: `merged` adds adapters to the weights, before the grouped projection is split; `beside` fills the layers
            that `add_adapters` made.
        dtype: What merged weights are stored in; None keeps the file's.
        ours: Prefix of the Llama in our module, with its dot.
    """
    adapters = adapters or Adapters()
    found: list[Rule] = [
        Rename(r"model\.norm\.weight", rf"{ours}model.norm.weight"),
        Ignore(r".*\.rotary_emb\.inv_freq", "computed from the config"),
        *(
            Rename(rf"model\.layers\.(\d+)\.{official}\.weight", rf"{ours}model.layers.\1.{llama}.weight")
            for official, llama in _NORMS.items()
        ),
        *_embedding_rules(adapters, ours),
    ]
    for official, llama in _LINEARS.items():
        name = rf"model\.layers\.(\d+)\.{re.escape(official)}"
        targets = [rf"{ours}model.layers.\1.{part}" for part in llama]
        own = adapters if official in adapters.layers else None
        found += _linear_rules(rf"{name}\.weight", name, targets, layout, own, lora, dtype)
    head = r"output\.weight"
    if adapters.head is not None:
        found.append(Ignore(head, "the fine-tuned file has its own output projection"))
        head = re.escape(_ADAPTED + adapters.head)
    own = adapters if adapters.output else None
    found += _linear_rules(head, "output", [rf"{ours}lm_head"], layout, own, lora, dtype)
    return found


def _embedding_rules(adapters: Adapters, ours: str) -> Iterable[Rule]:
    base = r"model\.tok_embeddings\.weight"
    target = rf"{ours}model.embed_tokens.weight"
    if adapters.embeddings:
        yield Ignore(base, "the fine-tuned file has its own embeddings, with the added tokens")
        yield Rename(rf"{re.escape(_ADAPTED)}model\.tok_embeddings\.weight", target)
    else:
        yield Rename(base, target)


def _linear_rules(
    weight: str,
    name: str,
    targets: Sequence[str],
    layout: GroupedLayout,
    adapters: Adapters | None,
    lora: LoraMode,
    dtype: torch.dtype | None,
) -> Iterable[Rule]:
    """Rules of one official linear layer that becomes one of ours, or three."""

    def spread(match: re.Match[str], tensor: Tensor, leaf: str) -> Iterable[Named]:
        pieces = layout.split(tensor) if len(targets) == 3 else (tensor,)
        return [(match.expand(target) + leaf, piece) for target, piece in zip(targets, pieces, strict=True)]

    if adapters is None:
        yield Split(weight, lambda match, tensor: spread(match, tensor, ".weight"))
        return
    down, up = (rf"{re.escape(_ADAPTED)}{name}\.lora_{part}\.weight" for part in "AB")
    if lora == "merged":
        scale = adapters.scale

        def merge(match: re.Match[str], parts: Mapping[str, Tensor]) -> Iterable[Named]:
            return spread(match, merged(parts["weight"], parts["down"], parts["up"], scale, dtype), ".weight")

        yield Merge({"weight": weight, "down": down, "up": up}, merge)
    else:
        yield Split(weight, lambda match, tensor: spread(match, tensor, ".base.weight"))
        yield Split(down, lambda match, tensor: [(match.expand(target) + ".lora_a", tensor) for target in targets])
        yield Split(up, lambda match, tensor: spread(match, tensor, ".lora_b"))
