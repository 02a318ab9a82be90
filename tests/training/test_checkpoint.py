from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sortograph import files
from sortograph.errors import RunError, StorageError
from sortograph.recipe import Train
from sortograph.records import EpochRow
from sortograph.training.checkpoint import (
    Checkpoint,
    Sums,
    optimiser_tensors,
    read_checkpoint,
    restore_optimiser,
    write_checkpoint,
)
from sortograph.training.optim import make_optimiser, prepare_step

ROW = EpochRow(1, 0.1 + 0.2, 0.75, None, None, 1e-3, 1.5, 99.0, {"conv": 0.1})


def tensors() -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(1)
    return {
        "network/conv.weight": torch.randn(4, 3, 3, 3, generator=chance).to(
            memory_format=torch.channels_last
        ),
        "network/bn.num_batches_tracked": torch.tensor(7),
        "optimiser/0/step": torch.tensor(7.0),
        "best/half": torch.randn(5, generator=chance).to(torch.bfloat16),
        "best/none": torch.zeros(0, 3),
    }


def checkpoint(epoch: int = 2, step: int = 3) -> Checkpoint:
    return Checkpoint(
        fingerprint="f" * 64,
        recipe={"name": "é", "train": {"epochs": 3}},
        epoch=epoch,
        step=step,
        history=(ROW, dataclasses.replace(ROW, epoch=2, validation_loss=0.5, validation_accuracy=1.0)),
        sums=Sums(1 / 3, 4, 5, 0.1, {"conv": 2 / 3}, 1),
        tensors=tensors(),
    )


def test_everything_comes_back_to_the_bit(tmp_path):
    written = checkpoint()
    write_checkpoint(tmp_path / "new" / "folder", written)
    read = read_checkpoint(tmp_path / "new" / "folder")
    assert dataclasses.replace(read, tensors={}) == dataclasses.replace(written, tensors={})
    assert read.tensors.keys() == written.tensors.keys()
    for name, tensor in tensors().items():
        assert read.tensors[name].dtype == tensor.dtype
        assert torch.equal(read.tensors[name], tensor)


def test_the_last_two_are_kept_and_the_newest_is_read(tmp_path):
    places = [(1, 2), (1, 10), (2, 0), (2, 9), (10, 1)]
    for epoch, step in places:
        write_checkpoint(tmp_path, checkpoint(epoch, step))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-00002-step-0000009.safetensors", "epoch-00010-step-0000001.safetensors"]
    read = read_checkpoint(tmp_path)
    assert (read.epoch, read.step) == (10, 1)


def middle(path: Path) -> int:
    return path.stat().st_size // 2


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: middle(path)])


def flip(place: float, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "lying header": lambda path: path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:]),
    **{f"a bit at {place}": lambda path, place=place: flip(place, path) for place in (0, 0.2, 0.5, 0.9, 1)},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_of_a_damaged_newest_checkpoint_the_one_before_is_used(tmp_path, damage):
    write_checkpoint(tmp_path, checkpoint(1, 5))
    damage(write_checkpoint(tmp_path, checkpoint(2, 6)))
    assert read_checkpoint(tmp_path).epoch == 1


def test_when_all_are_damaged_each_is_named_with_its_reason(tmp_path):
    paths = [write_checkpoint(tmp_path, checkpoint(epoch)) for epoch in (1, 2)]
    cut(paths[0])
    flip(1, paths[1])
    with pytest.raises(RunError) as caught:
        read_checkpoint(tmp_path)
    assert all(path.name in str(caught.value) for path in paths)
    assert "damaged" in str(caught.value)
    assert caught.value.where == str(tmp_path)
    assert caught.value.fix


@pytest.mark.parametrize("name", ["", "epoch-00001-step-0000001.safetensors"])
def test_a_folder_without_checkpoints_is_refused(tmp_path, name):
    (tmp_path / name).mkdir(exist_ok=True)
    with pytest.raises(RunError, match="no checkpoint"):
        read_checkpoint(tmp_path)
    with pytest.raises(RunError, match="no checkpoint"):
        read_checkpoint(tmp_path / "none")


def test_a_checkpoint_of_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sortograph.training.checkpoint._FORMAT", 2)
    write_checkpoint(tmp_path, checkpoint())
    monkeypatch.undo()
    with pytest.raises(RunError, match="format 2, this version reads 1"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_one_before_and_no_litter(tmp_path, monkeypatch, call):
    write_checkpoint(tmp_path, checkpoint(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(files.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_checkpoint(tmp_path, checkpoint(2))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00001-step-0000003.safetensors"]
    assert read_checkpoint(tmp_path).epoch == 1


def test_what_a_killed_write_leaves_is_no_checkpoint(tmp_path, monkeypatch):
    """The temporary neighbour stays when the process is killed before the rename."""
    write_checkpoint(tmp_path, checkpoint(1))
    whole = write_checkpoint(tmp_path, checkpoint(2))
    whole.rename(tmp_path / ".writing-abc.safetensors")
    assert read_checkpoint(tmp_path).epoch == 1


def network() -> nn.Module:
    torch.manual_seed(5)
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    return made.to(memory_format=torch.channels_last)


def take_steps(net: nn.Module, optimiser: torch.optim.Optimizer, train: Train, steps: range) -> None:
    for step in steps:
        photos = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        optimiser.zero_grad()
        net(photos).square().mean().backward()
        prepare_step(optimiser, train, train.learning_rate, step)
        optimiser.step()


@pytest.mark.parametrize(
    ("optimiser", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("adam", 0.0), ("adamw", 0.0)]
)
def test_an_optimiser_goes_on_from_a_file_as_if_never_stopped(tmp_path, optimiser, momentum):
    """Filters lie channels-last in memory and plainly in the file: their state must follow them back."""
    train = Train(optimiser=optimiser, momentum=momentum, learning_rate=0.01)
    with torch.random.fork_rng():
        whole, first, second = network(), network(), network()
    take_steps(whole, make_optimiser(train, whole), train, range(6))
    before = make_optimiser(train, first)
    take_steps(first, before, train, range(3))
    state = {f"optimiser/{name}": tensor for name, tensor in optimiser_tensors(before).items()}
    write_checkpoint(tmp_path, dataclasses.replace(checkpoint(), tensors=state))
    second.load_state_dict(first.state_dict())
    after = make_optimiser(train, second)
    read = read_checkpoint(tmp_path).tensors
    restore_optimiser(after, {name.removeprefix("optimiser/"): tensor for name, tensor in read.items()})
    take_steps(second, after, train, range(3, 6))
    for found, expected in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(found, expected)
