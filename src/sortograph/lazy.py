"""Names of a package that are loaded when they are first asked for. Imports next to nothing itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def getter(package: str, names: Mapping[str, Iterable[str]]) -> Callable[[str], object]:
    """The `__getattr__` of a package (PEP 562): module below it → the names that it has.

    >>> getter("sortograph", {"errors": ["counted"]})("counted")(2, "photo")
    '2 photos'
    """
    homes = {name: module for module, those in names.items() for name in those}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # asked for once
        return value

    return get
