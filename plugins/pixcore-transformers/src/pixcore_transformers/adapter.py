"""Adapt image-text-to-text models of transformers: prepare, generate with the tap open, hand back.

An architecture adds its `VisualFamily`; a model that is prepared in its own way overrides `load`, `encode` and
`layout_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from inspect import signature
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image as PILImage
from pixcore_checkpoints.loading import loading
from transformers.utils import is_torchvision_available

from pixcore.components import AttentionExtractor, Capability, ModelAdapter
from pixcore.errors import ModelError, NotFiniteError, PixcoreError, SampleError, describe, first_line
from pixcore.geometry import VisualLayout
from pixcore.records import Image, Request, Response
from pixcore.stages.memory import shortage
from pixcore_transformers.batch import Batch
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.generation import Settings, end_tokens, generate
from pixcore_transformers.layouts import check_served, family_for
from pixcore_transformers.lengths import check_length
from pixcore_transformers.loading import Loaded, load, model_type, read_config, resolve
from pixcore_transformers.marks import check_marks, check_text
from pixcore_transformers.placing import working_device
from pixcore_transformers.probing import Found, find
from pixcore_transformers.prompts import Prompt, Prompts, Seen, can_share
from pixcore_transformers.reading import Maps, Reader, read_of, text_config
from pixcore_transformers.spans import Decoder, decode, exact_tokens, prefix_tokens
from pixcore_transformers.streaming import in_making, whole_part, written_by_now
from pixcore_transformers.tap import untapped
from pixcore_transformers.writing import Writer

ConfigT = TypeVar("ConfigT", bound=TransformersConfig)
Extractor = AttentionExtractor[Any]

_WHOLE_PROMPT = "set prompt_template: the whole prompt, with the image's placeholder and {prompt} in it"


class _Seen(Exception):  # a signal, not a failure
    """The language model's input was seen; the rest of the forward pass is not needed."""


