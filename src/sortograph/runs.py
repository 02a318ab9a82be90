"""Run folders: made so that no two runs share one, written in atomic steps, read back with care."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from sortograph.dataset import read_index
from sortograph.errors import RunError, UsageError, nearest
from sortograph.files import make_folder, storage_errors, write_csv, write_json
from sortograph.recipe import SAFE_NAME, SAFE_NAME_IS
from sortograph.records import (
    DatasetIndex,
    EpochRow,
    EvaluationResult,
    PredictionTable,
    Rejected,
    Rung,
    RunRecord,
    Trust,
)
from sortograph.records.plain import is_trust

FORMAT_VERSION = 1
STATUSES = ("running", "interrupted", "failed", "finished")

_LOCK = ".lock"
_GRADIENT = "gradient_norm/"
_COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "seconds",
    "photos_per_second",
)
_OPTIONAL = ("validation_loss", "validation_accuracy")
_AGAIN = "copy the run folder again from where it came, or train again"


def new_run(
    recipe_name: str, out: Path | None = None, now: datetime | None = None, parent: Path = Path("runs")
) -> Path:
    """Create the folder of a new run: `out`, or <recipe>-<yyyymmdd-hhmmss>/ below `parent`.

    A second run of the same second gets -2, and so on; no two processes ever get the same one.
    Raises UsageError for a recipe name that is no safe folder name, RunError when `out` is in use already,
    StorageError when the folder cannot be made.
    """
    if out is not None:
        return _given_folder(out)
    if not SAFE_NAME.fullmatch(recipe_name):
        raise UsageError(
            f"a recipe named {recipe_name[:100]!r} cannot name a run folder",
            expected=SAFE_NAME_IS,
            fix="rename the recipe, or choose the folder with --out",
        )
    stem = f"{recipe_name}-{now or datetime.now():%Y%m%d-%H%M%S}"
    make_folder(parent)
    for name in chain([stem], (f"{stem}-{number}" for number in count(2))):
        with storage_errors(parent / name), contextlib.suppress(FileExistsError):
            (parent / name).mkdir()
            return parent / name
    raise AssertionError("counting never ends")


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; without waiting.

    Raises RunError while another one holds it, StorageError when the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path = folder / _LOCK
    held = FileLock(path)
    with storage_errors(path):
        try:
            held.acquire(blocking=False)
        except Timeout:
            raise RunError(
                "another process is working in this run folder",
                where=str(folder),
                fix="wait for it to end, or choose another folder with --out",
            ) from None
    try:
        yield
    finally:
        # Before the release: afterwards it could be another process's. Windows deletes no open file, so
        # there it goes after it, which fails where another process has it open.
        _remove(path)
        held.release()
        if os.name == "nt":
            _remove(path)


def write_history(folder: Path, rows: Sequence[EpochRow]) -> None:
    """history.csv: a line per epoch, then gradient_norm/<layer> columns for the layers of the last epoch.

    Raises StorageError.
    """
    layers = list(rows[-1].gradient_norms) if rows else []
    lines = [
        [
            *(getattr(row, name) for name in _COLUMNS),
            *(row.gradient_norms.get(layer) for layer in layers),
        ]
        for row in rows
    ]
    write_csv(folder / "history.csv", [*_COLUMNS, *(f"{_GRADIENT}{layer}" for layer in layers)], lines)


def read_history(folder: Path) -> tuple[EpochRow, ...]:
    """The inverse of `write_history`. Raises RunError when it is missing or damaged."""
    path = folder / "history.csv"
    with _damage(path):
        text = _text(path)
        if not text.startswith(",".join(_COLUMNS)) or not text.endswith("\n"):
            raise ValueError("cut short, or with other columns")
        return tuple(_epoch(line) for line in csv.DictReader(io.StringIO(text, newline=""), strict=True))


def write_evaluation(folder: Path, results: Mapping[str, EvaluationResult]) -> None:
    """evaluation.json: split → all that was measured. Raises StorageError."""
    splits = {split: result.to_json() for split, result in results.items()}
    write_json(folder / "evaluation.json", {"format_version": FORMAT_VERSION, "splits": splits})


def read_evaluation(folder: Path) -> dict[str, EvaluationResult]:
    """The inverse of `write_evaluation`. Raises RunError when missing, damaged or of a newer format."""
    path = folder / "evaluation.json"
    data = _versioned(path)
    with _damage(path):
        splits: dict[str, Any] = data["splits"]
        return {split: EvaluationResult.from_json(split, data) for split, data in splits.items()}


def write_run(record: RunRecord) -> None:
    """environment.json and run.json; history and evaluation have files and functions of their own.

    Raises StorageError.
    """
    facts = ("id", "fingerprint", "seed", "status", "best_epoch", "seconds", "recipe")
    data = {"format_version": FORMAT_VERSION, **{name: getattr(record, name) for name in facts}}
    data |= {"decisions": list(record.decisions), "heads": [rung.to_json() for rung in record.rungs]}
    data["trust"] = None if record.trust is None else record.trust.to_json()
    write_json(record.folder / "environment.json", dict(record.environment))
    write_json(record.folder / "run.json", data)


def read_run(folder: Path) -> RunRecord:
    """A run folder as a record; history and evaluation are empty where they were not written yet.

    Raises RunError when the folder is no run, damaged, or written by a newer version.
    """
    if not (folder / "run.json").is_file():
        raise _no_run(folder)
    path = folder / "run.json"
    data = _versioned(path)
    mistakes = _mistakes(data)
    if mistakes:
        raise RunError(f"damaged ({'; '.join(mistakes)})", where=str(path), fix=_AGAIN)
    return RunRecord(
        id=data["id"],
        folder=folder,
        recipe=data["recipe"],
        fingerprint=data["fingerprint"],
        seed=data["seed"],
        environment=_object(folder / "environment.json"),
        history=read_history(folder) if (folder / "history.csv").exists() else (),
        evaluation=read_evaluation(folder) if (folder / "evaluation.json").exists() else {},
        status=data["status"],
        best_epoch=data["best_epoch"],
        seconds=float(data["seconds"]),
        decisions=tuple(data.get("decisions", ())),
        rungs=tuple(Rung.from_json(rung) for rung in data.get("heads", ())),
        trust=_trust(data),
    )


def write_data(folder: Path, index: DatasetIndex) -> None:
    """data.json: what index.csv does not hold: classes in their order, what was left out, and the notes.

    Raises StorageError.
    """
    data = {
        "format_version": FORMAT_VERSION,
        "photos": index.root.resolve().name,
        "classes": list(index.classes),
        "ignored": index.ignored,
        "rejected": [{"path": bad.path, "reason": bad.reason} for bad in index.rejected],
        "notes": list(index.notes),
    }
    write_json(folder / "data.json", data)


def read_data(folder: Path, root: Path | None = None) -> DatasetIndex:
    """The index of a run, of index.csv and data.json; `root` is where its photos are.

    Raises RunError when a file is missing or damaged.
    """
    path = folder / "data.json"
    data = _versioned(path)
    with _damage(path):
        rejected = tuple(Rejected(bad["path"], bad["reason"]) for bad in data["rejected"])
        name, classes = Path(data["photos"]), tuple(data["classes"])
        ignored, notes = int(data["ignored"]), tuple(data["notes"])
    index = read_index(folder / "index.csv", name if root is None else root, classes)
    return replace(index, rejected=rejected, ignored=ignored, notes=notes)


def write_predictions(
    folder: Path, index: DatasetIndex, tables: Sequence[PredictionTable], temperature: float = 1.0
) -> None:
    """predictions.csv: path, split, label, predicted, probability, right, then p:<class> for every class.

    tables: their rows are rows of `index`, their classes those of `index`
    temperature: what the logits are divided by before softmax

    Probabilities have six significant digits; label and right are empty for photos without a label.
    Raises ValueError when a table has other classes, StorageError when the file cannot be written.
    """
    if any(table.classes != index.classes for table in tables):
        raise ValueError("the tables have other classes than the index")
    header = ["path", "split", "label", "predicted", "probability", "right"]
    lines = (line for table in tables for line in _prediction_lines(index, table, temperature))
    write_csv(folder / "predictions.csv", [*header, *(f"p:{name}" for name in index.classes)], lines)


def _prediction_lines(index: DatasetIndex, table: PredictionTable, temperature: float) -> Iterator[list[str]]:
    labels = [-1] * len(table.rows) if table.labels is None else table.labels.tolist()
    shares = table.probabilities(temperature).tolist()
    for row, label, best, share in zip(
        table.rows.tolist(), labels, table.predicted().tolist(), shares, strict=True
    ):
        known = label >= 0
        yield [
            index.paths[row],
            table.split,
            index.classes[label] if known else "",
            index.classes[best],
            f"{share[best]:.6g}",
            str(label == best).lower() if known else "",
            *(f"{p:.6g}" for p in share),
        ]


def _given_folder(out: Path) -> Path:
    check_unused(out)
    make_folder(out)
    check_unused(out)  # again: two processes may have been given one folder
    return out


def check_unused(out: Path) -> None:
    """Raises RunError unless `out` may become the folder of a new run: it is empty, or not there."""
    with storage_errors(out):
        if out.exists() and not out.is_dir():
            raise RunError("a file of this name exists", where=str(out), fix="choose another --out")
        # A lock may stay behind when a process is killed; it holds nothing.
        used = out.exists() and any(entry.name != _LOCK for entry in out.iterdir())
    if used:
        raise RunError(
            "the run folder is not empty",
            where=str(out),
            expected="a new or empty folder",
            fix="choose another --out, or go on with that run by --resume",
        )


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _epoch(line: Mapping[str, str]) -> EpochRow:
    values: dict[str, Any] = {name: float(line[name]) for name in _COLUMNS if name not in _OPTIONAL}
    values |= {name: float(line[name]) if line[name] else None for name in _OPTIONAL}
    norms = {
        name.removeprefix(_GRADIENT): float(cell)
        for name, cell in line.items()
        if name.startswith(_GRADIENT) and cell
    }
    return EpochRow(**values | {"epoch": int(line["epoch"]), "gradient_norms": norms})


def _mistakes(data: Mapping[str, Any]) -> list[str]:
    checks: dict[str, Callable[[Any], bool]] = {
        "id": lambda value: isinstance(value, str),
        "fingerprint": lambda value: isinstance(value, str),
        "seed": lambda value: type(value) is int,
        "status": lambda value: value in STATUSES,
        "best_epoch": lambda value: value is None or type(value) is int,
        "seconds": lambda value: type(value) in (int, float),
        "recipe": lambda value: isinstance(value, dict),
        "decisions": lambda value: isinstance(value, list) and all(isinstance(line, str) for line in value),
        "heads": _are_rungs,
        "trust": lambda value: value is None or _is_trust(value),
    }
    later = ("decisions", "heads", "trust")  # what the first runs did not have
    missing = [f"{key} is missing" for key in checks if key not in (*data, *later)]
    return missing + [
        f"{key} is wrong" for key, fits in checks.items() if key in data and not fits(data[key])
    ]


def _are_rungs(value: Any) -> bool:
    try:
        return isinstance(value, list) and all(Rung.from_json(rung) for rung in value)
    except TypeError:
        return False


def _is_trust(value: Any) -> bool:
    try:
        return is_trust(value) and bool(Trust.from_json(value))
    except (TypeError, KeyError):
        return False


def _trust(data: Mapping[str, Any]) -> Trust | None:
    found = data.get("trust")
    return None if found is None else Trust.from_json(found)


def _no_run(folder: Path) -> RunError:
    try:
        runs = sorted(path.parent.name for path in folder.absolute().parent.glob("*/run.json"))
    except OSError:
        runs = []
    what = "not a run folder" if folder.exists() else "no such run folder"
    return RunError(
        what + nearest(folder.name, runs),
        where=str(folder),
        expected="a folder with a run.json, as sortograph train makes it",
        fix="sortograph train PHOTOS",
    )


def _versioned(path: Path) -> dict[str, Any]:
    data = _object(path)
    version = data.get("format_version")
    if type(version) is not int or version < 1:
        raise RunError("damaged (no format_version)", where=str(path), fix=_AGAIN)
    if version > FORMAT_VERSION:
        raise RunError(
            f"made by a newer sortograph (format {version}, this one reads up to {FORMAT_VERSION})",
            where=str(path),
            fix="pip install -U sortograph",
        )
    return data


def _object(path: Path) -> dict[str, Any]:
    with _damage(path):
        data = json.loads(_text(path))
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")
        return data


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RunError(f"cannot be read ({reason})", where=str(path), fix=_AGAIN) from error


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turns what parsing raises on other content into a RunError that names the file."""
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        csv.Error,
    ) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise RunError(f"damaged ({reason})", where=str(path), fix=_AGAIN) from error
