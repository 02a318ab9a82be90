from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sortograph.errors import DataError, MissingExtra
from sortograph.models.head import answer
from sortograph.recipe import Head, Train
from sortograph.training.heads import choose_head, ladder
from sortograph.training.heads.alone import alone

SMALL = Head(penalties=(0.01, 0.1), neighbours=(1, 3))


def test_the_ladder_tries_all_kinds_and_keeps_the_best(make_clouds, make_task):
    x, labels = make_clouds((40, 40, 40))
    chosen = choose_head(make_task(x, labels, SMALL))
    assert sorted(rung.name for rung in chosen.rungs) == [
        *["logistic"] * 2,
        "nearest-mean",
        *["neighbours"] * 2,
    ]
    ranks = [(-rung.score, rung.log_loss) for rung in chosen.rungs]
    assert ranks == sorted(ranks)
    assert all(rung.folds == 5 and rung.metric == "accuracy" and rung.error > 0 for rung in chosen.rungs)
    assert chosen.logits.shape == (120, 3)
    assert (chosen.logits.argmax(axis=1) == labels).mean() == pytest.approx(chosen.rungs[0].score)
    assert chosen.kind == chosen.rungs[0].name
    assert chosen.history == ()
    assert chosen.best_epoch is None
    assert chosen.seconds >= sum(rung.seconds for rung in chosen.rungs)


@pytest.mark.parametrize("kind", ["logistic", "nearest-mean", "neighbours"])
def test_one_kind_is_tried_alone(make_clouds, make_task, kind):
    x, labels = make_clouds((40, 40, 40), apart=2)
    chosen = choose_head(make_task(x, labels, SMALL.model_copy(update={"kind": kind})))
    assert {rung.name for rung in chosen.rungs} == {kind}
    assert (answer(chosen.plan, chosen.state, x).argmax(axis=1) == labels).mean() > 0.9


def test_dense_heads_take_part_where_they_are_asked_for(make_clouds, make_task):
    x, labels = make_clouds()
    head = SMALL.model_copy(update={"dense": (8,)})
    chosen = choose_head(make_task(x, labels, head, train=Train(epochs=2)))
    assert [rung.settings["dense"] for rung in chosen.rungs if rung.name == "mlp"] == ["8"]


def test_neighbours_are_left_out_where_there_are_too_many(make_clouds, make_task, monkeypatch):
    monkeypatch.setattr(ladder.neighbours, "MOST_PHOTOS", 10)
    x, labels = make_clouds()
    assert {rung.name for rung in choose_head(make_task(x, labels, SMALL)).rungs} == {
        "logistic",
        "nearest-mean",
    }
    asked = make_task(x, labels, SMALL.model_copy(update={"kind": "neighbours"}))
    assert {rung.name for rung in choose_head(asked).rungs} == {"neighbours"}


@pytest.mark.parametrize("counts", [(20, 20), (40, 6)])
def test_progress_counts_the_heads_to_the_last(make_clouds, make_task, counts):
    steps: list[tuple[int, int]] = []

    def tell(event: Any) -> None:
        if event.task == "heads":
            steps.append((event.done, event.total))

    x, labels = make_clouds(counts)
    head = SMALL.model_copy(update={"dense": (4,), "weight_decays": (0.0, 0.1)})
    chosen = choose_head(make_task(x, labels, head, train=Train(epochs=1), progress=tell))
    count = len(chosen.rungs)
    assert steps == [(done, count) for done in range(1, count + 1)]


def test_uneven_classes_are_judged_by_balanced_accuracy_and_balanced_teaching(make_clouds, make_task):
    x, labels = make_clouds((80, 10, 10), apart=0.7)
    head = SMALL.model_copy(update={"kind": "logistic"})
    chosen = choose_head(make_task(x, labels, head))
    assert {rung.settings.get("balance", "none") for rung in chosen.rungs} == {"none", "class-weights"}
    assert {rung.metric for rung in chosen.rungs} == {"balanced_accuracy"}
    right = chosen.logits.argmax(axis=1) == labels
    assert chosen.rungs[0].score == pytest.approx(np.mean([right[labels == k].mean() for k in range(3)]))


def test_class_weights_of_the_training_section_count_too(make_clouds, make_task):
    x, labels = make_clouds()
    head = SMALL.model_copy(update={"kind": "logistic"})
    task = make_task(x, labels, head, train=Train(class_weights="balanced"))
    assert {rung.settings["balance"] for rung in choose_head(task).rungs} == {"class-weights"}


def test_a_late_task_keeps_the_first_head(make_clouds, make_task):
    x, labels = make_clouds(apart=2)
    chosen = choose_head(make_task(x, labels, SMALL, deadline=0.0))
    assert [rung.name for rung in chosen.rungs] == ["nearest-mean"]
    assert (answer(chosen.plan, chosen.state, x).argmax(axis=1) == labels).mean() > 0.9


def test_ctrl_c_keeps_what_was_tried_and_is_told(make_clouds, make_task):
    x, labels = make_clouds()
    done: list[object] = []
    chosen = choose_head(make_task(x, labels, SMALL, progress=done.append, stop=lambda: len(done) >= 2))
    assert len(chosen.rungs) == 2
    assert chosen.interrupted
    assert not choose_head(make_task(x, labels, SMALL)).interrupted


@pytest.mark.parametrize(("labels", "told"), [([0, 0, 0], "of 1 class"), ([], "of 0 classes")])
def test_photos_of_one_class_teach_nothing(make_task, labels, told):
    x = np.zeros((len(labels), 4), dtype=np.float32)
    with pytest.raises(DataError, match=told):
        choose_head(make_task(x, np.array(labels, dtype=np.int64), classes=2))


def test_only_dense_heads_need_torch(make_clouds, make_task):
    program = (
        "import sys, numpy as np\n"
        "from sortograph.training.heads import HeadTask, choose_head\n"
        "from sortograph.training.heads.folds import folds\n"
        "from sortograph.recipe import Head, Train\n"
        "x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)\n"
        "y = np.arange(30) % 3\n"
        "choose_head(HeadTask(x, y, 3, np.arange(30) % 5, Head(), Train()))\n"
        "heavy = {'torch', 'onnx', 'timm', 'torchvision', 'pandas', 'sklearn', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_torch_the_extra_is_named(make_clouds, make_task, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sortograph.training.heads.mlp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules["sortograph.training.heads"], "mlp", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("stack", "course"):
        monkeypatch.delitem(sys.modules, f"sortograph.training.heads.{name}", raising=False)
    with pytest.raises(MissingExtra, match="torch"):
        choose_head(make_task(*make_clouds(), Head(kind="mlp")))


def test_views_go_through_the_whole_ladder(make_clouds, make_task):
    x, labels = make_clouds((40, 40, 40), apart=2)
    task = make_task(x, labels, SMALL.model_copy(update={"dense": (8,)}), train=Train(epochs=2))
    chosen = choose_head(replace(task, features=np.stack([x, x + 0.1])))
    assert len(chosen.rungs) == 6
    assert chosen.logits.shape == (120, 3)


def test_small_products_have_one_thread():
    from threadpoolctl import threadpool_info, threadpool_limits

    def most() -> int:
        return max(info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        with alone(True):
            assert most() == 1
        assert most() == 2
        with alone(False):
            assert most() == 2


def test_without_threadpoolctl_products_are_as_ever(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with alone(True):
        assert np.eye(2) @ np.ones(2) == pytest.approx(np.ones(2))
