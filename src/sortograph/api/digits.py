"""demo: the main job on the digits that scikit-learn ships."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from sortograph.errors import MissingExtra
from sortograph.files import make_folder, write_atomic
from sortograph.records import Progress, RunRecord, Said, silent

_FOLDER = Path("sortograph-demo")


def demo(
    *, out: str | os.PathLike[str] | None = None, seed: int | None = None, progress: Progress = silent
) -> RunRecord:
    """Write 1,797 handwritten digits as PNG files in class folders, and train the recipe `digits` on them.

    out: takes `photos/` and the run folders (sortograph-demo below the current folder)
    Raises MissingExtra, StorageError.
    """
    from sortograph.api.training import train
    from sortograph.runs import new_run

    folder = make_folder(_FOLDER if out is None else Path(out))
    photos = write_digits(folder / "photos")
    progress(Said(f"1,797 handwritten digits, 8×8 pixels, are in {photos.as_posix()}"))
    return train(photos, recipe="digits", seed=seed, out=new_run("digits", parent=folder), progress=progress)


def write_digits(folder: Path) -> Path:
    """The test part of the UCI ML hand-written digits, as scikit-learn has them: <folder>/<digit>/<n>.png."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra.of("train", "scikit-learn") from None
    digits = load_digits()
    counts: Counter[int] = Counter()
    for grey, label in zip(digits.images, digits.target.tolist(), strict=True):
        counts[label] += 1
        file = make_folder(folder / str(label)) / f"{counts[label]:03d}.png"
        if not file.exists():
            write_atomic(file, _png(grey))
    return folder


def _png(grey: object) -> bytes:
    import io

    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((np.asarray(grey) * (255 / 16)).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
