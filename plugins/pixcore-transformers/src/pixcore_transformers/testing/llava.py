"""Save a tiny LLaVA-1.5 in both layouts that its weights are published in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, LlavaConfig

from pixcore_transformers.testing.checkpoints import spread_weights

Tensor = torch.Tensor

_SENTENCES = (
    "A chat between a curious human and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the human's questions. USER: ASSISTANT:",
    "Identify the cat's ear in the scene. What colour is the door? (a) Red (b) Blue",
    "Der Hund läuft über die Straße; 猫 の 耳 😀 é",
)
_VOCABULARY = 420
_VISION = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
}
_TEXT = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
}


class TinyLlava:
    """Builds tower, projector, language model and tokenizer, with random weights.

    Args:
        folder: Where the tokenizer and the checkpoints go.
        seed: Of the weights.
    """

    side = 8

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self.folder = folder
        sentences = folder / "sentences.txt"
        sentences.write_text("\n".join(_SENTENCES * 20), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(sentences),
            model_prefix=str(folder / "tokenizer"),
            vocab_size=_VOCABULARY,
            byte_fallback=True,
            model_type="bpe",
            character_coverage=0.98,
            minloglevel=2,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.text: Any = LlamaForCausalLM(LlamaConfig(**_TEXT))
            self.tower: Any = CLIPVisionModel(CLIPVisionConfig(**_VISION))
            self.projector = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 32))
            for module in (self.text, self.tower, self.projector):
                spread_weights(module.eval())

    def save_hugging_face(self) -> Path:
        """Write a folder with llava-hf/llava-1.5-7b-hf's keys: one more input and output row for the placeholder."""
        folder = self.folder / "hugging-face"
        if folder.exists():
            return folder
        self._save_tokenizer(folder)
        text = self.text.config.to_dict() | {"vocab_size": _VOCABULARY + 1}
        config = LlavaConfig(
            text_config=text,
            vision_config=self.tower.config.to_dict(),
            image_token_index=_VOCABULARY,
            image_seq_length=self.side**2,
        )
        config.save_pretrained(folder)
        state = {f"language_model.{key}": value for key, value in self.text.state_dict().items()}
        for key in ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight"):
            state[key] = torch.cat([state[key], torch.zeros(1, 32)])
        state |= {f"vision_tower.vision_model.{key}": value for key, value in self.tower.state_dict().items()}
        names = {"0": "linear_1", "2": "linear_2"}
        for key, value in self.projector.state_dict().items():
            number, _, kind = key.partition(".")
            state[f"multi_modal_projector.{names[number]}.{kind}"] = value
        _save(state, folder / "model.safetensors")
        return folder

    def save_original(self, name: str = "original", *, with_tower: bool = False, drop: str = "", add: str = "") -> Path:
        """Write a folder with the keys of liuhaotian/llava-v1.5-7b.

        Args:
            name: Of the folder.
            with_tower: The tower is in the checkpoint, not only beside it.
            drop: A key to leave out.
            add: A key to add.
        """
        folder, tower = self.folder / name, self.folder / "tower"
        if folder.exists():
            return folder
        self._save_tokenizer(folder)
        if not tower.exists():
            self._save_tower(tower)
        config = self.text.config.to_dict() | {
            "architectures": ["LlavaLlamaForCausalLM"],
            "model_type": "llava",
            "mm_vision_tower": str(tower),
            "mm_projector_type": "mlp2x_gelu",
            "mm_vision_select_layer": -2,
            "mm_vision_select_feature": "patch",
            "mm_hidden_size": 24,
            "image_aspect_ratio": "pad",
            "torch_dtype": "float32",
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        state = dict(self.text.state_dict())
        state |= {f"model.mm_projector.{key}": value for key, value in self.projector.state_dict().items()}
        state |= {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.ones(4) for layer in range(2)}
        if with_tower:
            inside = "model.vision_tower.vision_tower.vision_model."
            state |= {inside + key: value for key, value in self.tower.state_dict().items()}
            state[inside + "embeddings.position_ids"] = torch.arange(self.side**2 + 1)[None]
        state.pop(drop, None)
        if add:
            state[add] = torch.ones(1)
        keys = sorted(state)
        for number, half in enumerate((keys[::2], keys[1::2]), 1):
            shard = {key: state[key].clone() for key in half}
            torch.save(shard, folder / f"pytorch_model-{number:05}-of-00002.bin")
        return folder

    def _save_tower(self, folder: Path) -> None:
        """As CLIP's own checkpoints: the tower under vision_model, beside the text half."""
        self.tower.config.save_pretrained(folder)
        state = {f"vision_model.{key}": value for key, value in self.tower.state_dict().items()}
        text_half = {"logit_scale": torch.ones(()), "text_model.final_layer_norm.weight": torch.ones(4)}
        torch.save(state | text_half, folder / "pytorch_model.bin")

    def _save_tokenizer(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "tokenizer.model").write_bytes((self.folder / "tokenizer.model").read_bytes())
        settings = {
            "tokenizer_class": "LlamaTokenizer",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "legacy": True,
            "add_bos_token": True,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _save(state: dict[str, Tensor], path: Path) -> None:
    save_file({key: value.contiguous().clone() for key, value in state.items()}, path, metadata={"format": "pt"})
