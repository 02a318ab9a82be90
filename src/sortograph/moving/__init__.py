"""Photos moved to a quarantine folder by a plan, with a journal and an exact undo; none is ever deleted."""

from sortograph.moving.plan import Aside, Plan, Planned, check_unused, make_plan, read_plan, write_plan
from sortograph.moving.quarantine import Moved, apply, undo

__all__ = [
    "Aside",
    "Moved",
    "Plan",
    "Planned",
    "apply",
    "check_unused",
    "make_plan",
    "read_plan",
    "undo",
    "write_plan",
]
