"""Say by rules where every tensor of an official checkpoint belongs.

A key map is an ordered sequence of rules. Each official name is given to the first rule whose pattern
matches it *whole*; a name that no rule matches is an error (see `loading`), so a checkpoint with
something new in it is noticed instead of half loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Named = tuple[str, "Tensor"]


@dataclass(frozen=True)
class Rename:
    r"""One tensor under another name.

    Args:
        pattern: Regular expression for the official name, e.g. `r"model\.norm\.(.+)"`.
        target: The name in our module, with `\1` or `\g<name>` for the pattern's groups.
    """

    pattern: str
    target: str


@dataclass(frozen=True)
class Ignore:
    """A tensor that is not used, and why; the reason is kept in the load report."""

    pattern: str
    reason: str


@dataclass(frozen=True)
class Split:
    """One official tensor that becomes several of ours (a grouped projection, a value used twice)."""

    pattern: str
    split: Callable[[re.Match[str], Tensor], Iterable[Named]]


@dataclass(frozen=True)
class Merge:
    """Several official tensors that become one or several of ours (a base weight with its adapters).

    Tensors belong together when their patterns' groups are equal. They are merged when the last has come, so
    the parts may lie in different files.

    Args:
        parts: Part name to pattern; the patterns must have the same groups.
        merge: Called with the match of the part that came last, and all parts by name.
    """

    parts: Mapping[str, str]
    merge: Callable[[re.Match[str], Mapping[str, Tensor]], Iterable[Named]]


Rule = Rename | Ignore | Split | Merge


def patterns_of(rule: Rule) -> Mapping[str, str]:
    """List a rule's patterns by part name; rules of one pattern have the part ``""``."""
    return rule.parts if isinstance(rule, Merge) else {"": rule.pattern}


def both(*targets: str) -> Callable[[re.Match[str], Tensor], Iterable[Named]]:
    """Make a `Split` function that gives one tensor to several targets (templates as in `Rename`)."""

    def split(match: re.Match[str], tensor: Tensor) -> Iterable[Named]:
        return [(match.expand(target), tensor) for target in targets]

    return split


def llama_rules(official: str, ours: str, *, head: str = "lm_head") -> Sequence[Rule]:
    """Give the key map of a Llama as the published LLaVA descendants store it.

    Args:
        official: Prefix of the decoder's official names, with its dot (`"model."`).
        ours: Prefix of the `transformers.LlamaForCausalLM` in our module, with its dot.
        head: Official name of the output projection, without `.weight`.
    """
    prefix = re.escape(official)
    return (
        Ignore(rf"{prefix}layers\.\d+\.self_attn\.rotary_emb\.inv_freq", "computed from the config"),
        Rename(rf"{prefix}(embed_tokens\.weight|norm\.weight)", rf"{ours}model.\1"),
        Rename(
            rf"{prefix}(layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj"
            rf"|input_layernorm|post_attention_layernorm)\.weight)",
            rf"{ours}model.\1",
        ),
        Rename(rf"{re.escape(head)}\.weight", rf"{ours}lm_head.weight"),
    )
