"""Predicting many photos, against plain loops and against what the machine can do.

    python benchmarks/predict.py --photos FOLDER … --models MOBILENET.onnx WEATHER.onnx --keras-python PYTHON

For each model, in turns and each in a new process over the same list of photos:

    ours    `Classifier.predict_many`, as `sortograph predict` calls it
    torch   a plain PyTorch loop; keras  a plain Keras loop (only with --keras-python)
    parts   decoding alone and ONNX Runtime alone, each by one thread: photos a second cannot be more than
            cores / (core-seconds of both for a photo). `share` is ours over that bound.

Seconds are those of the loop, imports and the opening of the model left out for all; PyTorch and Keras get
the first --peer-count photos. A model of 180 pixels is
set against the weather seed's network, others against MobileNetV2.

Then: camera photos, made by enlarging 24 photos to 12 megapixels, against a loop of plain Pillow; and the
peak of the memory of all processes of `sortograph predict MODEL -` (PSS; on Linux alone), for 1,000 names and
for --long of them, with the last model and small copies of the photos.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from PIL import Image

import common

HERE = Path(__file__).parent
PACKAGES = ("onnxruntime", "pillow")
SUFFIXES = (".jpg", ".jpeg", ".png")
LARGE, SMALL = (4000, 3000), (96, 96)
SHORT = 1000  # names of the shorter list that memory is measured with
TICK = 0.1
OURS = """
import json, sys, time
from pathlib import Path
from sortograph.classify import load
from sortograph.cores import cores
paths = Path(sys.argv[1]).read_text(encoding="utf-8").split("\\n")
classifier = load(sys.argv[2], threads=1)
start, core = time.perf_counter(), time.process_time()
done = sum(answer.error is None for answer in classifier.predict_many(paths, top_k=1, threads=cores()))
seconds, core = time.perf_counter() - start, time.process_time() - core
print(json.dumps({"photos": done, "seconds": seconds, "core_seconds": core}))
"""


def photos_in(folders: Sequence[Path], count: int) -> list[str]:
    """Photos of all folders, in turns, so that a short list is as mixed as a long one."""
    found = [sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES) for folder in folders]
    turns = (photos[turn] for turn in range(max(map(len, found))) for photos in found if turn < len(photos))
    return [str(path.resolve()) for path in islice(turns, count)]


def write_list(file: Path, paths: Sequence[str]) -> Path:
    file.write_text("\n".join(paths), encoding="utf-8")
    return file


def side_of(model: Path) -> int:
    from sortograph.bundle.runtime import open_bundle

    return open_bundle(model, threads=1).manifest.preprocess.size[0]


def programs(options: argparse.Namespace, model: Path, names: Path) -> dict[str, common.Command]:
    size = side_of(model)
    network = ("--network", "cnn" if size == 180 else "mobilenetv2", "--size", str(size))
    listed, bare = ("--list", str(names)), str(HERE / "predict_bare.py")
    few = names.with_name("few.txt")
    write_list(few, names.read_text(encoding="utf-8").split("\n")[: options.peer_count])
    found = {
        "ours": common.Command((sys.executable, "-c", OURS, str(names), str(model))),
        "parts": common.Command((sys.executable, bare, "parts", *listed, "--model", str(model))),
        "torch": common.Command(
            (sys.executable, str(HERE / "predict_torch.py"), "--list", str(few), *network)
        ),
    }
    if options.keras_python:
        words = (str(options.keras_python), str(HERE / "predict_keras.py"), "--list", str(few), *network)
        found["keras"] = common.Command(words)
    return found


def loops(commands: dict[str, common.Command], repeats: int) -> Iterator[dict[str, Any]]:
    """A row for every repeat, in turns."""
    for repeat in range(repeats):
        order = common.rotated(list(commands), repeat)
        found = {name: json.loads(common.run(commands[name]).stdout.splitlines()[-1]) for name in order}
        yield row(found)


def row(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    rates = {name: each["photos"] / each["seconds"] for name, each in found.items()}
    ours, parts = found["ours"], found.get("parts")
    made: dict[str, Any] = {"photos": ours["photos"], "ours_per_second": rates["ours"]}
    made["ours_core_ms"] = 1000 * ours["core_seconds"] / ours["photos"]
    if parts:
        bound = common.cores() * parts["photos"] / parts["core_seconds"]
        each = 1000 / parts["photos"]
        made |= {
            "decode_core_ms": each * parts["decode_core_seconds"],
            "inference_core_ms": each * parts["inference_core_seconds"],
            "bound_per_second": bound,
            "share": rates["ours"] / bound,
            # As far as a neighbour's load leaves the bound in reach: core time alone.
            "core_share": parts["core_seconds"] / parts["photos"] * ours["photos"] / ours["core_seconds"],
        }
    for name in ("torch", "keras", "loop"):
        if name in rates:
            made |= {f"{name}_per_second": rates[name], f"ours_over_{name}": rates["ours"] / rates[name]}
    return made


def tell(title: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The medians, which are shown."""
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    shown = "  ".join(f"{name} {value:.4g}" for name, value in middle.items())
    print(f"{title}: {shown}  (medians of {len(rows)})", flush=True)
    return middle


