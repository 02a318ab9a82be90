from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sortograph.recipe import Train
from sortograph.training.device import (
    _take_large_pages,
    describe,
    keep_memory,
    precision,
    rounding,
    threads,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("has", "expected"),
    [({"amx_bf16": True}, torch.bfloat16), ({"amx_bf16": False}, torch.float32), ({}, torch.float32)],
)
def test_on_a_cpu_bfloat16_needs_units_for_it(monkeypatch, has, expected):
    """Without them it is emulated, which takes longer than float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True, **has})
    assert precision(Train(), CPU) == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_on_a_gpu_bfloat16_needs_compute_capability_8(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision(Train(), CUDA) == expected


def test_other_devices_compute_in_float32():
    assert precision(Train(), torch.device("mps")) == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_the_recipe_says_is_taken(monkeypatch, name):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": name == "float32"})
    assert precision(Train(precision=name), CPU) == getattr(torch, name)


def test_the_record_names_device_precision_and_threads():
    found = describe(CPU, torch.bfloat16)
    assert found == {"device": "cpu", "precision": "bfloat16", "threads": torch.get_num_threads()}


def test_the_record_names_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A card")
    assert describe(CUDA, torch.float32)["device"] == "A card"


def test_threads_are_set_for_a_while():
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with threads(0):
            assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_matrices_are_rounded_only_while_a_run_computes_in_bfloat16():
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    with rounding(torch.bfloat16):
        assert settings.fp32_precision == "bf16"
        with rounding(torch.float32):
            assert settings.fp32_precision == "ieee"
    assert settings.fp32_precision == before


def test_the_allocator_is_told_only_where_it_can_be(monkeypatch):
    told: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, name: int, value: int) -> None:
            told.append((name, value))

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    monkeypatch.setattr(sys, "platform", "win32")
    keep_memory()
    assert told == []
    monkeypatch.setattr(sys, "platform", "linux")
    keep_memory()
    assert sorted(told) == [(-3, 2**30), (-1, 2**31 - 1)]


@pytest.mark.parametrize("problem", [OSError, AttributeError])
def test_another_c_library_is_no_error(monkeypatch, problem):
    asked = []

    def refuse(name):
        asked.append(name)
        raise problem

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    keep_memory()
    assert asked == [None], "the library of the process was asked, and its refusal taken"


_WHERE = """
import torch
from sortograph.training.device import keep_memory

def is_large():
    tensor = torch.ones(2**24)
    there, within = tensor.data_ptr() + 2**22, False
    for line in open("/proc/self/smaps", encoding="utf-8"):
        first = line.split()[0]
        if "-" in first:
            low, high = (int(bound, 16) for bound in first.split("-"))
            within = low <= there < high
        elif within and first == "VmFlags:":
            return "hg" in line.split()

before = is_large()
keep_memory()
print(before, is_large())
"""


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir()
    or platform.libc_ver()[0] != "glibc"
    or tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 35),
    reason="needs Linux with large pages, and glibc from 2.35 on",
)
def test_large_tensors_are_put_in_large_pages():
    unasked = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GLIBC_TUNABLES", "THP_MEM_ALLOC_ENABLE")
    }
    words = [sys.executable, "-c", _WHERE]
    found = subprocess.run(words, capture_output=True, text=True, check=True, env=unasked)
    assert found.stdout.split() == ["False", "True"]


def test_no_room_for_large_pages_is_no_error():
    advised, freed = [], []

    class Library:
        def __init__(self) -> None:
            self.malloc, self.free = (lambda size: None), (lambda room: freed.append(room))
            self.madvise = lambda *which: advised.append(which)

    _take_large_pages(Library(), 14)
    assert advised == freed == []
