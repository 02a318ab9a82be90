"""Dense heads by gradient descent: all learning rates, weight decays and folds at once."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sortograph.errors import GateError
from sortograph.models.head import head_plan
from sortograph.records import EpochDone, Step
from sortograph.training.device import threads
from sortograph.training.heads.balance import is_uneven, prior
from sortograph.training.heads.basis import short
from sortograph.training.heads.course import Choice, Course, Lane
from sortograph.training.heads.scores import log_loss, score
from sortograph.training.heads.task import Floats, HeadTask, Taught, Tried
from sortograph.training.schedule import best_epoch, is_over

NAME = "mlp"
# Numbers that the weights of heads taught together may have.
_TOGETHER = 1 << 26
_SMALL = 1 << 26  # multiplications of one step


def choices(task: HeadTask, balances: Sequence[str]) -> list[Choice]:
    """All combinations that the recipe asks for; those of one balance stand together."""
    rates = task.settings.learning_rates or (task.train.learning_rate,)
    decays = task.settings.weight_decays or (task.train.weight_decay,)
    every = itertools.product(balances, sorted(set(rates)), sorted(set(decays)))
    return [Choice(rate, decay, balance) for balance, rate, decay in every]


def described(task: HeadTask, choice: Choice) -> dict[str, Any]:
    """For the table of heads."""
    told: dict[str, Any] = {"dense": "-".join(map(str, task.settings.dense)) or "none"}
    told |= {"rate": choice.learning_rate, "decay": choice.weight_decay}
    return told | ({"balance": choice.balance} if choice.balance != "none" else {})


def _weights(task: HeadTask) -> int:
    """How many numbers one head has."""
    plan = head_plan(task.settings, task.inputs, task.classes)
    return sum(math.prod(shape) for shape in plan.weights().values())


def _threads(task: HeadTask, heads: int) -> int:
    """Of the recipe, else one where a step is small: several would mostly wait for each other."""
    small = _weights(task) * heads * task.train.batch_size < _SMALL
    return task.train.threads or int(small)


def taught(task: HeadTask, choice: Choice, epochs: int = 0) -> Taught:
    """One head, taught with all photos; its epoch is chosen on the validation photos, where there are any.

    epochs: to end after; 0 for those of the recipe, with early stopping as it says

    Ends early when the task is late, but not before one epoch. Raises GateError when a loss is no number.
    """
    with threads(_threads(task, 1)):
        return _Single(task, choice).run(epochs or task.train.epochs)


def tries(task: HeadTask, balances: Sequence[str]) -> Iterator[Tried]:
    """Every learning rate, weight decay and balance, by cross-validation.

    Where the recipe keeps the best epoch, that is the one with the best out-of-fold score here; with
    `early_stopping`, all end after so many epochs in which none got better. A head that lost all measure
    answers nothing: the same logits for all classes.
    """
    together = max(1, _TOGETHER // (_weights(task) * task.parts))
    for _, same in itertools.groupby(choices(task, balances), key=lambda choice: choice.balance):
        every = list(same)
        for first in range(0, len(every), together):
            some = every[first : first + together]
            with threads(_threads(task, len(some) * task.parts)):
                made = _Folds(task, some).run()
            yield from made
            if task.late():
                return


@dataclass(slots=True)
class _Kept:
    """What is kept of a choice: its rank when it was best, in which epoch, the answers then or last."""

    rank: tuple[float, float] = (math.inf, math.inf)
    newest: int = 0
    epoch: int = 0
    logits: Floats | None = None


class _Folds:
    """Some choices with one balance, each in all folds."""

    def __init__(self, task: HeadTask, every: Sequence[Choice]) -> None:
        self.task, self.choices = task, every
        lanes = [Lane(choice, fold) for fold in range(task.parts) for choice in every]
        self.course = Course(task, short(task.views, task.blocks), lanes)
        self.kept = [_Kept() for _ in every]
        self.balanced = is_uneven(task.labels, task.classes)

    def run(self) -> list[Tried]:
        began, epoch, train = time.monotonic(), 0, self.task.train
        while epoch < train.epochs and not (epoch and self.task.late()):
            epoch += 1
            self.course.epoch(epoch)
            for kept, logits in zip(self.kept, self._answers(), strict=True):
                self._judge(kept, epoch, logits)
            self.task.progress(Step("dense heads", epoch, train.epochs, "epochs"))
            if (
                train.early_stopping
                and epoch - max(kept.newest for kept in self.kept) >= train.early_stopping
            ):
                break
        seconds = (time.monotonic() - began) / len(self.choices)
        return [self._tried(*one, seconds) for one in zip(self.choices, self.kept, strict=True)]

    def _answers(self) -> Floats:
        """Out-of-fold logits of all choices, (J, N, C)."""
        task, number = self.task, len(self.choices)
        answers = np.empty((number, len(task.labels), task.classes), dtype=np.float32)
        for fold in range(task.parts):
            own = np.flatnonzero(task.folds == fold)
            shift = prior(task.labels[task.folds != fold], self.choices[0].balance, task.classes)
            logits = self.course.logits(task.plain, own, slice(fold * number, (fold + 1) * number))
            answers[:, own] = logits + shift.astype(np.float32)
        return answers

    def _judge(self, kept: _Kept, epoch: int, logits: Floats) -> None:
        task = self.task
        logits[~np.isfinite(logits).all(axis=1)] = 0
        now = score(logits, task.labels, task.folds, self.balanced)
        rank = (now.log_loss, 0.0) if task.train.monitor == "validation_loss" else now.rank
        is_best = rank < kept.rank
        if is_best:
            kept.rank, kept.newest = rank, epoch
        if is_best or task.train.keep == "last":
            kept.epoch, kept.logits = epoch, logits.copy()

    def _tried(self, choice: Choice, kept: _Kept, seconds: float) -> Tried:
        assert kept.logits is not None
        settings, epochs = described(self.task, choice), 0
        if self.task.validation is None:  # else those photos choose the epoch
            settings["epochs"] = epochs = kept.epoch
        return Tried(NAME, settings, kept.logits, seconds, partial(taught, self.task, choice, epochs))


class _Single:
    """One choice with all photos."""

    def __init__(self, task: HeadTask, choice: Choice) -> None:
        self.task, self.choice = task, choice
        self.course = Course(task, short(task.views, task.blocks), [Lane(choice)])
        self.shift = prior(task.labels, choice.balance, task.classes)
        self.best: dict[str, Any] = {}

    def run(self, epochs: int) -> Taught:
        history, train = self.course.histories[0], self.task.train
        while len(history) < epochs and not is_over(train, history):
            self._epoch(len(history) + 1, epochs)
            if self.task.late():
                break
        keeps_best = train.keep == "best" and bool(self.best)
        kept = best_epoch(train, history) if keeps_best else history[-1].epoch
        state = self.best if keeps_best else self.course.state(0, self.shift)
        return Taught(self.course.plan, state, tuple(history), kept)

    def _epoch(self, epoch: int, epochs: int) -> None:
        history = self.course.histories[0]
        self.course.epoch(epoch, self._validate)
        row = history[-1]
        if not math.isfinite(row.train_loss if row.validation_loss is None else row.validation_loss):
            raise self._exploded(epoch)
        is_best = row.validation_loss is not None and best_epoch(self.task.train, history) == epoch
        if is_best and self.task.train.keep == "best":
            self.best = self.course.state(0, self.shift)
        left = float(np.mean([done.seconds for done in history])) * (epochs - epoch)
        self.task.progress(EpochDone(row, epochs, left, is_best))

    def _validate(self) -> tuple[float | None, float | None]:
        """Loss and accuracy on the validation photos; None without any."""
        if self.task.validation is None or not len(self.task.validation[1]):
            return None, None
        features, labels = self.task.validation
        logits = self.course.logits(features, np.arange(len(labels)), slice(0, 1))[0]
        shifted = (logits + self.shift).astype(np.float32)
        return log_loss(shifted, labels), float((shifted.argmax(axis=1) == labels).mean())

    def _exploded(self, epoch: int) -> GateError:
        return GateError(
            f"the loss of the head is no number at epoch {epoch}",
            expected="a finite number",
            fix=f"--set train.learning_rate={self.choice.learning_rate / 10:g}",
        )
