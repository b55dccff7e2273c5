"""The options of `transformers` and `llava-1.5`, and what every adapter of weights shares with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pixcore_checkpoints.fingerprints import fingerprint_of
from pydantic import AliasChoices, Field, field_validator, model_validator

from pixcore.components import ModelConfig
from pixcore.errors import ConfigError, ModelError
from pixcore.files import at_home

CHECKPOINT = AliasChoices("checkpoint", "pretrained")
"""What a config may call its checkpoint: Hugging Face's own scripts say `pretrained`."""


class PlacingConfig(ModelConfig):
    """Where a model's weights are held, and in how many bits: every system has these options.

    Attributes:
        device_map: A device; or accelerate's auto, balanced or a map of the language model's parts; left out: the GPU
            if there is one.
        quantization: Of the language model, through bitsandbytes; 4bit needs a GPU.
        offload_towers: Keep what looks at the image in the machine's memory; it is on the device only while it works.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset({"offload_towers"})

    device_map: str | dict[str, int | str] | None = None
    quantization: Literal["8bit", "4bit"] | None = None
    offload_towers: bool = False

    @model_validator(mode="before")
    @classmethod
    def _named_once(cls, given: Any) -> Any:
        for field in cls.model_fields.values():
            choices = getattr(field.validation_alias, "choices", ())
            if len(named := [name for name in choices if isinstance(given, dict) and name in given]) > 1:
                raise ValueError(f"{' and '.join(named)} are two names of one option: leave one out")
        return given

    @field_validator("checkpoint", "lora_adapter", "vision_tower", "towers", "language", "clip", check_fields=False)
    @classmethod
    def _names_weights(cls, given: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if "" in (given if isinstance(given, tuple) else (given,)):
            raise ValueError("a folder, or a name on the hub")  # an empty path is the current folder's
        return given


class TransformersConfig(PlacingConfig):
    """Options of `transformers`: what to load and how to generate.

    `pretrained`, `torch_dtype` and `attn_implementation`, as Hugging Face's own scripts call them, are understood too,
    and `adapter` for `lora_adapter`.

    Attributes:
        checkpoint: A folder, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        offline: Never ask the hub; what is there in the cache has to do.
        trust_remote_code: Run code that comes with the checkpoint.
        dtype: auto: what the checkpoint says on a GPU, float32 on a CPU.
        lora_adapter: A folder or a name on the hub: a LoRA adapter of the checkpoint, added into its weights by peft.
        layout: auto: the architecture's own; probe: found by covering parts of images, for an architecture that has
            none.
        kernel: The attention kernel; auto is sdpa where the architecture has it.
        image_options: In place of the checkpoint's preprocessor_config.json, such as {do_pan_and_scan: true} for Gemma
            3 or {max_patches: 4} for InternVL.
        prompt_template: The whole prompt with {prompt} and the image's placeholder in it, in place of the checkpoint's
            chat template.
        max_new_tokens: The published runs allow 1024.
        temperature: 0 is greedy. Left out: greedy, or what the published run of this model used.
        top_p: Sample among the likeliest tokens of this mass.
        top_k: Sample among so many tokens. Left out: all, or the published script's 50.
        attention: Read rows while generating, or in one pass over prompt and text afterwards.
    """

    refills = True
    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Options that an adapter inherits and does not follow; to set one is refused."""
    draws: ClassVar[bool] = False
    """A published run of the model drew its answers, so that without a temperature these may be drawn too."""

    checkpoint: str = Field(validation_alias=CHECKPOINT)
    revision: str | None = None
    offline: bool = False
    trust_remote_code: bool = False
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        default="auto", validation_alias=AliasChoices("dtype", "torch_dtype")
    )
    lora_adapter: str | None = Field(default=None, validation_alias=AliasChoices("lora_adapter", "adapter"))
    # left out of what a record is kept by where it changes nothing, so that earlier ones are found again
    layout: Literal["auto", "probe"] = Field(default="auto", exclude_if=lambda value: value == "auto")
    kernel: Literal["auto", "sdpa", "eager", "flash_attention_2", "flash_attention_3"] = Field(
        default="auto", validation_alias=AliasChoices("kernel", "attn_implementation")
    )
    image_options: dict[str, Any] = Field(default={})
    prompt_template: str | None = None
    max_new_tokens: int = Field(default=1024, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    attention: Literal["live", "replay"] = "live"

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        for name in sorted(self.without_effect):
            if getattr(self, name) == type(self).model_fields[name].default:
                continue  # a run's record spells every option out
            raise ValueError(f"{name} has no effect on this model: leave it out")
        return self

    def check_ready(self) -> None:
        """Refuse a choice among tokens where none is made.

        Raises:
            ConfigError: Answers are greedy, and `top_p` or `top_k` is set.
        """
        greedy = self.temperature == 0 or (self.temperature is None and not self.draws)
        for name in ("top_p", "top_k"):
            if greedy and getattr(self, name) is not None:
                raise ConfigError(f"{name} has no effect on greedy answers", hint="set a temperature, or leave it out")

    @field_validator("prompt_template")
    @classmethod
    def _has_a_place(cls, template: str | None) -> str | None:
        if template is not None and "{prompt}" not in template:
            raise ValueError("prompt_template must hold {prompt}, where the question goes")
        return template

    def framed(self, prompt: str) -> str | None:
        """Put a prompt into the config's template, whose other braces stand for themselves; None without one."""
        return None if self.prompt_template is None else self.prompt_template.replace("{prompt}", prompt)

    @property
    def family(self) -> str:  # type: ignore[override]
        """Name the architecture, as the config.json of a folder does; of a name on the hub, the name."""
        folder = Path(self.checkpoint)
        try:
            return str(json.loads((folder / "config.json").read_bytes())["model_type"])
        except (OSError, ValueError, KeyError, TypeError):  # whoever loads it says what is wrong with it
            return self.checkpoint

    def fingerprint(self) -> str:
        """Hash a folder's files; of a hub name give the commit."""
        own = fingerprint_of(self.checkpoint, self.revision)
        return own if self.lora_adapter is None else f"{own} {place(self.lora_adapter).fingerprint()}"


class Llava15Config(TransformersConfig):
    """Options of `llava-1.5`, 7B or 13B, in either layout.

    Attributes:
        checkpoint: A folder, or a name on the hub, of either layout.
        vision_tower: For an original liuhaotian checkpoint: where its CLIP tower is; left out, the one that it names.
    """

    without_effect = frozenset({"image_options", "layout"})
    draws = True

    checkpoint: str = Field(default="llava-hf/llava-1.5-7b-hf", validation_alias=CHECKPOINT)
    vision_tower: str | None = None

    def fingerprint(self) -> str:
        """Hash the checkpoint and its tower, where the options name it, or the checkpoint a folder."""
        own, tower = super().fingerprint(), self.vision_tower or tower_folder(self.checkpoint)
        return own if tower is None else f"{own} {place(tower).fingerprint()}"

    @field_validator("prompt_template")
    @classmethod
    def _has_an_image(cls, template: str | None) -> str | None:
        if template is not None and template.count("<image>") != 1:
            raise ValueError("prompt_template must hold <image> once, where the image goes")
        return template


def tower_folder(checkpoint: str) -> str | None:
    """Give the folder that a checkpoint's config.json names as its CLIP tower; None where it is named on the hub."""
    try:
        content = json.loads((Path(checkpoint) / "config.json").read_bytes())
        names = [content.get(key) for key in ("mm_vision_tower", "vision_tower")]
    except (OSError, ValueError, AttributeError):  # whoever loads it says what is wrong with it
        return None
    name = next((name for name in names if isinstance(name, str)), None)
    return name if name and Path(at_home(name)).is_dir() else None


def place(name: str, revision: str | None = None, *, offline: bool = False) -> TransformersConfig:
    """Name a folder or a hub repository in the form that `resolve` finds and `fingerprint` hashes.

    Raises:
        ModelError: The name is empty, as in a damaged config.json.
    """
    if not name:
        raise ModelError(
            "a checkpoint's part has an empty name", hint="its config.json names a folder, or one on the hub"
        )
    return TransformersConfig.model_validate({"checkpoint": name, "revision": revision, "offline": offline})
