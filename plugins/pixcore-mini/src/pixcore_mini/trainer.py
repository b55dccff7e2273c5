"""Runs the recipe that `pixcore_mini.train` describes."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import Scene, make_scene, scene_random
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import LlavaForConditionalGeneration

from pixcore.terminal import Console
from pixcore_mini.attention import PACKED
from pixcore_mini.batches import (
    IGNORED,
    PREFIX_LENGTH,
    JointBatches,
    LetterBatches,
    Packed,
    VisionBatches,
    all_queries,
    pack,
)
from pixcore_mini.checkpoint import load_checkpoint, progress_of, recipe_json, save_checkpoint
from pixcore_mini.dialogue import Turn, dialogue
from pixcore_mini.drawn import measure
from pixcore_mini.network import build_network, pixels
from pixcore_mini.probe import AttributeDecoder
from pixcore_mini.sharing import rows_of, share_gradients
from pixcore_mini.tokenizer import Encoder
from pixcore_mini.vocabulary import build_tokenizer

STAGES = ("letters", "vision", "joint")
LETTERS_KNOWN = 0.9
"""The share of new letter questions answered rightly that ends the letters stage; guessing is right half the time."""


@dataclass(frozen=True)
class Recipe:
    """What is learned, how long and how fast; the weights follow from it and from how many processes share a batch.

    Each process averages the loss over its own share, so another number of them gives other weights; so do
    torch.compile, threads and the device, which round otherwise.

    Attributes:
        seed: of the initialisation and of every batch.
        steps: optimizer steps of each stage.
        rounds: how often the letters stage is begun at most, each time from other weights and with new questions,
            until the lookup is known (`LETTERS_KNOWN`). Where it isn't found early, single words are learned in its
            place, and neither more steps nor the joint stage make up for it.
        batch: batch size of each stage.
        rate: peak learning rate of each stage.
        warmup: steps until the peak.
        hold: the fraction of a stage's steps after which the rate falls along a cosine.
        vision_rate: the vision tower's share of the rate in the joint stage.
        attribute_weight: the weight of the vision stage's loss in the joint stage.
    """

    seed: int = 1
    steps: tuple[int, int, int] = (500, 3000, 3500)
    rounds: int = 8
    batch: tuple[int, int, int] = (48, 32, 16)
    rate: tuple[float, float, float] = (7e-4, 1e-3, 1e-3)
    warmup: int = 200
    hold: float = 0.3
    vision_rate: float = 0.5
    attribute_weight: float = 0.3

    def rate_at(self, stage: int, step: int) -> float:
        """Give the learning rate of a step: linear warm-up, hold, cosine to a fiftieth."""
        return rate_at(self.rate[stage], step, self.steps[stage], warmup=self.warmup, hold=self.hold)


def rate_at(peak: float, step: int, total: int, *, warmup: int, hold: float) -> float:
    """Give the learning rate of a step: linear warm-up, hold, cosine to a fiftieth.

    Args:
        peak: The highest rate.
        step: The step, from 0.
        total: All steps.
        warmup: Steps until the peak; a fifth of all steps at most.
        hold: The fraction of the steps after which the rate falls.
    """
    progress = max(0.0, (step / total - hold) / (1 - hold))
    decay = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
    return peak * min(1.0, (step + 1) / min(warmup, max(1, total // 5))) * decay


def use_attention(llava: LlavaForConditionalGeneration, language: str, *, tower: str | None = None) -> None:
    """Attend in a way that transformers knows by name; its configuration is read at every call.

    Args:
        llava: The model.
        language: The language model's way.
        tower: The vision tower's; None: the same.
    """
    llava.config.text_config._attn_implementation = language
    llava.config.vision_config._attn_implementation = tower or language


def text_states(
    llava: LlavaForConditionalGeneration, language: Callable[..., Any], batch: Packed, visual: torch.Tensor, begin: int
) -> torch.Tensor:
    """Give the language model's states at the text of packed rows, (batch, TEXT_LENGTH, width).

    Args:
        llava: The model.
        language: Its language model, as it is or compiled.
        batch: The rows.
        visual: What the projector makes of their images, (batch, patches, width).
        begin: The id of the mark that stands first.
    """
    embed = llava.model.language_model.get_input_embeddings()
    first = embed(torch.full_like(batch.tokens[:, :1], begin))
    inputs = torch.cat([first.to(visual.dtype), visual, embed(batch.tokens).to(visual.dtype)], dim=1)
    visible = batch.attention_mask()
    mask = torch.zeros(visible.shape, dtype=visual.dtype, device=visual.device).masked_fill_(~visible, -1e9)
    states: torch.Tensor = language(
        inputs_embeds=inputs, attention_mask=mask, position_ids=batch.all_positions(), use_cache=False
    ).last_hidden_state
    return states[:, PREFIX_LENGTH:]


def answer_loss(logits: torch.Tensor, batch: Packed, answers: torch.Tensor) -> torch.Tensor:
    """Give the loss of answers' tokens, (tokens, vocabulary), each by its weight."""
    weights = batch.weights[answers]
    losses = functional.cross_entropy(logits.float(), batch.labels[answers], reduction="none")
    return (losses * weights).sum() / weights.sum()


