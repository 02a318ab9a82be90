from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sortograph import runs
from sortograph.errors import RunError, StorageError, UsageError
from sortograph.evaluation import judge, with_gaps
from sortograph.records import DatasetIndex, EpochRow, PredictionTable, RunRecord

NOON = datetime(2024, 5, 6, 12, 30, 59)


def epoch(number: int, **changes: Any) -> EpochRow:
    row = EpochRow(number, 1 / 3, 0.5, 0.7, 0.25, 1e-3, 2.5, 123.4, {"stem.conv": 0.1, "head": 2e-9})
    return replace(row, **changes)


def make_table(split: str = "test") -> PredictionTable:
    logits = np.array([[2, 0, -9], [0, 1, 0], [0.5, 0, 0]], dtype=np.float32)
    return PredictionTable(np.array([0, 2, 3]), logits, np.array([0, 2, -1]), ("a", "새", "=c"), split)


def make_record(folder: Path) -> RunRecord:
    table = replace(make_table(), labels=np.array([0, 2, 1]))
    return RunRecord(
        id="cnn-20240506-123059",
        folder=folder,
        recipe={"name": "cnn", "train": {"epochs": 3, "rates": [0.1, 0.01]}, "note": "새 caf\udce9"},
        fingerprint="ab" * 32,
        seed=7,
        environment={"python": "3.11", "packages": {"numpy": "2.4"}},
        history=(epoch(1, validation_loss=None, validation_accuracy=None), epoch(2)),
        evaluation=with_gaps({s: judge(replace(table, split=s)) for s in ("train", "test")}),
        status="finished",
        best_epoch=2,
        seconds=12.25,
    )


def write_all(record: RunRecord) -> None:
    runs.write_run(record)
    runs.write_history(record.folder, record.history)
    runs.write_evaluation(record.folder, record.evaluation)


def plain(record: RunRecord) -> dict[str, Any]:
    names = ("id", "folder", "recipe", "fingerprint", "seed", "environment", "history", "status", "seconds")
    return {name: getattr(record, name) for name in names} | {"json": record.to_json()}


def test_a_run_is_named_by_recipe_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [runs.new_run("cnn-small", None, NOON) for _ in range(3)]
    stem = "runs/cnn-small-20240506-123059"
    assert [folder.as_posix() for folder in folders] == [stem, f"{stem}-2", f"{stem}-3"]
    assert all(folder.is_dir() for folder in folders)
    assert runs.new_run("새").name.startswith("새-2")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a\\b", "-x", ".x", "a b", "a\n", "C:x", "x" * 81]
)
def test_unsafe_names_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot name a run folder"):
        runs.new_run(name)
    assert not list(tmp_path.iterdir())


