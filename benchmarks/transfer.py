"""sortograph's transfer learning against scripts in PyTorch and Keras: same photos, splits and backbone.

    python benchmarks/transfer.py --photos CATS_DOGS --weights mobilenetv2.pth
        --keras-python keras-env/bin/python

Programs, alternated:
    sortograph       `sortograph train` with a frozen MobileNetV2 and a linear head taught for 10 epochs, the
                     whole command with scan, near duplicates, audit, evaluation, report and model.onnx.
                     "first": empty caches, backbone exported too; "cold": no features yet; "warm": all there
    ladder           the same with the default head: several kinds, chosen by cross-validation
    head, ladder-head  head training and test score alone, in one process after imports, features kept
    torch-frozen     the frozen backbone inside the loop, 10 epochs; with bfloat16 where --bfloat16 is given
    torch-features   a competent script: features once, then scikit-learn's logistic regression
    keras-frozen     the frozen backbone inside a Keras model, 10 epochs, decoded photos cached in memory

One CSV row for each program and repeat is written to benchmarks/results; ratios are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common

HERE = Path(__file__).resolve().parent
NAME = "mobilenetv2_100.bench"
LINEAR = """
name = "linear"
[model]
kind = "backbone"
[backbone]
names = ["mobilenetv2_100.bench"]
[head]
kind = "mlp"
[train]
epochs = 10
"""
LADDER = LINEAR.replace('"linear"', '"ladder"').replace('kind = "mlp"', 'kind = "ladder"')
OURS = {
    "sortograph-first": ("linear", "first"),
    "sortograph-cold": ("linear", "cold"),
    "sortograph-warm": ("linear", "cold"),
    "ladder-warm": ("ladder", "cold"),
}
HEADS = {"head": "linear", "ladder-head": "ladder"}
PEERS = ("torch-frozen", "torch-frozen-bfloat16", "torch-features", "torch-features-bfloat16", "keras-frozen")


@dataclass(frozen=True, slots=True)
class Bench:
    """One repeat: its options and the folder that it works in."""

    options: argparse.Namespace
    folder: Path
    seed: int

    def recipe(self, name: str) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(LADDER if name == "ladder" else LINEAR, encoding="utf-8")
        return path

    def surroundings(self, cache: str) -> dict[str, str]:
        folders = {"SORTOGRAPH_HOME": self.options.home, "SORTOGRAPH_CACHE": self.folder / cache}
        return {key: str(value) for key, value in folders.items()} | {"SORTOGRAPH_OFFLINE": "1"}


def ours(bench: Bench, program: str) -> dict[str, Any]:
    recipe, cache = OURS[program]
    words = ("train", str(bench.options.photos), "--recipe", str(bench.recipe(recipe)))
    where = ("--seed", str(bench.seed), "--out", str(bench.folder / program), "--json")
    command = common.Command(
        (common.sortograph(bench.options.sortograph), *words, *where), bench.surroundings(cache)
    )
    timed = common.run(command)
    scores = json.loads(timed.stdout)["evaluation"]
    return {
        "seconds": timed.seconds,
        "seconds_head": None,
        "accuracy_test": scores["test"]["metrics"]["accuracy"]["value"],
    }


def head(bench: Bench, program: str) -> dict[str, Any]:
    out = bench.folder / f"{program}.json"
    words = ("--recipe", str(bench.recipe(HEADS[program])), "--photos", str(bench.options.photos))
    script = (sys.executable, str(HERE / "transfer_head.py"))
    more = ("--set", f"train.seed={bench.seed}", "--out", str(out))
    timed = common.run(common.Command((*script, *words, *more), bench.surroundings("cold")))
    return {"seconds": timed.seconds, **json.loads(out.read_text(encoding="utf-8"))}


def peer(bench: Bench, program: str) -> dict[str, Any]:
    options, out = bench.options, bench.folder / f"{program}.json"
    given = {
        "--index": bench.folder / "index.csv",
        "--photos": options.photos,
        "--seed": bench.seed,
        "--out": out,
    }
    words = [str(word) for setting in given.items() for word in setting]
    if program.startswith("keras"):
        script = [str(options.keras_python), str(HERE / "transfer_keras.py")]
    else:
        mode = "frozen-loop" if "frozen" in program else "features"
        script = [sys.executable, str(HERE / "transfer_torch.py"), "--mode", mode]
        script += ["--weights", str(options.weights)] + ["--bfloat16"] * program.endswith("bfloat16")
    timed = common.run(common.Command((*script, *words)))
    return {
        "seconds": timed.seconds,
        **{k: v for k, v in json.loads(out.read_text()).items() if k != "seconds"},
    }


def prepare(options: argparse.Namespace) -> None:
    """Add the weights to a home of the benchmark's own, once."""
    options.home.mkdir(parents=True, exist_ok=True)
    if (options.home / "weights" / NAME).is_dir():
        return
    words = ("weights", "add", NAME, str(options.weights), "--model-arg", "pad_type=same")
    more = ("--mean", "0.5", "--std", "0.5", "--input-size", "224")
    program = common.sortograph(options.sortograph)
    common.run(common.Command((program, *words, *more), {"SORTOGRAPH_HOME": str(options.home)}))


