"""The weather seed's network in a plain PyTorch loop: what a careful person would write by hand.

It needs torch and Pillow; sortograph is not used:
    python benchmarks/torch_loop_weather.py --index RUN/index.csv --photos PHOTOS --out torch.json

Photos are decoded and squashed to size once, into one uint8 tensor in RAM. A batch is augmented as a whole
by one affine_grid and one grid_sample. Every epoch ends with a validation pass. `--keep-memory` tells
glibc to keep freed memory: activations of this size are otherwise mapped and cleared anew at every step,
which costs a plain loop a good part of its speed on Linux. It is off by default, as few know of it.
`--bfloat16` is the precision that sortograph takes on processors with AMX.
"""

from __future__ import annotations

# isort: off
import peers  # first, since it starts the clock

# isort: on
import argparse
import copy
import ctypes
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

Split = tuple[Tensor, Tensor]  # photos uint8 (N, 3, size, size), labels int64 (N,)


def network(options: argparse.Namespace, classes: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for before, filters in ((3, 16), (16, 32), (32, 64)):
        parts += [nn.Conv2d(before, filters, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    parts += [nn.Dropout(0.2)] if options.augment else []
    features = 64 * (options.size // 8) ** 2
    parts += [nn.Flatten(), nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, classes)]
    model = nn.Sequential(*parts)
    if options.keras_init:
        model.apply(glorot)
    return model.to(memory_format=layout(options))


def glorot(layer: nn.Module) -> None:
    """Keras' initial weights: Glorot's uniform distribution, biases 0."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)


def layout(options: argparse.Namespace) -> torch.memory_format:
    return torch.channels_last if options.channels_last else torch.contiguous_format


def decoded(photos: peers.Photos, options: argparse.Namespace) -> Split:
    def load(path: str) -> np.ndarray:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        return np.asarray(upright.resize((options.size, options.size), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(options.threads) as pool:
        pixels = np.stack(list(pool.map(load, photos.paths)))
    shaped = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return shaped.contiguous(memory_format=layout(options)), torch.tensor(photos.labels)


def batches(split: Split, options: argparse.Namespace, shuffle: bool) -> Iterator[Split]:
    """Photos float32 (n, 3, size, size), 0–1, and their labels."""
    n = len(split[1])
    order = torch.randperm(n) if shuffle else torch.arange(n)
    for rows in torch.split(order, options.batch_size):
        yield split[0][rows].float().div_(255), split[1][rows]


def augmented(pixels: Tensor) -> Tensor:
    """Flips in both directions, turns up to ±72°, height and width zoomed by ±20 %; reflected borders."""
    n = len(pixels)
    angle = (torch.rand(n) * 2 - 1) * 0.4 * math.pi
    zoom = 1 + (torch.rand(n) * 2 - 1) * 0.2
    flips = torch.randint(0, 2, (2, n)) * 2.0 - 1.0
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(n, 2, 2)
    turn = turn * zoom.view(n, 1, 1) * flips.T.unsqueeze(2)
    matrix = torch.cat([turn, torch.zeros(n, 2, 1)], dim=2)  # (n, 2, 3)
    grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, split: Split, options: argparse.Namespace
) -> float:
    """One pass over the training photos; the running accuracy on what the model saw."""
    model.train()
    right = torch.zeros((), dtype=torch.int64)
    for pixels, labels in batches(split, options, shuffle=True):
        views = augmented(pixels) if options.augment else pixels
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            logits = model(views)
        loss = F.cross_entropy(logits.float(), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        right += (logits.argmax(1) == labels).sum()
    return float(right) / len(split[1])


@torch.inference_mode()
def accuracy_on(model: nn.Module, split: Split, options: argparse.Namespace) -> float:
    model.eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
        hits = [
            (model(pixels).argmax(1) == labels).sum()
            for pixels, labels in batches(split, options, shuffle=False)
        ]
    return float(sum(hits)) / len(split[1])


def train(options: argparse.Namespace, photos: dict[str, peers.Photos]) -> peers.Training:
    splits = {name: decoded(part, options) for name, part in photos.items()}
    model = network(options, len(peers.classes_of(options)))
    epochs, best = fit(model, splits, options)
    last = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    accuracy_on(model, splits["test"], options)
    seconds = peers.elapsed()
    accuracy = {}
    for name, weights in (("best", best), ("last", last)):
        model.load_state_dict(weights)
        accuracy[name] = {split: accuracy_on(model, part, options) for split, part in splits.items()}
    return peers.Training(epochs, seconds, peers.best_epoch(epochs), accuracy)


def fit(
    model: nn.Module, splits: dict[str, Split], options: argparse.Namespace
) -> tuple[list[peers.Epoch], dict[str, Tensor]]:
    """The epochs, and the weights of the best of them."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7, fused=options.fused)
    epochs: list[peers.Epoch] = []
    best: dict[str, Tensor] = {}
    for number in range(1, options.epochs + 1):
        start = time.perf_counter()
        seen = train_epoch(model, optimizer, splits["train"], options)
        trained = time.perf_counter()
        validation = accuracy_on(model, splits["validation"], options)
        epochs.append(peers.Epoch(time.perf_counter() - start, trained - start, seen, validation))
        if peers.best_epoch(epochs) == number:
            best = copy.deepcopy(model.state_dict())
        print(f"epoch {number}/{options.epochs}: train {seen:.3f}, validation {validation:.3f}", flush=True)
    return epochs, best


def keep_memory() -> None:
    """Let glibc serve large tensors from its heap and never give it back (mallopt(3)). Linux alone."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("--keep-memory works on Linux with glibc alone")
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    if not (libc.mallopt(mmap_threshold, 2**30) and libc.mallopt(trim_threshold, 2**31 - 1)):
        raise SystemExit("--keep-memory: this libc refuses the settings")


def main() -> None:
    parser = peers.parser("The weather seed's network in a plain PyTorch loop.")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True, help="layout")
    parser.add_argument(
        "--keras-init", action=argparse.BooleanOptionalAction, default=True, help="or torch's"
    )
    parser.add_argument(
        "--fused", action=argparse.BooleanOptionalAction, default=True, help="one-kernel Adam"
    )
    parser.add_argument(
        "--bfloat16", action=argparse.BooleanOptionalAction, default=False, help="autocast: mixed precision"
    )
    parser.add_argument("--keep-memory", action=argparse.BooleanOptionalAction, default=False, help="glibc")
    options = parser.parse_args()
    if options.keep_memory:
        keep_memory()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    photos = peers.read_photos(options)
    done = train(options, photos)
    name = "torch-channels-last" if options.channels_last else "torch"
    peers.write_result(name, options, photos, done, peers.versions_of("torch", "pillow", "numpy"))


if __name__ == "__main__":
    main()
