"""One thread for matrix products that are too small for several.

The threads of a linear algebra library wait for each other without rest: where the processor has other work,
a product of a millisecond may take a hundred.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def alone(small: bool) -> Iterator[None]:
    """NumPy's products in one thread if `small`, where threadpoolctl is there (scikit-learn brings it)."""
    if not small:
        yield
        return
    try:
        limits = importlib.import_module("threadpoolctl").threadpool_limits
    except ModuleNotFoundError:
        yield
        return
    with limits(1, user_api="blas"):
        yield
