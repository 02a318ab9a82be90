"""What a sweep tries: the schema of a space file, of which a study is one with claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from sortograph.recipe import SAFE_NAME, SAFE_NAME_IS, Recipe
from sortograph.sweeps.axes import Axis

METRICS = (
    "validation_accuracy",
    "validation_balanced_accuracy",
    "validation_macro_f1",
    "validation_log_loss",
)
PER_CLASS = "subset.per_class"
SECTIONS = {key: tuple(value) for key, value in Recipe().to_dict().items() if isinstance(value, dict)}
KEYS = (*(f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys), PER_CLASS)


def flat(data: Any) -> Any:
    """Settings with their sections in their names: TOML makes tables of dots that are not quoted.

    >>> flat({"train": {"epochs": 3}, "model.dropout": 0.5})
    {'train.epochs': 3, 'model.dropout': 0.5}
    """
    if not isinstance(data, Mapping):
        return data
    made: dict[str, Any] = {}
    for key, value in data.items():
        is_section = key in (*SECTIONS, "subset") and isinstance(value, Mapping)
        made |= {f"{key}.{name}": inner for name, inner in value.items()} if is_section else {key: value}
    return made


def _name(text: str) -> str:
    if not SAFE_NAME.fullmatch(text):
        raise ValueError(f"expected {SAFE_NAME_IS}")
    return text


Name = Annotated[str, BeforeValidator(lambda value: _name(value) if isinstance(value, str) else value)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Settings = Annotated[dict[str, Any], BeforeValidator(flat)]
OneAxis = Annotated[Any, BeforeValidator(Axis.of), PlainSerializer(Axis.plain)]
Axes = Annotated[dict[str, OneAxis], BeforeValidator(flat)]
Side = str | Settings


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Variant(_Section):
    """A configuration with a name. recipe: it starts from, "" for that of the space."""

    name: Name
    about: str = ""
    recipe: str = ""
    set: Settings = {}


class Claim(_Section):
    """What someone has argued: `better` is better than `worse`.

    better, worse  a variant, or settings: all configurations that have them, each beside the one that differs
                   from it in nothing else
    argued         their own figures
    """

    text: str
    better: Side
    worse: Side
    measure: Literal["accuracy", "gap"] = "accuracy"
    argued: str = ""


class Subset(_Section):
    """Training photos of each class; validation and test photos stay as they are."""

    per_class: Annotated[int, Field(ge=1)]


class Quick(_Section):
    """What goes over a space that shall end soon. variants: those that are kept; claims: in the place of the
    space's own; none for all of them."""

    about: str = ""
    set: Settings = {}
    subset: Subset | None = None
    seeds: tuple[Seed, ...] = ()
    trials: Annotated[int, Field(ge=1)] | None = None
    variants: tuple[str, ...] = ()
    space: Axes = {}
    claims: tuple[Claim, ...] = ()


class Space(_Section):
    """A sweep.

    photos     that it is meant for, in words
    recipe     that configurations start from; its [split] and [data] hold for all of them
    method     "grid": every combination; "random" and "tpe" (Bergstra et al. 2011, NeurIPS 24): as many
               trials as `trials`, those that are worse than the median at the same epoch cut short
    seeds      train.seed of the runs of each configuration
    seed       of the search itself
    metric     whose mean over seeds chooses
    set        settings of all configurations; overrides  the same as "key=value", which go over everything
    space      setting → what it may be; variant  named configurations, each with all of `space`
    reference  the variant that others are compared with
    """

    name: Name = "sweep"
    about: str = ""
    photos: str = ""
    recipe: str = ""
    method: Literal["grid", "random", "tpe"] = "grid"
    trials: Annotated[int, Field(ge=1)] | None = None
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (1, 2, 3)
    seed: Seed = 0
    metric: Literal[
        "validation_accuracy", "validation_balanced_accuracy", "validation_macro_f1", "validation_log_loss"
    ] = "validation_accuracy"
    set: Settings = {}
    overrides: tuple[str, ...] = ()
    subset: Subset | None = None
    space: Axes = {}
    variant: tuple[Variant, ...] = ()
    reference: str = ""
    claims: tuple[Claim, ...] = ()
    quick: Quick | None = None

    @field_validator("seeds")
    @classmethod
    def _once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed twice")
        return seeds

    @property
    def is_loss(self) -> bool:
        """Whether lower is better."""
        return self.metric.endswith("log_loss")

    @property
    def base(self) -> str:
        """The recipe whose [split] and [data] hold for all."""
        named = (self.recipe, *(one.recipe for one in self.variant if one.name == self.reference))
        return next((name for name in (*named, *(one.recipe for one in self.variant)) if name), "")

    def quickened(self) -> Space:
        """The same with what [quick] says."""
        quick = self.quick
        assert quick is not None
        changes: dict[str, Any] = {
            "name": f"{self.name}-quick",
            "quick": None,
            "set": {**self.set, **quick.set},
        }
        changes |= {
            key: value
            for key in ("about", "subset", "seeds", "trials", "claims")
            if (value := getattr(quick, key))
        }
        changes["space"] = {**self.space, **quick.space}
        changes["variant"] = tuple(
            one for one in self.variant if not quick.variants or one.name in quick.variants
        )
        return self.model_copy(update=changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data of TOML's kinds, without what is not set."""
        data: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        return {key: value for key, value in data.items() if value is not None}
