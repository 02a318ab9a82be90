"""cache: what the caches hold, and how they are emptied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sortograph import caches
from sortograph.errors import UsageError, nearest


def cache_info() -> dict[str, Any]:
    """Where the cache lies, how many bytes it takes and may take, and the same of each kind of cache.

    Keys: place, bytes, limit, kinds. Of each of pixels, features, backbones and scans: place, bytes, limit
    (one holds for all together), stores (parts that can be given up one by one) and in_use (how many of these
    were used within the last hour: a run may be using them now).
    """
    folder = caches.cache_folder()
    limit, found = caches.limit(folder), {kind: caches.usage(folder, kind) for kind in caches.KINDS}
    kinds = {
        kind: {
            "place": str(usage.place),
            "bytes": usage.bytes,
            "limit": limit,
            "stores": usage.stores,
            "in_use": usage.in_use,
        }
        for kind, usage in found.items()
    }
    total = sum(usage.bytes for usage in found.values())
    return {"place": str(folder), "bytes": total, "limit": limit, "kinds": kinds}


def clear_cache(kinds: Sequence[str] = ()) -> dict[str, Any]:
    """Remove these kinds of caches, () for all. Nothing is lost but time: what is needed is made again.

    Only what sortograph wrote is removed, whatever else lies there; links are not followed. A run that goes
    on meanwhile makes again what it misses.
    Keys: place; removed, bytes by kind; left, bytes by kind of what the system would not let go.
    Raises UsageError for kinds that there are not.
    """
    chosen = list(dict.fromkeys(kinds)) or list(caches.KINDS)
    if unknown := [kind for kind in chosen if kind not in caches.KINDS]:
        told = ", ".join(f"{kind!r}{nearest(kind, caches.KINDS)}" for kind in unknown)
        raise UsageError(
            f"no such cache: {told}", expected=", ".join(caches.KINDS), fix="sortograph cache info"
        )
    folder = caches.cache_folder()
    removed = {kind: caches.clear(folder, kind) for kind in chosen}
    left = {kind: size for kind in chosen if (size := caches.usage(folder, kind).bytes)}
    return {"place": str(folder), "removed": removed, "left": left}
