"""LISA (Lai et al., CVPR 2024) as a pixcore plugin: reasoning segmentation by a [SEG] token."""