def backbone_only(bench: Bench) -> None:
    """The "cold" cache: the exported backbone that "first" has left, and nothing else."""
    import shutil

    shutil.copytree(bench.folder / "first" / "backbones", bench.folder / "cold" / "backbones")


def measure(bench: Bench, repeat: int) -> list[dict[str, Any]]:
    rows = [row(bench, "sortograph-first", ours)]
    (bench.folder / "index.csv").write_bytes((bench.folder / "sortograph-first" / "index.csv").read_bytes())
    backbone_only(bench)
    groups = [[name] for name in bench.options.programs]
    groups.append(["sortograph-cold", "sortograph-warm", "ladder-warm", *HEADS])
    for group in common.rotated(groups, repeat):
        for program in group:
            rows.append(row(bench, program, ours if program in OURS else head if program in HEADS else peer))
    return rows


def row(bench: Bench, program: str, way: Any) -> dict[str, Any]:
    found = way(bench, program)
    made = {name: found.get(name) for name in ("seconds", "seconds_head", "accuracy_test")}
    print(f"  {program}: " + ", ".join(f"{k} {v:.3f}" for k, v in made.items() if v is not None), flush=True)
    return {"program": program, **made}


def ratios(rows: list[dict[str, Any]], column: str, mine: str) -> None:
    """Prints the median over the repeats of theirs / mine."""
    for name in dict.fromkeys(row["program"] for row in rows):
        pairs = [
            theirs[column] / own[column]
            for theirs in rows
            for own in rows
            if theirs["program"] == name
            and own["program"] == mine
            and theirs["repeat"] == own["repeat"]
            and theirs[column]
        ]
        if pairs and name != mine:
            print(f"{name} / {mine}, {column}: {statistics.median(pairs):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Transfer learning, side by side.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument(
        "--weights", type=Path, required=True, help="timm's mobilenetv2_100, mean = std = 0.5"
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keras-python", type=Path)
    parser.add_argument("--programs", help=f"peers, of {','.join(PEERS)}")
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "sortograph-bench-home")
    parser.add_argument("--sortograph", type=Path)
    options = parser.parse_args()
    named = options.programs.split(",") if options.programs else list(PEERS)
    options.programs = [name for name in named if options.keras_python or not name.startswith("keras")]
    options.photos = options.photos.resolve()
    prepare(options)
    stamp, every = common.session(), []
    file = common.results_file(f"transfer-{options.photos.name}", ["torch", "onnxruntime"])
    for repeat in range(options.repeats):
        print(f"repeat {repeat + 1} of {options.repeats}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(Bench(options, Path(folder), options.seed + repeat), repeat)
        about = {"session": stamp, "repeat": repeat, "seed": options.seed + repeat}
        every += [about | made for made in rows]
        common.append_rows(file, [about | made for made in rows])
    for mine in ("sortograph-first", "sortograph-cold", "sortograph-warm"):
        ratios(every, "seconds", mine)
    for mine in HEADS:
        ratios(every, "seconds_head", mine)


if __name__ == "__main__":
    main()
