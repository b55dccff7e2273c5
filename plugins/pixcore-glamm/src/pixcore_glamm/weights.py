"""Map GLaMM's published key names to ours."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore_segtoken.grounded import GroundedSizes
from pixcore_segtoken.keymap import Ignore, Rename, Rule, llama_rules
from pixcore_segtoken.sam import sam_rules

PROJECTOR_DEPTH = 2


def rules(sizes: GroundedSizes) -> Sequence[Rule]:
    """Give the key map of `MBZUAI/GLaMM-*`, all but the CLIP tower, which they do not hold."""
    return (
        *llama_rules(official="model.", ours="language."),
        Rename(r"model\.mm_projector\.([02])\.(weight|bias)", r"projector.\1.\2"),
        Rename(r"model\.text_hidden_fcs\.0\.([02])\.(weight|bias)", r"seg_projection.\1.\2"),
        Ignore(r"model\.region_encoder\..+", "encodes boxes in the prompt, which no probing has"),
        *sam_rules(official="model.grounding_encoder.", ours="sam.", sizes=sizes.sam),
    )
