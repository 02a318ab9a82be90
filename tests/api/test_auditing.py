"""audit: from a folder to findings, a page and a plan."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import sortograph
from sortograph.api import opening
from sortograph.api.embedding import BundleEmbedder
from sortograph.errors import MissingExtra, SortographError, StorageError, UsageError
from sortograph.features import GraphEmbedder
from sortograph.models import hub, registry
from sortograph.records import Said, Step, silent
from toy_backbones import colours


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
    assert list(found.result.skipped) == ["likely-duplicates", "label-errors"]


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


WEIGHTS = b"weights that nobody looks into"


@pytest.fixture
def adds(home, tmp_path, monkeypatch) -> Callable[..., None]:
    """`adds(name, parameters)`: weights that were added, exported already; the network must not be asked."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SORTOGRAPH_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "reachable", lambda *_: pytest.fail("the network was asked"))

    def add(
        name: str = "resnet18.mine", parameters: int = 11, *, exported: bool = True, block: int = 8
    ) -> None:
        made = colours(block, name, hashlib.sha256(WEIGHTS).hexdigest())
        backbone = replace(made.backbone, parameters=parameters)
        registry.add(backbone, WEIGHTS)
        if exported:
            opening._keep(opening._folder(backbone), backbone, made.graph, silent)

    return add


def told(said: list[object]) -> list[str]:
    return [event.text for event in said if isinstance(event, Said)]


def used(said: list[object]) -> list[str]:
    return [text.split()[4] for text in told(said) if text.startswith("embeddings are made by")]


@pytest.fixture
def embedded(monkeypatch) -> Callable[[], int]:
    """`embedded()`: how many photos were embedded since it was last asked."""
    counts: list[int] = []

    def counting(kind: type, name: str) -> None:
        whole = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda self, photos: counts.append(len(photos)) or whole(self, photos)
        )

    counting(GraphEmbedder, "_embed")
    counting(BundleEmbedder, "embed")

    def since() -> int:
        count = sum(counts)
        counts.clear()
        return count

    return since


def test_a_backbone_at_hand_is_used_unasked(adds, own_photos, paint):
    adds()
    paint(own_photos, count=10, first=100)
    (own_photos / "red" / "105.png").rename(own_photos / "blue" / "105-red.png")
    said: list[object] = []
    found = sortograph.audit(own_photos, progress=said.append)
    assert found.result.skipped == {}
    assert {"blue/105-red.png"} in photos_of(found, "label-errors")
    assert used(said) == ["resnet18.mine"]


def test_without_a_backbone_the_reason_says_what_to_do(adds, photos):
    found = sortograph.audit(photos)
    assert found.result.skipped == {
        "label-errors": "no backbone is at hand: sortograph weights add NAME FILE, or --model RUN"
    }


def test_the_largest_goes_first_among_those_that_are_exported(adds, photos):
    said: list[object] = []
    adds("resnet18.small", 10)
    adds("resnet18.large", 99, exported=False)
    sortograph.audit(photos, progress=said.append)
    adds("resnet18.middle", 50, block=4)
    sortograph.audit(photos, progress=said.append)
    assert used(said) == ["resnet18.small", "resnet18.middle"]


def test_what_the_recipe_names_goes_before_larger_ones(adds, photos):
    said: list[object] = []
    adds("resnet18.small", 10)
    adds("resnet18.middle", 50, block=4)
    overrides = ["model.kind=backbone", 'backbone.names=["resnet18.small"]']
    sortograph.audit(photos, overrides=overrides, progress=said.append)
    assert used(said) == ["resnet18.small"]


def test_a_backbone_that_cannot_be_exported_is_a_reason(adds, photos, monkeypatch):
    def refuse(backbone):
        raise MissingExtra.of("train", "torch")

    monkeypatch.setattr(opening, "_exported", refuse)
    adds(exported=False)
    reason = sortograph.audit(photos).result.skipped["label-errors"]
    assert "torch" in reason
    assert 'pip install "sortograph[train]"' in reason


