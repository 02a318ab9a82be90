"""What can be done, as values of the run's own recipe; what the recipe has already is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sortograph.diagnosis import thumb
from sortograph.diagnosis.view import RunView
from sortograph.records import Remedy

TWICE = "twice as many training photos"
_TURN, _ZOOM, _DROPOUT, _MOST_DROPOUT, _VIEWS = 0.2, 0.2, 0.2, 0.5, 8
_DECAY = 0.01
_FIRST = 64  # filters or units that a larger network has at least in its first layers


def ranked(*found: Remedy | None) -> tuple[Remedy, ...]:
    """Those that there are, the greatest gain first; where nobody can tell the gain, in the order given."""
    there = [remedy for remedy in found if remedy is not None]
    return tuple(sorted(there, key=lambda one: float("inf") if one.gain is None else -one.gain))


def written(key: str, value: Any) -> str:
    """
    >>> written("augment.horizontal_flip", True), written("model.filters", (32, 64))
    ('augment.horizontal_flip=true', 'model.filters=[32, 64]')
    """
    return f"{key}={json.dumps(value)}" if not isinstance(value, str) else f"{key}={value}"


def changed(view: RunView, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Overrides for those values that the recipe does not have yet."""
    return tuple(written(key, value) for key, value in wanted.items() if not _has(view.get(key), value))


def _has(now: Any, wanted: Any) -> bool:
    return bool(list(now) == list(wanted) if isinstance(wanted, list | tuple) else now == wanted)


def augmentation(view: RunView, gap: float) -> Remedy | None:
    """Flips, turns and zoom, as far as the recipe has less of them."""
    sets = changed(view, _augmented(view))
    if not sets:
        return None
    why = "each epoch shows other views; leave the flip out where a mirrored photo means something else"
    gain = thumb.gain(thumb.AUGMENTATION, gap)
    return Remedy("augmentation: horizontal flip, turns, zoom", why, sets, gain=gain)


def dropout(view: RunView, gap: float) -> Remedy | None:
    sets = changed(view, _dropped(view))
    why = "no unit can rely on a single other one: less is learned by heart"
    return Remedy("dropout", why, sets, gain=thumb.gain(thumb.DROPOUT, gap)) if sets else None


def both(view: RunView, gap: float) -> Remedy | None:
    """Augmentation and dropout together, where neither is there yet."""
    more, dropped = changed(view, _augmented(view)), changed(view, _dropped(view))
    if not (more and dropped):
        return None
    gain = thumb.gain(thumb.AUGMENTATION_AND_DROPOUT, gap)
    return Remedy("augmentation and dropout", "both together close a gap best", (*more, *dropped), gain=gain)


def decay(view: RunView, gap: float) -> Remedy | None:
    if view.kind == "head":
        return None
    sets = changed(view, {"train.optimiser": "adamw"}) if view.get("train.optimiser") != "sgd" else ()
    if view.get("train.weight_decay") < _DECAY:
        sets = (*sets, written("train.weight_decay", _DECAY if sets else 1e-3))
    if not sets:
        return None
    why = "smaller weights make smoother functions"
    return Remedy("weight decay", why, sets, gain=thumb.gain(thumb.WEIGHT_DECAY, gap))


def _augmented(view: RunView) -> dict[str, Any]:
    wanted: dict[str, Any] = {"augment.horizontal_flip": True}
    if view.get("augment.rotation") < _TURN:
        wanted["augment.rotation"] = _TURN
    if view.get("augment.zoom") < _ZOOM:
        wanted["augment.zoom"] = _ZOOM
    if view.kind in ("mlp", "head") and view.get("backbone.views") < _VIEWS:
        wanted["backbone.views"] = _VIEWS  # embeddings are kept: without views there is nothing to vary
    return wanted


def _dropped(view: RunView) -> dict[str, Any]:
    key = {"network": "model.dropout", "mlp": "head.dropout", "finetune": "finetune.drop_path"}.get(view.kind)
    if key is None:
        return {}
    now = view.get(key)
    return {key: round(min(_MOST_DROPOUT, now + _DROPOUT), 3)} if now < _MOST_DROPOUT else {}


def backbone(view: RunView) -> Remedy | None:
    """The recipe `auto`, on the same splits; None where the run has a backbone already."""
    if view.kind != "network":
        return None
    why = "a network that others have taught on a million photos needs few of yours"
    text = "a pretrained backbone (recipe auto)"
    gain = thumb.gain(thumb.BACKBONE, view.errors)
    return Remedy(text, why, same_photos(view), recipe="auto", gain=gain)


def same_photos(view: RunView) -> tuple[str, ...]:
    """Overrides that give another recipe the classes and splits of this run."""
    now, usual = view.record.recipe, _usual()
    return tuple(
        written(f"{section}.{key}", value)
        for section in ("data", "split")
        for key, value in now.get(section, {}).items()
        if not _has(usual[section].get(key), value)
    )


def _usual() -> dict[str, Any]:
    from sortograph.recipe import load_recipe

    return load_recipe("auto").to_dict()


def more_photos(view: RunView, of: str = "") -> Remedy:
    counts = view.class_counts
    small = view.index.classes[int(counts.argmin())] if len(counts) else ""
    why = of or f"the fewest are of {small}: {int(counts.min())} to train on" if small else of
    gain = thumb.gain(thumb.TWICE_THE_PHOTOS, view.errors)
    return Remedy(TWICE, why, gain=gain)


