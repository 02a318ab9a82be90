"""Epochs of dense heads: order, views, losses and steps, for many heads at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from sortograph.loading.order import Purpose, dropout_seed, generator, order
from sortograph.models.head import head_plan
from sortograph.models.layers import Dense
from sortograph.models.plan import OUTPUT
from sortograph.records import EpochRow
from sortograph.training.heads.balance import photo_weights
from sortograph.training.heads.basis import Basis
from sortograph.training.heads.stack import Optimiser, Stack, Teaching
from sortograph.training.heads.task import Floats, HeadTask, Rows
from sortograph.training.losses import targets
from sortograph.training.schedule import learning_rate

_CHUNK = 4096  # photos answered at once
NORM_EVERY = 8  # steps, as in the loop of networks
Judge = Callable[[], tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Choice:
    """What sets one dense head apart from another."""

    learning_rate: float
    weight_decay: float
    balance: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One head, and the fold whose photos it does not see; −1 for none."""

    choice: Choice
    fold: int = -1


def _no_judge() -> tuple[float | None, float | None]:
    return None, None


class Course:
    """Lanes that learn side by side from the same batches; all have one balance.

    A photo that a lane shall not see is in its batches, too, and counts nothing there, not even for batch
    normalisation. Embeddings are scaled first; `state` takes that back.
    """

    def __init__(self, task: HeadTask, plain: Basis, lanes: Sequence[Lane]) -> None:
        self.task, self.plain, self.lanes = task, plain, lanes
        self.plan = head_plan(task.settings, task.inputs, task.classes)
        self.stack = Stack(self.plan, len(lanes), task.train.seed)
        self.optimiser = Optimiser(task.train, self.stack, [lane.choice.weight_decay for lane in lanes])
        self.balance = lanes[0].choice.balance
        self.counts = torch.from_numpy(np.stack([self._counts(lane.fold) for lane in lanes]))
        self.histories: list[list[EpochRow]] = [[] for _ in lanes]
        self._norms: list[dict[str, NDArray[np.float64]]] = []
        self._trains = [
            task.train.model_copy(update={"learning_rate": lane.choice.learning_rate}) for lane in lanes
        ]

    def _counts(self, fold: int) -> Floats:
        """What each photo counts in a lane, float32 (N,)."""
        task = self.task
        seen = task.folds != fold
        counts = np.zeros(len(task.labels), dtype=np.float32)
        balance = "none" if self.balance == "sampling" else self.balance
        counts[seen] = photo_weights(task.labels[seen], balance, task.classes)
        return counts

    def epoch(self, number: int, judge: Judge = _no_judge) -> None:
        """One epoch, counted from 1; a row is added to each lane's history, with what `judge` says."""
        began = time.monotonic()
        self._norms.clear()
        steps = list(self._batches(number))
        sums, seen = np.zeros((2, len(self.lanes))), np.zeros(len(self.lanes))
        for step, rows in enumerate(steps):
            losses, right, count = self._step(number, step, len(steps), rows)
            sums += [losses * count, right]
            seen += count
        seconds = time.monotonic() - began
        loss, accuracy = judge()
        for lane, history in enumerate(self.histories):
            history.append(
                EpochRow(
                    epoch=number,
                    train_loss=float(sums[0, lane] / max(1, seen[lane])),
                    train_accuracy=float(sums[1, lane] / max(1, seen[lane])),
                    validation_loss=loss,
                    validation_accuracy=accuracy,
                    learning_rate=self._rate(lane, number * len(steps) - 1, len(steps)),
                    seconds=time.monotonic() - began,
                    photos_per_second=float(seen[lane] / max(seconds, 1e-9)),
                    gradient_norms=self._mean_norms(lane),
                )
            )

    def _mean_norms(self, lane: int) -> dict[str, float]:
        return {
            layer: float(np.mean([norms[layer][lane] for norms in self._norms])) for layer in self._norms[0]
        }

    def _batches(self, epoch: int) -> Iterator[Rows]:
        """Rows of each step; one photo alone joins the step before."""
        seed, labels = self.task.train.seed, self.task.labels
        rows = order(np.arange(len(labels)), seed, epoch)
        if self.balance == "sampling":
            rows = balanced_order(labels, seed, epoch)
        size = self.task.train.batch_size
        bounds = [*range(0, len(rows), size), len(rows)]
        if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
            del bounds[-2]
        for first, last in pairwise(bounds):
            yield rows[first:last]

    def _step(
        self, epoch: int, step: int, steps: int, rows: Rows
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Per lane: the loss, photos that were right, photos that count; (K,) each."""
        train, labels = self.task.train, torch.from_numpy(self.task.labels[rows])
        counts = self.counts[:, rows]
        x = torch.from_numpy(self.plain.scaled(self._views(epoch, rows)))
        logits = self.stack(x, Teaching(counts, dropout_seed(train.seed, epoch, step)))
        shares = targets(train, labels, self.task.classes)
        each = -(shares * F.log_softmax(logits, dim=2)).sum(dim=2)
        losses = (each * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1e-12)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        if step % NORM_EVERY == 0:
            self._norms.append({layer: norm.double().numpy() for layer, norm in self.stack.norms().items()})
        if train.clip_norm:
            self.stack.clip(train.clip_norm)
        number = (epoch - 1) * steps + step
        self.optimiser.step([self._rate(lane, number, steps) for lane in range(len(self.lanes))], number)
        held = counts > 0
        right = ((logits.argmax(dim=2) == labels) & held).sum(dim=1)
        return losses.detach().double().numpy(), right.double().numpy(), held.sum(dim=1).double().numpy()

    def _rate(self, lane: int, number: int, steps: int) -> float:
        return learning_rate(self._trains[lane], number, steps, self.histories[lane])

    def _views(self, epoch: int, rows: Rows) -> Floats:
        """One view of each photo, drawn for the epoch."""
        task = self.task
        if task.features.ndim == 2:
            return task.features[rows]
        drawn = generator(task.train.seed, Purpose.AUGMENT, epoch).integers(
            len(task.features), size=len(task.labels)
        )
        return task.features[drawn[rows], rows]

    @torch.no_grad()
    def logits(self, features: Floats, rows: Rows, lanes: slice) -> Floats:
        """(K, n, C) for some lanes and photos."""
        parts = [rows[first : first + _CHUNK] for first in range(0, len(rows), _CHUNK)] or [rows]
        made = [self.stack(torch.from_numpy(self.plain.scaled(features[part])), some=lanes) for part in parts]
        return np.asarray(torch.cat(made, dim=1).numpy())

    def state(self, lane: int, shift: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """The arrays of a lane for embeddings as they are, with `shift` (C,) added to its logits."""
        made = self.stack.copy_of(lane)
        first = self.plan.layers[0]
        assert isinstance(first, Dense)
        weight, bias = first.weights()
        made[weight], made[bias] = self.plain.unfolded(made[weight].T, made[bias])
        made[f"{OUTPUT}.bias"] = (made[f"{OUTPUT}.bias"] + shift).astype(np.float32)
        return made


def balanced_order(labels: Rows, seed: int, epoch: int) -> Rows:
    """Rows of one epoch, as many as there are photos, of each class equally many: int64 (N,).

    Photos of a class come again only after all of it have come.
    """
    rng = generator(seed, Purpose.ORDER, epoch)
    present = np.unique(labels)
    shares = np.bincount(np.arange(len(labels)) % len(present))
    drawn = [
        np.resize(rng.permutation(np.flatnonzero(labels == label)), share)
        for label, share in zip(present, shares, strict=False)
    ]
    return rng.permutation(np.concatenate(drawn))
