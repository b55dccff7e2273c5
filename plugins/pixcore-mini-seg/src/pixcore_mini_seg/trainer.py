"""Runs the training that `pixcore_mini_seg.train` describes."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pixcore_mini.attention import PACKED
from pixcore_mini.batches import IGNORED
from pixcore_mini.checkpoint import load_checkpoint, progress_of, recipe_json, save_checkpoint
from pixcore_mini.network import pixels
from pixcore_mini.probe import AttributeDecoder
from pixcore_mini.sharing import rows_of, share_gradients, share_weights
from pixcore_mini.trainer import Recipe as MiniRecipe
from pixcore_mini.trainer import Trainer as MiniTrainer
from pixcore_mini.trainer import answer_loss, rate_at, text_states, use_attention
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import make_scene, scene_random
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import LlavaForConditionalGeneration

from pixcore.terminal import Console
from pixcore_mini_seg.batches import Masked, MaskedBatches, pack_masked
from pixcore_mini_seg.decoder import MaskDecoder, at_size, ious, mask_loss
from pixcore_mini_seg.dialogue import Variant, training_turns
from pixcore_mini_seg.network import SegNetwork, base_model, new_decoder
from pixcore_mini_seg.shapes import train_shapes
from pixcore_mini_seg.weights import base_hash, write
from pixcore_mini_seg.words import MarkedEncoder, build_tokenizer


@dataclass(frozen=True)
class Recipe:
    """What is trained on what, for how long and how fast; the mini that a, b and c begin from decides the weights too.

    Attributes:
        variant: What is trained on what.
        seed: Of the initialisation and of every batch.
        steps: Optimizer steps.
        batch: Images of a step.
        rate: The peak learning rate.
        warmup: Steps until the peak.
        hold: The fraction of the steps after which the rate falls, along a cosine to a fiftieth.
        rank: Of the changes to mini; None: everything is trained.
        vision_rate: The vision tower's share of the rate where everything is trained.
        decoder_rate: The mask decoder's, which can draw already, but for the layers that are given the states: at the
            full rate it unlearns to, before the states tell it what.
        shapes: Steps of the stage before, in which the mask decoder is trained alone.
        before: From scratch, the steps of mini's two first stages.
        attribute_weight: From scratch, the weight of mini's vision stage's loss, which goes on as in mini's last stage.
    """

    variant: Variant = "a"
    seed: int = 1
    steps: int = 400
    batch: int = 4
    rate: float = 1.5e-3
    warmup: int = 30
    hold: float = 0.5
    rank: int | None = 16
    vision_rate: float = 0.5
    decoder_rate: float = 0.3
    shapes: int = 500
    before: tuple[int, int] = (0, 0)
    attribute_weight: float = 0.0

    @classmethod
    def of(cls, variant: Variant, seed: int = 1, steps: int | None = None) -> Recipe:
        """Give a variant's recipe; `steps` in place of its own."""
        if variant == "d":
            mini = MiniRecipe()
            return cls(
                "d",
                seed,
                mini.steps[2] if steps is None else steps,
                batch=mini.batch[2],
                rate=mini.rate[2],
                warmup=mini.warmup,
                hold=mini.hold,
                rank=None,
                vision_rate=mini.vision_rate,
                before=mini.steps[:2],
                attribute_weight=mini.attribute_weight,
            )
        return cls(variant, seed, cls.steps if steps is None else steps)

    @property
    def batches(self) -> tuple[int, ...]:
        """Images of a step, and from scratch before it those of mini's two first stages."""
        return (*MiniRecipe().batch[:2], self.batch) if self.rank is None else (self.batch,)

    def rate_at(self, step: int) -> float:
        """Give the learning rate of a step."""
        return rate_at(self.rate, step, self.steps, warmup=self.warmup, hold=self.hold)


