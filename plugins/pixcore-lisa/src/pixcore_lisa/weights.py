"""Map LISA's published key names to ours."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore_segtoken.grounded import GroundedSizes
from pixcore_segtoken.keymap import Rename, Rule, llama_rules
from pixcore_segtoken.sam import sam_rules

PROJECTOR_DEPTH = 1


def rules(sizes: GroundedSizes) -> Sequence[Rule]:
    """Give the key map of `xinlai/LISA-7B-v1*`, all but the CLIP tower, which they do not hold."""
    return (
        *llama_rules(official="model.", ours="language."),
        Rename(r"model\.mm_projector\.(weight|bias)", r"projector.0.\1"),
        Rename(r"model\.text_hidden_fcs\.0\.([02])\.(weight|bias)", r"seg_projection.\1.\2"),
        *sam_rules(official="model.visual_model.", ours="sam.", sizes=sizes.sam),
    )
