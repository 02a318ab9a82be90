"""A browser, sites for it to visit, and photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from devtools import Browser, Tab
from page_tools import (
    BLACK,
    CLASSES,
    COLOURS,
    GREY,
    MANY,
    Site,
    add,
    colour_model,
    ready,
    serving,
)  # fmt: skip
from sortograph.serve.limits import Limits


@pytest.fixture(scope="package")
def site(small, tmp_path_factory) -> Iterator[Site]:
    """Three classes; corrections are kept."""
    folder = tmp_path_factory.mktemp("site")
    with serving(colour_model(small, folder / "colours.onnx", CLASSES), corrections=folder / "kept") as made:
        yield made


@pytest.fixture(scope="package")
def plain(small, tmp_path_factory) -> Iterator[Site]:
    """Two models, the first one with twelve classes; no corrections, and small requests alone."""
    folder = tmp_path_factory.mktemp("plain")
    models = [colour_model(small, folder / f"{len(names)}.onnx", names) for names in (MANY, CLASSES)]
    with serving(*models, limits=Limits(body=64 * 1024)) as made:
        yield made


@pytest.fixture(scope="package")
def browser(tmp_path_factory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture
def tab(browser) -> Iterator[Tab]:
    made = browser.tab()
    yield made
    assert made.complaints == []
    made.close()


@pytest.fixture(scope="package")
def photos(tmp_path_factory) -> Path:
    """Of each colour, one that is grey, one that is black, one that no browser shows, one that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in {
        **COLOURS,
        "grey.png": GREY,
        "black.png": BLACK,
        "=1+1.tiff": COLOURS["red.png"],
    }.items():
        Image.new("RGB", (40, 30), colour).save(folder / name)
    both = Image.new("RGB", (40, 30), COLOURS["red.png"])
    both.paste(COLOURS["blue.png"], (26, 0, 40, 30))
    both.save(folder / "both.png")
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo either", encoding="utf-8")
    return folder


@pytest.fixture
def visit(tab) -> Callable[..., Tab]:
    def go(site: Site, files: Sequence[Path] = ()) -> Tab:
        tab.open(site.address)
        ready(tab)
        if files:
            add(tab, files)
        return tab

    return go
