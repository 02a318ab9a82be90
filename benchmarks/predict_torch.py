"""Predicting as a plain PyTorch script does it: open, resize, stack, run, batch after batch.

    python benchmarks/predict_torch.py --list PHOTOS.txt --network mobilenetv2 --size 224

Weights are random: the cost is the same. Prints seconds of the loop alone, without imports, as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

BATCH = 32


def network(name: str, size: int) -> nn.Module:
    if name == "mobilenetv2":
        import timm

        return timm.create_model("mobilenetv2_100", num_classes=4).eval()
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(64 * (size // 8) ** 2, 512), nn.ReLU(), nn.Linear(512, 4)
    ).eval()


def tensor(path: str, size: int) -> torch.Tensor:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div(255)


def main() -> None:
    parser = argparse.ArgumentParser(description="A plain PyTorch loop.")
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--network", choices=("mobilenetv2", "cnn"), required=True)
    parser.add_argument("--size", type=int, required=True)
    options = parser.parse_args()
    paths = options.list.read_text(encoding="utf-8").split("\n")
    model = network(options.network, options.size)
    answers = []
    with torch.inference_mode():
        model(torch.zeros(BATCH, 3, options.size, options.size))
        start, core = time.perf_counter(), time.process_time()
        for first in range(0, len(paths), BATCH):
            batch = torch.stack([tensor(path, options.size) for path in paths[first : first + BATCH]])
            answers += model(batch).softmax(1).argmax(1).tolist()
        seconds, core = time.perf_counter() - start, time.process_time() - core
    print(json.dumps({"photos": len(answers), "seconds": seconds, "core_seconds": core}))


if __name__ == "__main__":
    main()
