"""Build the untrained SAM: transformers' own, small enough for scenes of 112 pixels."""

from __future__ import annotations

import torch
from pixcore_mini.network import sine_cosine_positions
from torch import nn
from transformers import SamConfig, SamModel

SIDE, CELL = 112, 8
"""Pixels of an image's side, and of a token's; masks are decided on cells of a quarter of it."""
_WIDTH, _CHANNELS = 96, 64


def build() -> SamModel:
    """Build SAM from the random state: an encoder of 4 blocks, a decoder that gives three masks.

    transformers' own initialisation is made to be overwritten by a checkpoint, and does not train: here weights are
    scaled by how many values they sum, and the frequencies of places have the variance 1, as SAM's own.
    """
    vision = {
        "image_size": SIDE,
        "patch_size": CELL,
        "hidden_size": _WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "mlp_dim": 256,
        "window_size": 7,
        "global_attn_indexes": [3],
        "output_channels": _CHANNELS,
        "num_pos_feats": _CHANNELS // 2,
    }
    grid = SIDE // CELL
    prompts = {"hidden_size": _CHANNELS, "image_size": SIDE, "patch_size": CELL, "image_embedding_size": grid}
    decoder = {"hidden_size": _CHANNELS, "mlp_dim": 128, "num_attention_heads": 4, "iou_head_hidden_dim": _CHANNELS}
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            inputs = module.weight.shape[0] if isinstance(module, nn.ConvTranspose2d) else module.weight[0].numel()
            nn.init.trunc_normal_(module.weight, std=inputs**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    nn.init.normal_(model.shared_image_embedding.positional_embedding)
    model.shared_image_embedding.positional_embedding.requires_grad_(False)
    with torch.no_grad():
        model.vision_encoder.pos_embed.copy_(sine_cosine_positions(grid, _WIDTH).reshape(1, grid, grid, _WIDTH))
    return model