class Trainer:
    """Runs a recipe, from its start or from a checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        *,
        device: str = "cpu",
        compiled: bool = False,
        workers: int = 0,
        rank: int = 0,
        processes: int = 1,
        save_every: float = 180.0,
        validate_every: int = 250,
        validation_images: int = 96,
        keep_every: int = 0,
        drawn_scenes: tuple[int, int] = (2000, 1000),
        console: Console | None = None,
    ) -> None:
        """Builds the untrained model.

        Args:
            recipe: what to do.
            out: the folder for the checkpoint, the log and the finished model.
            device: a torch device.
            compiled: whether torch.compile is used; it changes the speed and, by rounding, the last digits.
            workers: processes that draw the training images; 0 draws them in this one.
            rank: which of the data-parallel processes this one is; the first one writes.
            processes: how many of them share every batch, in torch.distributed's default group.
            save_every: seconds between two checkpoints.
            validate_every: joint steps between two validations.
            validation_images: how many images each of them asks about.
            keep_every: joint steps between two models that stay, so that grounding can be followed along training; the
                one before the first step is kept too. 0: none is kept.
            drawn_scenes: how many scenes of the training and validation sides say at the end where drawn scenes lie.
            console: where progress goes.
        """
        self.recipe, self.out, self.device = recipe, out, torch.device(device)
        self.workers, self.save_every = workers, save_every
        self.validate_every, self.validation_images = validate_every, validation_images
        self.keep_every, self.drawn_scenes = keep_every, drawn_scenes
        self.rank, self.processes = rank, processes
        self.console = console or Console(quiet=rank > 0)
        self.tokenizer = build_tokenizer()
        self.encoder = Encoder(self.tokenizer)
        torch.manual_seed(recipe.seed)
        self.network = build_network(len(self.tokenizer)).to(self.device)
        self.queries = all_queries()
        self.decoder = AttributeDecoder(self.queries, self.tower_width).to(self.device)
        self.everything = nn.ModuleDict({"network": self.network, "decoder": self.decoder})
        core = self.network.model
        wrap: Callable[[nn.Module], Any] = torch.compile if compiled else lambda module: module
        self._tower, self._language = wrap(core.vision_tower), wrap(core.language_model)

    @property
    def tower_width(self) -> int:
        """Features of a patch."""
        return int(self.network.config.vision_config.hidden_size)

    @property
    def checkpoint(self) -> Path:
        """Where the training state is kept."""
        return self.out / "checkpoint.safetensors"

    def train(self, stop_after: int | None = None, *, stages: int = len(STAGES)) -> None:
        """Trains to the end and writes the model; goes on from the checkpoint where there is one.

        Args:
            stop_after: stop (with a checkpoint) after so many steps of this call.
            stages: how many stages are run; the model is written where all are.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        stage = step = 0
        if progress := progress_of(self.checkpoint, self.recipe):
            stage, step = progress["stage"], progress["step"]
            load_checkpoint(self.checkpoint, self.everything)
            self.console.print(f"going on at {STAGES[stage]} step {step}")
        left = stop_after
        while stage < stages:
            stage, step, left = self._run_stage(stage, step, left)
            if left == 0:
                return
        if stages == len(STAGES):
            self.save_model()

    def save_model(self) -> None:
        """Writes configuration, weights (rounded to float16), tokenizer and where drawn scenes lie to ``out/model``."""
        if self.rank:
            return
        self._write_model(self.out / "model")
        use_attention(self.network, "sdpa")
        training, validation = self.drawn_scenes
        tower = self.network.model.vision_tower
        measure(tower, training=training, validation=validation).write(self.out / "model")

    def _write_model(self, folder: Path) -> None:
        """Writes configuration, weights (rounded to float16) and tokenizer, as a run's `checkpoint:` reads them.

        The configuration, by which a model is known, comes last: where it is, all of the model is.
        """
        copied = deepcopy(self.network).half()
        use_attention(copied, "sdpa")
        beside = self.out / ".model.part"
        copied.save_pretrained(beside)
        self.tokenizer.save_pretrained(beside)
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(beside.iterdir(), key=lambda file: file.name == "config.json"):
            file.replace(folder / file.name)
        beside.rmdir()

    def _keep(self, stage: int, done: int) -> None:
        """Keeps the model of a joint step, ``out/steps/00250``, where it is one to keep."""
        if stage == 2 and self.rank == 0 and self.keep_every and done % self.keep_every == 0:
            self._write_model(self.out / "steps" / f"{done:05}")

    def _save(self, stage: int, step: int, optimizer: torch.optim.Optimizer | None) -> None:
        if self.rank:
            return
        progress = {"stage": stage, "step": step, "recipe": recipe_json(self.recipe)}
        save_checkpoint(self.checkpoint, self.everything, optimizer, progress)

    def _run_stage(self, stage: int, start: int, left: int | None) -> tuple[int, int, int | None]:
        """Runs one stage, or one round of the letters stage, from a step on.

        Returns:
            The stage and the step to go on at, and how many steps are still allowed, None for no limit.
        """
        total = self.recipe.steps[stage]
        first = start - start % total if stage == 0 and total else 0
        end = first + total
        optimizer = self._optimizer(stage)
        if start > first:
            load_checkpoint(self.checkpoint, self.everything, optimizer)
        self._attend(stage)
        loss_of = (self._letters_loss, self._vision_loss, self._joint_loss)[stage]
        stop = end if left is None else min(end, start + left)
        batches = self._batches(stage, start, stop)
        smooth, saved, began = 0.0, time.monotonic(), time.monotonic()
        if not start:
            self._keep(stage, 0)
        with self._progress_bar() as bar:
            task = bar.add_task(STAGES[stage], total=end, completed=start, loss="")
            for step in range(start, stop):
                rate = self.recipe.rate_at(stage, step - first)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["share"]
                loss = loss_of(next(batches))
                torch.autograd.backward(loss)
                share_gradients(optimizer, self.processes)
                nn.utils.clip_grad_norm_(self.everything.parameters(), 1.0)
                optimizer.step()
                self.everything.zero_grad(set_to_none=True)
                smooth = loss.item() if step == start else 0.97 * smooth + 0.03 * loss.item()
                bar.update(task, completed=step + 1, loss=f"loss {smooth:.3f}")
                done = step + 1
                if done % 50 == 0:
                    speed = (done - start) * self.recipe.batch[stage] / (time.monotonic() - began)
                    self._log(stage=STAGES[stage], step=done, loss=round(smooth, 4), per_second=round(speed, 1))
                if stage == 2 and self.rank == 0 and (done % self.validate_every == 0 or done == total):
                    self._log(stage=STAGES[stage], step=done, **self.validate())
                self._keep(stage, done)
                if time.monotonic() - saved > self.save_every and done < stop:
                    self._save(stage, done, optimizer)
                    saved = time.monotonic()
        left = None if left is None else left - (stop - start)
        if stop < end:
            self._save(stage, stop, optimizer)
            return stage, stop, left
        if stage == 0 and 0 < end < total * self.recipe.rounds and not self._know_letters(end):
            self._forget_language(end)
            self._save(stage, end, None)
            return stage, end, left
        self._save(min(stage + 1, len(STAGES) - 1), 0 if stage < len(STAGES) - 1 else total, None)
        return stage + 1, 0, left

    @torch.no_grad()
    def _know_letters(self, step: int) -> bool:
        """Whether letters are looked up for new questions; every process asks the same, so that all go on alike."""
        tokens, letters = LetterBatches(self.encoder, self.recipe.seed, range(96))[step]
        right = (self._letter_logits(tokens.to(self.device)).argmax(-1).cpu() == letters).float().mean().item()
        self._log(stage=STAGES[0], step=step, right=round(right, 3))
        return right >= LETTERS_KNOWN

    def _forget_language(self, step: int) -> None:
        """Gives the language model other weights to begin with; they follow from the seed and the step."""
        with torch.random.fork_rng():
            torch.manual_seed(self.recipe.seed + 1_000_003 * step)
            fresh = build_network(len(self.tokenizer))
        self.network.model.language_model.load_state_dict(fresh.model.language_model.state_dict())

    def _attend(self, stage: int) -> None:
        """Let the tower attend by plain products, and the language model where its rows are packed."""
        use_attention(self.network, PACKED if stage == 2 else "sdpa", tower=PACKED)

    def _batches(self, stage: int, start: int, stop: int) -> Iterator[Any]:
        recipe = self.recipe
        rows = rows_of(recipe.batch[stage], self.rank, self.processes)
        datasets: tuple[Callable[[], Dataset[Any]], ...] = (
            lambda: LetterBatches(self.encoder, recipe.seed, rows),
            lambda: VisionBatches(recipe.seed, rows),
            lambda: self._joint_batches(rows),
        )
        loader: DataLoader[Any] = DataLoader(
            datasets[stage](),
            batch_size=None,
            sampler=range(start, stop),
            num_workers=self.workers,
            prefetch_factor=8 if self.workers else None,
        )
        return iter(loader)

    def _joint_batches(self, rows: range) -> JointBatches:
        return JointBatches(self.encoder, self.recipe.seed, rows, self.recipe.steps[2])

    def _asked(self, scene: Scene, rng: Random) -> list[Turn]:
        """What a validation asks about a scene."""
        return dialogue(scene, rng)

    def _optimizer(self, stage: int) -> torch.optim.Optimizer:
        tower = self.network.model.vision_tower
        parts: list[tuple[nn.Module, float]] = [
            [(self.network.model.language_model, 1.0)],
            [(tower, 1.0), (self.decoder, 1.0)],
            [
                (self.network.model.language_model, 1.0),
                (self.network.model.multi_modal_projector, 1.0),
                (tower, self.recipe.vision_rate),
                (self.decoder, 1.0),
            ],
        ][stage]
        groups = []
        for module, share in parts:
            parameters = list(module.parameters())
            for decay, chosen in (
                (0.02, [p for p in parameters if p.ndim >= 2]),
                (0.0, [p for p in parameters if p.ndim < 2]),
            ):
                groups.append({"params": chosen, "weight_decay": decay, "share": share})
        return torch.optim.AdamW(groups, lr=self.recipe.rate[stage], betas=(0.9, 0.98), fused=True)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _letters_loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        tokens, letters = (tensor.to(self.device) for tensor in batch)
        return functional.cross_entropy(self._letter_logits(tokens).float(), letters)

    def _letter_logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (batch, vocabulary) of what follows left-padded tokens (batch, length)."""
        mask = (tokens != self.encoder.pad).long()
        with self._autocast():
            hidden = self.network.model.language_model(
                input_ids=tokens, attention_mask=mask, use_cache=False
            ).last_hidden_state[:, -1]
            logits: torch.Tensor = self.network.lm_head(hidden)
        return logits

    def _vision_loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        images, targets = (tensor.to(self.device) for tensor in batch)
        with self._autocast():
            logits = self.decoder(self._patches(images))
        return self.decoder.loss(logits, targets)

    def _patches(self, images: torch.Tensor) -> torch.Tensor:
        """(batch, patches, width): what the vision tower makes of (batch, height, width, 3) uint8 images."""
        features: torch.Tensor = self._tower(pixel_values=pixels(images)).last_hidden_state[:, 1:]
        return features

    def _answer_logits(self, batch: Packed, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (answers' tokens, vocabulary) of a batch, and (batch, TEXT_LENGTH) which tokens they follow."""
        seen = self.network.model.multi_modal_projector(patches)
        hidden = text_states(self.network, self._language, batch, seen, self.encoder.begin)
        answers = batch.labels != IGNORED
        return self.network.lm_head(hidden[answers]), answers

    def _joint_loss(self, both: tuple[Packed, torch.Tensor]) -> torch.Tensor:
        batch, targets = both[0].to(self.device), both[1].to(self.device)
        with self._autocast():
            patches = self._patches(batch.images)
            logits, answers = self._answer_logits(batch, patches)
            attributes = self.decoder(patches) if self.recipe.attribute_weight else None
        loss = answer_loss(logits, batch, answers)
        return (
            loss if attributes is None else loss + self.recipe.attribute_weight * self.decoder.loss(attributes, targets)
        )

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Measure teacher-forced accuracy on the validation side: whole answers right, for each kind of turn.

        "attributes" is the share of the queries that the vision stage's decoder answers rightly.
        """
        right: dict[str, list[bool]] = defaultdict(list)
        named = known = 0
        size = self.recipe.batch[2]
        for first in range(0, self.validation_images, size):
            rows: list[tuple[Any, list[Turn]]] = []
            targets = []
            for index in range(first, min(first + size, self.validation_images)):
                rng = scene_random("validation", 0, "turns", index)
                scene = make_scene(rng, "validation")
                rows.append((render(scene).image, self._asked(scene, rng)))
                targets.append([query.target(scene) for query in self.queries])
            batch = pack(self.encoder, rows).to(self.device)
            with self._autocast():
                patches = self._patches(batch.images)
                attributes = self.decoder(patches)
                logits, answers = self._answer_logits(batch, patches)
            found = self.decoder.correct(attributes, torch.tensor(targets, device=self.device))
            named, known = named + found[0], known + found[1]
            wrong = torch.zeros_like(answers)
            wrong[answers] = logits.argmax(-1) != batch.labels[answers]
            for row, (_, turns) in enumerate(rows):
                for number, turn in enumerate(turns, 1):
                    here = (batch.turns[row] == number) & answers[row]
                    if here.any():
                        right[turn.kind].append(not bool(wrong[row, here].any()))
        accuracy = {kind: round(sum(values) / len(values), 3) for kind, values in sorted(right.items())}
        return {"attributes": round(named / known, 3), **accuracy}

    def _progress_bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def _log(self, **entry: Any) -> None:
        if self.rank:
            return
        line = json.dumps(entry)
        with (self.out / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        if not self.console.is_terminal or len(entry) > 4:
            self.console.print(line, highlight=False, soft_wrap=True)
