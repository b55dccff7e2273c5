"""Prompt Segment Anything with embeddings instead of clicks.

LISA and GLaMM prompt SAM with one projected language state where a point's embedding would be. No change to SAM is
needed for it: its mask decoder takes sparse prompt embeddings, whatever made them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import SamConfig, SamModel

from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.keymap import Rename, Rule, Split, both

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


def to_config(sizes: SamSizes) -> SamConfig:
    """Turn sizes into a transformers config."""
    return SamConfig(
        vision_config={
            "image_size": sizes.image_size,
            "patch_size": sizes.patch_size,
            "hidden_size": sizes.embed_dim,
            "num_hidden_layers": sizes.depth,
            "num_attention_heads": sizes.num_heads,
            "mlp_ratio": sizes.mlp_ratio,
            "mlp_dim": int(sizes.embed_dim * sizes.mlp_ratio),
            "global_attn_indexes": list(sizes.global_attn_indexes),
            "window_size": sizes.window_size,
            "output_channels": sizes.prompt_dim,
            "num_pos_feats": sizes.prompt_dim // 2,
        },
        prompt_encoder_config={
            "hidden_size": sizes.prompt_dim,
            "image_size": sizes.image_size,
            "patch_size": sizes.patch_size,
            "image_embedding_size": sizes.image_size // sizes.patch_size,
            "mask_input_channels": sizes.mask_in_chans,
        },
        mask_decoder_config={
            "hidden_size": sizes.prompt_dim,
            "mlp_dim": sizes.decoder_mlp_dim,
            "num_hidden_layers": sizes.decoder_depth,
            "num_attention_heads": sizes.decoder_heads,
            "attention_downsample_rate": sizes.attention_downsample_rate,
            "num_multimask_outputs": sizes.num_multimask_outputs,
            "iou_head_depth": sizes.iou_head_depth,
            "iou_head_hidden_dim": sizes.iou_head_hidden,
            # SAM's two-way blocks have torch's default; transformers' config has 1e-6.
            "layer_norm_eps": 1e-5,
        },
    )


class PromptableSam(nn.Module):
    """SAM whose prompts are embeddings."""

    def __init__(self, sizes: SamSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.model = SamModel(to_config(sizes))

    @torch.no_grad()
    def encode(self, pixel_values: Tensor) -> Tensor:
        """Turn normalised, padded pixels (B, 3, M, M) into image embeddings (B, P, M/16, M/16)."""
        dtype = self.model.vision_encoder.patch_embed.projection.weight.dtype
        embeddings: Tensor = self.model.get_image_embeddings(pixel_values.to(dtype))
        return embeddings

    @torch.no_grad()
    def decode(self, image_embedding: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Decode one mask for every prompt embedding on one image.

        Args:
            image_embedding: (1, P, g, g) of `encode`.
            prompts: (N, P).

        Returns:
            Low-resolution mask logits (N, 1, 4g, 4g) and predicted IoU (N, 1): SAM's single-mask token.
        """
        grid = image_embedding.shape[-1]
        if not len(prompts):
            return image_embedding.new_zeros(0, 1, 4 * grid, 4 * grid), image_embedding.new_zeros(0, 1)
        no_mask = self.model.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        masks, iou = self.model.mask_decoder(
            image_embeddings=image_embedding,
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=prompts.to(image_embedding.dtype)[None, :, None, :],
            dense_prompt_embeddings=no_mask.expand_as(image_embedding),
            multimask_output=False,
        )
        return masks[0], iou[0]


def upscale(low_res: Tensor, image_size: int, resized: tuple[int, int], original: tuple[int, int]) -> Tensor:
    """Bring mask logits to the original image's pixels.

    Bilinear to the padded square, the padding cut off, bilinear to the original; in float32.

    Args:
        low_res: (N, 1, m, m).
        image_size: Side M of the padded square.
        resized: (H, W) of the image inside the square.
        original: (H, W) of the image as it was.

    Returns:
        (N, H, W) float32; a mask is where it is above 0.
    """
    if not len(low_res):
        return low_res.new_zeros(0, *original, dtype=torch.float32)
    square = nn.functional.interpolate(low_res.float(), (image_size, image_size), mode="bilinear", align_corners=False)
    content = square[..., : resized[0], : resized[1]]
    return nn.functional.interpolate(content, original, mode="bilinear", align_corners=False)[:, 0]


def longest_side(image: Image.Image, size: int) -> tuple[np.ndarray, Tensor]:
    """Prepare an image as SAM does: longest side to `size` (bilinear), normalise, zeros at the bottom and right.

    Returns:
        The resized image (h, w, 3) uint8, and the model's input (3, size, size) float32.
    """
    scale = size / max(image.size)
    width, height = (max(1, int(side * scale + 0.5)) for side in image.size)
    resized = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    return resized, nn.functional.pad(normalised(resized), (0, size - width, 0, size - height))


