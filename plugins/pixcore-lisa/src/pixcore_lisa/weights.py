"""From LISA's published key names to ours."""

from __future__ import annotations

from collections.abc import Sequence

from pixcore_segtoken.clip import clip_rules
from pixcore_segtoken.grounded import GroundedSizes
from pixcore_segtoken.keymap import Rename, Rule, llama_rules
from pixcore_segtoken.sam import sam_rules

PROJECTOR_DEPTH = 1


def rules(sizes: GroundedSizes) -> Sequence[Rule]:
    """Rules for `xinlai/LISA-7B-v1*`; CLIP's are for a checkpoint that carries its tower (the released do not)."""
    return (
        *llama_rules(official="model.", ours="language."),
        Rename(r"model\.mm_projector\.(weight|bias)", r"projector.0.\1"),
        Rename(r"model\.text_hidden_fcs\.0\.([02])\.(weight|bias)", r"seg_projection.\1.\2"),
        *sam_rules(official="model.visual_model.", ours="sam.", sizes=sizes.sam),
        *clip_rules(official="model.vision_tower.vision_tower.vision_model.", ours="clip."),
    )
