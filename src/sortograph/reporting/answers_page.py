"""One self-contained HTML file of photos with their answers: no script, nothing loaded.

Made of strings, not by Jinja2, since predictions have no need of it; and written photo by photo, so that the
memory stays small.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sortograph.errors import counted
from sortograph.files import make_folder, storage_errors, sync_folder
from sortograph.records import Prediction
from sortograph.reporting.engine import packaged
from sortograph.reporting.galleries import percent

UNSURE, FAILED = "unsure", "could not be read"
_QUALITY = 78
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

Pictured = tuple[Prediction, NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class AnswersPage:
    """What the page tells beside the photos.

    model    in some words
    counts   answers by class name, in the order of the classes
    unsure   answers that should be looked at, withheld ones among them
    failed   photos that could not be read
    total    photos, also those beyond what is shown
    shown    the first so many are on the page
    """

    model: str
    counts: Mapping[str, int]
    unsure: int
    failed: int
    total: int
    shown: int


def write_answers_page(page: AnswersPage, photos: Iterable[Pictured], file: Path) -> Path:
    """Write the page to `file` and return it. Raises StorageError.

    photos: an answer and its picture, uint8 (H, W, 3), or None where there is none

    Names of classes and files are escaped; bytes of names that are no UTF-8 become replacement marks.
    """
    make_folder(file.parent)
    unfinished = file.with_name(f"{file.name}.part")
    with storage_errors(file):
        try:
            with unfinished.open("wb") as out:
                for text in _pieces(page, photos):
                    out.write(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode())
                out.flush()
                os.fsync(out.fileno())  # before the rename, or a power cut leaves an empty page
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    sync_folder(file.parent)
    return file


def _pieces(page: AnswersPage, photos: Iterable[Pictured]) -> Iterator[str]:
    names = {name: number for number, name in enumerate(page.counts)}
    filters = [("all", "all", page.total), *((f"c{n}", name, page.counts[name]) for name, n in names.items())]
    filters += [("u", UNSURE, page.unsure)] if page.unsure else []
    filters += [("e", FAILED, page.failed)] if page.failed else []
    shown = [each for each in filters if each[2]]
    yield _head(page, shown)
    for answer, pixels in photos:
        yield _photo(answer, pixels, names)
    yield _foot(page)


def _head(page: AnswersPage, filters: Sequence[tuple[str, str, int]]) -> str:
    rules = "".join(
        f"body:has(#f-{key}:checked) .photo:not(.{key}){{display:none}}" for key, _, _ in filters[1:]
    )
    figures = [(counted(page.total, "photo").partition(" ")[2], page.total)]
    figures += [(UNSURE, page.unsure)] if page.unsure else []
    figures += [(FAILED, page.failed)] if page.failed else []
    buttons = "\n".join(_button(*each) for each in filters)
    numbers = "".join(f"<div><dt>{what}</dt><dd>{number:,}</dd></div>" for what, number in figures)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="sortograph">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{counted(page.total, "photo")} and what is on them – sortograph</title>
<style>{packaged("report.css")}{packaged("answers.css")}{rules}</style>
</head>
<body>
<header>
<p class="brand">sortograph predict</p>
<h1>{counted(page.total, "photo")} and what is on them</h1>
<p class="sub"><bdi>{escape(page.model)}</bdi></p>
</header>
<main>
<section aria-label="Overview"><dl class="figures">{numbers}</dl></section>
<section aria-label="Filter"><fieldset class="filter"><legend>Show</legend><div>
{buttons}
</div></fieldset></section>
<section aria-label="Photos">
<ol class="photos">
"""


def _button(key: str, name: str, count: int) -> str:
    checked = " checked" if key == "all" else ""
    return (
        f'<label><input type="radio" name="show" id="f-{key}"{checked} autocomplete="off"> '
        f"<bdi>{escape(name)}</bdi> <small>{count:,}</small></label>"
    )


def _photo(answer: Prediction, pixels: NDArray[np.uint8] | None, names: Mapping[str, int]) -> str:
    said, share, why = _words(answer)
    kinds = ["photo"]
    kinds += [] if answer.label is None else [f"c{names[answer.label]}"]
    kinds += ["u", "unsure"] if answer.unsure else []
    kinds += ["e"] if answer.error is not None else []
    reason = f'<span class="why">{escape(why)}</span>' if why else ""
    return (
        f'<li class="{" ".join(kinds)}">{_frame(pixels, answer.path)}'
        f'<div class="said"><bdi>{escape(said)}</bdi> <span>{share}</span></div>{reason}'
        f'<bdi class="path">{escape(answer.path)}</bdi></li>\n'
    )


def _words(answer: Prediction) -> tuple[str, str, str]:
    """What stands for the class, its probability, and what is to be said of it."""
    share = "" if answer.probability is None else percent(answer.probability)
    if answer.error is not None:
        return FAILED, "", answer.error
    return answer.label or "withheld", share, f"{UNSURE}: {answer.unsure}" if answer.unsure else ""


def _frame(pixels: NDArray[np.uint8] | None, path: str) -> str:
    if pixels is None:
        return '<span class="frame none">no picture</span>'
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width, _ = pixels.shape
    return (
        f'<span class="frame"><img src="data:image/jpeg;base64,{data}" width="{width}" height="{height}" '
        f'decoding="async" alt="{escape(path)}"></span>'
    )


def _foot(page: AnswersPage) -> str:
    beyond = page.total - page.shown
    more = (
        f'<p class="note">The first {page.shown:,} photos are shown, {beyond:,} are not.</p>'
        if beyond
        else ""
    )
    return f"""</ol>
{more}</section>
</main>
<footer><p>Probabilities are those of the model, for photos like those of training. No script runs in this
page and it loads nothing.</p></footer>
</body>
</html>
"""