def test_a_given_folder_must_be_new_or_empty(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    assert runs.new_run("cnn", out) == out
    (out / ".lock").touch()  # left behind by a process that was killed
    assert runs.new_run("cnn", out) == out
    (out / "run.json").write_text("{}")
    with pytest.raises(RunError, match=r"not empty[^$]*--resume") as caught:
        runs.new_run("cnn", out)
    assert str(out) in str(caught.value)
    assert (out / "run.json").read_text() == "{}"


def test_a_file_in_the_way_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("mine")
    with pytest.raises(RunError, match="a file of this name"):
        runs.new_run("cnn", tmp_path / "runs")
    with pytest.raises(StorageError):
        runs.new_run("cnn")
    assert (tmp_path / "runs").read_text() == "mine"


def test_processes_never_share_a_folder(tmp_path: Path) -> None:
    code = (
        "from datetime import datetime; from sortograph.runs import new_run\n"
        "for _ in range(40): print(new_run('cnn', None, datetime(2024, 1, 1)).name)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    names = [name for process in started for name in process.communicate()[0].split()]
    assert len(names) == len(set(names)) == 120


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    record = make_record(tmp_path)
    write_all(record)
    found = runs.read_run(tmp_path)
    assert plain(found) == plain(record)
    assert found.evaluation["test"].per_class == record.evaluation["test"].per_class
    for file in ("run.json", "environment.json", "evaluation.json"):
        assert json.loads((tmp_path / file).read_text("utf-8"))
    assert not list(tmp_path.glob(".writing-*"))
    assert str(tmp_path) not in "".join(path.read_text("utf-8") for path in tmp_path.iterdir())


def test_a_run_that_has_only_begun(tmp_path: Path) -> None:
    record = replace(make_record(tmp_path), history=(), evaluation={}, status="running", best_epoch=None)
    runs.write_run(record)
    assert plain(runs.read_run(tmp_path)) == plain(record)
    runs.write_history(tmp_path, ())
    assert runs.read_history(tmp_path) == ()


def test_history_columns(tmp_path: Path) -> None:
    rows = (epoch(1, gradient_norms={"old": 1.0}), epoch(2, train_loss=float("nan"), validation_loss=None))
    runs.write_history(tmp_path, rows)
    header, first, second = csv.reader((tmp_path / "history.csv").read_text("utf-8").splitlines())
    assert header == [
        *("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
        *("learning_rate", "seconds", "photos_per_second", "gradient_norm/stem.conv", "gradient_norm/head"),
    ]
    assert (first[-2:], second[1], second[3]) == (["", ""], "nan", "")
    found = runs.read_history(tmp_path)
    assert found[0] == replace(rows[0], gradient_norms={})
    assert np.isnan(found[1].train_loss)
    assert replace(found[1], train_loss=0.0) == replace(rows[1], train_loss=0.0)


def test_no_run_says_so_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "cnn-1").mkdir()
    write_all(make_record(tmp_path / "cnn-1"))
    with pytest.raises(RunError, match=r"no such run folder .*did you mean 'cnn-1'"):
        runs.read_run(tmp_path / "cnn-l")
    with pytest.raises(RunError, match="not a run folder"):
        runs.read_run(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", b""),
        ("run.json", b"[1]"),
        ("run.json", b'{"format_version": 1'),
        ("run.json", b"\xff\xfe"),
        ("run.json", b"[" * 100_000),
        ("run.json", b'{"id": "a"}'),
        ("run.json", b'{"format_version": true}'),
        ("environment.json", b"3"),
        ("environment.json", None),
        ("history.csv", b""),
        ("history.csv", b"epoch,train_loss\n1,2\n"),
        ("history.csv", b"\x00"),
        ("evaluation.json", b'{"format_version": 1}'),
        ("evaluation.json", b'{"format_version": 1, "splits": []}'),
        ("evaluation.json", b'{"format_version": 1, "splits": {"test": 3}}'),
        ("evaluation.json", b'{"format_version": 1, "splits": {"test": {"n": 1}}}'),
    ],
)
def test_damaged_files_are_named(file: str, content: bytes | None, tmp_path: Path) -> None:
    write_all(make_record(tmp_path))
    path = tmp_path / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"damaged|cannot be read") as caught:
        runs.read_run(tmp_path)
    assert caught.value.where == str(path)
    assert caught.value.fix


@pytest.mark.parametrize("file", ["run.json", "evaluation.json", "history.csv", "environment.json"])
def test_files_cut_short_never_give_another_error(file: str, tmp_path: Path) -> None:
    write_all(make_record(tmp_path))
    whole = (tmp_path / file).read_bytes()
    for end in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        (tmp_path / file).write_bytes(whole[:end])
        if file == "history.csv" and whole[:end].endswith(b"\n"):
            continue  # whole lines are a shorter history
        with pytest.raises(RunError) as caught:
            runs.read_run(tmp_path)
        assert caught.value.where == str(tmp_path / file)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    write_all(make_record(tmp_path))
    data = json.loads((tmp_path / "run.json").read_text("utf-8"))
    del data["id"]
    data |= {"status": "gone", "seed": "7"}
    (tmp_path / "run.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match="id is missing; seed is wrong; status is wrong"):
        runs.read_run(tmp_path)


@pytest.mark.parametrize("file", ["run.json", "evaluation.json"])
def test_a_newer_format_says_so(file: str, tmp_path: Path) -> None:
    write_all(make_record(tmp_path))
    data = json.loads((tmp_path / file).read_text("utf-8"))
    (tmp_path / file).write_text(json.dumps(data | {"format_version": 2}))
    with pytest.raises(RunError, match=r"newer sortograph \(format 2.*\n.*pip install -U") as caught:
        runs.read_run(tmp_path)
    assert file in caught.value.where


def test_the_lock_is_exclusive_and_goes_away(tmp_path: Path) -> None:
    with runs.lock(tmp_path):
        with pytest.raises(RunError, match="another process") as caught, runs.lock(tmp_path):
            pytest.fail("held twice")
        assert caught.value.where == str(tmp_path)
        assert caught.value.fix
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError), runs.lock(tmp_path):
        raise KeyError
    with runs.lock(tmp_path):
        pass


