"""Networks: `plan` says what a recipe's network is like, without torch; `build` makes it."""

from typing import TYPE_CHECKING, Any

from sortograph.models.plan import Plan, plan

if TYPE_CHECKING:
    from sortograph.models.network import Network, build

__all__ = ["Network", "Plan", "build", "plan"]


def __getattr__(name: str) -> Any:
    if name not in ("Network", "build"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from sortograph.models import network
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from sortograph.errors import MissingExtra

        raise MissingExtra.of("train", "torch") from None
    return getattr(network, name)
