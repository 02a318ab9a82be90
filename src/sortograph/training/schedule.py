"""Learning rates and stopping rules as pure functions: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sortograph.recipe import Train
from sortograph.records import EpochRow

_MIN_DELTA = 1e-4  # a loss that falls by less is no better (the default of Keras' ReduceLROnPlateau)
_CYCLE_WARM, _CYCLE_START, _CYCLE_END = 0.3, 1 / 25, 1e-4


def learning_rate(train: Train, step: int, steps_per_epoch: int, history: Sequence[EpochRow]) -> float:
    """The rate of one step, counted from 0 over all epochs.

    >>> rate = Train(schedule="cosine", epochs=10, learning_rate=1.0)
    >>> round(learning_rate(rate, 50, 10, []), 3)
    0.5
    """
    total = train.epochs * steps_per_epoch
    if train.schedule == "cosine":
        warm = train.warmup_epochs * steps_per_epoch
        if step < warm:
            return train.learning_rate * (step + 1) / (warm + 1)
        return train.learning_rate * _half_cosine((step - warm) / max(1.0, total - warm), 1.0, 0.0)
    if train.schedule == "one-cycle":
        return train.learning_rate * _one_cycle(step / max(1, total - 1))
    if train.schedule == "plateau":
        return train.learning_rate * train.plateau_factor ** plateaus(history, train.plateau_patience)
    return train.learning_rate


def _half_cosine(share: float, start: float, end: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2


def _one_cycle(share: float) -> float:
    """Smith & Topin 2018, arXiv:1708.07120, with cosines for the straight lines of its figure 1a."""
    if share < _CYCLE_WARM:
        return _half_cosine(share / _CYCLE_WARM, _CYCLE_START, 1.0)
    return _half_cosine((share - _CYCLE_WARM) / (1 - _CYCLE_WARM), 1.0, _CYCLE_END)


def plateaus(history: Sequence[EpochRow], patience: int) -> int:
    """How often `patience` epochs in a row have passed without a lower validation loss."""
    best, waited, times = math.inf, 0, 0
    for row in history:
        loss = row.train_loss if row.validation_loss is None else row.validation_loss
        if loss < best - _MIN_DELTA:
            best, waited = loss, 0
            continue
        waited += 1
        if waited == patience:
            waited, times = 0, times + 1
    return times


def best_epoch(train: Train, history: Sequence[EpochRow]) -> int | None:
    """The epoch with the best monitored value: the lower loss, then the earlier epoch, decides a tie.

    None without epochs; the last one without validation photos.
    """
    if not history:
        return None
    if any(row.validation_loss is None for row in history):
        return history[-1].epoch
    return min(history, key=lambda row: (*_rank(train, row), row.epoch)).epoch


def is_over(train: Train, history: Sequence[EpochRow]) -> bool:
    """All epochs done, or none of the last `early_stopping` ones better than those before."""
    if len(history) >= train.epochs:
        return True
    best = best_epoch(train, history)
    return bool(
        train.early_stopping and best is not None and history[-1].epoch - best >= train.early_stopping
    )


def _rank(train: Train, row: EpochRow) -> tuple[float, float]:
    assert row.validation_loss is not None
    assert row.validation_accuracy is not None
    if train.monitor == "validation_loss":
        return row.validation_loss, 0.0
    return -row.validation_accuracy, row.validation_loss
