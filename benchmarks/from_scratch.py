"""sortograph's from-scratch training against the same network in Keras and in a plain PyTorch loop.

All programs get the same photos, splits, classes, network, epochs, batch size and threads, and run one after
the other, each repeat in another order and with another seed. sortograph runs twice in a row: cold (an empty
cache) and warm (the cache that the cold run left).
    python benchmarks/from_scratch.py --photos WEATHER --keras-python keras-env/bin/python

Two CSVs are written to benchmarks/results after every repeat: one row for each program, and one row for each
pair (sortograph, peer), with the ratios sortograph / peer. Seconds: below 1, sortograph is faster. Photos per
second: above 1, sortograph is faster.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import common

HERE = Path(__file__).resolve().parent
TORCH = {
    "torch": ("--no-channels-last",),
    "torch-channels-last": ("--channels-last",),
    "torch-keep-memory": ("--channels-last", "--keep-memory"),
    "torch-bfloat16": ("--channels-last", "--keep-memory", "--bfloat16"),
}
KERAS = {"keras": (), "keras-bfloat16": ("--bfloat16",)}
PEERS = (*KERAS, *TORCH, "yolo")
RATIOS = ("seconds", "photos_per_second", "photos_per_second_with_validation")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one program.

    seconds       as a user waits: of sortograph the whole process with evaluation, report and bundle; of a
                  peer only until its best weights have judged the test photos
    seconds_wall  of the whole process, seen from outside
    photos_per_second  training photos through one epoch, median after the first epoch, without the
                  validation pass; None where the program does not tell
    accuracies    0–1, of the weights that the program keeps, on photos as they are
    """

    program: str
    seconds: float
    seconds_wall: float
    photos_per_second: float | None
    photos_per_second_with_validation: float | None
    accuracy_train: float
    accuracy_validation: float
    accuracy_test: float
    versions: str


@dataclass(frozen=True, slots=True)
class Bench:
    """One repeat: where it works, with which seed, on which index."""

    options: argparse.Namespace
    folder: Path
    seed: int

    @property
    def index(self) -> Path:
        return self.folder / "index.csv"


def train_ours(bench: Bench, name: str, epochs: int, cache: str) -> tuple[common.Timed, dict[str, Any]]:
    """Run `sortograph train` with its own cache folder; the JSON that it prints."""
    options = bench.options
    words = ("train", str(options.photos), "--recipe", options.recipe, "--set", f"train.epochs={epochs}")
    where = ("--seed", str(bench.seed), "--out", str(bench.folder / name), "--json")
    surroundings = {
        "SORTOGRAPH_CACHE": str(bench.folder / cache),
        "OMP_NUM_THREADS": str(options.threads),
    }
    program = common.sortograph(options.sortograph)
    timed = common.run(common.Command((program, *words, *where), surroundings))
    return timed, json.loads(timed.stdout)


def prepare(bench: Bench) -> None:
    """One epoch of sortograph, unmeasured: it cuts the splits that all programs then share."""
    train_ours(bench, "prepare", 1, "prepare-cache")
    bench.index.write_bytes((bench.folder / "prepare" / "index.csv").read_bytes())


def measure_ours(bench: Bench) -> list[Measured]:
    return [_measure_ours(bench, state) for state in ("cold", "warm")]


def _measure_ours(bench: Bench, state: str) -> Measured:
    timed, result = train_ours(bench, state, bench.options.epochs, "cache")
    run = bench.folder / state
    splits = cut(run / "index.csv")
    if splits != cut(bench.index):
        raise SystemExit(f"seed {bench.seed}: sortograph cut other splits than in the prepared run")
    scores = {split: part["metrics"]["accuracy"]["value"] for split, part in result["evaluation"].items()}
    speeds = steady(run / "history.csv", sum(split == "train" for split in splits.values()))
    versions = f"sortograph {version('sortograph')}, torch {version('torch')}"
    return Measured(f"sortograph-{state}", timed.seconds, timed.seconds, *speeds, *in_order(scores), versions)


def cut(index: Path) -> dict[str, str]:
    """Path → split."""
    with index.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def steady(history: Path, photos: int) -> tuple[float, float]:
    """Photos per second without and with the validation pass, medians after the first epoch."""
    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = rows[1:] or rows
    training = statistics.median(float(row["photos_per_second"]) for row in rows)
    return training, statistics.median(photos / float(row["seconds"]) for row in rows)


def in_order(scores: Mapping[str, float]) -> tuple[float, float, float]:
    return scores["train"], scores["validation"], scores["test"]


def peer_words(bench: Bench, name: str) -> tuple[str, ...]:
    options = bench.options
    if name in KERAS:
        return (str(options.keras_python), str(HERE / "keras_weather.py"), *KERAS[name])
    if name == "yolo":
        return (sys.executable, str(HERE / "yolo_weather.py"), "--yolo", str(options.yolo))
    return (sys.executable, str(HERE / "torch_loop_weather.py"), *TORCH[name])


