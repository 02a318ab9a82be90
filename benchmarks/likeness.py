"""Photos of other sets, called unlike anything in training or not.

    python benchmarks/likeness.py --photos FOLDER FOLDER [FOLDER ...] --backbone NAME

needs sortograph[train] and a backbone at hand. Of each set a random half teaches the prototypes, a quarter
sets the threshold, a quarter stands for new photos of the same kind; each other set is a kind that was never
taught. Told are AUROC (0.5: no better than chance) and the share of photos that are called unlike, at the
threshold that calls 1 in 100 photos of the same kind so. Seed 0; near duplicates and groups stay on one side.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import common
from sortograph.api.reading import read_photos
from sortograph.api.transfer import TransferMaker
from sortograph.dataset.split import SplitPlan, cut
from sortograph.evaluation import likeness_to, prototypes
from sortograph.evaluation.likeness import likeness_row
from sortograph.evaluation.ranking import auroc
from sortograph.recipe import load_recipe
from sortograph.records import silent

Floats = NDArray[np.float32]


def embedded(photos: Path, backbone: str) -> dict[str, Floats]:
    """Embeddings by split."""
    settings = load_recipe("weather-transfer", [f'backbone.names=["{backbone}"]'])
    maker = TransferMaker(settings, silent)
    index = read_photos(photos, settings, silent, keeper=maker.keeper).index
    maker.flush()
    table = maker.keeper.table(index, np.arange(len(index)))
    parts = cut(replace(index, splits=("",) * len(index)), SplitPlan(0, validation=0.25, test=0.25))
    return {split: table.of(parts.rows(split)) for split in ("train", "validation", "test")}


def compared(name: str, sets: dict[str, dict[str, Floats]]) -> list[dict[str, Any]]:
    own = sets[name]
    centres = prototypes(own["train"])
    row = likeness_row(likeness_to(centres, own["validation"]))
    assert row is not None
    same = likeness_to(centres, own["test"])
    found = []
    for other, parts in sets.items():
        alike = same if other == name else likeness_to(centres, np.concatenate(list(parts.values())))
        known = np.repeat([True, False], [len(same), len(alike)])
        area = auroc(np.concatenate([same, alike]), known)
        found.append(
            {
                "taught": name,
                "prototypes": len(centres),
                "asked": other,
                "n": len(alike),
                "auroc": "" if other == name else round(area.value, 4),
                "auroc_low": "" if other == name else round(area.low, 4),
                "unlike": round(float((alike < row.threshold).mean()), 4),
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Photos of other sets, called unlike or not.")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--results", type=Path, default=common.RESULTS)
    options = parser.parse_args()
    file = options.results / common.results_file("likeness", ["numpy", "onnxruntime"]).name
    sets = {photos.name: embedded(photos, options.backbone) for photos in options.photos}
    for name in sets:
        rows = compared(name, sets)
        common.append_rows(
            file, [{"session": common.session(), "backbone": options.backbone, **row} for row in rows]
        )
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
