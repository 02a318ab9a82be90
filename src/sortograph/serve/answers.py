"""The shapes of answers, for the OpenAPI document. They follow the records; `docs/serve.md` explains them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from sortograph.serve.reasons import DoubtCode, ErrorCode

Share = Field(ge=0, le=1)


class Ranked(BaseModel):
    label: str
    probability: float = Share


class PhotoAnswer(BaseModel):
    """A `Prediction`, and a heatmap where one was asked for."""

    path: str = Field(description="The name that the photo was uploaded by; empty for a raw body.")
    label: str | None = Field(description="Null when withheld or unreadable.")
    probability: float | None = Field(ge=0, le=1, description="Of the most probable class.")
    top_k: list[Ranked]
    unsure: str | None = Field(description="Why the answer should be looked at.")
    unsure_code: DoubtCode | None = Field(description="The same for programs.")
    unsure_details: dict[str, float | None] | None = Field(description="The figures of that reason.")
    error: str | None = Field(description="Why the photo could not be read.")
    error_code: ErrorCode | None = Field(description="The same for programs.")
    heatmap: str | None = Field(description="A PNG with alpha as a data URI, to lay over the photo.")


class Answer(BaseModel):
    model: str
    sha256: str = Field(description="Of the model that answered.")
    predictions: list[PhotoAnswer]


class Accuracy(BaseModel):
    split: str
    value: float
    low: float
    high: float
    level: float
    n: int
    method: str


class Served(BaseModel):
    name: str
    sha256: str
    classes: list[str]
    recipe: str
    loaded: str
    photos_size: list[int] = Field(description="Height and width of what the model sees.")
    accuracy: Accuracy | None


class Bounds(BaseModel):
    body_bytes: int
    photos: int
    pixels: int
    top_k: int
    seconds: float


class Models(BaseModel):
    default: str
    models: list[Served]
    limits: Bounds
    formats: list[str]
    corrections: bool
    max_error: float | None
    token: bool
    version: str


class Detail(BaseModel):
    name: str
    sha256: str
    loaded: str
    manifest: dict[str, Any]


class Corrected(BaseModel):
    sha256: str = Field(description="Of the photo.")
    stored: str
    label: str
    predicted: str
    time: str
    known: bool = Field(description="Whether the photo was there already.")


class Failed(BaseModel):
    model: str
    what: str


class Reread(BaseModel):
    reloaded: list[str]
    unchanged: list[str]
    failed: list[Failed]


class Health(BaseModel):
    status: str


class Problem(BaseModel):
    """RFC 9457, application/problem+json."""

    type: str
    title: str
    status: int
    code: str = Field(description="The reason, for programs.")
    detail: str
    expected: str
    fix: str
    reason: ErrorCode | None = Field(
        default=None, description="With code photo: why it cannot be read; null where several differ."
    )
    predictions: list[PhotoAnswer] | None = Field(default=None, description="With code photo.")
