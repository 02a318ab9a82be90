"""All checks in order: which ran, what they found, and why the others did not run."""

from __future__ import annotations

from collections.abc import Collection

from sortograph.auditing import (
    blank,
    blurred,
    conflicting_labels,
    dark,
    exact_duplicates,
    extreme_aspect,
    imbalance,
    label_errors,
    leakage,
    look_alikes,
    near_duplicates,
    odd_files,
    shortcuts,
    tiny,
    tiny_classes,
    unreadable,
)
from sortograph.auditing.view import AuditView, Check
from sortograph.dataset.names import listed
from sortograph.errors import MissingExtra, UsageError, nearest
from sortograph.images.names import natural_key
from sortograph.records import AuditResult, Finding, Progress, Step, silent

CHECKS = (
    Check("unreadable", unreadable.find),
    Check("odd-files", odd_files.find, needs="looks"),
    Check("exact-duplicates", exact_duplicates.find),
    Check("near-duplicates", near_duplicates.find, needs="twins"),
    Check("conflicting-labels", conflicting_labels.find),
    Check("leakage", leakage.find),
    Check("look-alikes", look_alikes.find, needs="twins"),
    Check("imbalance", imbalance.find),
    Check("tiny-classes", tiny_classes.find),
    Check("blank", blank.find, needs="looks"),
    Check("dark", dark.find, needs="looks"),
    Check("blurred", blurred.find, needs="looks"),
    Check("tiny", tiny.find),
    Check("extreme-aspect", extreme_aspect.find),
    Check("shortcuts", shortcuts.find, needs="looks"),
    Check("label-errors", label_errors.find, needs="features"),
)


def run_audit(
    view: AuditView,
    *,
    only: Collection[str] | None = None,
    quick: bool = False,
    progress: Progress = silent,
) -> AuditResult:
    """Run the checks on what is known of the photos; nothing is read again.

    only   names of CHECKS; None for all
    quick  leave out the checks that need features

    Findings are sorted by severity, then in the order of CHECKS, then by path. Raises UsageError for
    names in `only` that no check has.
    """
    _check_names(only)
    findings: list[Finding] = []
    ran: list[str] = []
    skipped: dict[str, str] = {}
    for number, check in enumerate(CHECKS):
        progress(Step("audit", number, len(CHECKS), unit="checks"))
        reason = _why_not(check, view, only, quick)
        try:
            findings += [] if reason else check.find(view)
        except MissingExtra as missing:
            reason = f"{missing.what}; {missing.fix}"
        if reason:
            skipped[check.name] = reason
        else:
            ran.append(check.name)
    progress(Step("audit", len(CHECKS), len(CHECKS), unit="checks"))
    return AuditResult(tuple(_sorted(findings)), tuple(ran), skipped)


def _check_names(only: Collection[str] | None) -> None:
    names = [check.name for check in CHECKS]
    unknown = [f"{name!r}{nearest(name, names)}" for name in only or () if name not in names]
    if unknown:
        raise UsageError(f"no such check: {listed(unknown)}", expected=f"some of {', '.join(names)}")


def _why_not(check: Check, view: AuditView, only: Collection[str] | None, quick: bool) -> str:
    """Why a check cannot run or shall not; "" when it runs."""
    everything = "`sortograph audit PHOTOS` runs it"
    if only is not None and check.name not in only:
        return f"not among the checks asked for; {everything}"
    if check.needs == "features":
        if quick:
            return "left out of the quick form; `sortograph audit PHOTOS --model RUN` runs it"
        if view.features is None:
            return view.why_no_features or f"no features of the photos; {everything}"
    known = {"looks": len(view.index.looks), "twins": len(view.index.twins)}
    if known.get(check.needs, len(view.index)) != len(view.index):
        return f"the photos were not looked at for this; {everything}"
    return ""


def _sorted(findings: list[Finding]) -> list[Finding]:
    place = {check.name: number for number, check in enumerate(CHECKS)}
    return sorted(
        findings, key=lambda f: (-f.severity, place[f.check], [natural_key(p) for p in f.photos[:1]])
    )
