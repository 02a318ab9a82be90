"""audit: from a folder to findings, a page and a plan."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.errors import SortographError, StorageError, UsageError
from sortograph.records import Said


@pytest.fixture
def dirty(own_photos: Path) -> Path:
    """Thirty photos; and a copy, a mirrored photo, one under two labels, and a broken file."""
    pixels = np.random.default_rng(7).integers(0, 256, (36, 48, 3), dtype=np.uint8)
    scene = Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC)
    scene.save(own_photos / "red" / "scene.png")
    scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(own_photos / "red" / "mirrored.jpg", quality=80)
    shutil.copy(own_photos / "red" / "0.png", own_photos / "red" / "copy.png")
    shutil.copy(own_photos / "green" / "0.png", own_photos / "blue" / "green.png")
    (own_photos / "red" / "broken.jpg").write_bytes(b"")
    return own_photos


def photos_of(found, check: str) -> list[set[str]]:
    return [set(finding.photos) for finding in found.result.of(check)]


def test_what_is_planted_is_found_and_nothing_is_changed(dirty, watch):
    found = sortograph.audit(watch(dirty))
    assert photos_of(found, "unreadable") == [{"red/broken.jpg"}]
    assert photos_of(found, "exact-duplicates") == [{"red/0.png", "red/copy.png"}]
    assert photos_of(found, "near-duplicates") == [{"red/scene.png", "red/mirrored.jpg"}]
    assert photos_of(found, "conflicting-labels") == [{"green/0.png", "blue/green.png"}]
    assert list(found.result.skipped) == ["label-errors"]
    assert (found.page, found.plan) == (None, None)


def test_near_duplicates_are_found_whatever_the_recipe_says_of_splits(dirty):
    found = sortograph.audit(dirty, overrides=["split.near_duplicates=ignored"])
    assert photos_of(found, "near-duplicates") == [{"red/scene.png", "red/mirrored.jpg"}]


def test_the_plan_is_what_quarantine_takes_and_takes_back(dirty, tree, tmp_path):
    before, said = tree(dirty), []
    found = sortograph.audit(dirty, fix=tmp_path / "plan.json", progress=said.append)
    planned = {path for finding in found.result.findings for path in finding.set_aside}
    assert planned == {"red/copy.png", "red/mirrored.jpg", "red/broken.jpg"}
    assert f"the plan would move 3 photos to {tmp_path / 'photos-quarantine'}" in [
        event.text for event in said if isinstance(event, Said)
    ]
    moved = sortograph.quarantine(tmp_path / "plan.json")
    assert set(moved.to_json()["moved"]) == planned
    assert not any((dirty / path).exists() for path in planned)
    again = sortograph.audit(dirty)
    assert photos_of(again, "exact-duplicates") == photos_of(again, "unreadable") == []
    sortograph.quarantine(tmp_path / "plan.json", undo=True)
    assert {path: facts[0] for path, facts in tree(dirty).items()} == {
        path: facts[0] for path, facts in before.items()
    }


def test_the_features_of_a_model_tell_wrong_labels(run, photos, paint, tmp_path):
    mixed = paint(tmp_path / "mixed", count=20, first=100)
    (mixed / "red" / "105.png").rename(mixed / "blue" / "105-red.png")
    found = sortograph.audit(mixed, model=run.folder)
    assert found.result.skipped == {}
    assert {"blue/105-red.png"} in photos_of(found, "label-errors")


def test_a_model_that_has_seen_the_photos_is_told(run, photos):
    said = []
    sortograph.audit(photos, model=run.folder, progress=said.append)
    (warning,) = [e.text for e in said if isinstance(e, Said) and e.warning and "trained on" in e.text]
    assert warning.startswith(f"the model was trained on {run.evaluation['train'].n} of 30 photos")


def test_the_quick_form_needs_no_model(run, dirty):
    found = sortograph.audit(dirty, model=run.folder, quick=True)
    assert list(found.result.skipped) == ["label-errors"]


@pytest.mark.parametrize(("option", "name"), [("page", "audit.html"), ("fix", "plan.json")])
def test_nothing_is_written_among_the_photos(dirty, watch, option, name):
    with pytest.raises(UsageError, match="among the photos"):
        sortograph.audit(watch(dirty), **{option: dirty / "red" / name})


@pytest.mark.parametrize(("option", "name"), [("page", "audit.txt"), ("fix", "plan.html")])
def test_names_say_what_is_in_a_file(dirty, tmp_path, option, name):
    with pytest.raises(UsageError, match="ends in"):
        sortograph.audit(dirty, **{option: tmp_path / name})


@pytest.mark.parametrize(("option", "name"), [("page", "audit.html"), ("fix", "plan.json")])
def test_other_files_are_not_written_over(dirty, tmp_path, option, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(StorageError):
        sortograph.audit(dirty, **{option: tmp_path / name})
    assert (tmp_path / name).read_text() == "mine"


def test_a_page_of_ours_is_written_anew(dirty, tmp_path):
    for _ in range(2):
        found = sortograph.audit(dirty, page=tmp_path / "audit.html")
        assert found.page == tmp_path / "audit.html"
    assert "red/mirrored.jpg" in (tmp_path / "audit.html").read_text(encoding="utf-8")


def test_what_training_would_refuse_is_audited_all_the_same(tmp_path, paint):
    photos = paint(tmp_path / "photos", ("red", "green"), count=3)
    (photos / "red" / "0.png").write_bytes(b"")
    found = sortograph.audit(photos)
    assert photos_of(found, "unreadable") == [{"red/0.png"}]
    json.dumps(found.to_json())


def test_training_tells_the_gravest_findings(dirty, train, bare, tmp_path):
    said = []
    train(dirty, tmp_path / "run", progress=said.append)
    told = [event.text for event in said if isinstance(event, Said)]
    assert any("further finding" in text and "sortograph audit PHOTOS" in text for text in told)
    assert "1 photo under several labels: blue/green.png = green/0.png" in told


def test_near_duplicates_stay_on_one_side_and_are_named_in_the_index(dirty, train, bare, tmp_path):
    run = train(dirty, tmp_path / "run")
    lines = (run.folder / "index.csv").read_text(encoding="utf-8").splitlines()
    pair = [line.split(",") for line in lines if line.startswith(("red/scene", "red/mirrored"))]
    assert {cells[-1] for cells in pair} == {"red/scene.png"}
    assert len({cells[2] for cells in pair}) == 1


def test_notes_are_told_too(dirty):
    said = []
    (dirty / "empty").mkdir()
    found = sortograph.audit(dirty, overrides=["split.group_from='(nothing)'"], progress=said.append)
    told = [event.text for event in said if isinstance(event, Said)]
    assert "no photos of: 'empty'" in told
    assert any(text.startswith("no groups are found by '(nothing)'") for text in told)
    assert set(found.to_json()["notes"]) <= set(told)


def test_a_plan_for_a_table_lies_elsewhere(dirty, watch):
    lines = [f"{path.relative_to(dirty).as_posix()},{path.parent.name}" for path in dirty.rglob("*.png")]
    (dirty / "table.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    with pytest.raises(UsageError, match="among the photos"):
        sortograph.audit(watch(dirty) / "table.csv", fix=dirty / "plan.json")


def test_nothing_to_set_aside_is_no_plan(photos, tmp_path):
    found = sortograph.audit(photos, fix=tmp_path / "plan.json")
    assert found.plan is None
    assert not (tmp_path / "plan.json").exists()


def test_a_wrong_model_is_refused_before_photos_are_read(photos, tmp_path):
    said = []
    with pytest.raises(SortographError):
        sortograph.audit(photos, model=tmp_path / "nowhere", progress=said.append)
    assert said == []


def test_training_tells_near_duplicates_under_two_labels(dirty, train, bare, tmp_path):
    (dirty / "red" / "mirrored.jpg").rename(dirty / "green" / "mirrored.jpg")
    said = []
    train(dirty, tmp_path / "run", progress=said.append)
    warnings = [event.text for event in said if isinstance(event, Said) and event.warning]
    assert any(text.startswith("conflicting-labels: nearly the same photo has 2 labels") for text in warnings)
    assert "1 photo under several labels: blue/green.png = green/0.png" in warnings


@pytest.fixture
def given(dirty, tmp_path) -> Path:
    """Splits of the user's own: the scene is in train, its mirrored version in test."""
    place = tmp_path / "given"
    for k, path in enumerate(sorted(path for path in dirty.rglob("*.png") if path.stem.isdigit())):
        split = ("train", "train", "validation", "test")[k % 4]
        (place / split / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / split / path.parent.name)
    shutil.copy(dirty / "red" / "scene.png", place / "train" / "red")
    shutil.copy(dirty / "red" / "mirrored.jpg", place / "test" / "red")
    return place


def test_near_duplicates_count_as_seen_wherever_a_run_is_judged(given, train, bare, tmp_path):
    run = train(given, tmp_path / "run")
    own, again = run.evaluation["test"], sortograph.evaluate(run.folder, given).evaluation["test"]
    assert own.leaks == again.leaks == {"train": 1}
    assert own.metrics == again.metrics
    assert own.metrics["accuracy_unseen"].n == own.n - 1
    part = sortograph.evaluate(run.folder, given / "test")
    assert "nearly the same as training photos of the run: 1 photo; scores are too good" in part.notes


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_run_that_followed_links_is_judged_through_them(photos, train, bare, tmp_path):
    (tmp_path / "linked").mkdir()
    for folder in photos.iterdir():
        (tmp_path / "linked" / folder.name).symlink_to(folder, target_is_directory=True)
    run = train(tmp_path / "linked", tmp_path / "run", "data.follow_links=true")
    told = sortograph.evaluate(run.folder, tmp_path / "linked")
    assert sum(result.n for result in told.evaluation.values()) == 30
