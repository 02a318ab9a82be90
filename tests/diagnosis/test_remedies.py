"""What remedies tell to type is a recipe that can be trained by."""

from __future__ import annotations

import sys

import pytest

from sortograph.diagnosis import remedies, short
from sortograph.diagnosis.view import RunView
from sortograph.errors import command
from sortograph.recipe import load_recipe, make_recipe, recipe_names, recipe_toml
from sortograph.records import Remedy


@pytest.fixture
def all_of():
    """Every remedy there is for a run."""

    def made(view: RunView) -> list[Remedy]:
        found = [
            remedies.augmentation(view, 0.1), remedies.dropout(view, 0.1), remedies.both(view, 0.1),
            remedies.decay(view, 0.1), remedies.backbone(view), remedies.more_photos(view),
            remedies.slower(view, 10), remedies.faster(view, 10), remedies.clipping(view),
            remedies.adam(view), remedies.decreasing(view), remedies.larger_batches(view),
            remedies.normalised(view),
            remedies.longer(view, 2, None), remedies.larger(view, 0.1), remedies.less_dropout(view, 0.1),
            remedies.balanced(view, 1.0), remedies.fewer(view, 3, None), remedies.stopping(view, 5, None),
        ]  # fmt: skip
        return [remedy for remedy in found if remedy is not None]

    return made


@pytest.mark.parametrize("name", recipe_names())
def test_every_remedy_of_every_recipe_can_be_trained_by(
    name, all_of, make_record, make_index, make_history, tmp_path
):
    sets = ["train.optimiser=sgd", "train.momentum=0.9"] if name == "weather" else []
    record = make_record(make_history([1.0, 0.5]), {"train": 0.9, "test": 0.8}, recipe=name, sets=sets)
    file = tmp_path / "recipe.toml"
    file.write_text(recipe_toml(make_recipe(record.recipe, name)), encoding="utf-8")
    found = all_of(RunView(record, make_index()))
    assert len(found) > 5
    for remedy in found:
        if not remedy.trains:
            assert remedy.words(tmp_path) == ()
            continue
        # What `train --recipe RUN/recipe.toml --set …` does.
        changed = load_recipe(remedy.recipe or str(file), remedy.overrides)
        assert changed.to_dict() != record.recipe


def test_what_the_recipe_has_already_is_no_remedy(make_record, make_index, make_history):
    record = make_record(make_history([1.0, 0.5]), {"train": 0.9, "test": 0.8}, recipe="weather")
    view = RunView(record, make_index())
    assert remedies.augmentation(view, 0.1) is None
    assert remedies.both(view, 0.1) is None
    assert remedies.dropout(view, 0.1).overrides == ("model.dropout=0.4",)


def test_another_recipe_gets_the_splits_of_the_run(make_record, make_index, make_history):
    record = make_record(
        make_history([1.0, 0.5]), {"train": 0.9, "test": 0.8}, sets=['split.group_from="(w[0-9]+)"']
    )
    overrides = remedies.backbone(RunView(record, make_index())).overrides
    split = load_recipe("auto", overrides).split
    assert split.model_dump() == make_recipe(record.recipe, "run").split.model_dump()
    assert split.group_from == "(w[0-9]+)"


def test_the_order():
    made = [Remedy("a", "", gain=None), Remedy("b", "", gain=1.0), Remedy("c", "", gain=2.0), None]
    assert [remedy.text for remedy in remedies.ranked(*made)] == ["c", "b", "a"]


def test_the_short_form_can_be_typed_on_windows(diagnose, monkeypatch):
    found = diagnose(accuracies={"train": 0.99, "validation": 0.99, "test": 0.7})
    monkeypatch.setattr(sys, "platform", "win32")
    assert short(found, "my photos").command.startswith('sortograph train "my photos" --recipe ')


def test_the_short_form(diagnose):
    found = diagnose(accuracies={"train": 0.99, "validation": 0.99, "test": 0.7})
    told = short(found, "my photos")
    assert [name for name, _ in told.lines] == [verdict.name for verdict in found.verdicts[:2]]
    assert told.command.startswith(f"{command('sortograph', 'train', 'my photos')} --recipe ")
    assert told.remedy
    healthy = short(diagnose())
    assert [name for name, _ in healthy.lines] == ["healthy"]
    assert (healthy.remedy, healthy.command) == ("", "")
