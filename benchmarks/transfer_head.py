"""Seconds of sortograph's head training and test score alone, from a warm feature cache, imports not counted.

python benchmarks/transfer_head.py --recipe RECIPE.toml --photos PHOTOS --out result.json
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from sortograph.api.job import Job, Source
from sortograph.api.reading import read_photos
from sortograph.api.transfer import TransferMaker
from sortograph.models.head import answer
from sortograph.recipe import load_recipe
from sortograph.records import silent


def main() -> None:
    parser = argparse.ArgumentParser(description="Head training from a warm feature cache.")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = load_recipe(options.recipe, options.set)
    maker = TransferMaker(settings, silent)
    index = read_photos(options.photos, settings, silent, keeper=maker.keeper).index
    maker.flush()
    job = Job(
        maker.settings,
        index,
        maker.pixels,
        options.out.parent,
        time.monotonic(),
        silent,
        Source(options.photos),
    )
    if settings.head.kind == "mlp":
        import torch  # noqa: F401

        maker.choose(  # what the first call loads and compiles is no work of the second
            replace(job, recipe=load_recipe(options.recipe, [*options.set, "train.epochs=1"])),
            maker.keeper.table(index, np.arange(len(index))),
        )
    start = time.perf_counter()
    table = maker.keeper.table(index, np.arange(len(index)))
    chosen = maker.choose(job, table)
    rows = index.rows("test")
    right = answer(chosen.plan, chosen.state, table.of(rows)).argmax(1) == index.labels[rows]
    seconds = time.perf_counter() - start
    found = {"seconds_head": seconds, "accuracy_test": float(right.mean()), "head": chosen.rungs[0].title()}
    options.out.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
