"""Reading files with weights that others wrote: safetensors, or PyTorch's own without any code in them."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sortograph.errors import MissingExtra, WeightsError, listed

State = dict[str, Tensor]
_SAFETENSORS = ".safetensors"
_INSIDE = ("state_dict", "model_state_dict", "model")  # where training programs put the weights of a network
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_COUNTER = "num_batches_tracked"  # how often batch normalisation was taught: not a weight
_FEW = 3
_CODE = re.compile(r"unsupported global:? (?:GLOBAL )?([\w.]+)", re.IGNORECASE)  # as torch tells it


def read_state(file: Path) -> State:
    """Arrays by name, without the prefixes that training programs add.

    Raises WeightsError for files that cannot be read, hold code, or hold something else than weights.
    """
    if not file.is_file():
        raise WeightsError("no such file", where=str(file), expected="a .safetensors or .pth file")
    found = _safetensors(file) if file.suffix == _SAFETENSORS else _pickled(file)
    for _ in _INSIDE:
        inner = next((found[key] for key in _INSIDE if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = dict(inner)
    return _unprefixed(_arrays(found, file))


def mismatches(state: Mapping[str, Tensor], body: nn.Module, classifier: Iterable[str]) -> list[str]:
    """What keeps arrays from being the weights of `body`. Layers named in `classifier` may be there, too."""
    wanted = {name: value for name, value in body.state_dict().items() if not name.endswith(_COUNTER)}
    heads = tuple(f"{name}." for name in classifier)
    given = {name: value for name, value in state.items() if not name.endswith(_COUNTER)}
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted and not name.startswith(heads)]
    both = [(name, given[name], value) for name, value in wanted.items() if name in given]
    wrong = [
        f"{name} is {_shape(found)}, not {_shape(value)}"
        for name, found, value in both
        if found.shape != value.shape or found.is_floating_point() != value.is_floating_point()
    ]
    counts = (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
    return [_listed(what, names) for what, names in counts if names]


def check_finite(state: Mapping[str, Tensor], file: Path) -> None:
    """Raises WeightsError when a weight is NaN or infinite."""
    bad = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise WeightsError(
            f"weights that are no numbers (NaN or infinite) in {_listed('arrays', bad)}", where=str(file)
        )


def load(body: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies arrays into a network that they fit, as `mismatches` tells."""
    names = body.state_dict().keys()
    result = body.load_state_dict({key: value for key, value in state.items() if key in names}, strict=False)
    assert all(name.endswith(_COUNTER) for name in result.missing_keys)


def serialized(body: nn.Module) -> bytes:
    """A safetensors file of a network, real numbers as float32. The same weights give the same bytes."""
    from safetensors.torch import save

    state = {
        name: (value.float() if value.is_floating_point() else value).detach().cpu().clone().contiguous()
        for name, value in body.state_dict().items()
        if not name.endswith(_COUNTER)
    }
    data: bytes = save(state)
    return data


def fingerprint(body: nn.Module) -> str:
    """SHA-256 of `serialized`."""
    return hashlib.sha256(serialized(body)).hexdigest()


def _safetensors(file: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise MissingExtra.of("train", "safetensors") from None
    try:
        found: dict[str, Any] = load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _unreadable(file, str(error)) from None
    return found


def _pickled(file: Path) -> dict[str, Any]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if wanted := _CODE.search(str(error)):
            raise WeightsError(
                f"this file would run code when it is opened ({wanted[1]}), so it stays closed",
                where=str(file),
                expected="weights alone",
                fix="save them again: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')",
            ) from None
        raise _unreadable(file, "damaged, or no file of PyTorch") from None
    except Exception as error:  # what a damaged zip or pickle raises is nowhere listed
        raise _unreadable(file, str(error)) from None
    if not isinstance(found, Mapping):
        raise _unreadable(file, f"it holds one {type(found).__name__}")
    return dict(found)


def _arrays(found: Mapping[str, Any], file: Path) -> State:
    kept = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    odd = [name for name, value in kept.items() if value.layout != torch.strided or value.is_quantized]
    if not kept or odd or len(kept) < len(found):
        rest = odd or [str(name) for name in found if str(name) not in kept]
        reason = _listed("entries that are no plain arrays", rest) if rest else "it is empty"
        raise _unreadable(file, reason)
    return kept


def _unprefixed(state: State) -> State:
    for _ in _PREFIXES:
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _unreadable(file: Path, reason: str) -> WeightsError:
    line = (reason.strip().splitlines() or ["damaged"])[0][:200]
    return WeightsError(
        f"this is no file of weights ({line})",
        where=str(file),
        expected="a .safetensors file, or a .pth with a state dict",
    )


def _listed(what: str, names: list[str]) -> str:
    """
    >>> _listed("missing", ["a", "b", "c", "d", "e"])
    '5 missing: a, b, c and 2 more'
    """
    return f"{len(names)} {what}: {listed(names, _FEW)}"


def _shape(value: Tensor) -> str:
    kind = "" if value.is_floating_point() else f" of {str(value.dtype).removeprefix('torch.')}"
    return f"{'×'.join(map(str, value.shape)) or 'one number'}{kind}"
