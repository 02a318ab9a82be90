"""What calibration promises, kept or not: many random splits, with choosing, temperature and tables made
anew.

    python benchmarks/trust.py --photos FOLDER [FOLDER ...] --backbone NAME

needs sortograph[train] and a backbone at hand; its embeddings are made once and kept in the cache. Each set
is cut `--splits` times, seeds 0, 1, …: half of the photos teach (a logistic head, its penalty chosen by
cross-validation among them), a quarter calibrates, a quarter judges; groups and near duplicates stay on one
side.

Judged are one photo of each group of the test split, as promises are about photos that are independent:

- abstain: how often a wanted error was attainable, the share of photos answered then, and in how many of
  those splits the wrong answers among those given were within the wanted share. The test photos are few, too:
  where the true error is just below the wanted one, half of all splits would show more. So the table also has
  the error of all splits together
- conformal: the share of sets that hold the true class, over all splits, and their mean size
- calibration error and log loss on the test photos, before and after temperature scaling
- likeness: the share of test photos called unlike anything in training
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import common
from sortograph.api.job import Job, Source
from sortograph.api.reading import read_photos
from sortograph.api.transfer import TransferMaker
from sortograph.dataset.split import SplitPlan, cut
from sortograph.evaluation import groups_of, judge, likeness_to, prototypes, trust
from sortograph.evaluation.abstain import WANTED, one_of_each
from sortograph.models.head import answer
from sortograph.recipe import load_recipe
from sortograph.records import DatasetIndex, FeatureTable, PredictionTable, Trust, silent

Numbers = dict[str, float]
_HEAD = ("head.kind=logistic", "head.penalties=[1e-3, 1e-2, 1e-1]", "head.folds=3")


def one_split(job: Job, maker: TransferMaker, table: FeatureTable, seed: int) -> list[Numbers]:
    """The figures of one random split; one line for each wanted error, and one for everything else."""
    plain = replace(job.index, splits=("",) * len(job.index))
    index = cut(plain, SplitPlan(seed, validation=0.25, test=0.25))
    chosen = maker.choose(replace(job, index=index), table)

    def answers(split: str) -> PredictionTable:
        rows = index.rows(split)
        logits = answer(chosen.plan, chosen.state, table.of(rows))
        return PredictionTable(rows, logits, index.labels[rows], index.classes, split)

    centres = prototypes(table.of(index.rows("train")))
    calibrate, test = answers("validation"), answers("test")
    likeness = likeness_to(centres, table.of(calibrate.rows))
    measured = trust(calibrate, groups_of(index, calibrate.rows), likeness)
    assert measured is not None
    assert measured.likeness is not None
    alike = likeness_to(centres, table.of(test.rows)) >= measured.likeness.threshold
    return figures(index, measured, test, alike)


def figures(index: DatasetIndex, measured: Trust, test: PredictionTable, alike: Any) -> list[Numbers]:
    groups = groups_of(index, test.rows)
    alone = np.arange(len(test.rows)) if groups is None else one_of_each(groups)
    assert test.labels is not None
    shares, labels = test.probabilities(measured.temperature)[alone], test.labels[alone]
    right, sure = shares.argmax(axis=1) == labels, shares.max(axis=1)
    own = shares[np.arange(len(labels)), labels]
    lines: list[Numbers] = []
    for row in measured.abstain:
        if row.threshold is None:
            continue
        given = (sure > row.threshold) & alike[alone]
        wrong = int((given & ~right).sum())
        lines.append({"wanted": row.error, "given": int(given.sum()), "wrong": wrong, "n": len(alone)})
    before, after = judge(test), judge(test, temperature=measured.temperature)
    summary: Numbers = {
        "wanted": 0,
        "accuracy": after.metrics["accuracy"].value,
        "n_calibrate": measured.groups,
        "temperature": measured.temperature,
        "ece_before": before.metrics["ece"].value,
        "ece_after": after.metrics["ece"].value,
        "log_loss_before": before.metrics["log_loss"].value,
        "log_loss_after": after.metrics["log_loss"].value,
        "unlike": 1 - float(alike[alone].mean()),
    }
    for level in measured.conformal:
        name = f"{100 * level.level:.0f}"
        summary[f"conformal_{name}"] = float((own >= level.threshold).mean())
        summary[f"set_size_{name}"] = float((shares >= level.threshold).sum(axis=1).mean())
    return [summary, *lines]


def one_set(photos: Path, backbone: str, splits: int) -> list[dict[str, Any]]:
    overrides = [f'backbone.names=["{backbone}"]', *_HEAD]
    settings = load_recipe("weather-transfer", overrides)
    maker = TransferMaker(settings, silent)
    index = read_photos(photos, settings, silent, keeper=maker.keeper).index
    maker.flush()
    table = maker.keeper.table(index, np.arange(len(index)))
    job = Job(maker.settings, index, maker.pixels, Path(), time.monotonic(), silent, Source(photos))
    found = [line for seed in range(splits) for line in one_split(job, maker, table, seed)]
    return [*_abstained(found, splits), _summed([line for line in found if not line["wanted"]])]


def _abstained(found: list[Numbers], splits: int) -> list[dict[str, Any]]:
    rows = []
    for wanted in WANTED:
        lines = [line for line in found if line["wanted"] == wanted]
        given, wrong = (sum(line[name] for line in lines) for name in ("given", "wrong"))
        kept = sum(line["wrong"] <= wanted * line["given"] for line in lines)
        rows.append(
            {
                "measure": f"abstain at {100 * wanted:g} %",
                "splits": splits,
                "attainable": len(lines),
                "kept": kept,
                "kept_share": round(kept / len(lines), 4) if lines else "",
                "coverage": round(given / sum(line["n"] for line in lines), 4) if lines else "",
                "error_of_all": round(wrong / given, 5) if given else "",
            }
        )
    return rows


def _summed(lines: list[Numbers]) -> dict[str, Any]:
    means = {name: round(float(np.mean([line[name] for line in lines])), 4) for name in lines[0]}
    return {"measure": "means", "splits": len(lines), **{k: v for k, v in means.items() if k != "wanted"}}


_COLUMNS = (
    *("session", "set", "backbone", "measure", "splits", "attainable", "kept", "kept_share", "coverage"),
    *("error_of_all", "n_calibrate", "accuracy", "temperature", "ece_before", "ece_after", "log_loss_before"),
    *(
        "log_loss_after",
        "unlike",
        "conformal_90",
        "set_size_90",
        "conformal_95",
        "set_size_95",
        "conformal_99",
    ),
    "set_size_99",
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Promises of calibration, kept or not.")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--results", type=Path, default=common.RESULTS)
    options = parser.parse_args()
    file = options.results / common.results_file("trust", ["numpy", "onnxruntime"]).name
    stamp = common.session()
    for photos in options.photos:
        rows = one_set(photos, options.backbone, options.splits)
        named = [{"session": stamp, "set": photos.name, "backbone": options.backbone, **row} for row in rows]
        common.append_rows(file, [{name: row.get(name, "") for name in _COLUMNS} for row in named])
        for row in rows:
            print(photos.name, {name: value for name, value in row.items() if value != ""}, flush=True)


if __name__ == "__main__":
    main()
