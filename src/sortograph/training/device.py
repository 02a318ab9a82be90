"""Where and in which precision training runs."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch

from sortograph.images.decode import contract
from sortograph.recipe import Train

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGE_PAGES = 2**29  # bytes; more of them take as long to be cleared as a short run gains
_HAS_LARGE_PAGES = threading.Event()


def precision(train: Train, device: torch.device) -> torch.dtype:
    """What the heavy operators compute in. Weights, losses and the finished model stay float32."""
    if train.precision != "auto":
        return torch.float32 if train.precision == "float32" else torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float32
    tiles = device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.bfloat16 if tiles else torch.float32


def describe(device: torch.device, dtype: torch.dtype) -> dict[str, str | int]:
    """For the record of a run."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "device": name,
        "precision": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }


def circumstances(device: torch.device, dtype: torch.dtype) -> dict[str, str]:
    """What the bits of a result depend on besides recipe and photos, by name."""
    described = {name: str(value) for name, value in describe(device, dtype).items()}
    return {**described, "torch": torch.__version__, "decoder": contract()}


def keep_memory() -> None:
    """Let glibc keep the memory of large tensors: mapped and cleared anew at each step, it costs a third of
    the time. Take it in large pages, of which fewer are to be looked up: another twentieth. Does nothing
    elsewhere; the process may then hold on to its largest working set, and to half a gigabyte of room."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 2**30)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        if not _HAS_LARGE_PAGES.is_set():  # for the next run of this process malloc still has them
            _take_large_pages(libc, mmap.MADV_HUGEPAGE)
            _HAS_LARGE_PAGES.set()


def _take_large_pages(libc: ctypes.CDLL, advice: int) -> None:
    """For what malloc gives out next: room that is asked for, marked and given back without being touched."""
    size, pointer = _LARGE_PAGES, ctypes.c_void_p
    libc.malloc.restype, libc.malloc.argtypes = pointer, [ctypes.c_size_t]
    libc.madvise.argtypes, libc.free.argtypes = [pointer, ctypes.c_size_t, ctypes.c_int], [pointer]
    if room := libc.malloc(size):
        start = -(-room // mmap.PAGESIZE) * mmap.PAGESIZE
        libc.madvise(start, (room + size - start) // mmap.PAGESIZE * mmap.PAGESIZE, advice)
        libc.free(room)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Computes with so many threads; 0 for as many as there were."""
    if not count:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def rounding(dtype: torch.dtype) -> Iterator[None]:
    """Lets oneDNN multiply float32 matrices in bfloat16 where that is what the run computes in."""
    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16" if dtype == torch.bfloat16 else "ieee"
    try:
        yield
    finally:
        settings.fp32_precision = before
