"""The training loop, all of it: step, epoch, validation, best weights, checkpoints, stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sortograph.errors import GateError, StorageError
from sortograph.loading.batches import Batch, TrainingBatches, clean_batches
from sortograph.loading.mixing import Mixing, blended
from sortograph.loading.order import dropout_seed
from sortograph.recipe import Recipe, Train
from sortograph.records import EpochDone, EpochRow, Progress, Said, Step
from sortograph.training.averages import WeightMean
from sortograph.training.checkpoint import (
    Checkpoint,
    Sums,
    optimiser_tensors,
    restore_optimiser,
    write_checkpoint,
)
from sortograph.training.device import circumstances, precision, rounding
from sortograph.training.losses import class_weights, loss_of, targets
from sortograph.training.optim import layers_of, make_optimiser, prepare_step
from sortograph.training.schedule import best_epoch, is_over, learning_rate

if TYPE_CHECKING:
    from sortograph.loading.pixels import PhotoPixels
    from sortograph.models import Network
    from sortograph.records import DatasetIndex
    from sortograph.training.finetune import FinetuneNetwork

    Taught: TypeAlias = Network | FinetuneNetwork

CHECKPOINT_SECONDS = 60.0
NORM_EVERY = 8
_TOLD_EVERY = 0.2
_CLEAN_BATCH = 64
Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Phase:
    """How a phase of a run is taught that differs from what the recipe says of the whole.

    train    in the place of recipe.train; section  where a recipe says its learning rate
    watched  rows of the validation photos that choose the epoch
    cutmix   α of CutMix; 0 for none
    ema      decay of the running mean of the weights, which is judged and kept in their place; 0 for none
    """

    train: Train
    section: str
    watched: NDArray[np.int64]
    cutmix: float = 0.0
    ema: float = 0.0


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained on what. `folder` takes the checkpoints.

    deadline: a reading of time.monotonic, in seconds, at which training ends as if its epochs were over
    """

    recipe: Recipe
    index: DatasetIndex
    pixels: PhotoPixels
    folder: Path
    stop: Callable[[], bool]
    progress: Progress
    deadline: float | None = None
    phase: Phase | None = None

    def as_taught(self) -> Phase:
        return self.phase or Phase(self.recipe.train, "train", self.index.rows("validation"))


@dataclass(frozen=True, slots=True)
class Fitted:
    """The weights that are kept, float32 on the CPU, and how they came about."""

    weights: Weights
    history: tuple[EpochRow, ...]
    best_epoch: int | None
    interrupted: bool


