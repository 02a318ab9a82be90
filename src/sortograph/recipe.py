"""A recipe: everything that decides how a model is made, in one frozen object and one TOML file.

The schema is below, section by section; named recipes lie in `recipes/`. Unknown keys and values out of
range are refused, all of them at once, each with the nearest name that exists.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from sortograph.errors import RecipeError, nearest
from sortograph.records import PreprocessSpec

DEFAULT = "cnn"
_MOST_SIDE = 2048
# Recipes name run folders. A letter or digit first: neither an option nor a hidden folder nor "..".
SAFE_NAME = re.compile(r"[^\W_][\w.+-]{0,79}")
SAFE_NAME_IS = "up to 80 letters, digits and . _ + -, the first a letter or digit"

Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=8, le=_MOST_SIDE)]
Triple = tuple[float, float, float]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(_Section):
    """classes: their order in the outputs; empty for natural order. follow_links: into linked folders."""

    classes: tuple[str, ...] = ()
    follow_links: bool = False


def _pattern(text: str) -> str:
    """A regular expression with a group in it, or nothing."""
    if not text:
        return text
    try:
        found = re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None
    if not found.groups:
        raise ValueError("a regular expression without a group in parentheses, such as (house[0-9]+)")
    return text


class Split(_Section):
    """What is cut where a folder has no splits of its own: shares of all photos.

    group_from: a regular expression; photos whose paths agree in its first group stay on one side of each cut
    near_duplicates: whether photos that show the same stay on one side, too
    """

    seed: Seed = 0
    validation: Share = 0.15
    test: Share = 0.15
    group_from: Annotated[str, AfterValidator(_pattern)] = ""
    near_duplicates: Literal["together", "ignored"] = "together"

    @model_validator(mode="after")
    def _leaves_something(self) -> Split:
        if self.validation + self.test >= 0.95:
            raise ValueError("validation and test leave less than 5 % to train on")
        return self


def _kind_of_size(value: Any) -> str:
    return "sides" if isinstance(value, list | tuple) else "side"


# The tags choose one branch: without them, each mistake would be told once for each branch.
Size = Annotated[
    Annotated[Side, Tag("side")] | Annotated[tuple[Side, Side], Tag("sides")], Discriminator(_kind_of_size)
]


class Pixels(_Section):
    """size: side in pixels, or [height, width]. What follows is the arithmetic inside the model."""

    size: Size = 180
    resize: Literal["squash", "crop", "pad"] = "squash"
    interpolation: Literal["bilinear", "bicubic", "lanczos", "box", "nearest"] = "bilinear"
    value_range: tuple[float, float] = (0.0, 1.0)
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    @model_validator(mode="after")
    def _is_possible(self) -> Pixels:
        self.spec()
        low, high = self.value_range
        if not low < high:
            raise ValueError("value_range must rise, as in [0.0, 1.0]")
        return self

    def spec(self) -> PreprocessSpec:
        """Raises ValueError when a number is out of range."""
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        return PreprocessSpec(
            size=(height, width),
            mode=self.resize,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            value_range=self.value_range,
        )


class Model(_Section):
    """A network made of blocks.

    kind             "cnn": convolution, activation, pooling; "residual": two convolutions around a
                     shortcut (He et al. 2016, arXiv:1603.05027), then pooling; "dense": no convolution
    filters          channels of each block
    convolutions     in each block of a "cnn"
    stem             stride of a first convolution that makes the picture smaller; 1 for none ("residual")
    batch_norm       after each convolution; its momentum is the share of a new batch in the running
                     statistics (Keras' default momentum of 0.99 is 0.01 here)
    global_pool      "none" flattens the last feature map, "average" takes its mean
    dropout          before the dense layers
    dense_dropout    after each dense layer
    dense            units of the hidden dense layers
    output           "softmax", or "sigmoid" with one output for two classes
    initialisation   "keras": Glorot uniform, zero bias; "he": He normal, zero bias
    """

    kind: Literal["cnn", "residual", "dense"] = "cnn"
    filters: tuple[Count, ...] = (16, 32, 64)
    kernel: Annotated[int, Field(ge=1, le=11)] = 3
    convolutions: Annotated[int, Field(ge=1, le=8)] = 1
    stem: Annotated[int, Field(ge=1, le=4)] = 1
    pool: Annotated[int, Field(ge=1, le=8)] = 2
    batch_norm: bool = False
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.01
    global_pool: Literal["none", "average"] = "none"
    dropout: Share = 0.0
    dense: tuple[Count, ...] = (512,)
    dense_dropout: Share = 0.0
    activation: Literal["relu", "silu", "gelu", "tanh"] = "relu"
    output: Literal["softmax", "sigmoid"] = "softmax"
    initialisation: Literal["keras", "he"] = "keras"


class Augment(_Section):
    """Random changes of training photos; 0 and false for none.

    rotation       in turns: 0.2 is ±72°
    zoom           0.2 is 80–120 % of the size, the aspect kept
    width_shift, height_shift   share of the side
    brightness     added share of the full range; contrast  factor 1 ± contrast around the photo's mean
    mixup          α of the Beta distribution that mixes pairs of photos (Zhang et al. 2018, arXiv:1710.09412)
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    rotation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    zoom: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    width_shift: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    height_shift: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.0
    mixup: Annotated[float, Field(ge=0, le=8)] = 0.0


# Field, the field that it depends on, the values of that one with which it does something.
_ONLY_WITH = (
    ("momentum", "optimiser", ("sgd",)),
    ("epsilon", "optimiser", ("adam", "adamw")),
    ("warmup_epochs", "schedule", ("cosine",)),
    ("plateau_patience", "schedule", ("plateau",)),
    ("plateau_factor", "schedule", ("plateau",)),
)


class Train(_Section):
    """How the weights are found.

    momentum         of SGD; weight_decay  decoupled for "adamw", an L2 penalty otherwise
    epsilon          of Adam, as Keras applies it
    schedule         "cosine" warms up for warmup_epochs, "one-cycle" for 30 % of all steps (Smith & Topin
                     2018, arXiv:1708.07120), "plateau" multiplies by plateau_factor after plateau_patience
                     epochs without a lower validation loss
    early_stopping   epochs without a better `monitor` after which training ends; 0 for never
    keep             "best": the weights of the best epoch by `monitor`; "last": the final ones
    labels           how they enter the loss; all three give the same training
    class_weights    "balanced": rare classes count more, by N / (C · count)
    clip_norm        largest L2 norm of all gradients together; 0 for no limit
    threads          of the processor; 0 for one on each core. Tiny networks are as fast with one, and do not
                     suffer when the processor has other work
    precision        "auto": bfloat16 where the processor has units for it, else float32
    """

    seed: Seed = 1
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 32
    optimiser: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-7
    schedule: Literal["constant", "cosine", "one-cycle", "plateau"] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    plateau_patience: Annotated[int, Field(ge=1)] = 5
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    early_stopping: Annotated[int, Field(ge=0)] = 0
    monitor: Literal["validation_accuracy", "validation_loss"] = "validation_accuracy"
    keep: Literal["best", "last"] = "best"
    labels: Literal["int", "one-hot", "binary"] = "int"
    label_smoothing: Share = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _has_effect(self) -> Train:
        """Whoever sets a value expects that it does something."""
        idle = [
            f"{name} has no effect with {other} = {value!r}"
            for name, other, values in _ONLY_WITH
            if name in self.model_fields_set
            and getattr(self, name) != type(self).model_fields[name].default
            and (value := getattr(self, other)) not in values
        ]
        if self.warmup_epochs >= self.epochs:
            idle.append("warmup_epochs leaves no epoch after it")
        if idle:
            raise ValueError("; ".join(idle))
        return self


def _safe(name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        raise ValueError(f"expected {SAFE_NAME_IS}")
    return name


class Recipe(_Section):
    """name: also names the run folder: letters, digits and . _ + -, at most 80."""

    name: Annotated[str, AfterValidator(_safe)] = "custom"
    about: str = ""
    data: Data = Data()
    split: Split = Split()
    pixels: Pixels = Pixels()
    model: Model = Model()
    augment: Augment = Augment()
    train: Train = Train()

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        if self.model.kind != "dense" and not self.model.filters:
            raise ValueError("model.filters is empty: a convolutional network needs at least one block")
        if self.model.batch_norm and self.train.batch_size == 1:
            raise ValueError("model.batch_norm needs a train.batch_size of at least 2")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain data of TOML's and JSON's kinds."""
        data: dict[str, Any] = self.model_dump(mode="json")
        return data


def load_recipe(name: str = DEFAULT, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """A named recipe or a TOML file, with `key=value` overrides such as "train.epochs=5".

    seed: short for train.seed. Raises RecipeError with every mistake.

    >>> load_recipe("weather", ["train.epochs=5"]).train.epochs
    5
    """
    data = _parse(recipe_text(name), name)
    # What a run folder may be called: other characters of a file's name become hyphens.
    data.setdefault("name", re.sub(r"[^\w.+-]+", "-", Path(name).stem).strip("._+-")[:80] or "custom")
    mistakes = [mistake for text in overrides if (mistake := _override(data, text))]
    if seed is not None and (mistake := _override(data, f"train.seed={seed}")):
        mistakes.append(mistake)
    return make_recipe(data, name, mistakes)


def make_recipe(data: Mapping[str, Any], where: str, mistakes: Sequence[str] = ()) -> Recipe:
    """Plain data → Recipe. Raises RecipeError that lists `mistakes` and all that is wrong with the data."""
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        mistakes = [*mistakes, *(_explained(dict(detail)) for detail in error.errors())]
    if mistakes:
        what = "a mistake in the recipe" if len(mistakes) == 1 else f"{len(mistakes)} mistakes in the recipe"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise RecipeError(f"{what} {where}:{lines}", fix=f"sortograph recipes show {where}")
    return recipe


def recipe_names() -> list[str]:
    folder = files("sortograph") / "recipes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML text of a named recipe, comments included, or of a file. Raises RecipeError."""
    known = recipe_names()
    if name in known:
        return (files("sortograph") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix != ".toml":
        raise RecipeError(
            f"no recipe named {name!r}{nearest(name, known)}",
            expected=f"one of {', '.join(known)}, or a .toml file",
            fix="sortograph recipes list",
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise RecipeError(f"cannot read the recipe ({reason})", where=name) from None


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML; `load_recipe` of it gives an equal recipe. Raises MissingExtra."""
    try:
        import tomli_w
    except ImportError:
        from sortograph.errors import MissingExtra

        raise MissingExtra.of("train", "tomli-w") from None
    return tomli_w.dumps(recipe.to_dict())


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"not valid TOML ({error})", where=where) from None


def _override(data: dict[str, Any], text: str) -> str:
    """Puts "a.b=value" into the data; what is wrong with it, or ""."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        return f"--set {text}: expected section.key=value"
    place = data
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            return f"--set {text}: {part} is no section"
    place[parts[-1]] = _value(value.strip())
    return ""


def _value(text: str) -> Any:
    """What TOML reads in it; plain words are text."""
    try:
        data = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return data["value"] if len(data) == 1 else text


def _explained(detail: dict[str, Any]) -> str:
    place = [str(part) for part in detail["loc"] if not str(part).startswith(("function-", "constrained-"))]
    where = ".".join(part for part in place if part not in ("side", "sides"))
    if detail["type"] == "extra_forbidden":
        return f"unknown key {where}{_nearest_key(place)}"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = detail["input"]
    told = "" if isinstance(given, dict | BaseModel) else f", not {given!r}"
    return f"{where}: {message}{told}" if where else message


def _nearest_key(place: list[str]) -> str:
    """The nearest key of the same section, else the place of a key of that name in another section."""
    kind: type[BaseModel] = Recipe
    for part in place[:-1]:
        annotation = kind.model_fields[part].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        kind = annotation
    if hint := nearest(place[-1], kind.model_fields):
        return hint
    homes = {
        f"{section}.{key}"
        for section, field in Recipe.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
        if key == place[-1]
    }
    return f" (did you mean {', '.join(sorted(homes))}?)" if homes else ""
