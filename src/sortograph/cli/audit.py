"""`audit`: what is wrong with a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sortograph.cli import data, draw, options, streams, tables, words
from sortograph.errors import UsageError, counted
from sortograph.records import Said

if TYPE_CHECKING:
    from sortograph.api.auditing import Audited
    from sortograph.records import Finding

_NAMED = 3
_GRAVE, _LOOK = 0.7, 0.4
_NOT_WRITTEN = "no page is written: this folder is among the photos (--page FILE.html writes elsewhere)"
Model = Annotated[Path | None, typer.Option("--model", metavar="RUN|FILE|BACKBONE", help=words.AUDIT_MODEL)]
Page = Annotated[Path | None, typer.Option("--page", metavar="FILE.html", help=words.AUDIT_PAGE)]
NoPage = Annotated[bool, typer.Option("--no-page", help="Write no page.")]
Fix = Annotated[Path | None, typer.Option("--fix", metavar="PLAN.json", help=words.AUDIT_FIX)]
Quick = Annotated[bool, typer.Option("--quick", help=words.AUDIT_QUICK)]


def audit(
    photos: options.Photos,
    recipe: options.Recipe = None,
    overrides: options.Set = None,
    classes: options.Classes = None,
    group_from: options.GroupFrom = None,
    follow_links: options.FollowLinks = False,
    model: Model = None,
    quick: Quick = False,
    page: Page = None,
    no_page: NoPage = False,
    fix: Fix = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> int:
    """Look for what would spoil a classifier: duplicates, leaks, wrong labels. Changes nothing."""
    from sortograph import api

    place = _page(photos, page, no_page)
    given: dict[str, Any] = {} if recipe is None else {"recipe": recipe}
    with draw.progress(quiet=quiet) as progress:
        found = api.audit(
            photos,
            overrides=[*(overrides or ()), *options.of_data(group_from, follow_links)],
            classes=options.listed(classes),
            model=model,
            quick=quick,
            page=place,
            fix=fix,
            progress=progress,
            **given,
        )
        if place is None and not no_page:
            progress(Said(_NOT_WRITTEN))
    if json:
        streams.out_json(found.to_json())
    else:
        given_again = options.again(recipe, overrides, classes, group_from, follow_links)
        _show(found, photos, given_again, verbose)
    return 0


def _page(photos: Path, page: Path | None, no_page: bool) -> Path | None:
    if no_page:
        if page is not None:
            raise UsageError("--page and --no-page together", fix="sortograph audit --help")
        return None
    return data.beside(photos, "audit.html") if page is None else page


def _show(found: Audited, photos: Path, given: list[str], verbose: bool) -> None:
    index, result = found.index, found.result
    streams.out(
        f"{counted(len(index), 'photo')} of {counted(len(index.classes), 'class', 'classes')}, "
        f"{len(index.rejected)} unreadable, {counted(index.ignored, 'other file')} ignored"
    )
    checks = {finding.check: list(result.of(finding.check)) for finding in result.findings}
    if checks:
        streams.out()
        tables.show(_summary(checks))
    for check, findings in checks.items():
        streams.out()
        _show_check(check, findings, verbose)
    streams.out()
    if not checks:
        streams.out("nothing is wrong that the checks can see")
    quiet = [check for check in result.ran if check not in checks]
    streams.out(streams.safe(f"nothing found by: {', '.join(quiet) or 'none'}"))
    for check, reason in result.skipped.items():
        streams.out(streams.safe(f"not checked: {check} ({reason})"))
    places = [("page", found.page), ("plan", found.plan)]
    tables.facts(
        [*((name, str(place)) for name, place in places if place), ("next", _next(found, photos, given))]
    )


def _summary(checks: dict[str, list[Finding]]) -> tables.Table:
    rows = [
        (
            _grade(findings[0]),
            check,
            str(len(findings)),
            str(len({path for finding in findings for path in finding.photos}) or "–"),
        )
        for check, findings in checks.items()
    ]
    return tables.Table(("", "check", "findings", "photos"), "llrr", tuple(rows))


def _grade(finding: Finding) -> str:
    return "grave" if finding.severity >= _GRAVE else "look" if finding.severity >= _LOOK else "note"


def _show_check(check: str, findings: list[Finding], verbose: bool) -> None:
    streams.out(check)
    shown = findings if verbose else findings[:_NAMED]
    remedy = ""
    for finding in shown:
        streams.out(streams.safe(f"  {finding.message}"))
        if verbose:
            for path in finding.photos:
                streams.out(streams.safe(f"      {path}"))
        if finding.remedy != remedy:
            remedy = finding.remedy
            streams.out(streams.safe(f"    → {remedy}"))
    if more := len(findings) - len(shown):
        streams.out(f"  and {more} more of these: see the page, or --verbose")


def _next(found: Audited, photos: Path, given: list[str]) -> str:
    from sortograph.images.archive import is_archive

    if found.plan is not None:
        return tables.command(words.PROGRAM, "quarantine", "apply", found.plan)
    if any(finding.set_aside for finding in found.result.findings) and not is_archive(photos):
        return tables.command(words.PROGRAM, "audit", photos, *given, "--fix", "plan.json")
    return tables.command(words.PROGRAM, "train", photos, *given)
