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
    likely_duplicates,
    look_alikes,
    near_duplicates,
    odd_files,
    shortcuts,
    tiny,
    tiny_classes,
    unreadable,
)
from sortograph.auditing.view import AuditView, Check
from sortograph.errors import MissingExtra, UsageError, listed, nearest
from sortograph.images.names import natural_key
from sortograph.records import AuditResult, Finding, Progress, Step, silent

CHECKS = (
    Check("unreadable", unreadable.find),
    Check("odd-files", odd_files.find, needs="looks"),
    Check("exact-duplicates", exact_duplicates.find),
    Check("near-duplicates", near_duplicates.find, needs="twins"),
    Check("likely-duplicates", likely_duplicates.find, needs="likely"),
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
    quick  leave out the checks that need features, and the search for likely duplicates

    Findings are sorted by severity, then in the order of CHECKS, then by path. Raises UsageError for
    names in `only` that no check has.
    """
    _check_names(only)
    findings: list[Finding] = []
    ran: list[str] = []
    skipped = {check.name: reason for check in CHECKS if (reason := _why_not(check, view, only, quick))}
    wanted = [check for check in CHECKS if check.name not in skipped]
    for number, check in enumerate(wanted):
        progress(Step("audit", number, len(wanted), unit="checks"))
        try:
            findings += check.find(view)
            ran.append(check.name)
        except MissingExtra as missing:
            skipped[check.name] = f"{missing.what}; {missing.fix}"
    progress(Step("audit", len(ran), len(ran), unit="checks"))
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
    if check.needs in ("features", "likely"):
        if quick:
            return f"left out of the quick form; {everything}"
        if check.needs == "likely":
            return "" if view.likely is not None else f"nobody looked for them; {everything}"
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
