"""One self-contained HTML file about an audit: photos side by side, no script, nothing loaded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sortograph.errors import counted
from sortograph.files import make_folder, write_atomic
from sortograph.records import SPLITS, AuditResult, DatasetIndex
from sortograph.reporting import audit_cards, facts
from sortograph.reporting.audit_cards import LEVELS, Thumbnails
from sortograph.reporting.engine import packaged, rendered, template

THUMBNAIL = 160
_REJECTED = 50


@dataclass(frozen=True, slots=True)
class AuditPage:
    """All that the page of an audit is made of.

    thumbnails  maps up to 400 distinct paths to small JPEGs or PNGs; unreadable ones may be missing
    name        of the folder, to be shown; folders above it are nobody's business
    command     what to run next; "" shows none
    """

    result: AuditResult
    index: DatasetIndex
    thumbnails: Thumbnails
    name: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class _Verdict:
    tone: str
    title: str
    words: str


def render_audit(view: AuditPage) -> str:
    """The page as text that is safe to encode as UTF-8.

    Names of classes and files are escaped; bytes of names that are no UTF-8 become replacement marks.
    At most 12 photos of a finding and 400 in all are shown, 6 MB of thumbnails; the others are named, and
    counted where there are too many to name. Raises MissingExtra where Jinja2 is not installed.
    """
    return rendered(template("audit.html.j2"), _context(view))


def write_audit_page(view: AuditPage, file: Path) -> Path:
    """Write the page to `file` and return it. Raises StorageError, and MissingExtra without Jinja2."""
    page = render_audit(view)
    make_folder(file.parent)
    write_atomic(file, page.encode())
    return file


def jpeg_thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG of the photo, uint8 (H, W, 3) RGB, long side ≤ 160; small photos keep their size.

    >>> from PIL import Image
    >>> Image.open(io.BytesIO(jpeg_thumbnail(np.zeros((300, 400, 3), dtype=np.uint8)))).size
    (160, 120)
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def _context(view: AuditPage) -> dict[str, Any]:
    result, index = view.result, view.index
    split_names, class_counts, sums = facts.count_rows(index)
    counts = audit_cards.level_counts(result.findings)
    found = {finding.check for finding in result.findings}
    return {
        "css": packaged("report.css") + packaged("audit.css"),
        "name": view.name,
        "command": view.command,
        "verdict": _verdict(result, counts),
        "figures": _figures(index),
        "levels": list(zip(LEVELS, counts, strict=True)),
        "sections": audit_cards.sections(result.findings, index, view.thumbnails),
        "clean": [audit_cards.title(check) for check in result.ran if check not in found],
        "skipped": [(audit_cards.title(check), reason) for check, reason in result.skipped.items()],
        "not_run": counted(len(result.skipped), "check"),
        "index": index,
        "split_names": split_names,
        "class_counts": class_counts,
        "sums": sums,
        "rejected": index.rejected[:_REJECTED],
        "more_rejected": max(0, len(index.rejected) - _REJECTED),
    }


def _verdict(result: AuditResult, counts: tuple[int, ...]) -> _Verdict:
    grave, look, minor = counts
    if grave:
        return _Verdict("grave", counted(grave, "grave finding"), "Settle what is grave before you train.")
    if look:
        return _Verdict("look", f"{counted(look, 'finding')} to look at", "Nothing is grave.")
    if minor:
        return _Verdict("calm", "Nothing to mend", f"{counted(minor, 'thing')} good to know.")
    if result.ran:
        return _Verdict("calm", "All clear", f"{counted(len(result.ran), 'check')} ran and found nothing.")
    return _Verdict("look", "Nothing was checked", "")


def _figures(index: DatasetIndex) -> list[tuple[str, str]]:
    """The folder in a few numbers: what it is, how many."""
    splits = [(name, len(index.rows(name))) for name in SPLITS]
    parts = " · ".join(f"{name} {number:,}" for name, number in splits if number)
    figures = [
        ("photos", f"{len(index):,}"),
        ("classes", f"{len(index.classes):,}"),
        ("unreadable", f"{len(index.rejected):,}"),
    ]
    if unlabelled := int((index.labels < 0).sum()):
        figures.append(("without a class", f"{unlabelled:,}"))
    return [*figures, ("splits", parts or "not cut yet")]
