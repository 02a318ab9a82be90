"""Trying heads, and keeping the best of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import ModuleType

from sortograph.errors import DataError, MissingExtra
from sortograph.lazy import importing
from sortograph.records import Rung, Step
from sortograph.training.heads import logistic, means, neighbours
from sortograph.training.heads.balance import balances, is_uneven
from sortograph.training.heads.scores import Score, score
from sortograph.training.heads.task import Chosen, HeadTask, Taught, Tried


def choose_head(task: HeadTask) -> Chosen:
    """The best of the heads that the recipe names, taught with all photos.

    Every head answers for photos of a fold after the other folds have taught it. The best has the highest
    accuracy over all photos, or balanced accuracy where classes are uneven; among equals, the lowest log
    loss. Neighbours are taken only where they are better than the others by more than a standard error.
    An "mlp" with one learning rate and one weight decay is taught once, and compared with nothing.

    Raises DataError without photos or with a single class, RecipeError for neighbours of too many photos,
    GateError when a loss is no number.
    """
    began = time.monotonic()
    _check(task)
    if _is_alone(task):
        mlp = _mlp()
        choice = mlp.choices(task, _balances(task))[0]
        taught = mlp.taught(task, choice)
        seconds = time.monotonic() - began
        rung = Rung(mlp.NAME, mlp.described(task, choice), seconds=seconds)
        return _chosen(task, taught, (rung,), seconds)
    best, rungs = _best(task)
    taught = best.refit()
    return _chosen(task, taught, rungs, time.monotonic() - began, best)


def _check(task: HeadTask) -> None:
    present = len(set(task.labels.tolist()))
    if present < 2:
        raise DataError(
            f"the training photos are of {present} {'class' if present == 1 else 'classes'}",
            expected="photos of at least two classes to train on",
            fix="sortograph index PHOTOS",
        )


def _is_alone(task: HeadTask) -> bool:
    head = task.settings
    several = max(len(head.learning_rates), len(head.weight_decays), len(_balances(task))) > 1
    return head.kind == "mlp" and not several


def _balances(task: HeadTask) -> tuple[str, ...]:
    if task.train.class_weights == "balanced" and task.settings.balance == "auto":
        return ("class-weights",)
    return tuple(balances(task.settings, task.labels, task.classes))


def _asked(task: HeadTask) -> set[str]:
    """Kinds of heads that are tried."""
    head = task.settings
    if head.kind != "ladder":
        return {head.kind}
    few = len(task.labels) <= neighbours.MOST_PHOTOS
    return {means.NAME, logistic.NAME, *([neighbours.NAME] if few else []), *(["mlp"] if head.dense else [])}


def _number(task: HeadTask) -> int:
    """How many heads are tried."""
    head, ways = task.settings, len(_balances(task))
    counts = {
        means.NAME: 1,
        logistic.NAME: len(set(head.penalties)) * min(ways, 2),  # weights and sampling are one to it
        neighbours.NAME: len(set(head.neighbours)),
        "mlp": max(1, len(set(head.learning_rates))) * max(1, len(set(head.weight_decays))) * ways,
    }
    return sum(counts[kind] for kind in _asked(task))


def _all(task: HeadTask) -> Iterator[Tried]:
    """Heads in the order of what they cost; the first comes even when the task is late."""
    asked = _asked(task)
    if means.NAME in asked:
        yield from means.tries(task)
    if logistic.NAME in asked:
        yield from logistic.tries(task, _balances(task))
    if neighbours.NAME in asked:
        yield from neighbours.tries(task)
    if "mlp" in asked:
        yield from _mlp().tries(task, _balances(task))


def _mlp() -> ModuleType:
    """Only dense heads need torch."""
    try:
        with importing():
            from sortograph.training.heads import mlp
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtra.of("train", "torch") from None
    return mlp


def _best(task: HeadTask) -> tuple[Tried, tuple[Rung, ...]]:
    """Out-of-fold logits of one head at a time are in memory, besides those of the best."""
    uneven, number = is_uneven(task.labels, task.classes), _number(task)
    best: tuple[Score, Tried] | None = None
    rungs: list[tuple[Score, Rung]] = []
    for tried in _all(task):
        got = score(tried.logits, task.labels, task.folds, uneven)
        rungs.append((got, _rung(task, tried, got, uneven)))
        if best is None or _beats(got, tried, *best):
            best = got, tried
        task.progress(Step("heads", len(rungs), number, "heads"))
        if task.late():
            break
    assert best is not None
    kept = next(rung for _, rung in rungs if (rung.name, rung.settings) == (best[1].name, best[1].settings))
    others = [rung for _, rung in sorted(rungs, key=lambda pair: pair[0].rank) if rung is not kept]
    return best[1], (kept, *others)


def _beats(got: Score, tried: Tried, best: Score, holder: Tried) -> bool:
    """Neighbours put embeddings of all training photos into the model: they must be better by an error."""
    if tried.name == neighbours.NAME != holder.name:
        return got.value > best.value + max(got.error, best.error)
    return got.rank < best.rank


def _rung(task: HeadTask, tried: Tried, got: Score, uneven: bool) -> Rung:
    return Rung(
        name=tried.name,
        settings=tried.settings,
        score=got.value,
        log_loss=got.log_loss,
        error=got.error,
        folds=task.parts,
        metric="balanced_accuracy" if uneven else "accuracy",
        seconds=tried.seconds,
    )


def _chosen(
    task: HeadTask, taught: Taught, rungs: tuple[Rung, ...], seconds: float, best: Tried | None = None
) -> Chosen:
    return Chosen(
        plan=taught.plan,
        state=taught.state,
        rungs=rungs,
        logits=None if best is None else best.logits,
        history=taught.history,
        best_epoch=taught.best_epoch,
        seconds=seconds,
        interrupted=task.stop(),
    )
