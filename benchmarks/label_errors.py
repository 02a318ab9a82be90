"""Planted label errors: how many are among the findings of `label-errors`, and how many findings are errors.

    python benchmarks/label_errors.py --shared ../shared/data --cache FOLDER

needs sortograph[train]. Of all labels of cats-dogs and of sports100, 5 % are changed to another class, drawn
uniformly, seeds 1–3. Photos, features and planted errors are the same for both programs:

- `sortograph`: the check as it is
- `cleanlab`: plain stratified folds, scikit-learn's logistic regression with its defaults on the same
  features, standardised, and `find_label_issues` with its defaults, ranked by self-confidence

Features are those of timm's mobilenetv2_100 before its head, photos squashed to 224×224. They are computed
once and kept in `--cache`. Errors that the sets have of their own count as false alarms, for both alike.

Precision and recall are those of the findings, and of the k gravest of them, k the number of planted errors:
where there are fewer than k findings, all of them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import common
from sortograph.auditing.label_errors import suspected
from sortograph.auditing.view import AuditView
from sortograph.records import DatasetIndex, FeatureTable

SETS = ("cats-dogs", "sports100")
WEIGHTS = "mobilenetv2_100.tf_in1k-int8deq.pth"
SHARE = 0.05
SIZE = 224
Rows = NDArray[np.int64]


def index_of(photos: Path) -> DatasetIndex:
    """SET/SPLIT/CLASS/photo, without any cut and without twins: both programs see the same folds' worth."""
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.glob("*/*/*") if path.is_file())
    names = [path.split("/")[1] for path in paths]
    classes = tuple(sorted(set(names)))
    n = len(paths)
    return DatasetIndex(
        root=photos,
        classes=classes,
        paths=tuple(paths),
        labels=np.array([classes.index(name) for name in names], dtype=np.int64),
        groups=("",) * n,
        splits=("",) * n,
        sha256=tuple(content_of((photos / path).read_bytes()) for path in paths),
        sizes=np.zeros((n, 2), dtype=np.int32),
    )


def content_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def features_of(index: DatasetIndex, weights: Path, kept: Path) -> NDArray[np.float32]:
    """float32 (N, 1280), from the cache or made now."""
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, embedded(index, weights))
    features: NDArray[np.float32] = np.load(kept)
    return features


def embedded(index: DatasetIndex, weights: Path) -> NDArray[np.float32]:
    import timm
    import torch

    model = timm.create_model("mobilenetv2_100", pad_type="same")
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.reset_classifier(0)
    model = model.eval().to(memory_format=torch.channels_last)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(index), 64):
            pixels = np.stack([squashed(index.root / path) for path in index.paths[start : start + 64]])
            batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            parts.append(model(batch.float().div_(127.5).sub_(1)).numpy())
    return np.concatenate(parts)


def squashed(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    from sortograph.images.decode import decode

    image = Image.fromarray(decode(path.read_bytes(), at_least=(SIZE, SIZE)))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def planted(labels: Rows, classes: int, seed: int) -> tuple[Rows, Rows]:
    """The labels with 5 % changed, and the rows that were."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(labels), round(SHARE * len(labels)), replace=False))
    changed = labels.copy()
    changed[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return changed, rows


def by_sortograph(index: DatasetIndex, features: NDArray[np.float32]) -> Rows:
    table = FeatureTable(features, np.arange(len(index)), "mobilenetv2_100")
    return suspected(AuditView(index, features=table)).rows


def by_cleanlab(index: DatasetIndex, features: NDArray[np.float32]) -> Rows:
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probabilities = cross_val_predict(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        features,
        index.labels,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        method="predict_proba",
    )
    ranked: Rows = find_label_issues(
        index.labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return ranked


PROGRAMS: dict[str, Callable[[DatasetIndex, NDArray[np.float32]], Rows]] = {
    "sortograph": by_sortograph,
    "cleanlab": by_cleanlab,
}


def scored(found: Rows, errors: Rows) -> dict[str, Any]:
    """Counts, precision and recall of the findings and of the first k of them."""
    top = found[: len(errors)]
    hits, top_hits = int(np.isin(found, errors).sum()), int(np.isin(top, errors).sum())
    return {
        "planted": len(errors),
        "findings": len(found),
        "hits": hits,
        "precision": hits / max(1, len(found)),
        "recall": hits / len(errors),
        "top_k": len(top),
        "top_k_hits": top_hits,
        "top_k_precision": top_hits / max(1, len(top)),
        "top_k_recall": top_hits / len(errors),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Planted label errors, found again.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    shared = os.environ.get("SORTOGRAPH_SHARED", "../shared/data")
    parser.add_argument("--shared", type=Path, default=Path(shared), help="photo sets and weights")
    parser.add_argument("--cache", type=Path, required=True, help="a folder for the features")
    parser.add_argument("--seeds", default="1,2,3", help="of the planted errors")
    parser.add_argument("--results", type=Path, default=common.RESULTS, help="where the CSV goes")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    file = options.results / common.results_file("label-errors", ["scikit-learn", "cleanlab"]).name
    stamp = common.session()
    for name in SETS:
        index = index_of(options.shared / name)
        features = features_of(index, options.shared / "weights" / WEIGHTS, options.cache / f"{name}.npy")
        for seed in map(int, options.seeds.split(",")):
            labels, errors = planted(index.labels, len(index.classes), seed)
            rows = [
                {"session": stamp, "set": name, "photos": len(index), "seed": seed, "program": program}
                | scored(find(replace(index, labels=labels), features), errors)
                for program, find in PROGRAMS.items()
            ]
            common.append_rows(file, rows)
            for row in rows:
                say(row)


def say(row: dict[str, Any]) -> None:
    print(
        f"{row['set']:10} seed {row['seed']} {row['program']:10} {row['planted']} planted; "
        f"{row['hits']:3} of {row['findings']:3} findings right: precision {row['precision']:.3f}, "
        f"recall {row['recall']:.3f}; {row['top_k_hits']:3} of the first {row['top_k']:3}: "
        f"precision {row['top_k_precision']:.3f}, recall {row['top_k_recall']:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
