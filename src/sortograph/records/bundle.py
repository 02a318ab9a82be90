"""What a model.onnx says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sortograph.errors import BundleError, nearest
from sortograph.records.pixels import PreprocessSpec
from sortograph.records.plain import are_rows, is_abstain, is_conformal, is_likeness, is_number, is_trust

if TYPE_CHECKING:
    from sortograph.records.trust import Trust

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """The metadata of a bundle.

    classes          C names in the order of the outputs
    temperature      what the logits are divided by before softmax
    abstain          rows of the table error rate → threshold, as AbstainRow; empty when not calibrated
    conformal        rows of the table level → threshold, as ConformalRow; empty when not calibrated
    likeness         threshold, share and n, as LikenessRow; empty where it is not told
    calibrated       split, n and groups of the photos behind all of these; empty when not calibrated
    fingerprint      of the DatasetIndex that the model was trained on
    evaluation       split → {"n", "metrics"}, as in evaluation.json
    weights_licence  of pretrained weights; "" when trained from scratch
    """

    classes: tuple[str, ...]
    preprocess: PreprocessSpec
    temperature: float = 1.0
    abstain: tuple[Mapping[str, Any], ...] = ()
    conformal: tuple[Mapping[str, Any], ...] = ()
    likeness: Mapping[str, Any] = field(default_factory=dict)
    calibrated: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    weights_licence: str = ""
    recipe: str = ""
    made_with: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Raises ValueError for numbers that JSON does not have (NaN, infinity)."""
        text = json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, allow_nan=False)
        # Names whose bytes are no UTF-8 become JSON's own escapes, which `from_json` turns back.
        return text.encode("utf-8", "backslashreplace").decode()

    @classmethod
    def from_json(cls, text: str, where: str) -> BundleManifest:
        """Raises BundleError when the text is not a manifest of this version; `where` names the file."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise BundleError("the manifest is not JSON", where=where) from None
        if not isinstance(data, dict):
            raise BundleError("the manifest is not an object", where=where)
        version = data.get("format_version")
        if type(version) is int and version > FORMAT_VERSION:
            raise BundleError(
                f"made by a newer sortograph (format {version}, this one reads up to {FORMAT_VERSION})",
                where=where,
                fix="pip install -U sortograph",
            )
        mistakes = [*_unknown_keys(data, [f.name for f in fields(cls)]), *_wrong_values(data)]
        if mistakes:
            raise BundleError(f"not a manifest that can be used: {'; '.join(mistakes)}", where=where)
        return cls._made(data, where)

    @property
    def trust(self) -> Trust | None:
        """What was measured on held-out photos; None where it is not known, or not all of it."""
        from sortograph.records.trust import Trust

        known: dict[str, Any] = {
            **self.calibrated,
            "temperature": self.temperature,
            "abstain": [dict(row) for row in self.abstain],
            "conformal": [dict(row) for row in self.conformal],
            "likeness": dict(self.likeness) or None,
        }
        try:  # a row may lack what is only told
            return Trust.from_json(known) if is_trust(known) else None
        except TypeError:
            return None

    @classmethod
    def _made(cls, data: dict[str, Any], where: str) -> BundleManifest:
        try:
            preprocess = PreprocessSpec.from_json(data.pop("preprocess"))
        except (TypeError, ValueError) as error:
            raise BundleError(f"the manifest's preprocess cannot be used ({error})", where=where) from None
        data |= {name: tuple(data.get(name, ())) for name in ("classes", "abstain", "conformal")}
        return cls(preprocess=preprocess, **data)


def _unknown_keys(data: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    unknown = sorted(key[:40] for key in data if key not in known)
    return [f"unknown key {key!r}{nearest(key, known)}" for key in unknown[:5]]


def _wrong_values(data: Mapping[str, Any]) -> list[str]:
    """What is missing or of the wrong kind, each in a few words."""
    checks: dict[str, Callable[[Any], bool]] = {
        "format_version": lambda value: type(value) is int and value >= 1,
        "classes": _are_names,
        "preprocess": _is_preprocess,
        "temperature": lambda value: is_number(value) and 1e-4 <= value <= 1e4,
        "abstain": lambda value: are_rows(value, is_abstain),
        "conformal": lambda value: are_rows(value, is_conformal),
        "likeness": lambda value: value == {} or are_rows([value], is_likeness),
        "calibrated": lambda value: isinstance(value, dict),
        "evaluation": lambda value: isinstance(value, dict),
    }
    texts = ("fingerprint", "weights_licence", "recipe", "made_with")
    wrong = [key for key, fits in checks.items() if key in data and not fits(data[key])]
    wrong += [key for key in texts if not isinstance(data.get(key, ""), str)]
    missing = [key for key in ("format_version", "classes", "preprocess") if key not in data]
    return [*(f"{key} is missing" for key in missing), *(f"{key} is out of range" for key in wrong)]


def _are_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _is_preprocess(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    triples = [value.get(key, [0]) for key in ("mean", "std", "value_range")]
    return all(type(side) is int for side in _listed(value.get("size"))) and all(
        is_number(number) for triple in triples for number in _listed(triple)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]
