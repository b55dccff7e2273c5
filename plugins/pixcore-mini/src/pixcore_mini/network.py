"""The network: transformers' own LLaVA, small, with an initialisation that trains from scratch."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from pixcore.errors import ModelError, first_line
from pixcore_mini.tokenizer import GRID, IMAGE_ID, SPECIAL

IMAGE_SIZE = 112
PATCH_SIZE = IMAGE_SIZE // GRID
#: Pixels enter as (value / 255 - mean) / deviation, the same for every channel.
PIXEL_MEAN = 0.6
PIXEL_DEVIATION = 0.25


def build_network(vocabulary_size: int) -> LlavaForConditionalGeneration:
    """Build an untrained model of about four and a half million parameters; torch's random state decides it."""
    vision = CLIPVisionConfig(
        hidden_size=192,
        intermediate_size=576,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=192,
        hidden_act="gelu_pytorch_tanh",
    )
    text = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        pad_token_id=SPECIAL.index("<pad>"),
        bos_token_id=SPECIAL.index("<s>"),
        eos_token_id=SPECIAL.index("</s>"),
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_ID,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=GRID * GRID,
        tie_word_embeddings=True,
    )
    network = LlavaForConditionalGeneration(config)
    _initialise(network)
    return network


def read_network(folder: Path) -> LlavaForConditionalGeneration:
    """Read a finished model from its folder, in float32.

    Raises:
        ModelError: It is not there, is damaged or not whole.
    """
    try:
        return LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except Exception as error:  # whatever transformers and safetensors make of a damaged file
        said = f"can't load mini from {folder}: {first_line(error)}"
        raise ModelError(said, hint="name the folder OUT/model that `python -m pixcore_mini.train` wrote") from error


def _initialise(network: LlavaForConditionalGeneration) -> None:
    """Fan-in scaled weights and 2-D sine-cosine positions.

    With transformers' default (a deviation of 0.02 everywhere) a model this small stays at chance on
    everything that has to be seen.
    """
    residual_writers = ("o_proj", "out_proj", "down_proj", "fc2")
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and "embed" not in name and "lm_head" not in name:
            scale = 0.32 if any(writer in name for writer in residual_writers) else 0.8
            nn.init.normal_(parameter, std=scale / math.sqrt(parameter.shape[1]))
    for name, parameter in network.named_parameters():
        if name.endswith("patch_embedding.weight"):
            nn.init.normal_(parameter, std=1 / math.sqrt(parameter[0].numel()))
        elif name.endswith("position_embedding.weight"):
            # Row 0 belongs to CLIP's class token.
            parameter.data[1:] = 0.7 * sine_cosine_positions(GRID, parameter.shape[1])
        elif name.endswith("embed_tokens.weight"):
            nn.init.normal_(parameter, std=0.05)


def sine_cosine_positions(side: int, width: int) -> torch.Tensor:
    """Make fixed features (side * side, width) of the cells of a square grid, wavelengths 2 to 2 * side cells."""
    frequencies = math.pi / side * torch.exp(torch.linspace(0, math.log(side), width // 4))
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x, y = column.reshape(-1, 1) * frequencies, row.reshape(-1, 1) * frequencies
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1)


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Turn uint8 (batch, height, width, 3) into the network's float32 (batch, 3, height, width)."""
    return (images.permute(0, 3, 1, 2).float() / 255 - PIXEL_MEAN) / PIXEL_DEVIATION
