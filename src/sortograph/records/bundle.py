"""What a model.onnx says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sortograph.errors import BundleError
from sortograph.records.pixels import PreprocessSpec

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class BundleManifest:
    """The metadata of a bundle.

    classes          C names in the order of the outputs
    temperature      what the logits are divided by before softmax
    abstain          rows of the table error rate → threshold; empty when not calibrated
    fingerprint      of the DatasetIndex that the model was trained on
    evaluation       split → {"n", "metrics"}, as in evaluation.json
    weights_licence  of pretrained weights; "" when trained from scratch
    """

    classes: tuple[str, ...]
    preprocess: PreprocessSpec
    temperature: float = 1.0
    abstain: tuple[Mapping[str, Any], ...] = ()
    fingerprint: str = ""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    weights_licence: str = ""
    recipe: str = ""
    made_with: str = ""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> BundleManifest:
        """Raises BundleError when the text is not a manifest of this version; `where` names the file."""
        try:
            data = json.loads(text)
        except ValueError:
            raise BundleError("the manifest is not JSON", where=where) from None
        if not isinstance(data, dict):
            raise BundleError("the manifest is not an object", where=where)
        version = data.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise BundleError(
                f"made by a newer sortograph (format {version}, this one reads up to {FORMAT_VERSION})",
                where=where,
                fix="pip install -U sortograph",
            )
        unknown = sorted(set(data) - {f.name for f in fields(cls)})
        if unknown:
            raise BundleError(f"unknown keys in the manifest: {', '.join(unknown)}", where=where)
        return cls._checked(data, where)

    @classmethod
    def _checked(cls, data: dict[str, Any], where: str) -> BundleManifest:
        try:
            preprocess = PreprocessSpec.from_json(data.pop("preprocess"))
            classes = tuple(data.pop("classes"))
            abstain = tuple(data.pop("abstain", ()))
            manifest = cls(classes=classes, preprocess=preprocess, abstain=abstain, **data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the manifest is incomplete ({error})", where=where) from None
        if not classes or not all(isinstance(name, str) for name in classes):
            raise BundleError("the manifest names no classes", where=where)
        if not isinstance(manifest.temperature, int | float) or not 0 < manifest.temperature < 1e4:
            raise BundleError("the temperature is out of range", where=where)
        return manifest
