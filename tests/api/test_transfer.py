"""Transfer learning from photos to a judged bundle, on a backbone that only averages colours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import sortograph
from sortograph.dataset import Ahead
from sortograph.errors import GateError, RecipeError, UsageError
from sortograph.features import GraphEmbedder
from sortograph.images.crew import Crew
from sortograph.records import Said, Step
from toy_backbones import SIDE, colours


@pytest.fixture
def recipe(tmp_path):
    """A recipe file for a frozen backbone; `more` are further lines."""

    def write(*more: str, names: str = '["colours.test"]'):
        path = tmp_path / "frozen.toml"
        path.write_text("\n".join(['[model]\nkind = "backbone"', "[backbone]", f"names = {names}", *more]))
        return str(path)

    return write


def test_a_frozen_backbone_and_the_best_of_several_heads(stock, recipe, photos, tmp_path):
    record = sortograph.train(photos, recipe=recipe(), out=tmp_path / "run")
    assert record.status == "finished"
    assert record.evaluation["test"].metrics["accuracy"].value == 1.0
    assert {rung.name for rung in record.rungs} == {"logistic", "nearest-mean", "neighbours"}
    assert record.rungs[0].score == max(rung.score for rung in record.rungs)
    assert record.decisions[0].startswith("head: ")
    assert record.environment["backbones"][0]["name"] == "colours.test"
    # The run reads back as it was.
    again = sortograph.api.reviewing.runs.read_run(record.folder)
    assert (again.rungs, again.decisions) == (record.rungs, record.decisions)
    manifest = sortograph.load(record.folder).manifest
    assert manifest.weights_licence == "CC0-1.0"
    assert all(name.startswith("head.") for name in load_file(record.folder / "weights.safetensors"))


@pytest.mark.parametrize("kind", ["backbone", "auto"])
def test_photos_are_read_while_a_backbone_is_exported(stock, recipe, own_photos, monkeypatch, tmp_path, kind):
    names: dict[object, list[str]] = {}
    real = Crew.submit

    def submit(crew, job, some):
        names.setdefault(job.sizes, []).extend(some)
        return real(crew, job, some)

    monkeypatch.setattr(Crew, "submit", submit)
    room = "transfer" if kind == "backbone" else "autopilot"
    begun = []
    monkeypatch.setattr(f"sortograph.api.{room}.open_backbone", opening_of(stock, begun))
    given = {"recipe": recipe()} if kind == "backbone" else {"budget": 60.0}
    record = sortograph.train(own_photos, out=tmp_path / "run", **given)
    spec = stock["colours.test"].backbone.preprocess
    assert begun == [(spec, 30)]
    assert len(names[((spec, 1.0),)]) == 30, "each photo once"
    plain = sortograph.train(own_photos, recipe=recipe(), out=tmp_path / "plain")
    assert record.fingerprint == plain.fingerprint


def opening_of(stock, begun):
    """Opens toy backbones as if each had to be exported, which takes until all photos are begun."""
    ahead = []
    begin = Ahead.begin

    def spy(self, coming, sizes):
        begin(self, coming, sizes)
        ahead.append(self)

    def give(name, *, meanwhile=None, **_):
        found = stock[name]
        if meanwhile is not None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Ahead, "begin", spy)
                meanwhile(found.backbone.preprocess)
            assert ahead[-1].has_pixels(((found.backbone.preprocess, 1.0),))
            begun.append((found.backbone.preprocess, len(ahead[-1]._begun)))
        return found

    return give


def test_an_export_that_fails_leaves_nothing_begun(stock, recipe, own_photos, monkeypatch, tmp_path):
    begun, dropped = [], []
    export = opening_of(stock, begun)
    drop = Ahead.drop

    def fail(*given, **named):
        export(*given, **named)
        monkeypatch.setattr(Ahead, "drop", lambda ahead: dropped.append(len(ahead._begun)) or drop(ahead))
        raise GateError("answers otherwise")

    monkeypatch.setattr("sortograph.api.transfer.open_backbone", fail)
    with pytest.raises(GateError, match="answers otherwise"):
        sortograph.train(own_photos, recipe=recipe(), out=tmp_path / "run")
    assert dropped == [30]
    assert begun
    assert not (tmp_path / "run").exists()


def test_heads_leave_the_reserved_half_out_of_calibration(stock, recipe, photos, tmp_path):
    """Nothing of validation chooses a head: without the reserve all of it calibrates."""
    sets = ["split.validation=0.4", "split.reserve=true"]
    kept = sortograph.train(photos, recipe=recipe(), out=tmp_path / "kept", overrides=sets)
    plain = sortograph.train(photos, recipe=recipe(), out=tmp_path / "plain", overrides=sets[:1])
    result = kept.evaluation["validation"]
    assert kept.trust.n == result.n - result.chose
    assert 0 < result.chose == result.choosing["accuracy"].n < result.n == plain.trust.n
    assert plain.evaluation["validation"].chose == 0


def test_what_the_bundle_answers_is_what_was_judged(stock, recipe, photos, tmp_path):
    record = sortograph.train(photos, recipe=recipe(), out=tmp_path / "run")
    model = sortograph.load(record.folder)
    lines = (record.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split(",")
    for line in lines[1:]:
        row = dict(zip(header, line.split(","), strict=True))
        answer = model.predict(photos / row["path"])
        assert answer.label == row["predicted"]
        assert answer.probability == pytest.approx(float(row["probability"]), abs=1e-4)


def test_embeddings_are_made_once(stock, recipe, own_photos, paint, tmp_path):
    said: list[object] = []

    def embedded() -> int:
        return sum(e.done for e in said if isinstance(e, Step) and "embed" in e.task and e.done == e.total)

    sortograph.train(own_photos, recipe=recipe(), out=tmp_path / "one")
    paint(own_photos, count=2, first=100)
    sortograph.train(own_photos, recipe=recipe(), out=tmp_path / "two", progress=said.append)
    assert embedded() == 6, "the six new photos"


def test_a_warm_run_imports_none_of_what_makes_networks(stock, recipe, photos, tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import sortograph.api.transfer as transfer
from toy_backbones import SIDE, colours
transfer.open_backbone = lambda name, **_: colours(8)
import sortograph
sortograph.train({str(photos)!r}, recipe={recipe()!r}, out={str(tmp_path / "run")!r})
print(sorted({{"torch", "timm", "torchvision", "accelerate"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_resolved_recipe_sees_photos_as_the_backbone_does(stock, recipe, photos, tmp_path):
    stock["colours.test"] = colours(8, mode="crop", crop_share=0.5, interpolation="bicubic")
    record = sortograph.train(photos, recipe=recipe(), out=tmp_path / "run")
    again = sortograph.train(photos, recipe=str(record.folder / "recipe.toml"), out=tmp_path / "again")
    assert record.recipe["pixels"]["crop_share"] == 0.5
    assert again.recipe["pixels"] == record.recipe["pixels"]


def test_joined_backbones(stock, recipe, photos, tmp_path):
    names = '["colours.test", "fine.test"]'
    record = sortograph.train(photos, recipe=recipe(names=names), out=tmp_path / "run")
    assert [one["features"] for one in record.environment["backbones"]] == [12, 48]
    assert sortograph.load(record.folder).predict(photos / "red" / "0.png").label == "red"


def test_backbones_that_see_photos_differently_are_not_joined(stock, recipe, photos):
    stock["fine.test"] = colours(4, "fine.test", "cd" * 32, mode="crop")
    with pytest.raises(RecipeError, match="cannot be joined"):
        sortograph.train(photos, recipe=recipe(names='["colours.test", "fine.test"]'))


def test_mirrored_views_are_part_of_the_model(stock, recipe, photos, tmp_path):
    record = sortograph.train(photos, recipe=recipe("mirror = true"), out=tmp_path / "run")
    assert record.evaluation["test"].metrics["accuracy"].value == 1.0
    model = sortograph.load(record.folder)
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    seen, mirrored = (model.predict(view).probability for view in (pixels, pixels[:, ::-1].copy()))
    assert seen == pytest.approx(mirrored, abs=1e-6)


def test_embeddings_of_16_bits(stock, recipe, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    record = sortograph.train(photos, recipe=recipe('precision = "float16"'), out=tmp_path / "run")
    assert record.evaluation["test"].metrics["accuracy"].value == 1.0
    (stored,) = (tmp_path / "cache" / "features").rglob("values.bin")
    assert stored.stat().st_size == 30 * 12 * 2, "two bytes for each of twelve numbers"


def test_random_weights_are_not_scored(stock, recipe, photos, tmp_path):
    stock["colours.test"] = colours(8, weights="random-1")
    record = sortograph.train(photos, recipe=recipe(), out=tmp_path / "run")
    assert record.status == "finished"
    assert record.evaluation == {}
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["splits"] == {}
    assert record.rungs == ()
    assert not any("%" in line for line in record.decisions)
    lines = (tmp_path / "run" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1, "a header alone"
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "test accuracy" not in page


def test_a_head_of_dense_layers_with_views_and_early_stopping(stock, recipe, photos, tmp_path):
    more = ("views = 2", '[head]\nkind = "mlp"\ndense = [8]\ndropout = 0.2', "[augment]\nzoom = 0.1")
    train = (
        '[train]\nepochs = 12\nbatch_size = 8\nlearning_rate = 0.01\nearly_stopping = 5\nschedule = "plateau"'
    )
    said: list[object] = []
    record = sortograph.train(photos, recipe=recipe(*more, train), out=tmp_path / "run", progress=said.append)
    assert 1 <= len(record.history) <= 12
    assert record.best_epoch is not None
    assert record.history[0].validation_loss is not None
    assert any("validation is halved" in event.text for event in said if isinstance(event, Said))
    assert (tmp_path / "run" / "plots" / "augmented.png").is_file()


def test_the_same_seed_gives_the_same_model(stock, recipe, photos, tmp_path):
    one, two = (
        sortograph.train(photos, recipe=recipe(), out=tmp_path / name).bundle.read_bytes()
        for name in ("one", "two")
    )
    assert one == two


def test_auto_climbs_and_says_why(stock, photos, tmp_path):
    said: list[object] = []
    record = sortograph.train(photos, recipe="auto", budget=60, out=tmp_path / "run", progress=said.append)
    told = [event.text for event in said if isinstance(event, Said)]
    assert record.recipe["model"]["kind"] == "backbone"
    assert record.recipe["backbone"]["names"] == ["colours.test"], (
        "nothing is wrong, so nothing bigger is kept"
    )
    assert any("frozen: 100.0 %" in line for line in told)
    assert any("nothing to gain" in line for line in record.decisions)
    # What was decided can be done again.
    stock_again = sortograph.train(
        photos, recipe=str(tmp_path / "run" / "recipe.toml"), out=tmp_path / "again"
    )
    assert stock_again.bundle.read_bytes() == record.bundle.read_bytes()


def test_auto_tells_what_more_time_would_bring(stock, photos, tmp_path, monkeypatch):
    """Every photo is as bright as any other, so that a backbone which sees no colours has much to gain."""
    stock["colours.test"] = colours(16, grey=True)
    monkeypatch.setattr("sortograph.api.autopilot._EXPORT", 1000.0)
    monkeypatch.setattr("sortograph.api.autopilot._EXPORT_AGAIN", 1000.0)
    monkeypatch.setattr("sortograph.api.autopilot.is_exported", lambda name, *_: name == "colours.test")
    record = sortograph.train(
        photos, recipe="auto", overrides=["head.kind=logistic"], budget=500, out=tmp_path / "run"
    )
    assert record.evaluation["validation"].metrics["accuracy"].value < 0.9
    (line,) = [line for line in record.decisions if line.startswith("with more time: ")]
    assert "fine.test, about 100" in line


def test_auto_takes_the_bigger_backbone_when_it_is_better(stock, photos, tmp_path):
    stock["colours.test"] = colours(16, grey=True)
    record = sortograph.train(
        photos, recipe="auto", overrides=["head.kind=logistic"], budget=500, out=tmp_path / "run"
    )
    assert "fine.test" in record.recipe["backbone"]["names"]
    assert record.evaluation["test"].metrics["accuracy"].value == 1.0
    assert any(line.startswith("fine.test: ") and line.endswith("kept") for line in record.decisions)


def test_auto_without_weights_teaches_a_network(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("sortograph.api.autopilot.at_hand", list)
    record = sortograph.train(photos, recipe="auto", budget=20, pretrained=False, out=tmp_path / "run")
    assert record.recipe["model"]["kind"] == "residual"
    assert "no pretrained weights" in record.decisions[0]
    assert record.history


def test_embeddings_of_a_gpu_are_judged_by_the_model_that_is_shipped(
    stock, recipe, photos, tmp_path, monkeypatch
):
    """A stand-in for a GPU whose embeddings are rounded more than any tolerance would allow."""

    class Gpu:
        threads, batch = 1, 8

        def __init__(self, backbone, *, mirror=False):
            self._graph = GraphEmbedder(stock[backbone.name].graph, backbone.preprocess, mirror=mirror)
            self.spec, self.width, self.key = backbone.preprocess, self._graph.width, "gpu-of-the-test"

        def embed(self, photos):
            return (self._graph.embed(photos) / 8).round() * 8

    monkeypatch.setattr("sortograph.api.transfer.may_have_gpu", lambda: True)
    monkeypatch.setattr("sortograph.api.transfer.torch_embedder", Gpu)
    record = sortograph.train(photos, recipe=recipe(), out=tmp_path / "run")
    assert record.environment["embedded_by"] == ["gpu-of-the-test"]
    assert record.evaluation["test"].metrics["accuracy"].value == 1.0
    test_csv = (record.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    row = dict(zip(test_csv[0].split(","), test_csv[-1].split(","), strict=True))
    answer = sortograph.load(record.folder).predict(photos / row["path"])
    assert answer.probability == pytest.approx(float(row["probability"]), abs=1e-5)


def test_auto_makes_views_of_photos_as_each_backbone_sees_them(stock, photos, tmp_path, monkeypatch):
    """Views of one size that are cropped in one way must not be kept for a backbone with another."""
    stock["colours.test"] = colours(16, grey=True)
    stock["fine.test"] = colours(4, "fine.test", "cd" * 32, mode="crop", crop_share=0.5)
    seen = []

    def noted(job):
        seen.append(job.pixels.spec.mode)
        return lambda rows, _: np.zeros((len(rows), SIDE, SIDE, 3), np.uint8)

    monkeypatch.setattr("sortograph.api.views.view_pixels", noted)
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    overrides = ["head.kind=logistic", "backbone.views=1"]
    sortograph.train(photos, recipe="auto", overrides=overrides, budget=500, out=tmp_path / "run")
    assert seen[:2] == ["squash", "crop"]


def test_auto_knows_a_backbone_under_its_alias(stock, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("sortograph.api.autopilot.ALIASES", {"fast": "colours.test"})
    monkeypatch.setattr("sortograph.api.autopilot.at_hand", lambda: ["colours.test", "fast"])
    stock["colours.test"] = colours(16, grey=True)
    record = sortograph.train(
        photos, recipe="auto", overrides=["head.kind=logistic"], budget=500, out=tmp_path / "run"
    )
    assert record.recipe["backbone"]["names"] == ["colours.test"]
    assert not any("colours.test + colours.test" in line for line in record.decisions)


def test_a_typo_in_the_backbones_of_auto_is_no_reason_to_train_from_scratch(photos, tmp_path):
    with pytest.raises(UsageError, match="mobilenetv2_10"):
        sortograph.train(
            photos, recipe="auto", overrides=['auto.backbones=["mobilenetv2_10"]'], out=tmp_path / "run"
        )


def test_auto_compares_heads():
    with pytest.raises(RecipeError, match="compares no heads"):
        sortograph.train("photos", recipe="auto", overrides=["head.kind=mlp"])


def test_a_network_from_scratch_takes_what_the_user_sets(photos, tmp_path):
    overrides = ["train.epochs=1", "pixels.size=32", "augment.zoom=0.0"]
    record = sortograph.train(
        photos, recipe="auto", overrides=overrides, pretrained=False, out=tmp_path / "run"
    )
    assert record.recipe["pixels"]["size"] == 32
    assert record.recipe["augment"]["zoom"] == 0
    assert len(record.history) == 1


def test_ctrl_c_while_heads_are_tried_keeps_the_best_so_far(stock, recipe, photos, stop, tmp_path):
    pressed = stop(lambda event: isinstance(event, Step) and event.task == "heads")
    record = sortograph.train(photos, recipe=recipe(), out=tmp_path / "run", progress=pressed)
    assert pressed.pressed
    assert record.status == "interrupted"
    assert set(record.evaluation) == {"train", "validation"}, "the test photos judge once, at the end"
    assert sortograph.load(record.folder).predict(photos / "red" / "0.png").label == "red"