def test_a_lock_of_another_process_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sortograph.runs import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process"), runs.lock(tmp_path):
            pytest.fail("held twice")
        other.kill()
    assert (tmp_path / ".lock").exists()
    with runs.lock(tmp_path):
        pass


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind this user or system"
)
def test_a_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        for action in (
            lambda: runs.write_run(make_record(tmp_path)),
            lambda: runs.new_run("cnn", tmp_path / "new"),
            lambda: runs.lock(tmp_path).__enter__(),
        ):
            with pytest.raises(StorageError, match="no permission"):
                action()
    finally:
        tmp_path.chmod(0o755)


def test_a_read_only_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(StorageError, match="read-only"):
        runs.write_run(make_record(tmp_path))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="read-only"):
        runs.new_run("cnn", tmp_path / "new")
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(StorageError, match="read-only"), runs.lock(tmp_path):
        pytest.fail("locked")


def test_a_full_disk_leaves_the_files_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = make_record(tmp_path)
    write_all(record)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    other = replace(record, seed=8, history=(), evaluation={}, environment={})
    for write in (
        lambda: runs.write_run(other),
        lambda: runs.write_history(tmp_path, ()),
        lambda: runs.write_evaluation(tmp_path, {}),
        lambda: runs.write_predictions(tmp_path, make_index(), [make_table()]),
    ):
        with pytest.raises(StorageError, match="the disk is full"):
            write()
    assert plain(runs.read_run(tmp_path)) == plain(record)
    assert not list(tmp_path.glob(".writing-*"))
    assert not (tmp_path / "predictions.csv").exists()


def test_data_json_names_the_folder_that_a_dot_stands_for(tmp_path, monkeypatch):
    (tmp_path / "holiday").mkdir()
    monkeypatch.chdir(tmp_path / "holiday")
    runs.write_data(tmp_path, replace(make_index(), root=Path()))
    assert json.loads((tmp_path / "data.json").read_text("utf-8"))["photos"] == "holiday"


def make_index() -> DatasetIndex:
    return DatasetIndex(
        root=Path("photos"),
        classes=("a", "새", "=c"),
        paths=("a/1.jpg", "a/2.jpg", "=c/caf\udce9.jpg", "3.jpg"),
        labels=np.array([0, 0, 2, -1]),
        groups=("",) * 4,
        splits=("test", "train", "test", "test"),
        sha256=("",) * 4,
        sizes=np.ones((4, 2), dtype=np.int32),
    )


def read_predictions(folder: Path) -> list[dict[str, str]]:
    text = (folder / "predictions.csv").read_bytes().decode("utf-8", "surrogateescape")
    return list(csv.DictReader(text.splitlines()))


def test_predictions(tmp_path: Path) -> None:
    table = make_table()
    runs.write_predictions(tmp_path, make_index(), [table, replace(table, split="train", labels=None)])
    lines = read_predictions(tmp_path)
    header = ["path", "split", "label", "predicted", "probability", "right", "p:a", "p:새", "p:=c"]
    assert list(lines[0]) == header
    assert [line["path"] for line in lines[:3]] == ["a/1.jpg", "'=c/caf\udce9.jpg", "3.jpg"]
    assert [line["label"] for line in lines] == ["a", "'=c", "", "", "", ""]
    assert [line["right"] for line in lines[:4]] == ["true", "false", "", ""]
    assert [line["predicted"] for line in lines[:3]] == ["a", "새", "a"]
    assert [line["split"] for line in lines] == ["test"] * 3 + ["train"] * 3
    shares = np.array([[float(line[name]) for name in header[-3:]] for line in lines[:3]])
    assert np.allclose(shares, table.probabilities(), rtol=1e-5)
    assert lines[0]["probability"] == lines[0]["p:a"] == f"{table.probabilities()[0, 0]:.6g}"


def test_predictions_after_temperature(tmp_path: Path) -> None:
    runs.write_predictions(tmp_path, make_index(), [make_table()], temperature=5.0)
    expected = make_table().probabilities(5.0).max(axis=1)
    found = [float(line["probability"]) for line in read_predictions(tmp_path)]
    assert found == pytest.approx(expected, rel=1e-5)


def test_predictions_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other classes"):
        runs.write_predictions(tmp_path, make_index(), [replace(make_table(), classes=("a", "b", "c"))])
