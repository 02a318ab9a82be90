"""What an audit of a folder of photos finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be.

    check     the name of the check that found it, such as "near-duplicates"
    photos    relative posix paths, the one to look at first at the front; () where it is about the folder
    severity  0–1: 1 would spoil the result, 0.5 costs accuracy or honesty, 0.1 is worth knowing
    message   one sentence, with the figures
    remedy    one sentence: what to do
    set_aside  those of `photos` that `--fix` would move to quarantine; none where a person must choose
    """

    check: str
    photos: tuple[str, ...]
    severity: float
    message: str
    remedy: str
    set_aside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.severity <= 1:
            raise ValueError(f"severity is 0–1, not {self.severity}")
        if not set(self.set_aside) <= set(self.photos):
            raise ValueError("only photos of the finding can be set aside")

    def to_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "photos": list(self.photos),
            "severity": self.severity,
            "message": self.message,
            "remedy": self.remedy,
            "set_aside": list(self.set_aside),
        }


@dataclass(frozen=True, slots=True)
class AuditResult:
    """All findings, the gravest first; the checks that ran, and why the others did not (name → reason)."""

    findings: tuple[Finding, ...]
    ran: tuple[str, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    def of(self, check: str) -> Sequence[Finding]:
        """The findings of one check."""
        return [finding for finding in self.findings if finding.check == check]

    def to_json(self) -> dict[str, Any]:
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "ran": list(self.ran),
            "skipped": dict(self.skipped),
        }
