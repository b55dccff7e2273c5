"""Ask a model in another environment, as a model adapter."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from PIL import ExifTags
from PIL import Image as PILImage
from pixcore_datasets import run_lengths
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixcore import masks
from pixcore.components import AttentionExtractor, Capability, Context, ModelAdapter
from pixcore.errors import DataError, ModelError, PixcoreError, SampleError
from pixcore.records import Request, Response
from pixcore_worker.config import WorkerConfig
from pixcore_worker.process import WorkerDied, WorkerProcess


class Reply(BaseModel):
    """What the other side says to one request.

    Attributes:
        text: The answer.
        masks: COCO RLE, compressed or not.
        mask: The final one; None: all of them united.
        mask_spans: Characters of the text that each mask belongs to; empty if unknown.
        token_ids: The generated tokens, for the record.
        extra: Anything else for the record.
    """

    model_config = ConfigDict(extra="ignore")

    text: str
    masks: list[dict[str, Any]] = Field(default_factory=list)
    mask: dict[str, Any] | None = None
    mask_spans: list[tuple[int, int]] = Field(default_factory=list)
    token_ids: list[int] = Field(default_factory=list)
    extra: dict[str, Any] = Field(default_factory=dict)


class Worker(ModelAdapter[WorkerConfig]):
    """Asks a process in another environment, one request after another.

    A crash, a hang or nonsense costs the request that was being answered, not the ones before or after it: the process
    is started anew. Several in a row, as many as the manifest allows, end the attempts.
    """

    def __init__(self, config: WorkerConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._manifest = config.read()
        self._process: WorkerProcess | None = None
        self._deaths = 0
        self._given_up: ModelError | None = None
        # Outcomes of a batch in which one request failed; the stage then asks for each alone.
        self._outcomes: dict[Request, Response | PixcoreError] = {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the manifest says that it gives."""
        return frozenset(self._manifest.capabilities)

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Answer the requests one by one.

        Raises:
            SampleError: A request failed. The outcomes of the others are kept for when they are asked for alone.
            ModelError: The process does not come up, or dies again and again.
        """
        if extractor is not None:
            raise ModelError(
                f"worker {self._manifest.name} gives no attention", hint="set extractor: null for this model"
            )
        outcomes: list[Response | PixcoreError] = []
        ended: ModelError | None = None
        for request in requests:
            try:
                outcomes.append(self._outcomes.pop(request) if request in self._outcomes else self._try(request))
            except ModelError as error:  # what was answered before is kept; who is asked next, alone, hears of it
                ended = error
                break
        failures = [outcome for outcome in outcomes if isinstance(outcome, PixcoreError)]
        if ended is not None and not failures:
            raise ended
        if not failures:
            return [outcome for outcome in outcomes if isinstance(outcome, Response)]
        if len(requests) > 1:
            self._outcomes.update(zip(requests, outcomes, strict=False))
        raise failures[0]

    def close(self) -> None:
        """End the process."""
        self._end_process()
        self._outcomes.clear()

    def _try(self, request: Request) -> Response | PixcoreError:
        try:
            response = self._ask(request)
        except WorkerDied as error:
            self._end_process()
            self._deaths += 1
            return error
        except SampleError as error:
            self._deaths = 0
            return error
        except DataError as error:
            return error
        self._deaths = 0
        return response

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _running(self) -> WorkerProcess:
        """The process, started if there is none."""
        if self._given_up is not None:
            raise self._given_up
        if self._process is None:
            try:
                if self._deaths > self._manifest.restarts:
                    raise ModelError(
                        f"worker {self._manifest.name} died {self._deaths} times in a row and is given up",
                        hint="see its log; log: in the config keeps it",
                    )
                self._process = WorkerProcess(self._manifest, self.config.log)
            except ModelError as error:
                # Loading can take minutes: what failed once is not tried again for every sample.
                self._given_up = error
                raise
        return self._process

    def _ask(self, request: Request) -> Response:
        reply = self._running().predict(self._message(request))
        try:
            return self._response(Reply.model_validate(reply), request)
        except (ValidationError, DataError) as error:
            problem = str(error).replace("\n", " ")
            raise SampleError(f"worker {self._manifest.name} gave a reply that can't be used: {problem}") from error

    def _message(self, request: Request) -> dict[str, Any]:
        image, name = request.image, PurePath(request.image.name).name
        encoded = image.read()
        # a picture that never was a file is a PPM, which not every reader of images knows
        if self._manifest.images == "png" or encoded.startswith(b"P6") or _is_turned(encoded):
            buffer = io.BytesIO()
            image.pil().save(buffer, "PNG")
            encoded, name = buffer.getvalue(), f"{PurePath(name).stem}.png"
        width, height = image.size
        return {
            "id": request.sample_id,
            "image": base64.b64encode(encoded).decode("ascii"),
            "name": name,
            "width": width,
            "height": height,
            "prompt": request.prompt,
            "protocol": str(request.protocol),
            "expression": request.expression,
            "seed": request.seed,
        }

    def _response(self, reply: Reply, request: Request) -> Response:
        size = request.image.size
        found = [run_lengths.parse(mask, where=f"mask {index}", size=size) for index, mask in enumerate(reply.masks)]
        if reply.mask_spans and len(reply.mask_spans) != len(found):
            raise DataError(f"{len(reply.mask_spans)} mask_spans for {len(found)} masks", hint="one for each, or none")
        for start, end in reply.mask_spans:
            if not 0 <= start <= end <= len(reply.text):
                hint = f"characters of the text, of which there are {len(reply.text)}"
                raise DataError(f"a mask_span from {start} to {end}", hint=hint)
        final = None
        if "masks" in self.capabilities:
            own = reply.mask
            final = masks.union(found, size) if own is None else run_lengths.parse(own, where="mask", size=size)
        return Response(
            reply.text,
            mask=final,
            masks=tuple(found),
            mask_spans=tuple(reply.mask_spans),
            extra={**reply.extra, "worker": self._facts(reply)},
        )

    def _facts(self, reply: Reply) -> Mapping[str, Any]:
        information = self._process.information if self._process is not None else {}
        versions = {key: information.get(key) for key in ("python", "versions", "commit")}
        return {"name": self._manifest.name, **versions, "token_ids": reply.token_ids}


def _is_turned(encoded: bytes) -> bool:
    """Whether EXIF data turn a picture, which not every reader heeds: its masks would lie elsewhere in silence."""
    try:
        with PILImage.open(io.BytesIO(encoded)) as opened:
            return opened.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # Pillow's readers raise anything; the handler's may know the format
        return False