def measure_peer(bench: Bench, name: str) -> list[Measured]:
    options, out = bench.options, bench.folder / f"{name}.json"
    given = {
        "--index": bench.index,
        "--photos": options.photos,
        "--epochs": options.epochs,
        "--seed": bench.seed,
        "--threads": options.threads,
        "--out": out,
    }
    words = [str(word) for setting in given.items() for word in setting]
    plain = ["--no-augment"] if options.recipe == "weather-base" else []
    timed = common.run(common.Command((*peer_words(bench, name), *words, *plain)))
    result = json.loads(out.read_text(encoding="utf-8"))
    versions = ", ".join(f"{package} {number}" for package, number in result["versions"].items())
    speeds = [result[column] for column in RATIOS]
    scores = in_order(result["accuracy"]["best"])
    return [Measured(name, speeds[0], timed.seconds, speeds[1], speeds[2], *scores, versions)]


def measure(bench: Bench, repeat: int) -> list[Measured]:
    """All programs once, in an order that turns with the repeat."""
    prepare(bench)
    done: list[Measured] = []
    for name in common.rotated(["sortograph", *bench.options.programs], repeat):
        rows = measure_ours(bench) if name == "sortograph" else measure_peer(bench, name)
        for row in rows:
            say(row)
        done += rows
    return done


def say(row: Measured) -> None:
    speed = row.photos_per_second or row.photos_per_second_with_validation or 0.0
    print(
        f"  {row.program}: {row.seconds:.1f} s, {speed:.0f} photos/s, "
        f"accuracy train {row.accuracy_train:.3f}, validation {row.accuracy_validation:.3f}, "
        f"test {row.accuracy_test:.3f}",
        flush=True,
    )


def ratios(done: list[Measured]) -> list[dict[str, Any]]:
    """One row for each pair (sortograph cold or warm, peer): sortograph / peer."""
    ours = [row for row in done if row.program.startswith("sortograph")]
    peers = [row for row in done if row not in ours]
    return [
        {
            "ours": mine.program,
            "peer": theirs.program,
            **{column: quotient(asdict(mine)[column], asdict(theirs)[column]) for column in RATIOS},
            "accuracy_test_difference": mine.accuracy_test - theirs.accuracy_test,
        }
        for mine in ours
        for theirs in peers
    ]


def quotient(mine: float | None, theirs: float | None) -> float | None:
    return None if mine is None or theirs is None else mine / theirs


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The median of every pair over the repeats."""
    names = sorted({(row["ours"], row["peer"]) for row in rows})
    columns = (*RATIOS, "accuracy_test_difference")
    found = []
    for ours, peer in names:
        same = [row for row in rows if (row["ours"], row["peer"]) == (ours, peer)]
        middle = {column: median_of([row[column] for row in same]) for column in columns}
        found.append({"ours": ours, "peer": peer, **middle})
    return found


def median_of(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="From-scratch training, side by side.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--photos", type=Path, required=True, help="the weather photos in class folders")
    parser.add_argument("--recipe", choices=("weather", "weather-base"), default="weather", help="which")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training photos")
    parser.add_argument("--repeats", type=int, default=5, help="times that every program runs")
    parser.add_argument("--seed", type=int, default=1, help="of the first repeat")
    parser.add_argument("--threads", type=int, default=2, help="of the arithmetic")
    parser.add_argument("--keras-python", type=Path, help="Python of the Keras environment")
    parser.add_argument("--yolo", type=Path, help="the program yolo of its own environment")
    parser.add_argument("--programs", help=f"of {','.join(PEERS)}; default: what can be run")
    parser.add_argument("--sortograph", type=Path, help="the program, where not of this environment")
    parser.add_argument("--results", type=Path, default=common.RESULTS, help="where the CSVs go")
    options = parser.parse_args()
    options.programs = programs_of(options, parser)
    return options


def programs_of(options: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    needs = {"yolo": options.yolo} | dict.fromkeys(KERAS, options.keras_python)
    possible = [name for name in PEERS if needs.get(name, True)]
    if options.recipe == "weather-base" and "yolo" in possible:
        possible.remove("yolo")
    named = options.programs.split(",") if options.programs else possible
    if wrong := [name for name in named if name not in possible]:
        parser.error(f"--programs {','.join(wrong)}: can run {','.join(possible)}")
    return named


def main() -> None:
    options = arguments()
    options.photos = options.photos.resolve()
    stamp, pairs = common.session(), []
    runs_file, ratios_file = (
        options.results / common.results_file(f"from-scratch{kind}-{options.recipe}", ["torch"]).name
        for kind in ("", "-ratios")
    )
    for repeat in range(options.repeats):
        print(f"repeat {repeat + 1} of {options.repeats}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            done = measure(Bench(options, Path(folder), options.seed + repeat), repeat)
        about = {"session": stamp, "repeat": repeat, "seed": options.seed + repeat, "epochs": options.epochs}
        common.append_rows(runs_file, [about | asdict(row) for row in done])
        common.append_rows(ratios_file, [about | row for row in ratios(done)])
        pairs += ratios(done)
    middle = [
        {"session": stamp, "repeat": "median", "seed": "", "epochs": options.epochs} | row
        for row in medians(pairs)
    ]
    common.append_rows(ratios_file, middle)
    for row in middle:
        print(
            ", ".join(f"{name} {row[name]:.3f}" for name in RATIOS if row[name]),
            row["ours"],
            "/",
            row["peer"],
        )


if __name__ == "__main__":
    main()
