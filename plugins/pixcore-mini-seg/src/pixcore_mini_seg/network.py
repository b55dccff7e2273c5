"""The network: mini, changes of low rank to its language model, and a mask decoder."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pixcore_mini.config import MiniConfig
from pixcore_mini.network import read_network
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from pixcore_mini_seg.decoder import MaskDecoder


class LowRank(nn.Module):
    """A frozen linear layer with a trained change of low rank."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        """No change at first: `up` is zero."""
        super().__init__()
        self.layer = layer
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / layer.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, inputs: Tensor) -> Tensor:
        """Give what the changed layer gives."""
        changed: Tensor = self.layer(inputs) + (inputs @ self.down.T) @ self.up.T
        return changed


class SegNetwork(nn.Module):
    """Speaks and segments.

    Attributes:
        llava: The model that speaks.
        decoder: Turns its states into masks.
        rank: Of the changes that are trained; None where everything is trained.
    """

    def __init__(
        self, llava: LlavaForConditionalGeneration, decoder: MaskDecoder, words: int, rank: int | None
    ) -> None:
        """Adds what is new, from torch's random state.

        Args:
            llava: A trained mini.
            decoder: See above.
            words: How many tokens there are now; the new ones' embeddings begin near the mean of all others.
            rank: See above.
        """
        super().__init__()
        self.llava, self.decoder, self.rank = llava, decoder, rank
        widen(llava, words)
        if rank is not None:
            llava.requires_grad_(False)
            llava.get_input_embeddings().weight.requires_grad_(True)
            for parent, name, layer in list(_linear_layers(llava)):
                setattr(parent, name, LowRank(layer, rank))

    def trained(self) -> dict[str, Tensor]:
        """List what training changes, by name, the tied output layer left out."""
        return {name: tensor for name, tensor in self.named_parameters() if tensor.requires_grad}


def new_decoder(llava: LlavaForConditionalGeneration) -> MaskDecoder:
    """Make a decoder of a model's widths, untrained, from torch's random state."""
    return MaskDecoder(llava.config.text_config.hidden_size, llava.config.vision_config.hidden_size)


def base_model() -> LlavaForConditionalGeneration:
    """Read the shipped mini, in float32."""
    return read_network(MiniConfig().folder)


def widen(llava: LlavaForConditionalGeneration, words: int) -> None:
    """Make room for new tokens, whose embeddings begin near the mean of all others."""
    known = llava.get_input_embeddings().num_embeddings
    if known == words:
        return
    llava.resize_token_embeddings(words, mean_resizing=False)
    table = llava.get_input_embeddings().weight.data
    table[known:] = table[:known].mean(dim=0) + 0.02 * torch.randn_like(table[known:])


def change(llava: LlavaForConditionalGeneration, tensors: dict[str, Tensor]) -> None:
    """Add trained changes into a mini's weights.

    Args:
        llava: With as many words as the changed one has.
        tensors: As `SegNetwork.trained` names them.
    """
    table = llava.get_input_embeddings().weight.data
    table.copy_(tensors["llava.model.language_model.embed_tokens.weight"])
    names = {layer: name for name, layer in llava.named_modules()}
    for _, _, layer in _linear_layers(llava):
        down, up = (tensors[f"llava.{names[layer]}.{side}"] for side in ("down", "up"))
        layer.weight.data += (up.float() @ down.float()).to(layer.weight)


def _linear_layers(llava: LlavaForConditionalGeneration) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """The linear layers of the language model's blocks, each with its parent and its name there."""
    for parent in llava.model.language_model.layers.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                yield parent, name, child
