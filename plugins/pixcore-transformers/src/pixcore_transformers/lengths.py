"""Refuse texts so long that a model turns its positions anew: by the longest text of a batch, and not the keys kept."""

from __future__ import annotations

from typing import Any

from pixcore.errors import DataError


def check_length(text: Any, name: str, prompt: int, new: int) -> None:
    """Refuse a text that passes the length from which on a decoder's rotary frequencies follow the length.

    Its rows, and its words, would follow from what else is in the batch, and from whether keys are kept.

    Args:
        text: The decoder's config.
        name: The sample's, for the error.
        prompt: Tokens of the prompt.
        new: Tokens that may follow it.

    Raises:
        DataError: It passes that length.
    """
    known = turning_length(text)
    if known is None or prompt + new <= known[1]:
        return
    kind, most = known
    fewer = f"set max_new_tokens to at most {most - prompt}, or " if prompt < most and new else ""
    raise DataError(
        f"sample {name}: {prompt} tokens of prompt and {new} of answer pass {most}, beyond which this checkpoint's "
        f"positions (rope_type {kind}) change with the length",
        hint=f"{fewer}ask with a smaller image or a shorter text",
    )


def turning_length(text: Any) -> tuple[str, int] | None:
    """Find the kind of rotary positions whose frequencies follow the length, and the most tokens without; else None."""
    given = getattr(text, "rope_parameters", None) or {}
    found = []
    for each in (given, *given.values()):  # one for all layers, or one for each kind of layers
        kind = each.get("rope_type") or "" if isinstance(each, dict) else ""
        if "dynamic" in kind:
            found.append((kind, int(text.max_position_embeddings)))
        elif kind == "longrope":
            found.append((kind, int(each.get("original_max_position_embeddings") or text.max_position_embeddings)))
    return min(found, key=lambda own: own[1], default=None)