def resized(paths: Sequence[str], folder: Path, size: tuple[int, int]) -> list[str]:
    """Copies of photos as JPEGs of a size."""
    folder.mkdir()
    made = []
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            copy = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        copy.save(folder / f"{number}.jpg", quality=90)
        made.append(str(folder / f"{number}.jpg"))
    return made


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, task.read_text(encoding="ascii").split())
    return found


def megabytes(pid: int) -> float:
    """PSS of the tree; processes may end meanwhile."""
    total = 0
    for each in tree(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total / 1024


def peak(words: Sequence[str], names: Path) -> tuple[float, float]:
    """Megabytes at the most, and seconds, of a command that reads names on standard input."""
    start, most = time.perf_counter(), 0.0
    with (
        names.open("rb") as stream,
        subprocess.Popen(words, stdin=stream, stdout=subprocess.DEVNULL) as process,
    ):
        while process.poll() is None:
            most = max(most, megabytes(process.pid))
            time.sleep(TICK)
    return most, time.perf_counter() - start


def memory(
    options: argparse.Namespace, program: str, paths: Sequence[str], place: Path
) -> list[dict[str, Any]]:
    small = resized(paths[:100], place / "small", SMALL)
    rows = []
    for model, source, counts in (
        *((model, list(paths), (SHORT,)) for model in options.models),
        (options.long_model or options.models[-1], small, (SHORT, options.long)),
    ):
        for count in counts:
            names = write_list(place / "names.txt", list(islice(cycle(source), count)))
            most, seconds = peak((program, "predict", str(model), "-", "--quiet"), names)
            kind = "small copies" if source is small else "photos"
            print(f"memory: {model}, {count} {kind}: {most:.0f} MB, {seconds:.0f} s", flush=True)
            rows.append({"model": str(model.stat().st_size), "kind": kind, "count": count, "pss_mb": most})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Predicting many photos.")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of photos")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="model.onnx files")
    parser.add_argument("--count", type=int, default=2000, help="photos (default: 2000)")
    parser.add_argument("--repeats", type=int, default=3, help="default: 3")
    parser.add_argument("--keras-python", type=Path, help="the Python of an environment with Keras")
    parser.add_argument("--long", type=int, default=100_000, help="names of the long list (default: 100000)")
    parser.add_argument("--long-model", type=Path, help="the model for them (default: the last)")
    parser.add_argument("--peer-count", type=int, default=500, help="photos of the slow loops (default: 500)")
    parser.add_argument("--sortograph", type=Path, help="the program (default: the one of this environment)")
    parser.add_argument("--results", type=Path, default=common.RESULTS, help="where the CSVs go")
    options = parser.parse_args()
    session, paths = common.session(), photos_in(options.photos, options.count)

    def save(name: str, rows: Sequence[dict[str, Any]]) -> None:
        file = options.results / common.results_file(name, PACKAGES).name
        common.append_rows(file, [{"session": session} | each for each in rows])

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        names = write_list(place / "photos.txt", paths)
        for model in options.models:
            rows = list(loops(programs(options, model, names), options.repeats))
            tell(f"{model}, {side_of(model)} pixels", rows)
            kind = {"model_bytes": model.stat().st_size, "size": side_of(model)}
            columns = {"keras_per_second": "", "ours_over_keras": ""}  # for those without Keras
            save("predict", [kind | columns | each for each in rows])
        large = write_list(place / "large.txt", resized(paths[:24], place / "large", LARGE))
        model = options.models[0]
        bare = (
            sys.executable,
            str(HERE / "predict_bare.py"),
            "loop",
            "--list",
            str(large),
            "--model",
            str(model),
        )
        ours = (sys.executable, "-c", OURS, str(large), str(model))
        commands = {"ours": common.Command(ours), "loop": common.Command(bare)}
        rows = list(loops(commands, options.repeats))
        tell("12 megapixels", rows)
        save("predict-camera", rows)
        if sys.platform == "linux" and os.path.exists("/proc/self/smaps_rollup"):  # noqa: PTH110
            save("predict-memory", memory(options, common.sortograph(options.sortograph), paths, place))


if __name__ == "__main__":
    main()
