"""Smaller numbers in a model: what int8 and fp16 gain in time and size, and what they cost in accuracy.

    python benchmarks/variants.py --runs RUN_A PHOTOS_A RUN_B PHOTOS_B

needs sortograph[train], since ONNX's tools are wanted. Of each run its model.onnx is made into

    float32  as it is
    dynamic  int8 weights, activations quantized while the model runs (ConvInteger, MatMulInteger)
    dense    the same for matrix products alone, convolutions stay as they are
    static   int8 weights and activations (QDQ), ranges taken from 200 training photos, one scale a channel
    fp16     half precision, inputs and outputs as before

and each answers the test photos of the run: accuracy with its 95 % Wilson interval, how many answers differ
from those of float32, and core-milliseconds a photo by one thread in batches of 4, each measured in turns.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

import common
from sortograph.bundle.runtime import open_bundle
from sortograph.evaluation.intervals import wilson
from sortograph.images.sources import to_pixels

PACKAGES = ("onnxruntime",)
BATCH, CALIBRATION = 4, 200
INPUT, OUTPUT = "photos", "probabilities"
Pixels = NDArray[np.uint8]


def dynamic(source: Path, to: Path, _photos: Pixels) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(source, to, per_channel=True)


def dense(source: Path, to: Path, _photos: Pixels) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(source, to, per_channel=True, op_types_to_quantize=["MatMul", "Gemm"])


def static(source: Path, to: Path, photos: Pixels) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    quantize_static(
        source, to, reader(photos), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add", "GlobalAveragePool", "MaxPool"],
    )  # fmt: skip


def half(source: Path, to: Path, _photos: Pixels) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), to)


VARIANTS: dict[str, Callable[[Path, Path, Pixels], None]] = {
    "dynamic": dynamic,
    "dense": dense,
    "static": static,
    "fp16": half,
}


def reader(photos: Pixels) -> Any:
    """What quantization measures ranges on."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = batches(photos)

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    return Reader()


def batches(photos: Pixels) -> Iterator[Pixels]:
    for start in range(0, len(photos), BATCH):
        yield photos[start : start + BATCH]


def split_of(run: Path, photos: Path, split: str, most: int | None = None) -> tuple[Pixels, list[str]]:
    """Pixels as the model sees them, and labels, of photos of a split; `most` of them, spread over it."""
    spec = open_bundle(run, threads=1).manifest.preprocess
    with (run / "index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    rows = rows[:: max(1, len(rows) // most)][:most] if most else rows
    return np.stack([to_pixels(photos / row["path"], spec) for row in rows]), [row["class"] for row in rows]


def bare(source: Path, to: Path) -> None:
    """The graph without our metadata, whose seal does not hold for a variant."""
    model = onnx.load(source)
    del model.metadata_props[:]
    onnx.save(model, to)


def session(model: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def answers(run: Any, photos: Pixels) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.concatenate(
        [run.run([OUTPUT], {INPUT: batch})[0].argmax(axis=1) for batch in batches(photos)]
    )
    return found


def milliseconds(runs: dict[str, Any], photos: Pixels, repeats: int) -> dict[str, float]:
    """Core-milliseconds of a photo, the median of the turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats):
        for name in common.rotated(list(runs), turn):
            start = time.process_time()
            answers(runs[name], photos)
            found[name].append(1000 * (time.process_time() - start) / len(photos))
    return {name: statistics.median(times) for name, times in found.items()}


def made(run: Path, photos: Path, place: Path) -> dict[str, Path | str]:
    """Each variant as a file, or why there is none."""
    seen, _ = split_of(run, photos, "train", CALIBRATION)
    plain = place / "float32.onnx"
    bare(run / "model.onnx", plain)
    files: dict[str, Path | str] = {"float32": plain}
    for name, make in VARIANTS.items():
        try:
            make(plain, place / f"{name}.onnx", seen)
            session(place / f"{name}.onnx")
            files[name] = place / f"{name}.onnx"
        except Exception as error:  # the tools refuse some graphs in many ways; the table says so
            files[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
    return files


def measure(run: Path, photos: Path, repeats: int) -> list[dict[str, Any]]:
    pixels, labels = split_of(run, photos, "test")
    classes = open_bundle(run, threads=1).manifest.classes
    truth = np.array([classes.index(label) for label in labels])
    with tempfile.TemporaryDirectory() as folder:
        files = made(run, photos, Path(folder))
        runs = {name: session(file) for name, file in files.items() if isinstance(file, Path)}
        found = {name: answers(each, pixels) for name, each in runs.items()}
        times = milliseconds(runs, pixels[:: max(1, len(pixels) // 48)][:48], repeats)
        sizes = {name: file.stat().st_size / 1e6 for name, file in files.items() if isinstance(file, Path)}
    for name, file in files.items():
        if isinstance(file, str):
            print(f"{run.name}: {name} cannot be made: {file}")
    return [
        row(run.name, name, found[name] == truth, found[name] != found["float32"], times[name], sizes[name])
        for name in runs
    ]


def row(
    run: str, name: str, right: NDArray[np.bool_], other: NDArray[np.bool_], ms: float, size: float
) -> dict[str, Any]:
    accuracy = wilson(int(right.sum()), len(right))
    return {
        "run": run, "variant": name, "n": len(right), "accuracy": accuracy.value, "low": accuracy.low,
        "high": accuracy.high, "changed": int(other.sum()), "core_ms": ms, "megabytes": size,
    }  # fmt: skip


def tell(rows: Sequence[dict[str, Any]]) -> None:
    for each in rows:
        print(
            f"{each['run']:24} {each['variant']:8} {100 * each['accuracy']:5.1f} % "
            f"[{100 * each['low']:.1f}, {100 * each['high']:.1f}] of {each['n']}, {each['changed']} changed, "
            f"{each['core_ms']:6.2f} core-ms a photo, {each['megabytes']:.1f} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="int8 and fp16 variants of models.")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="run folder and its photos, in pairs"
    )
    parser.add_argument("--repeats", type=int, default=7, help="turns of timing (default: 7)")
    parser.add_argument("--results", type=Path, help="the CSV (default: in benchmarks/results)")
    options = parser.parse_args()
    if len(options.runs) % 2:
        parser.error("--runs takes pairs: RUN PHOTOS RUN PHOTOS …")
    session_, rows = common.session(), []
    for run, photos in zip(options.runs[::2], options.runs[1::2], strict=True):
        found = measure(run, photos, options.repeats)
        tell(found)
        rows += found
    file = options.results or common.results_file("variants", PACKAGES)
    common.append_rows(file, [{"session": session_} | each for each in rows])


if __name__ == "__main__":
    main()