def test_the_quick_form_opens_no_backbone(adds, photos, monkeypatch):
    adds()
    monkeypatch.setattr("sortograph.api.embedding.open_backbone", lambda *_, **__: pytest.fail("opened"))
    assert list(sortograph.audit(photos, quick=True).result.skipped) == ["likely-duplicates", "label-errors"]


def test_embeddings_are_shared_with_training(adds, own_photos, paint, train, bare, embedded, tmp_path):
    adds()
    chosen = ["model.kind=backbone", 'backbone.names=["resnet18.mine"]']

    def train_on(photos: Path, out: str) -> None:
        sortograph.train(photos, recipe="auto", overrides=chosen, out=tmp_path / out)

    sortograph.audit(own_photos)
    assert embedded() == 30
    train_on(own_photos, "after-an-audit")
    assert embedded() == 0
    paint(own_photos, count=1, first=50)
    train_on(own_photos, "before-an-audit")
    assert embedded() == 3
    assert sortograph.audit(own_photos).result.skipped == {}
    assert embedded() == 0


def test_splits_are_the_same_with_and_without_a_backbone(adds, dirty):
    pixels = Image.open(dirty / "red" / "scene.png").filter(ImageFilter.GaussianBlur(2.5))
    pixels.save(dirty / "red" / "soft.jpg", quality=70)
    without = sortograph.audit(dirty)
    adds()
    found = sortograph.audit(dirty)
    assert found.result.skipped == {}
    assert (found.index.splits, found.index.twins) == (without.index.splits, without.index.twins)
    for result in (without, found):
        assert [pair for pair in photos_of(result, "likely-duplicates") if "red/soft.jpg" in pair] or [
            pair for pair in photos_of(result, "leakage") if "red/soft.jpg" in pair
        ]


def test_a_soft_copy_is_never_in_a_plan(dirty, tmp_path):
    pixels = Image.open(dirty / "red" / "scene.png").filter(ImageFilter.GaussianBlur(2.5))
    pixels.save(dirty / "red" / "soft.jpg", quality=70)
    found = sortograph.audit(dirty, fix=tmp_path / "plan.json")
    told_of = {path for finding in found.result.findings for path in finding.photos}
    assert "red/soft.jpg" in told_of
    assert "red/soft.jpg" not in (tmp_path / "plan.json").read_text(encoding="utf-8")


def test_a_model_may_be_the_name_of_a_backbone(adds, photos):
    adds("resnet18.small", 10)
    adds("resnet18.middle", 50, block=4)
    said: list[object] = []
    found = sortograph.audit(photos, model="resnet18.small", progress=said.append)
    assert found.result.skipped == {}
    assert used(said) == []


def test_an_unknown_name_is_refused_before_photos_are_read(adds, photos, monkeypatch):
    def refuse(name, pretrained, seed):
        raise UsageError(f"no backbone {name!r}", fix="sortograph backbones")

    monkeypatch.setattr(opening, "_resolved", refuse)
    said: list[object] = []
    with pytest.raises(
        UsageError, match=r"(?s)no backbone 'resnte'.*a run folder, a model.onnx, or the name"
    ):
        sortograph.audit(photos, model="resnte", progress=said.append)
    assert not [event for event in said if isinstance(event, Step)]


def test_embeddings_of_a_run_are_kept_too(run, photos, tmp_path, embedded, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    sortograph.audit(photos, model=run.folder)
    assert embedded() == 30 + 1  # one tells how long an embedding is
    sortograph.audit(photos, model=run.folder)
    assert embedded() == 1


def test_with_an_exported_backbone_nothing_heavy_is_imported(adds, photos):
    adds()
    code = f"""
import sys, sortograph
found = sortograph.audit({str(photos)!r})
assert found.result.skipped == {{}}, found.result.skipped
print(sorted({{"torch", "timm", "torchvision", "onnx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.stdout.strip() == "[]", done.stderr