class Adapter(ModelAdapter[ConfigT], Generic[ConfigT]):
    """Shares what all models of transformers have in common. The checkpoint is read when it is first needed.

    Attributes:
        marks: What no text may hold besides the tokenizer's special tokens.
    """

    marks: ClassVar[tuple[str, ...]] = ()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, and attention to the visual tokens."""
        return frozenset({"text", "attention"})

    # what a model may do in its own way

    def load(self) -> Loaded:
        """Read the checkpoint."""
        self._refuse(None)
        return load(self.config)

    def encode(self, images: Sequence[PILImage], prompts: Sequence[str]) -> dict[str, Any]:
        """Prepare a batch of one image and one prompt each, by the checkpoint's processor.

        Returns:
            `input_ids` and `attention_mask` (batch, length), padded on the left, and what else the model takes.
        """
        texts = [self.full_prompt(prompt) for prompt in prompts]
        start = self.loaded.tokenizer.bos_token
        encoded = self.loaded.processor(  # type: ignore[misc]  # there is one unless encode is overridden
            text=texts,
            images=[[image] for image in images] if self.family.nested else list(images),
            padding=True,
            padding_side="left",
            return_tensors="pt",
            # many chat templates write the start token themselves
            add_special_tokens=not (start and texts[0].startswith(start)),
            **self.family.options,
        )
        return dict(encoded)

    def full_prompt(self, prompt: str) -> str:
        """Put the user's text into the model's own frame, the image's placeholder included."""
        framed = self.config.framed(prompt)
        if framed is not None:
            return framed
        bare = self.family.prompt(prompt)
        if bare is not None:
            return bare
        written = self._templated(prompt)
        if prompt.strip() not in written and written == self._templated(""):
            message = f"the chat template of {self.config.checkpoint} leaves the question out"
            raise ModelError(message, hint=_WHOLE_PROMPT)
        return written

    def _templated(self, text: str) -> str:
        """An image and a text as the checkpoint's chat template writes them."""
        processor, tokenizer = self.loaded.processor, self.loaded.tokenizer
        own = getattr(processor, "chat_template", None)
        if not (own or tokenizer.chat_template):
            raise ModelError(f"{self.config.checkpoint} has no chat template", hint=_WHOLE_PROMPT)
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}
        try:
            template = None if own else tokenizer.get_chat_template()
            return str(
                processor.apply_chat_template(  # type: ignore[union-attr]  # there is one unless encode is overridden
                    [message], chat_template=template, add_generation_prompt=True, tokenize=False
                )
            )
        except Exception as error:  # a template may trip over anything
            reason = f"the chat template of {self.config.checkpoint} can't be used: {first_line(error)}"
            raise ModelError(reason, hint=_WHOLE_PROMPT) from error

    def layout_of(self, processed: Processed) -> VisualLayout:
        """Lay out the visual tokens of one request."""
        return self.family.layout(processed)

    def settings(self) -> Settings:
        """Say how to generate: greedy unless the config says otherwise, with the checkpoint's repetition penalty."""
        return Settings(
            self.config.max_new_tokens,
            self.end,
            temperature=self.config.temperature or 0.0,
            top_p=self.config.top_p,
            top_k=self.config.top_k,
            repetition_penalty=self.loaded.model.generation_config.repetition_penalty or 1.0,
        )

    @property
    def decoder(self) -> Decoder:
        """The tokenizer that turns generated ids into text."""
        decoder: Decoder = self.loaded.tokenizer
        return decoder

    # what all do alike

    @cached_property
    def loaded(self) -> Loaded:
        """The checkpoint, read when it is first needed."""
        with loading(self.config.checkpoint):
            return self.load()

    @cached_property
    def family(self) -> VisualFamily:
        """The architecture's visual tokens, as they are known, or found by covering parts of images.

        Raises:
            ModelError: The architecture is unknown or refused, or it is not sure where they lie.
        """
        if self.config.layout == "probe":
            try:
                return find(self)
            except BaseException:
                self.__dict__.pop("family", None)  # a candidate
                raise
        return family_for(self.loaded.model.config.model_type)

    @cached_property
    def seen(self) -> Seen | None:
        """What the images of the last requests left in the model; None for one where texts can't share it."""
        return Seen(self.loaded.model, self._moved) if self.family.one_pass and can_share(self.loaded.model) else None

    @cached_property
    def end(self) -> tuple[int, ...]:
        """The ids that end an answer."""
        return end_tokens(self.loaded.model, self.loaded.tokenizer)

    def close(self) -> None:
        """Free the checkpoint's memory."""
        for name in ("loaded", "seen", "_taken"):
            self.__dict__.pop(name, None)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, requests: Sequence[Request], extractor: Extractor | None = None) -> list[Response]:
        """Answer a batch, greedily or by each request's own seed.

        Under `published` a token's span follows the published prefix rule, and the first token's map is the row that
        the released code reads.
        """
        if not requests:
            return []
        if extractor is not None and self._unread:
            self._refuse(extractor)
        refilled = self.seen is not None and (extractor is None or self._reader(extractor).stepwise)
        with self._options_named():
            parts = self._parts(requests, [self.settings().max_new_tokens] * len(requests), refilled=refilled)
            return [own for part, batch in parts for own in self._answered(requests[part], batch, extractor)]

    def _answered(
        self, requests: Sequence[Request], batch: Batch | Prompts, extractor: Extractor | None
    ) -> list[Response]:
        settings, seeds = self.settings(), [request.seed for request in requests]
        if extractor is None:
            return [self._respond(answer) for answer in self._written(batch, settings, seeds)]
        reader = self._reader(extractor)
        references = self._references(reader, requests)
        extractor.prepare(requests, batch.layouts)
        if reader.live and self.config.attention == "live":
            tokens, maps = reader.generate(batch, settings, seeds)
        else:
            tokens = self._written(batch, settings, seeds)
            maps = self._replayed(reader, requests, batch, tokens)
        return self._responses(reader, batch, tokens, maps, references)

    def replay(self, requests: Sequence[Request], texts: Sequence[str], extractor: Extractor) -> list[Response]:
        """Give the maps of text that was generated elsewhere: another engine, an earlier run.

        Args:
            requests: What was asked.
            texts: What was answered, without the end token, which is added; a special token's name in it is plain text.
            extractor: Gets the attention.

        Returns:
            Responses as if the model had said so itself.
        """
        if self._unread:
            self._refuse(extractor)
        tokenizer = self.loaded.tokenizer
        plain = {"add_special_tokens": False, "split_special_tokens": True}
        tokens = [[*tokenizer.encode(text, **plain), *self.end[:1]] for text in texts]
        with self._options_named():
            parts = self._parts(requests, list(map(len, tokens)))
            return [
                own for part, batch in parts for own in self._reread(requests[part], batch, tokens[part], extractor)
            ]

    def _reread(
        self,
        requests: Sequence[Request],
        batch: Batch | Prompts,
        tokens: Sequence[Sequence[int]],
        extractor: Extractor,
    ) -> list[Response]:
        reader = self._reader(extractor)
        references = self._references(reader, requests)
        extractor.prepare(requests, batch.layouts)
        maps = self._replayed(reader, requests, batch, tokens)
        return self._responses(reader, batch, tokens, maps, references)

    def partial(self) -> list[Response]:
        """Give what is written by now of each answer in the making; none where none is.

        For whoever hears of a token (`pixcore.notices.hearing`), in the same thread. Texts and maps are the beginnings
        of those that `answer` will give; maps come meanwhile with an extractor that is `stepwise`.
        """
        found = []
        for written in written_by_now():
            tokens, fields = whole_part(*written, partial(decode, self.decoder))
            found.append(replace(self._respond(tokens, **fields), extra={}))
        return found

    def prepare(self, requests: Sequence[Request]) -> Batch:
        """Encode requests and find their visual tokens.

        Raises:
            SampleError: An image can't be prepared.
        """
        return self._batch(*_shown(requests))

    def layout(self, image: Image) -> VisualLayout:
        """Lay out the visual tokens of an image."""
        return self._batch([image.pil()], [""], [image.name]).layouts[0]

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Give the language model's input at the visual tokens: (visual tokens, width)."""
        batch = self._batch([image.pil()], [""], [image.name])
        seen: list[torch.Tensor] = []

        def look(module: object, arguments: Any, keywords: dict[str, Any]) -> None:
            seen.append(arguments[0] if arguments else keywords["inputs_embeds"])
            raise _Seen

        decoder = self.loaded.model.get_decoder()
        part = decoder.layers[0] if self.family.injected else decoder
        handle = part.register_forward_pre_hook(look, with_kwargs=True)
        try:
            with torch.no_grad(), untapped():
                self.loaded.model(**batch.inputs)
        except _Seen:
            pass
        finally:
            handle.remove()
        embeddings = seen[0][0, batch.columns[0].to(seen[0].device)]
        return np.asarray(embeddings.float().cpu().numpy(), dtype=np.float32)

    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of each continuation right after a prompt, (n,): the product over its tokens."""
        parts = self._slices(len(continuations), len(continuations))
        return np.concatenate([self._probability(image, prompt, continuations[part]) for part in parts])

    def _probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        tokens = [tokenizer.encode(text, add_special_tokens=False) for text in continuations]
        batch = self._batch([image.pil()] * len(tokens), [prompt] * len(tokens), [image.name] * len(tokens))
        longest = max(1, *(len(own) for own in tokens))
        check_length(text_config(model.config), image.name, batch.length, longest)
        forced = batch.with_text(tokens)["input_ids"][:, batch.length :]
        scores: list[torch.Tensor] = []
        settings = Settings(longest, end=())
        with untapped():
            generate(model, batch.inputs, settings, [0] * len(tokens), forced=forced, scores=scores)
        log = torch.stack([torch.log_softmax(step.double(), dim=-1) for step in scores], dim=1).cpu()
        return np.array(
            [
                np.exp(sum(float(log[row, step, token]) for step, token in enumerate(own)))
                for row, own in enumerate(tokens)
            ]
        )

    def _slices(self, count: int, at_once: int) -> list[slice]:
        size = 1 if self.family.apart else at_once
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _parts(
        self, requests: Sequence[Request], new: Sequence[int], *, refilled: bool = False
    ) -> Iterator[tuple[slice, Batch | Prompts]]:
        """Requests in parts that the model takes together.

        Args:
            requests: What is asked.
            new: For each, how many tokens may follow its prompt.
            refilled: Where an answer ends another takes its slot, so that all are one part if they can share.
        """
        at_once = self.context.batch_size or len(requests)
        for whole in self._slices(len(requests), len(requests) if refilled else at_once):
            shown = _shown(requests[whole])
            processed = self._alone(*shown)
            self._check_lengths(shown[2], processed, new[whole])
            split = self._split(requests[whole], processed)
            if (shared := self._sharing(split)) is not None:
                yield whole, shared
                continue
            for part in self._slices(len(processed), at_once):
                yield (
                    slice(whole.start + part.start, whole.start + part.stop),
                    self._sharing(split[part]) or self._batched(processed[part], shown[0][part], shown[1][part]),
                )

    def _asked(self, requests: Sequence[Request]) -> Batch | Prompts:
        """Requests as the model takes them: in two parts where it can share what its images left, else as a batch."""
        images, texts, names = _shown(requests)
        processed = self._alone(images, texts, names)
        self._check_lengths(names, processed, [0] * len(names))
        return self._sharing(self._split(requests, processed)) or self._batched(processed, images, texts)

    def _check_lengths(self, names: Sequence[str], processed: Sequence[Processed], new: Sequence[int]) -> None:
        text = text_config(self.loaded.model.config)
        for name, own, most in zip(names, processed, new, strict=True):
            check_length(text, name, len(own.input_ids), most)

    def _split(self, requests: Sequence[Request], processed: Sequence[Processed]) -> list[Prompt | None]:
        """Each request in two parts, None where it has no two; none at all where the model can't share."""
        if self.seen is None:
            return []
        family, device = self.family, self._device
        return [
            Prompt.split(
                request.image.digest,
                own.inputs,
                family.visual(own),
                family.decided(own),
                self.layout_of(own),
                device,
            )
            for request, own in zip(requests, processed, strict=True)
        ]

    def _sharing(self, split: Sequence[Prompt | None]) -> Prompts | None:
        found = [prompt for prompt in split if prompt is not None]
        if self.seen is None or not found or len(found) < len(split):
            return None
        return Prompts(found, self.seen.of(found), self.context.batch_size or len(found))

    def _written(self, batch: Batch | Prompts, settings: Settings, seeds: Sequence[int]) -> list[list[int]]:
        """The answers' tokens, nobody looking on."""
        with untapped(), in_making(batch.layouts):
            if isinstance(batch, Prompts):
                return Writer(self.loaded.model, batch, settings, seeds).write()
            return generate(self.loaded.model, batch.inputs, settings, seeds)

    def _alone(self, images: Sequence[PILImage], prompts: Sequence[str], names: Sequence[str]) -> list[Processed]:
        config, processor = self.loaded.model.config, self.loaded.processor
        alone = []
        for image, prompt, name in zip(images, prompts, names, strict=True):
            check_text(self.loaded.tokenizer, prompt, name)
            check_marks(self.marks, prompt, name)
            try:
                alone.append(self.encode([image], [prompt]))
            except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
                raise SampleError(f"sample {name}: the processor failed: {error}", hint=self._remedy(error)) from error
        return [
            Processed(image.size, np.asarray(own["input_ids"][0], np.int64), own, config, processor)
            for image, own in zip(images, alone, strict=True)
        ]

    def _remedy(self, error: Exception) -> str:
        """What to try where the processor fails on an image."""
        if "number of images" in str(error):
            return "set prompt_template, with the image's placeholder in it"
        if self.config.image_options:
            return f"do the image_options fit this model: {', '.join(self.config.image_options)}?"
        return "" if is_torchvision_available() else "it may need torchvision, which is not installed"

    @contextmanager
    def _options_named(self) -> Iterator[None]:
        """Name the image_options where the model can't take what they have made of an image."""
        try:
            yield
        except Exception as error:
            if not self.config.image_options or isinstance(error, PixcoreError) or shortage(error) is not None:
                raise
            said = f"the model failed on images as image_options prepares them: {describe(error)}"
            raise SampleError(said, hint=self._remedy(error)) from error

    def _batch(self, images: Sequence[PILImage], prompts: Sequence[str], names: Sequence[str]) -> Batch:
        return self._batched(self._alone(images, prompts, names), images, prompts)

    def _batched(self, processed: Sequence[Processed], images: Sequence[PILImage], prompts: Sequence[str]) -> Batch:
        inputs = processed[0].inputs if len(processed) == 1 else self.encode(images, prompts)
        layouts = [self.layout_of(own) for own in processed]
        return Batch.build(self._moved(inputs), layouts, [self.family.visual(own) for own in processed])

    @property
    def _device(self) -> torch.device:
        return working_device(self.loaded.model.get_input_embeddings())

    @cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(signature(self.loaded.model.forward).parameters)

    def _moved(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What of a processor's output the model takes, where it takes it."""
        device, dtype = self._device, self.loaded.model.dtype
        return {
            name: _moved(value, device, dtype)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor) or name in self._taken
        }

    @property
    def _unread(self) -> bool:
        return "loaded" not in self.__dict__ and type(self).load is Adapter.load

    def _refuse(self, extractor: Extractor | None) -> None:
        """Refuse by config.json alone, before anything else is read or downloaded."""
        with loading(self.config.checkpoint):
            # an adapter of a lab's own that has its own family serves what ours refuse
            if type(self).family is Adapter.family:
                check_served(model_type(self.config), probed=self.config.layout == "probe")
            if extractor is not None and not self.config.trust_remote_code:  # a config of its own would need its code
                config = read_config(resolve(self.config, only=("config.json",)), self.config)
                read_of(extractor.needs, text_config(config))

    def _reader(self, extractor: Extractor) -> Reader:
        # the released `query` alignment reads the same rows as `predicting` and assigns them one token later
        own_row = extractor.needs.query == "emitted" and not self.context.published
        return Reader(self.loaded.model, extractor, own_row=own_row, one_pass=self.family.one_pass)

    def _references(self, reader: Reader, requests: Sequence[Request]) -> list[Maps] | None:
        prompt = reader.needs.reference_prompt
        if prompt is None:
            return None
        # one of each image: it has one reference, whatever is asked of it
        first = {r.image.digest: Request(r.sample_id, r.protocol, r.image, prompt, seed=r.seed) for r in requests}
        asked = list(first.values())
        batch = self._asked(asked)
        reader.extractor.prepare(asked, batch.layouts)
        found = dict(zip(first, reader.reference(batch), strict=True))
        return [found[request.image.digest] for request in requests]

    def _replayed(
        self, reader: Reader, requests: Sequence[Request], batch: Batch | Prompts, tokens: Sequence[Sequence[int]]
    ) -> list[Maps]:
        if not reader.needs.gradients:
            shared = isinstance(batch, Batch) or (reader.live and reader.in_one_pass(batch, tokens))
            return reader.replay(batch if shared else self.prepare(requests), tokens)
        maps = []
        for request, own in zip(requests, tokens, strict=True):
            alone = self.prepare([request])
            reader.extractor.prepare([request], alone.layouts)
            maps.append(reader.gradients(alone, own))
        return maps

    def _responses(
        self,
        reader: Reader,
        batch: Batch | Prompts,
        tokens: Sequence[Sequence[int]],
        maps: Sequence[Maps],
        references: Sequence[Maps] | None,
    ) -> list[Response]:
        shifted = reader.needs.query == "emitted" and self.context.published
        if not all(np.isfinite(own).all() for own in [*maps, *(references or ())]):
            raise NotFiniteError("the attention maps", str(self.loaded.model.dtype).removeprefix("torch."))
        return [
            self._respond(
                own,
                maps=maps[index],
                layout=batch.layouts[index],
                reference=None if references is None else references[index],
                shifted=shifted,
                extra={"attention_layers": list(reader.layers)} if reader.mixed else {},
            )
            for index, own in enumerate(tokens)
        ]

    def _respond(
        self, tokens: Sequence[int], *, shifted: bool = False, extra: Mapping[str, Any] | None = None, **fields: Any
    ) -> Response:
        """One response.

        Args:
            tokens: Its new tokens.
            shifted: The released `query` alignment: a start token goes before the others and gets the prompt's row, and
                the last token, which has no row, is left out.
            extra: What the record says beside how it ended: of a hybrid decoder, which layers the maps are of.
            fields: Further fields of the response.
        """
        tokenizer: Any = self.loaded.tokenizer
        spans = prefix_tokens if self.context.published else exact_tokens
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else next(iter(self.end), 0)
        text, found = spans(self.decoder, [start, *tokens] if shifted else tokens)
        said: dict[str, Any] = {"finish": "stop" if tokens and tokens[-1] in self.end else "length", **(extra or {})}
        if isinstance(self.family, Found):
            said["notice"] = f"where its visual tokens lie was found by covering parts of images: {self.family.name}"
        return Response(text, found[:-1] if shifted else found, extra=said, **fields)


def _shown(requests: Sequence[Request]) -> tuple[list[PILImage], list[str], list[str]]:
    """Each request's image, text and name."""
    return [r.image.pil() for r in requests], [r.prompt for r in requests], [r.sample_id for r in requests]


def _moved(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A processor's output as the model takes it: tensors, lists of them, and counts."""
    if isinstance(value, list):
        return [_moved(each, device, dtype) for each in value]
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)


class TransformersAdapter(Adapter[TransformersConfig]):
    """Runs any image-text-to-text checkpoint of transformers 5 whose visual layout is known."""
