"""exploding-gradients and vanishing-gradients: what reaches the first layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sortograph.diagnosis import remedies, words
from sortograph.diagnosis.view import RunView, Skip
from sortograph.records import Remedy, Verdict

NAMES = ("exploding-gradients", "vanishing-gradients")
_FAILED = ("nan", "inf", "not finite")
_LARGE, _GREW = 1e3, 100.0  # a norm of all gradients; its growth over the first epochs
OVERSHOT = 1.5  # times the loss of chance
_FAINT = 1e-3  # of the strongest layer's norm
_FIRST = 3  # epochs that a growth is compared with
_NORMS = (".bn", "_bn", "norm")  # layers that have few weights of their own


def has_exploded(view: RunView) -> bool:
    """Whether the run ended on a loss or a weight that is no finite number."""
    is_gate = view.record.status == "failed" and view.log.kind == "GateError"
    return is_gate and any(word in view.log.failure for word in _FAILED)


def layers(view: RunView) -> tuple[str, ...]:
    """Layers with weights of their own, from the photo to the answer; those of normalisation left out."""
    names = list(view.history[-1].gradient_norms) if view.history else []
    return tuple(name for name in names if not any(part in name for part in _NORMS))


def norms(view: RunView) -> NDArray[np.float64]:
    """Gradient norms by epoch and layer, float64 (E, L)."""
    names = layers(view)
    rows = [[row.gradient_norms.get(name, np.nan) for name in names] for row in view.history]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _faintest(view: RunView) -> NDArray[np.float64]:
    """The faintest layer's norm over the strongest one's, float64 (E,); NaN without two layers."""
    found = norms(view)
    if found.shape[1] < 2:
        return np.full(len(found), np.nan)
    strongest = found.max(axis=1)
    shares: NDArray[np.float64] = np.divide(
        found.min(axis=1), strongest, out=np.zeros(len(found)), where=strongest > 0
    )
    return shares


def has_overshot(view: RunView) -> bool:
    """Whether the training loss was far above chance at some time: such steps switch units off for good."""
    return bool(view.history) and bool(view.values("train_loss").max() > OVERSHOT * view.chance_loss)


def is_starved_from_the_start(view: RunView) -> bool:
    """Whether some layer has had next to no gradient since the first epoch, and not for too large a step."""
    faint = _faintest(view)
    if np.isnan(faint).all() or has_overshot(view):
        return False
    return bool(faint[0] < _FAINT and np.nanmedian(faint) < _FAINT)


def died(view: RunView) -> bool:
    """Whether a layer that had a gradient has lost it: units that are off whatever they are shown."""
    faint = _faintest(view)
    if len(faint) < 2 or np.isnan(faint).all():
        return False
    return bool(faint[0] >= _FAINT and np.nanmedian(faint[len(faint) // 2 :]) < _FAINT)


def judge(view: RunView) -> Iterator[Verdict | Skip]:
    if has_exploded(view):
        yield _ended(view)
        yield Skip("vanishing-gradients", "the run ended before it could be seen")
        return
    if reason := view.why_no_history or ("" if layers(view) else "no gradient norms were written"):
        yield from (Skip(name, reason) for name in NAMES)
        return
    yield from _exploding(view)
    yield from _vanishing(view)


def _ended(view: RunView) -> Verdict:
    return Verdict(
        name="exploding-gradients",
        message=f"the run ended after {len(view.history)} whole epochs because {view.log.failure}",
        severity=1.0,
        figures={"epochs": len(view.history), "failure": view.log.failure},
        remedies=_against_explosion(view),
    )


def _exploding(view: RunView) -> Iterator[Verdict]:
    totals = np.sqrt(np.nansum(norms(view) ** 2, axis=1))
    usual = float(np.median(totals[:_FIRST]))
    most, epoch = float(totals.max()), int(totals.argmax()) + 1
    grew = most > _GREW * max(usual, 1e-9) and most > 10
    if most < _LARGE and not grew:
        return
    clip = view.get("train.clip_norm")
    limited = f", clipped to {clip:g}" if clip else ""
    yield Verdict(
        name="exploding-gradients",
        message=(
            f"the norm of all gradients reached {most:.3g} in epoch {epoch}{limited}; at the start it was "
            f"{usual:.3g}"
        ),
        severity=words.clipped((0.3 if clip else 0.5) + (0.0 if view.has_learned else 0.3)),
        figures={"largest": most, "epoch": epoch, "first": usual},
        remedies=_against_explosion(view),
    )


def _vanishing(view: RunView) -> Iterator[Verdict | Skip]:
    if view.ends_at_chance and (died(view) or has_overshot(view)):
        yield Skip(
            "vanishing-gradients", "layers have died of too large steps: the learning rate explains it"
        )
        return
    if not view.ends_at_chance or not is_starved_from_the_start(view):
        return
    names, found = layers(view), norms(view)
    middle = np.median(found, axis=0)
    faint, strong = int(middle.argmin()), int(middle.argmax())
    share = middle[faint] / max(middle[strong], 1e-300)
    yield Verdict(
        name="vanishing-gradients",
        message=(
            f"next to no gradient reaches {names[faint]}: its norm is {middle[faint]:.1e}, that of "
            f"{names[strong]} {middle[strong]:.1e} (medians of {len(found)} epochs), and nothing was learned "
            f"beyond class frequencies"
        ),
        severity=0.85,
        figures={"layer": names[faint], "share": float(share), "strongest": names[strong]},
        remedies=remedies.ranked(remedies.normalised(view), _shallower(view), remedies.backbone(view)),
    )


def _shallower(view: RunView) -> Remedy | None:
    key = "model.dense" if len(view.get("model.dense")) > 2 else "model.filters"
    layers_ = list(view.get(key))
    if view.kind != "network" or len(layers_) < 3:
        return None
    half = layers_[: max(1, len(layers_) // 2)] if key == "model.filters" else layers_[:2]
    return Remedy("fewer layers", "a gradient fades from layer to layer", (remedies.written(key, half),))


def _against_explosion(view: RunView) -> tuple[Remedy, ...]:
    return remedies.ranked(
        remedies.clipping(view),
        remedies.slower(view, 10),
        remedies.normalised(view),
        remedies.adam(view),
    )
