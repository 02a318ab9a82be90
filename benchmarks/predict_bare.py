"""What predicting cannot do without: decoding alone, ONNX Runtime alone; and a loop of plain Pillow.

    python benchmarks/predict_bare.py parts --list PHOTOS.txt --model MODEL.onnx
    python benchmarks/predict_bare.py loop --list PHOTOS.txt --model MODEL.onnx

parts  every photo decoded and resized by one thread; then ONNX Runtime on the arrays, one thread, batches of
       1 to 32 and the best of them. `core_seconds` is decoding and inference together, so that
       cores / (core_seconds / photos) bounds what any program may do with both.
loop   each photo opened, converted and resized by Pillow at its full size, and run by itself, with ONNX
       Runtime's own number of threads
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

TRIED, BATCHES = 128, (1, 2, 4, 8, 16, 32)  # photos that each size of batches is tried with; the sizes


def session(model: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def inference(run: Any, name: str, photos: Sequence[Any], batch: int) -> float:
    """Core-seconds of all photos."""
    run.run(None, {name: np.stack(photos[:batch])})
    core = time.process_time()
    for first in range(0, len(photos), batch):
        run.run(None, {name: np.stack(photos[first : first + batch])})
    return time.process_time() - core


def parts(paths: list[str], model: Path) -> dict[str, float]:
    from sortograph.bundle.runtime import open_bundle
    from sortograph.images.sources import to_pixels

    spec, run = open_bundle(model, threads=1).manifest.preprocess, session(model, 1)
    name = run.get_inputs()[0].name
    core = time.process_time()
    photos = [to_pixels(path, spec) for path in paths]
    decoding = time.process_time() - core
    tries = {batch: inference(run, name, photos[:TRIED], batch) for batch in BATCHES}
    best = inference(run, name, photos, min(tries, key=lambda batch: tries[batch]))
    return {"decode_core_seconds": decoding, "inference_core_seconds": best, "core_seconds": decoding + best}


def loop(paths: list[str], model: Path) -> dict[str, float]:
    run = session(model, 0)
    (put,) = run.get_inputs()
    height, width = put.shape[1:3]
    run.run(None, {put.name: np.zeros((1, height, width, 3), np.uint8)})
    core = time.process_time()
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
        run.run(None, {put.name: pixels[None]})[0].argmax()
    return {"core_seconds": time.process_time() - core}


def main() -> None:
    parser = argparse.ArgumentParser(description="The bare parts of predicting.")
    parser.add_argument("what", choices=("parts", "loop"))
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    paths = options.list.read_text(encoding="utf-8").split("\n")
    start = time.perf_counter()
    found = (parts if options.what == "parts" else loop)(paths, options.model)
    print(json.dumps({"photos": len(paths), "seconds": time.perf_counter() - start} | found))


if __name__ == "__main__":
    main()
