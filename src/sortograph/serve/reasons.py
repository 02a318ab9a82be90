"""Why a photo has no answer, or one to be looked at: codes for programs, beside the sentences for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sortograph.bundle.doubts import UNLIKE
from sortograph.errors import PhotoCode
from sortograph.records import Prediction
from sortograph.serve.models import Model

NO_NUMBER: Literal["no-number"] = "no-number"  # the model has none for this photo
ErrorCode = PhotoCode | Literal["no-number", "stopping"]
DoubtCode = Literal["unlike", "low-confidence", "no-class", "several-classes"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """
    code     unlike anything in training; withheld for `--max-error`; no class, or several, likely enough
    details  low-confidence: least (probability that is needed), error (share that it keeps), photos (that it
             was measured with); several-classes: classes; else empty
    """

    code: DoubtCode
    details: dict[str, float | None]


def doubt_of(found: Prediction, model: Model) -> Doubt | None:
    """Why an answer is unsure, from a prediction that names every class; None where it is not."""
    if found.unsure is None:
        return None
    if found.unsure == UNLIKE:
        return Doubt("unlike", {})
    if found.label is None:
        return Doubt("low-confidence", _promise(model))
    # float32, as the model gave them: at the threshold itself nothing may change.
    shares = np.array([share for _, share in found.top_k], np.float32)
    members = model.doubts.set_size(shares)
    return Doubt("several-classes", {"classes": members}) if members else Doubt("no-class", {})


def _promise(model: Model) -> dict[str, float | None]:
    """Of the row of the model's table that withholds: the nearest one that is not laxer."""
    most, manifest = model.source.max_error, model.manifest
    assert most is not None
    kept = [row["error"] for row in manifest.abstain if row["threshold"] is not None]
    error = max(error for error in kept if error <= most)
    photos = manifest.calibrated.get("groups")
    return {"least": model.doubts.withhold, "error": error, "photos": photos}
