"""A run that was stopped and goes on ends as one that was not: the same weights and figures, to the bit."""

from __future__ import annotations

import pytest
import torch

from sortograph.training import loop
from sortograph.training.checkpoint import read_checkpoint

# 24 training photos in batches of 5: five steps an epoch; `stop` is asked six times an epoch.
MIDDLE, LAST_STEP, EDGE, SECOND = 3, 5, 6, 9

RICH = {
    "model": {
        "kind": "residual",
        "filters": [4, 6],
        "batch_norm": True,
        "dropout": 0.3,
        "dense_dropout": 0.3,
    },
    "augment": {
        "horizontal_flip": True,
        "rotation": 0.2,
        "zoom": 0.2,
        "brightness": 0.1,
        "contrast": 0.1,
        "mixup": 0.4,
    },
    "train": {
        "optimiser": "adamw",
        "schedule": "plateau",
        "plateau_patience": 1,
        "class_weights": "balanced",
        "label_smoothing": 0.1,
        "clip_norm": 0.5,
        "weight_decay": 0.1,
    },
}
RECIPES = {
    "plain": {},
    "rich": RICH,
    "sgd": {"train": {"optimiser": "sgd", "momentum": 0.9, "schedule": "one-cycle"}},
    "cosine": {"train": {"schedule": "cosine", "warmup_epochs": 1, "optimiser": "adam", "keep": "last"}},
    "bfloat16": {**RICH, "train": {**RICH["train"], "precision": "bfloat16"}},
}


@pytest.mark.parametrize("stop_after", [1, MIDDLE, LAST_STEP, EDGE, SECOND])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_stopped_once(make_run, same, figures, recipe, stop_after):
    whole = make_run(recipe, folder="whole").fit()
    run = make_run(recipe)
    part = run.fit(stop_after)
    assert part.interrupted
    assert len(part.history) == (stop_after - 1) // 6 + (stop_after % 6 == 0)
    rest = run.fit(resume=True)
    assert not rest.interrupted
    assert same(rest, whole)
    assert figures(rest) == figures(whole)
    assert rest.best_epoch == whole.best_epoch


def test_stopped_after_every_single_step(make_run, same, figures):
    whole = make_run(RICH, folder="whole").fit()
    run = make_run(RICH)
    fitted, times = run.fit(stop_after=1), 1
    while fitted.interrupted:
        fitted, times = run.fit(stop_after=1, resume=True), times + 1
    assert times > 15
    assert same(fitted, whole)
    assert figures(fitted) == figures(whole)


def test_killed_between_checkpoints_it_goes_on_from_the_last_one(make_run, same, figures, monkeypatch):
    """Nothing is saved at the moment of a kill: what was saved by the clock has to do."""
    whole = make_run(RICH, folder="whole").fit()
    run = make_run(RICH)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    steps = 0

    class Killed(BaseException):
        pass

    def stop() -> bool:
        nonlocal steps
        steps += 1
        if steps == 9:
            raise Killed
        return False

    with pytest.raises(Killed):
        fit_with(run, stop)
    saved = read_checkpoint(run.folder)
    assert (saved.epoch, saved.step) == (2, 2)
    rest = run.fit(resume=True)
    assert same(rest, whole)
    assert figures(rest) == figures(whole)


def fit_with(run, stop) -> None:
    from sortograph.models import plan
    from sortograph.training.fit import fit

    fit(run.task(stop), plan(run.recipe.model, (8, 8), len(run.index.classes)))


def test_early_stopping_counts_on_over_a_stop(make_run, same, figures):
    changes = {"train": {"epochs": 30, "early_stopping": 2, "learning_rate": 0.05, "batch_size": 12}}
    whole = make_run(changes, folder="whole").fit()
    assert 3 <= len(whole.history) < 30
    run = make_run(changes)
    run.fit(stop_after=3 * len(whole.history) - 4)
    rest = run.fit(resume=True)
    assert same(rest, whole)
    assert figures(rest) == figures(whole)
    assert rest.best_epoch == whole.best_epoch == len(whole.history) - 2


def test_the_callers_random_numbers_change_nothing(make_run, same):
    whole = make_run(RICH, folder="whole").fit()
    run = make_run(RICH)
    run.fit(SECOND)
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        assert same(run.fit(resume=True), whole)


def test_a_damaged_newest_checkpoint_costs_no_more_than_the_steps_since_the_one_before(
    make_run, same, figures
):
    whole = make_run(RICH, folder="whole").fit()
    run = make_run(RICH)
    run.fit(MIDDLE)
    run.fit(MIDDLE, resume=True)
    newest = max(run.folder.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    assert read_checkpoint(run.folder).step == MIDDLE
    rest = run.fit(resume=True)
    assert same(rest, whole)
    assert figures(rest) == figures(whole)


def test_a_checkpoint_tells_what_it_belongs_to(make_run):
    run = make_run(RICH)
    run.fit(MIDDLE)
    saved = read_checkpoint(run.folder)
    assert saved.fingerprint == run.index.fingerprint
    assert saved.recipe == run.recipe.to_dict()
    assert (saved.epoch, saved.step, saved.sums.seen) == (1, 3, 15)


def test_the_end_of_training_is_kept_for_what_comes_after(make_run, same, figures):
    run = make_run(RICH)
    whole = run.fit()
    assert [path.name for path in run.folder.iterdir()] == ["epoch-00004-step-0000000.safetensors"]
    run.events.clear()
    again = run.fit(resume=True)
    assert run.events == [], "nothing is trained twice"
    assert same(again, whole)
    assert figures(again) == figures(whole)