class Trainer:
    """One training run. Everything that `resume` must bring back is in `checkpoint()`."""

    def __init__(self, task: Task, network: Taught, batches: TrainingBatches, accelerator: Accelerator):
        self.task, self.phase, self.device = task, task.as_taught(), accelerator.device
        self.train = self.phase.train
        self.mixing = Mixing(task.recipe.augment.mixup, self.phase.cutmix)
        self.accelerator, self.batches = accelerator, batches
        optimiser = make_optimiser(self.train, network.to(self.device))
        self.network, self.optimiser = accelerator.prepare(network, optimiser)
        self.mean = WeightMean(self._plain(), self.phase.ema) if self.phase.ema else None
        self.layers = layers_of(self._plain())
        self.dtype = precision(self.train, self.device)
        self.classes = len(task.index.classes)
        train_labels = task.index.labels[task.index.rows("train")]
        weights = class_weights(self.train, train_labels, self.classes)
        self.weights = None if weights is None else weights.to(self.device)
        self.history: list[EpochRow] = []
        self.best: Weights = {}
        self.epoch, self.step, self.sums = 1, 0, Sums()
        self._saved = self._told = time.monotonic()

    def resume(self, checkpoint: Checkpoint) -> None:
        parts: dict[str, Weights] = {"network": {}, "best": {}, "optimiser": {}, "mean": {}}
        for name, tensor in checkpoint.tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        self._plain().load_state_dict(parts["network"])
        restore_optimiser(self._bare_optimiser(), parts["optimiser"])
        if self.mean is not None:
            self.mean.restore(parts["mean"])
        self.best = parts["best"]
        self.history = list(checkpoint.history)
        self.epoch, self.step, self.sums = checkpoint.epoch, checkpoint.step, checkpoint.sums
        now = circumstances(self.device, self.dtype)
        other = [
            f"{name} was {was}, is {now.get(name, 'unknown')}"
            for name, was in checkpoint.circumstances.items()
            if was != now.get(name)
        ]
        if other:
            text = f"the result will not be that of an uninterrupted run to the bit: {'; '.join(other)}"
            self.task.progress(Said(text, warning=True))

    def run(self) -> Fitted:
        """Train until the recipe is done or someone stops it. Raises GateError when the loss explodes."""
        interrupted = False
        with rounding(self.dtype):
            while not (interrupted or self._late() or is_over(self.train, self.history)):
                interrupted = not self._epoch() and not self._late()
        self._check_weights()
        self._save_last()
        with self._averaged():
            last = self._snapshot()
        keeps_best = self.train.keep == "best" and bool(self.best)
        best = best_epoch(self.train, self.history)
        kept = best if keeps_best else (self.history[-1].epoch if self.history else None)
        return Fitted(self.best if keeps_best else last, tuple(self.history), kept, interrupted)

    def _late(self) -> bool:
        return self.task.deadline is not None and time.monotonic() >= self.task.deadline

    def _save_last(self) -> None:
        """What comes after training may be interrupted too; a full disk shall not cost what was learned."""
        try:
            self.save()
        except StorageError as error:
            self.task.progress(Said(f"this run cannot be resumed: {error.what}: {error.where}", warning=True))

    def _epoch(self) -> bool:
        """One epoch, or what is left of it; False when stopped in its middle."""
        began = time.monotonic()
        before = self.sums.seconds
        self.network.train()
        with closing(self.batches(self.epoch, self.step)) as batches:
            for batch in batches:
                self._step(batch)
                self.step = batch.step + 1
                self.sums = replace(self.sums, seconds=before + time.monotonic() - began)
                self._tell()
                if self.task.stop() or self._late():
                    return False
                if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                    self.save()
        self._close_epoch()
        return not self.task.stop() or is_over(self.train, self.history)

    def _step(self, batch: Batch) -> None:
        number = (self.epoch - 1) * len(self.batches) + batch.step
        rate = learning_rate(self.train, number, len(self.batches), self.history)
        prepare_step(self.optimiser, self.train, rate, number)
        shares = targets(self.train, batch.labels, self.classes)
        place = (self.train.seed, self.epoch, batch.step)
        photos, shares = blended(batch.photos, shares, self.mixing, place)
        self._plain().dropout_seed = dropout_seed(*place)
        with self._autocast():
            logits = self.network(photos)
        loss = loss_of(self.train, logits.float(), shares, self.weights)
        self.optimiser.zero_grad()
        self.accelerator.backward(loss)
        norms = self._norms() if batch.step % NORM_EVERY == 0 else {}
        if self.train.clip_norm:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.train.clip_norm)
        self.optimiser.step()
        if self.mean is not None:
            self.mean.add(number + 1)
        self._add(float(loss.detach()), int((logits.argmax(1) == batch.labels).sum()), batch, norms)
        if norms:
            self._check_weights()

    def _add(self, loss: float, right: int, batch: Batch, norms: dict[str, float]) -> None:
        self._check(loss, f"the loss is {loss} at epoch {self.epoch}, step {batch.step + 1}")
        count, sums = len(batch.labels), self.sums
        self.sums = replace(
            sums,
            loss=sums.loss + loss * count,
            right=sums.right + right,
            seen=sums.seen + count,
            norms={name: sums.norms.get(name, 0.0) + norm for name, norm in norms.items()} or sums.norms,
            norm_steps=sums.norm_steps + bool(norms),
        )

    def _check(self, loss: float, what: str) -> None:
        if not math.isfinite(loss):
            lower = f"{self.phase.section}.learning_rate={self.train.learning_rate / 10:g}"
            fix = f"--set {lower} or --set train.clip_norm=1"
            raise GateError(what, expected="a finite number", fix=fix)

    def _check_weights(self) -> None:
        """Of a convolution, the loss may not tell: poolings and relu can make 0 of what is no number."""
        network = self._plain()
        weights = [w.detach() for w in network.parameters() if w.ndim != 2]  # of dense ones the loss tells
        weights += [statistic for statistic in network.buffers() if statistic.is_floating_point()]
        if weights:
            total = float(torch.stack(torch._foreach_norm(weights)).sum())
            self._check(total, f"the norm of the weights is {total} at epoch {self.epoch}")

    def _norms(self) -> dict[str, float]:
        """L2 norm of the gradient of each layer or part, before clipping."""
        named = [(name, w.grad) for name, w in self._plain().named_parameters() if w.grad is not None]
        squares: dict[str, float] = {}
        for (name, _), norm in zip(named, torch._foreach_norm([g for _, g in named]), strict=True):
            layer = self.layers[name]
            squares[layer] = squares.get(layer, 0.0) + float(norm) ** 2
        return {layer: square**0.5 for layer, square in squares.items()}

    def _close_epoch(self) -> None:
        """Validate, write the row, keep the best weights, start the next epoch."""
        self._check_weights()
        with self._averaged():
            row = self._judged()
            self.history.append(row)
            is_best = row.validation_loss is not None and best_epoch(self.train, self.history) == row.epoch
            if is_best and self.train.keep == "best":
                self.best = self._snapshot()
        self.epoch, self.step, self.sums = self.epoch + 1, 0, Sums()
        left = np.mean([done.seconds for done in self.history]) * (self.train.epochs - row.epoch)
        self.task.progress(EpochDone(row, self.train.epochs, float(left), is_best))

    def _judged(self) -> EpochRow:
        sums, began = self.sums, time.monotonic()
        loss, accuracy = self._validate()
        number = self.epoch * len(self.batches) - 1
        return EpochRow(
            epoch=self.epoch,
            train_loss=sums.loss / sums.seen,
            train_accuracy=sums.right / sums.seen,
            validation_loss=loss,
            validation_accuracy=accuracy,
            learning_rate=learning_rate(self.train, number, len(self.batches), self.history),
            seconds=sums.seconds + time.monotonic() - began,
            photos_per_second=sums.seen / sums.seconds,
            gradient_norms={name: norm / sums.norm_steps for name, norm in sums.norms.items()},
        )

    def _validate(self) -> tuple[float | None, float | None]:
        """Mean loss and accuracy on the watched photos as they are; None without any."""
        index, rows = self.task.index, self.phase.watched
        if not len(rows):
            return None, None
        logits = self.logits(rows)
        labels = torch.from_numpy(index.labels[rows])
        loss = float(F.cross_entropy(logits, labels))
        # The last step of an epoch may have ruined the weights: the loss of its batch does not tell.
        self._check(loss, f"the validation loss is {loss} at epoch {self.epoch}")
        return loss, float((logits.argmax(1) == labels).float().mean())

    @torch.inference_mode()
    def logits(self, rows: NDArray[np.int64]) -> Tensor:
        """Of photos as they are, float32 (N, C) on the CPU."""
        self.network.eval()
        index, pixels = self.task.index, self.task.pixels
        batches = clean_batches(
            lambda chosen: pixels.evaluation(index, chosen), rows, _CLEAN_BATCH, self.device
        )
        with self._autocast():
            return torch.cat([self.network(photos).float().cpu() for _, photos in batches])

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _tell(self) -> None:
        now = time.monotonic()
        steps = len(self.batches)
        if now - self._told < _TOLD_EVERY or self.step == steps:  # the epoch's row tells its end
            return
        self._told = now
        left = self.sums.seconds / self.step * (steps - self.step)
        task = f"epoch {self.epoch} of {self.train.epochs}"
        self.task.progress(Step(task, self.sums.seen, self.batches.photos, "photos", left))

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it, the network has the weights that are judged and kept."""
        if self.mean is None:
            yield
            return
        with self.mean.applied():
            yield

    def _plain(self) -> Taught:
        network: Taught = self.accelerator.unwrap_model(self.network)
        return network

    def _bare_optimiser(self) -> torch.optim.Optimizer:
        optimiser: torch.optim.Optimizer = getattr(self.optimiser, "optimizer", self.optimiser)
        return optimiser

    def _snapshot(self) -> Weights:
        return {name: value.detach().cpu().clone() for name, value in self._plain().state_dict().items()}

    def save(self) -> None:
        """Write a checkpoint of this moment. Raises StorageError."""
        tensors = {f"network/{name}": value for name, value in self._plain().state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        if self.mean is not None:
            tensors |= {f"mean/{name}": value for name, value in self.mean.mean.items()}
        optimiser = optimiser_tensors(self._bare_optimiser())
        tensors |= {f"optimiser/{name}": value for name, value in optimiser.items()}
        state = Checkpoint(
            fingerprint=self.task.index.fingerprint,
            recipe=self.task.recipe.to_dict(),
            epoch=self.epoch,
            step=self.step,
            history=tuple(self.history),
            sums=self.sums,
            tensors=tensors,
            circumstances=circumstances(self.device, self.dtype),
        )
        write_checkpoint(self.task.folder, state)
        self._saved = time.monotonic()