class Trainer:
    """Runs a recipe, from its start or from a checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        device: str = "cpu",
        compiled: bool = False,
        rank: int = 0,
        processes: int = 1,
        save_every: float = 60.0,
        validate_every: int = 250,
        validation_images: int = 64,
        console: Console | None = None,
    ) -> None:
        """Remembers what to do.

        Args:
            recipe: What to do.
            out: The folder for the checkpoint, the log and the finished weights.
            device: A torch device.
            compiled: Whether torch.compile is used where everything is trained; it changes the speed and, by rounding,
                the last digits.
            rank: Which of the processes that share every batch this one is; the first one writes.
            processes: How many there are, in torch.distributed's default group.
            save_every: Seconds between two checkpoints.
            validate_every: Steps between two validations.
            validation_images: How many images each of them asks about.
            console: Where progress goes.
        """
        self.recipe, self.out, self.device, self.compiled = recipe, out, torch.device(device), compiled
        self.save_every, self.validate_every, self.validation_images = save_every, validate_every, validation_images
        self.rank, self.processes = rank, processes
        self.console = console or Console(quiet=rank > 0)
        self.tokenizer = build_tokenizer()
        self.encoder = MarkedEncoder(self.tokenizer)
        self.checkpoint = out / "checkpoint.safetensors"
        self.base = base_hash() if recipe.rank is not None else ""

    def train(self, stop_after: int | None = None) -> None:
        """Trains to the end and writes the weights; goes on from the checkpoint where there is one.

        Args:
            stop_after: Stop, with a checkpoint, after so many steps of this call.

        Raises:
            SystemExit: The checkpoint was made with another recipe, or begun with another mini than the one that is
                installed; one of a, b or c that does not say with which is refused.
        """
        recipe = self.recipe
        self.out.mkdir(parents=True, exist_ok=True)
        start = 0
        if progress := progress_of(self.checkpoint, recipe):
            if progress.get("base", "") != self.base:
                raise SystemExit(
                    f"{self.checkpoint} was begun with another mini than the one that is installed, or does not say "
                    "with which; install that pixcore-mini, or choose another --out"
                )
            start = progress["step"]
            self.console.print(f"going on at step {start}")
        llava, attributes = (base_model(), None) if recipe.rank is not None else self._from_scratch()
        torch.manual_seed(recipe.seed)
        decoder = new_decoder(llava).to(self.device)
        if not start and not self.rank:
            self._shape(decoder, llava.to(self.device))
        self.assemble(llava, decoder, attributes)
        share_weights(self.everything, self.processes)
        if self.compiled and recipe.rank is None:
            llava.model.vision_tower.compile()
            llava.model.language_model.compile()
        optimizer = self._optimizer()
        if start:
            load_checkpoint(self.checkpoint, self.everything, optimizer)
        stop = recipe.steps if stop_after is None else min(recipe.steps, start + stop_after)
        self._run(optimizer, start, stop)
        self._save(stop, optimizer)
        if stop == recipe.steps and not self.rank:
            use_attention(llava, "sdpa")
            write(self.out / "model", self.network, self.tokenizer, recipe.variant, recipe.seed, self.base)

    def assemble(
        self, llava: LlavaForConditionalGeneration, decoder: MaskDecoder, attributes: AttributeDecoder | None
    ) -> None:
        """Put together what is trained, from torch's random state where it is new.

        Args:
            llava: What speaks.
            decoder: What draws.
            attributes: From scratch, what names attributes, and is thrown away in the end.
        """
        self.network = SegNetwork(llava, decoder, len(self.tokenizer), self.recipe.rank)
        self.attributes = attributes
        named = {"network": self.network} if attributes is None else {"network": self.network, "attributes": attributes}
        self.everything = nn.ModuleDict(named).to(self.device)
        use_attention(llava, PACKED)

    def _run(self, optimizer: torch.optim.Optimizer, start: int, stop: int) -> None:
        recipe = self.recipe
        scratch = recipe.steps if self.attributes is not None else None
        rows = rows_of(recipe.batch, self.rank, self.processes)
        batches = MaskedBatches(self.encoder, recipe.variant, recipe.seed, rows, scratch=scratch)
        loader: DataLoader[Any] = DataLoader(batches, batch_size=None, sampler=range(start, stop))
        recent: dict[str, list[float]] = defaultdict(list)
        saved = began = time.monotonic()
        for done, batch in enumerate(loader, start + 1):
            rate = recipe.rate_at(done - 1)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            saying, masks, found = self.losses(batch.to(self.device))
            torch.autograd.backward(saying + masks)
            share_gradients(optimizer, self.processes)
            nn.utils.clip_grad_norm_((p for p in self.everything.parameters() if p.requires_grad), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            for name, value in (("saying", saying), ("masks", masks), ("iou", found.mean())):
                recent[name].append(value.item())
            if done % 25 == 0:
                speed = (done - start) * recipe.batch / (time.monotonic() - began)
                means = {name: round(sum(values) / len(values), 4) for name, values in recent.items()}
                self._log(step=done, **means, per_second=round(speed, 2))
                recent.clear()
            if not self.rank and (done % self.validate_every == 0 or done == recipe.steps):
                self._log(step=done, **self.validate())
            if time.monotonic() - saved > self.save_every and done < stop:
                self._save(done, optimizer)
                saved = time.monotonic()

    def losses(self, batch: Masked) -> tuple[Tensor, Tensor, Tensor]:
        """Give a batch's loss of what is said (and named), its loss of masks, and each mask's IoU, (n,)."""
        logits, answers, masks, named = self._forward(batch)
        saying = answer_loss(logits, batch.packed, answers)
        if self.attributes is not None:
            saying = saying + self.recipe.attribute_weight * self.attributes.loss(named, batch.attributes)
        return saying, mask_loss(masks, batch.masks), ious(masks.detach(), batch.masks)

    def _forward(self, batch: Masked) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """Logits (answers' tokens, words), which tokens they follow, masks' logits at the masks' size, attributes'."""
        packed, core = batch.packed, self.network.llava.model
        seen = pixels(packed.images)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            with torch.set_grad_enabled(self.recipe.rank is None and torch.is_grad_enabled()):
                patches = core.vision_tower(pixel_values=seen).last_hidden_state[:, 1:]
                visual = core.multi_modal_projector(patches)
            hidden = text_states(self.network.llava, core.language_model, packed, visual, self.encoder.begin)
            answers = packed.labels != IGNORED
            logits = self.network.llava.lm_head(hidden[answers])
            states = hidden[packed.labels == self.encoder.seg]
            drawn = self.network.decoder(states, batch.owners, patches, seen)
            named = [] if self.attributes is None else self.attributes(patches)
        side = (int(batch.masks.shape[1]), int(batch.masks.shape[2]))
        return logits, answers, at_size(drawn.float(), side), named

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Measure on the validation side, each token shown the right ones before it.

        Whole answers right, for each kind of turn; and the mean IoU of things and of parts.
        """
        right: dict[str, list[bool]] = defaultdict(list)
        found: dict[str, list[float]] = defaultdict(list)
        size, recipe = self.recipe.batch, self.recipe
        for first in range(0, self.validation_images, size):
            keys = (0, "mini-seg", recipe.variant)
            images = range(first, min(first + size, self.validation_images))
            rows = []
            for index in images:
                rng = scene_random("validation", *keys, index)
                scene = make_scene(rng, "validation")
                rows.append((render(scene), training_turns(recipe.variant, scene, rng)))
            batch = pack_masked(self.encoder, rows).to(self.device)
            logits, answers, masks, _ = self._forward(batch)
            for iou, part in zip(ious(masks, batch.masks).tolist(), batch.parts.tolist(), strict=True):
                found["IoU of parts" if part else "IoU of things"].append(iou)
            wrong = torch.zeros_like(answers)
            wrong[answers] = logits.argmax(-1) != batch.packed.labels[answers]
            for row, (_, said) in enumerate(rows):
                for number, one in enumerate(said, 1):
                    here = (batch.packed.turns[row] == number) & answers[row]
                    if here.any():
                        right[one.turn.kind].append(not bool(wrong[row, here].any()))
        means = {name: sum(values) / len(values) for name, values in sorted(found.items())}
        means |= {name: sum(values) / len(values) for name, values in sorted(right.items())}
        return {name: round(value, 3) for name, value in means.items()}

    def _shape(self, decoder: MaskDecoder, llava: LlavaForConditionalGeneration) -> None:
        """Train the decoder alone; variants of one seed that begin from mini share it, beside their folders."""
        recipe, width = self.recipe, int(llava.config.text_config.hidden_size)
        shared = self.out.parent / f"shapes-{recipe.seed}"
        folder = shared if recipe.rank is not None else self.out / "shapes"
        train_shapes(decoder, llava.model.vision_tower, folder, seed=recipe.seed, steps=recipe.shapes, width=width)

    def _from_scratch(self) -> tuple[LlavaForConditionalGeneration, AttributeDecoder]:
        """Train mini's first two stages: the letters in text alone, and the tower by attributes. No masks yet."""
        letters, vision = self.recipe.before
        usual = MiniRecipe()
        recipe = MiniRecipe(seed=self.recipe.seed, steps=(letters, vision, usual.steps[2]))
        trainer = MiniTrainer(
            recipe,
            self.out / "before",
            device=str(self.device),
            compiled=self.compiled,
            rank=self.rank,
            processes=self.processes,
            console=self.console,
        )
        trainer.train(stages=2)
        return trainer.network, trainer.decoder

    def _optimizer(self) -> torch.optim.Optimizer:
        groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
        for name, tensor in self.network.trained().items():
            share = 1.0
            if ".vision_tower." in name:
                share = self.recipe.vision_rate
            elif name.startswith("decoder.") and not name.startswith("decoder.prompt."):
                share = self.recipe.decoder_rate
            groups[share, 0.02 if tensor.ndim >= 2 else 0.0].append(tensor)
        if self.attributes is not None:
            for tensor in self.attributes.parameters():
                groups[1.0, 0.02 if tensor.ndim >= 2 else 0.0].append(tensor)
        listed = [{"params": own, "weight_decay": decay, "share": share} for (share, decay), own in groups.items()]
        return torch.optim.AdamW(listed, lr=self.recipe.rate, betas=(0.9, 0.98), fused=True)

    def _save(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        if self.rank:
            return
        progress = {"step": step, "recipe": recipe_json(self.recipe), "base": self.base}
        save_checkpoint(self.checkpoint, self.everything, optimizer, progress)

    def _log(self, **entry: Any) -> None:
        if self.rank:
            return
        line = json.dumps(entry)
        with (self.out / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        self.console.print(line, highlight=False, soft_wrap=True)
