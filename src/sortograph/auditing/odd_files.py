"""Files that are read well, but that other programs may read in other ways."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sortograph.auditing.view import AuditView
from sortograph.auditing.words import paths_of, some
from sortograph.errors import counted
from sortograph.records import DatasetIndex, Finding
from sortograph.records.looks import ANIMATED, CMYK, FORMATS, PALETTE, TRANSPARENT, TURNED, WIDE

_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
# bit → what the files are or have, and what is made of it
_KINDS = (
    (CMYK, "in CMYK colours, for print", "they are turned into RGB; colours may differ a little"),
    (
        WIDE,
        "with 16 or 32 bits a sample",
        "they are scaled to 8 bits; check that they do not come out too dark",
    ),
    (PALETTE, "with a palette of few colours", "they are read as RGB; nothing needs to be done"),
    (TRANSPARENT, "with transparency", "they are laid on white; check that this is what you want"),
    (
        ANIMATED,
        "with several frames",
        "only the first frame counts; take out those whose first frame is empty",
    ),
    (
        TURNED,
        "turned by their EXIF data",
        "they are turned upright here; programs that ignore EXIF will not",
    ),
)


def find(view: AuditView) -> Iterator[Finding]:
    """One finding for extensions that do not fit, and one for each kind of file."""
    index = view.index
    misnamed = np.flatnonzero(_misnamed(index))
    if len(misnamed):
        yield _misnamed_finding(index, misnamed)
    for bit, what, remedy in _KINDS:
        rows = np.flatnonzero(index.looks["oddities"] & bit)
        if len(rows):
            paths = paths_of(index, rows)
            message = f"{counted(len(rows), 'photo')} {what}: {some(paths)}"
            yield Finding("odd-files", paths, 0.05, message, remedy)


def _misnamed(index: DatasetIndex) -> NDArray[np.bool_]:
    """bool (N,): an extension that belongs to another format. Without one, nothing is claimed."""
    formats = index.looks["format"].tolist()
    return np.array(
        [
            "." in path
            and FORMATS[number] in _SUFFIXES
            and not path.lower().endswith(_SUFFIXES[FORMATS[number]])
            for path, number in zip(index.paths, formats, strict=True)
        ],
        dtype=np.bool_,
    )


def _misnamed_finding(index: DatasetIndex, rows: NDArray[np.int64]) -> Finding:
    paths = paths_of(index, rows)
    first = FORMATS[int(index.looks["format"][rows[0]])]
    return Finding(
        check="odd-files",
        photos=paths,
        severity=0.1,
        message=f"{counted(len(rows), 'photo')} with the extension of another format: {some(paths)} "
        f"(the first is {first})",
        remedy="the content counts here; rename the files for programs that go by the extension",
    )
