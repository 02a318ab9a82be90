"""What is loaded when it is first asked for, and without delay. Imports next to nothing itself."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

_alone = False


def getter(package: str, names: Mapping[str, Iterable[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package (PEP 562): module below it → the names that it has.

    >>> getter("sortograph", {"errors": ["counted"]})("counted")(2, "photo")
    '2 photos'
    """
    homes = {name: module for module, those in names.items() for name in those}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with importing():
            value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # asked for once
        return value

    return get


def own_process() -> None:
    """To be called by a program that is alone in its process."""
    global _alone
    _alone = True


@contextmanager
def importing(*, early: bool = False) -> Iterator[None]:
    """No garbage is collected meanwhile: of the objects that large libraries make while they are loaded,
    hundreds of thousands, all stay, and each full collection looks through all of them.

    early: before there is anything but libraries. In a process of its own, no later collection looks through
        them, either; garbage that was there would stay, too.
    """
    collected, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if early and _alone and len(sys.modules) > modules:
            gc.freeze()
        if collected:
            gc.enable()