def normalised(pixels: np.ndarray) -> Tensor:
    """Turn (h, w, 3) uint8 into (3, h, w) float32, by SAM's mean and deviation."""
    values = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float()
    return (values - torch.tensor(PIXEL_MEAN)[:, None, None]) / torch.tensor(PIXEL_STD)[:, None, None]


def sam_rules(official: str, ours: str, sizes: SamSizes) -> Sequence[Rule]:
    """Give the key map of segment-anything's names.

    Args:
        official: Prefix before `image_encoder`, `prompt_encoder`, `mask_decoder`, with its dot.
        ours: Prefix of the `PromptableSam` in our module, with its dot.
        sizes: Their depth says which layer of a feed-forward head is its last.
    """
    image, prompt, mask = (
        rf"{re.escape(official)}{part}\." for part in ("image_encoder", "prompt_encoder", "mask_decoder")
    )
    ours_image, ours_prompt, ours_mask = (
        f"{ours}model.{part}." for part in ("vision_encoder", "prompt_encoder", "mask_decoder")
    )
    leaf = "(weight|bias)"
    two_way = r"layers\.\d+\.(?:self_attn|cross_attn_token_to_image|cross_attn_image_to_token)\.\w+_proj"
    return (
        Rename(rf"{image}pos_embed", f"{ours_image}pos_embed"),
        Rename(rf"{image}patch_embed\.proj\.{leaf}", rf"{ours_image}patch_embed.projection.\1"),
        Rename(rf"{image}blocks\.(\d+)\.norm(\d)\.{leaf}", rf"{ours_image}layers.\1.layer_norm\2.\3"),
        Rename(rf"{image}blocks\.(\d+)\.((?:attn|mlp)\..+)", rf"{ours_image}layers.\1.\2"),
        *numbered(
            rf"{image}neck\.",
            f"{ours_image}neck.",
            {0: "conv1", 1: "layer_norm1", 2: "conv2", 3: "layer_norm2"},
        ),
        Rename(rf"{prompt}point_embeddings\.(\d+)\.weight", rf"{ours_prompt}point_embed.\1.weight"),
        Rename(rf"{mask}(iou_token|mask_tokens)\.weight", rf"{ours_mask}\1.weight"),
        Rename(
            rf"{mask}transformer\.({two_way}|layers\.\d+\.mlp\.lin\d|final_attn_token_to_image\.\w+_proj)\.{leaf}",
            rf"{ours_mask}transformer.\1.\2",
        ),
        *feed_forward(rf"{mask}(output_hypernetworks_mlps\.\d+)", ours_mask, depth=3),
        *feed_forward(rf"{mask}(iou_prediction_head)", ours_mask, depth=sizes.iou_head_depth),
        *alike_rules(prompt, mask, ours),
    )


def alike_rules(prompt: str, mask: str, ours: str) -> Sequence[Rule]:
    """Give the key map of what SAM and SAM 2 name alike.

    Args:
        prompt: Regular expression of the official prompt encoder's prefix.
        mask: The mask decoder's.
        ours: Prefix of the module in ours that holds `model`, with its dot.
    """
    ours_prompt, ours_mask, leaf = f"{ours}model.prompt_encoder.", f"{ours}model.mask_decoder.", "(weight|bias)"
    return (
        Split(
            rf"{prompt}pe_layer\.positional_encoding_gaussian_matrix",
            both(
                f"{ours_prompt}shared_embedding.positional_embedding",
                f"{ours}model.shared_image_embedding.positional_embedding",
            ),
        ),
        Rename(rf"{prompt}(not_a_point_embed|no_mask_embed)\.weight", rf"{ours_prompt}\1.weight"),
        *numbered(
            rf"{prompt}mask_downscaling\.",
            f"{ours_prompt}mask_embed.",
            {0: "conv1", 1: "layer_norm1", 3: "conv2", 4: "layer_norm2", 6: "conv3"},
        ),
        Rename(rf"{mask}transformer\.(layers\.\d+)\.norm(\d)\.{leaf}", rf"{ours_mask}transformer.\1.layer_norm\2.\3"),
        Rename(rf"{mask}transformer\.norm_final_attn\.{leaf}", rf"{ours_mask}transformer.layer_norm_final_attn.\1"),
        *numbered(
            rf"{mask}output_upscaling\.",
            ours_mask,
            {0: "upscale_conv1", 1: "upscale_layer_norm", 3: "upscale_conv2"},
        ),
    )


def numbered(pattern: str, target: str, names: Mapping[int, str]) -> list[Rule]:
    """Map sequential modules, whose layers have numbers there and names here."""
    return [Rename(rf"{pattern}{number}\.(weight|bias)", rf"{target}{name}.\1") for number, name in names.items()]


def feed_forward(pattern: str, target: str, depth: int) -> list[Rule]:
    """Map the feed-forward heads that a pattern's one group names: `depth` linear layers."""
    names = {0: "proj_in", depth - 1: "proj_out"} | {n: f"layers.{n - 1}" for n in range(1, depth - 1)}
    return [
        Rename(rf"{pattern}\.layers\.{number}\.(weight|bias)", rf"{target}\1.{name}.\2")
        for number, name in names.items()
    ]
