"""Short names for backbones that are worth trying first."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from sortograph.records import Backbone

# By timm's names, all under Apache-2.0. Multiplications for one photo of 224 × 224: 0.2, 2.5 and 8.7 billion.
ALIASES = MappingProxyType(
    {
        "fast": "mobilenetv3_large_100.ra_in1k",
        "balanced": "convnext_nano.in12k_ft_in1k",
        "best": "convnext_small.in12k_ft_in1k",
    }
)
_PERMISSIVE = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "isc",
    "cc0-1.0",
    "cc-by-4.0",
    "unlicense",
)


def is_permissive(licence: str) -> bool:
    """Whether a stated licence allows any use.

    >>> is_permissive("Apache-2.0"), is_permissive("cc-by-nc-4.0"), is_permissive("")
    (True, False, False)
    """
    return licence.strip().lower() in _PERMISSIVE


def best_of(added: Iterable[Backbone]) -> Backbone | None:
    """The weights that stand in for an alias whose own cannot be had.

    Those with a permissive licence come first, then the larger network, then the name.
    """
    ranked = sorted(added, key=lambda one: (not is_permissive(one.licence), -one.parameters, one.name))
    return ranked[0] if ranked else None