def slower(view: RunView, factor: float) -> Remedy:
    """A learning rate that is `factor` times smaller."""
    rate = view.get(view.rate_key) / factor
    why = "smaller steps do not overshoot"
    return Remedy(f"a learning rate {factor:g} times smaller", why, (_rate(view, rate),))


def faster(view: RunView, factor: float) -> Remedy:
    rate = min(1.0, view.get(view.rate_key) * factor)
    why = "larger steps get further in as many epochs"
    return Remedy(f"a learning rate {factor:g} times larger", why, (_rate(view, rate),))


def _rate(view: RunView, rate: float) -> str:
    return f"{view.rate_key}={rate:.3g}"


def clipping(view: RunView) -> Remedy | None:
    sets = changed(view, {"train.clip_norm": 1.0}) if not view.get("train.clip_norm") else ()
    why = "no single batch can throw the weights off"
    return Remedy("gradients clipped to a norm of 1", why, sets) if sets else None


def adam(view: RunView) -> Remedy | None:
    """For SGD: steps that each weight scales for itself."""
    if view.get("train.optimiser") != "sgd" or view.kind == "finetune":
        return None
    sets = ["train.optimiser=adam", "train.learning_rate=0.001"]
    sets += ["train.momentum=0"] if view.get("train.momentum") else []  # which adam does not have
    return Remedy("the optimiser Adam", "it scales the step of each weight by itself", tuple(sets))


def decreasing(view: RunView) -> Remedy | None:
    """A learning rate that falls to 0."""
    if view.get("train.schedule") != "constant":
        return None
    why = "steps become smaller towards the end, and the weights settle"
    return Remedy("a learning rate that falls (cosine)", why, ("train.schedule=cosine",))


def larger_batches(view: RunView) -> Remedy | None:
    size = view.get("train.batch_size")
    if size * 8 > view.photos("train"):
        return None
    why = "gradients of more photos vary less"
    return Remedy("batches twice as large", why, (written("train.batch_size", size * 2),))


def normalised(view: RunView) -> Remedy | None:
    """Batch normalisation, where the network can have it."""
    if view.kind != "network" or view.get("model.batch_norm") or view.get("train.batch_size") < 2:
        return None
    why = "each layer gets inputs of one scale, so that gradients neither grow nor vanish on their way"
    sets = ("model.batch_norm=true", *changed(view, {"model.initialisation": "he"}))
    return Remedy("batch normalisation", why, sets)


def longer(view: RunView, factor: float, gain: float | None) -> Remedy:
    epochs = int(view.get(view.epochs_key) * factor)
    sets = (written(view.epochs_key, epochs),)
    why = "the training loss is still falling"
    return Remedy(f"{epochs} epochs instead of {view.get(view.epochs_key)}", why, sets, gain=gain)


def larger(view: RunView, missed: float) -> Remedy | None:
    """Twice the filters and units of a network from scratch."""
    if view.kind != "network":
        return None
    filters = [max(2 * count, _FIRST // 4) for count in view.get("model.filters")]
    dense = [max(2 * count, _FIRST) for count in view.get("model.dense")]
    wanted = {"model.dense": dense} if view.get("model.kind") == "dense" else {"model.filters": filters}
    if view.get("model.dense") and min(view.get("model.dense")) < _FIRST:
        wanted["model.dense"] = dense
    why = "the network cannot hold what tells the classes apart"
    return Remedy("a larger network", why, changed(view, wanted), gain=thumb.gain(thumb.LARGER, missed))


def less_dropout(view: RunView, missed: float) -> Remedy | None:
    """Without dropout, where there is much of it."""
    keys = [key for key in ("model.dropout", "model.dense_dropout", "head.dropout") if view.get(key) >= 0.4]
    if not keys or view.kind == "head":
        return None
    sets = tuple(written(key, 0.1) for key in keys)
    why = "what is dropped cannot be learned"
    return Remedy("less dropout", why, sets, gain=thumb.gain(thumb.LARGER, missed))


def balanced(view: RunView, gain: float) -> Remedy | None:
    """Rare classes count more."""
    key, value = "train.class_weights", "balanced"
    if view.kind in ("mlp", "head"):
        key, value = "head.balance", "class-weights"
    sets = changed(view, {key: value})
    why = "each class counts alike, however few photos it has"
    return Remedy("class weights", why, sets, gain=gain) if sets else None


def fewer(view: RunView, epochs: int, gain: float | None) -> Remedy:
    sets = (written(view.epochs_key, epochs),)
    why = "what comes after is learned by heart, or not at all"
    return Remedy(f"{epochs} epochs", why, sets, gain=gain, guess=gain is None)


def stopping(view: RunView, patience: int, gain: float | None) -> Remedy | None:
    if view.get("train.early_stopping") or not view.is_validated:
        return None
    sets = (written("train.early_stopping", patience), *changed(view, {"train.keep": "best"}))
    why = "it ends by itself, and the weights of the best epoch are kept"
    text = f"early stopping after {patience} epochs without a better one"
    return Remedy(text, why, sets, gain=gain, guess=gain is None)


def audit(why: str) -> Remedy:
    return Remedy("look at the photos: sortograph audit PHOTOS", why)
