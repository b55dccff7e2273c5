"""Load the half of a checkpoint's processor that prepares images, with torchvision or without.

Where a processor *could* take a video (Qwen-VL, InternVL, LLaVA-OneVision, SmolVLM) transformers asks for torchvision,
and for whatever the frames are drawn on with (Ernie's font), although the same class has an image processor that only
needs Pillow. pixcore shows models still images, so it loads that half. Pixtral's asks for torchvision all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.auto.processing_auto import processor_class_from_name
from transformers.utils import cached_file, is_torchvision_available

from pixcore.errors import ConfigError, ModelError, nearest


class _NoVideo(dict[str, Any]):
    """Stands for what prepares videos; SmolVLM's chat template and MiniCPM's processor ask it even where none is.

    A dict, as a processor writes itself down as JSON when it is made.
    """

    num_frames, fps = 1, 1
    slice_mode, downsample_mode = False, None


_NO_VIDEO = _NoVideo()


def load_processor(
    checkpoint: str | Path,
    *,
    image_options: Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
    **hub: Any,
) -> ProcessorMixin:
    """Load a checkpoint's processor.

    Args:
        checkpoint: A folder, or a name on the hub.
        image_options: What to prepare images with in place of the checkpoint's own settings, such as
            {"max_patches": 4} (InternVL) or {"do_pan_and_scan": True} (Gemma 3).
        trust_remote_code: Whether the checkpoint's own code may run.
        hub: `revision`, `local_files_only` and the like, as for any `from_pretrained`.

    Raises:
        ModelError: A package that the processor needs is missing, or the folder holds no processor.
        ConfigError: The image processor has no such option.
    """
    processor = _load(checkpoint, trust_remote_code, **hub)
    if image_options:
        _prepare_images_with(processor, image_options)
    return processor


def _prepare_images_with(processor: Any, options: Mapping[str, Any]) -> None:
    settings = processor.image_processor
    allowed = set(settings.valid_kwargs.__annotations__)
    for name in options:
        if name not in allowed:
            raise ConfigError(
                f"image_options: {type(settings).__name__} has no option {name!r}", hint=nearest(name, allowed)
            )
    processor.image_processor = type(settings)(**{**settings.to_dict(), **options})
    # a processor's own defaults go before its image processor's settings, so they have to hear of the change as well
    defaults = getattr(processor, "images_kwargs", {})
    processor.images_kwargs = {name: options.get(name, value) for name, value in defaults.items()}


def _load(checkpoint: str | Path, trust_remote_code: bool, **hub: Any) -> ProcessorMixin:
    try:
        declared = _declared_class(str(checkpoint), **hub)
        if declared is not None:
            return _without_video(declared).from_pretrained(checkpoint, **hub)
        return AutoProcessor.from_pretrained(checkpoint, trust_remote_code=trust_remote_code, **hub)
    except ImportError as error:
        reason = next(line for line in str(error).splitlines() if line.strip())
        raise ModelError(
            f"the processor of {checkpoint} can't be loaded: {reason}", hint="install that package"
        ) from error
    except (OSError, ValueError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        hint = "the checkpoint's folder needs its tokenizer and preprocessor_config.json beside the weights"
        if missing := re.search(r"Missing optional dependencies: ([\w, -]+)", str(error)):
            hint = f"install {missing[1]}"
        if "trust_remote_code" in str(error):
            hint = "it needs the checkpoint's own code: set trust_remote_code if you trust it"
        raise ModelError(f"the processor of {checkpoint} can't be loaded: {reason}", hint=hint) from error


def _declared_class(checkpoint: str, **hub: Any) -> str | None:
    """The processor class that the checkpoint names, if it would load a video's half too, or wants torchvision."""
    for file in ("processor_config.json", "preprocessor_config.json"):
        path = cached_file(checkpoint, file, _raise_exceptions_for_missing_entries=False, **hub)
        if path is None:
            continue
        name = json.loads(Path(path).read_text(encoding="utf-8")).get("processor_class")
        if name == "PixtralProcessor":
            return None if is_torchvision_available() else str(name)
        declared = processor_class_from_name(name) if name else None
        if declared is not None:
            return str(name) if "video_processor" in declared.get_attributes() else None
    return None


@cache
def _without_video(name: str) -> type[ProcessorMixin]:
    """A subclass of a processor that neither loads nor asks for a video processor."""
    if name == "PixtralProcessor":
        return ImageOnlyPixtralProcessor
    base: Any = processor_class_from_name(name)

    class ImageOnly(base):  # type: ignore[misc]  # known when the checkpoint is
        video_processor = _NO_VIDEO

        def __new__(cls, *parts: Any, **named: Any) -> Any:
            made = super().__new__(cls)
            made.get_attributes = base.get_attributes  # its __init__ counts a video's part too
            return made

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [attribute for attribute in base.get_attributes() if attribute != "video_processor"]

        def check_argument_for_proper_class(self, name: str, argument: Any) -> Any:
            return None if argument is _NO_VIDEO else super().check_argument_for_proper_class(name, argument)

        @classmethod
        def from_args_and_dict(cls, args: Any, processor_dict: dict[str, Any], **changes: Any) -> Any:
            parts = dict(zip(cls.get_attributes(), args, strict=True))
            whole = [parts.get(attribute, _NO_VIDEO) for attribute in base.get_attributes()]
            made = super().from_args_and_dict(whole, processor_dict, **changes)
            del made.get_attributes, made.video_processor
            return made

    ImageOnly.__name__ = ImageOnly.__qualname__ = name
    return ImageOnly


class ImageOnlyPixtralProcessor(ProcessorMixin):  # type: ignore[misc]  # transformers is untyped here
    """Does to images what transformers' `PixtralProcessor` does, which it will not do without torchvision.

    An image of rows x cols cells becomes, for each row, `cols` image tokens and a break token; the last break is the
    end token instead. A cell is `patch_size * spatial_merge_size` pixels of the resized image.
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: PreTrainedTokenizerBase,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: str | None = None,
        image_token: str = "[IMG]",
        image_break_token: str = "[IMG_BREAK]",
        image_end_token: str = "[IMG_END]",
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.patch_size = patch_size
        self.spatial_merge_size = spatial_merge_size
        self.image_token, self.image_break_token, self.image_end_token = image_token, image_break_token, image_end_token
        self.image_token_id, self.image_break_token_id, self.image_end_token_id = tokenizer.convert_tokens_to_ids(
            [image_token, image_break_token, image_end_token]
        )

    @property
    def model_input_names(self) -> list[str]:
        """What the model takes."""
        return [*self.tokenizer.model_input_names, *self.image_processor.model_input_names]

    def _process_images(self, images: Any, **settings: Any) -> tuple[BatchFeature, list[str]]:
        cell = self.patch_size * self.spatial_merge_size
        prepared: tuple[BatchFeature, list[str]] = super()._process_images(images, **{**settings, "patch_size": cell})
        return prepared

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **_: Any) -> str:
        """Write the tokens of one image."""
        cell = self.patch_size * self.spatial_merge_size
        height, width = (int(side) for side in image_inputs["image_sizes"][image_idx])
        row = self.image_token * (width // cell)
        return self.image_break_token.join([row] * (height // cell)) + self.image_end_token
