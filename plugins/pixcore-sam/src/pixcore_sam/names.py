"""The official model's decoder under the names that transformers gives to the same parts: no weight is copied."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from torch import Tensor


def as_transformers_names_it(model: Any) -> Any:
    """Give what `FewTokens` reads of a `SamModel`, of segment-anything's `Sam`."""
    decoder, transformer = model.mask_decoder, model.mask_decoder.transformer
    first, norm, activation, second, _ = decoder.output_upscaling
    return SimpleNamespace(
        prompt_encoder=model.prompt_encoder,
        get_image_wide_positional_embeddings=model.prompt_encoder.get_dense_pe,
        mask_decoder=SimpleNamespace(
            iou_token=decoder.iou_token,
            mask_tokens=decoder.mask_tokens,
            num_mask_tokens=decoder.num_mask_tokens,
            output_hypernetworks_mlps=decoder.output_hypernetworks_mlps,
            iou_prediction_head=decoder.iou_prediction_head,
            upscale_conv1=first,
            upscale_layer_norm=norm,
            activation=activation,
            upscale_conv2=second,
            transformer=SimpleNamespace(
                layers=[_layer(layer) for layer in transformer.layers],
                final_attn_token_to_image=_attention(transformer.final_attn_token_to_image),
                layer_norm_final_attn=transformer.norm_final_attn,
            ),
        ),
    )


def _layer(layer: Any) -> Any:
    def among_tokens(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor]:
        return (layer.self_attn(queries[:, 0], keys[:, 0], values[:, 0])[:, None],)

    return SimpleNamespace(
        self_attn=among_tokens,
        cross_attn_token_to_image=_attention(layer.cross_attn_token_to_image),
        cross_attn_image_to_token=_attention(layer.cross_attn_image_to_token),
        mlp=layer.mlp,
        skip_first_layer_pe=layer.skip_first_layer_pe,
        layer_norm1=layer.norm1,
        layer_norm2=layer.norm2,
        layer_norm3=layer.norm3,
        layer_norm4=layer.norm4,
    )


def _attention(attention: Any) -> Any:
    return SimpleNamespace(
        q_proj=attention.q_proj,
        k_proj=attention.k_proj,
        v_proj=attention.v_proj,
        out_proj=attention.out_proj,
        num_attention_heads=attention.num_heads,
        scaling=(attention.internal_dim // attention.num_heads) ** -0.5,
    )
