"""A training step of a recipe's network with feature maps in oneDNN's tensors, and in torch's dense ones.

    python benchmarks/onednn.py --recipes weather cats-dogs --precision auto

needs sortograph[train]. One network is taught random photos of the recipe's size and batch, augmented as the
recipe says; after every --steps steps the tensors change, and a step is timed from augmentation to the end of
the optimiser's. The first steps after each change are left out. One row for each round and recipe, and the
medians: milliseconds of a step with either, and the dense one's over the other's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import common
from sortograph.loading.augment import Augmenter, draws
from sortograph.models import build, network, plan
from sortograph.recipe import load_recipe
from sortograph.training.device import keep_memory, precision, rounding
from sortograph.training.losses import loss_of, targets
from sortograph.training.optim import make_optimiser, prepare_step

WARM = 3  # steps after a change


class Lesson:
    """A network of a recipe, and one batch that it is taught again and again."""

    def __init__(self, recipe: str, asked: str) -> None:
        self.recipe = load_recipe(recipe, [f"train.precision={asked}"])
        spec, train = self.recipe.pixels.spec(), self.recipe.train
        self.classes = 2 if self.recipe.model.output == "sigmoid" else 4
        layers = plan(self.recipe.model, spec.size, self.classes)
        self.network = build(layers, spec, self.recipe.model.initialisation, train.seed).train()
        self.optimiser = make_optimiser(train, self.network)
        self.augment = Augmenter(self.recipe.augment, spec.size)
        chance = np.random.default_rng(1)
        pixels = chance.integers(0, 256, (train.batch_size, *spec.size, 3), dtype=np.uint8)
        self.pixels = torch.from_numpy(pixels)
        self.labels = torch.from_numpy(chance.integers(0, self.classes, train.batch_size))
        self.drawn = torch.from_numpy(draws(train.batch_size, train.seed, 1))
        self.dtype = precision(train, torch.device("cpu"))
        self.done = 0

    def step(self) -> float:
        """Seconds of one."""
        train, start = self.recipe.train, time.perf_counter()
        photos = self.augment(self.pixels, self.drawn)
        prepare_step(self.optimiser, train, train.learning_rate, self.done)
        self.network.dropout_seed = self.done = self.done + 1
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            logits = self.network(photos)
        loss = loss_of(train, logits.float(), targets(train, self.labels, self.classes), None)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return time.perf_counter() - start


@contextmanager
def dense() -> Iterator[None]:
    ours, network.leading = network.leading, lambda *_, **__: 0
    try:
        yield
    finally:
        network.leading = ours


def measure(recipe: str, asked: str, rounds: int, steps: int) -> list[dict[str, Any]]:
    lesson, rows = Lesson(recipe, asked), []
    with rounding(lesson.dtype):
        for number in range(rounds):
            ours = [lesson.step() for _ in range(WARM + steps)][WARM:]
            with dense():
                theirs = [lesson.step() for _ in range(WARM + steps)][WARM:]
            found = [1000 * statistics.median(times) for times in (ours, theirs)]
            rows.append(
                {"round": number, "onednn_ms": found[0], "dense_ms": found[1], "ratio": found[1] / found[0]}
            )
    middle = {
        name: statistics.median(row[name] for row in rows) for name in ("onednn_ms", "dense_ms", "ratio")
    }
    print(
        f"{recipe}: {middle['onednn_ms']:.1f} ms a step, {middle['dense_ms']:.1f} ms in dense tensors",
        end="",
    )
    print(f", {middle['ratio']:.3f} times as long ({lesson.dtype})", flush=True)
    about = {"recipe": recipe, "precision": str(lesson.dtype).removeprefix("torch.")}
    return [about | row for row in [*rows, {"round": "median", **middle}]]


def main() -> None:
    parser = argparse.ArgumentParser(description="A training step in oneDNN's tensors and in dense ones.")
    parser.add_argument("--recipes", nargs="+", default=["weather", "cats-dogs"])
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="in each kind of tensors, in a round")
    parser.add_argument("--results", type=Path, help="the CSV (default: in benchmarks/results)")
    options = parser.parse_args()
    keep_memory()
    torch.set_num_threads(common.cores())
    file = options.results or common.results_file("onednn", ["torch"])
    stamp = common.session()
    for recipe in options.recipes:
        found = measure(recipe, options.precision, options.rounds, options.steps)
        common.append_rows(file, [{"session": stamp} | row for row in found])


if __name__ == "__main__":
    main()
