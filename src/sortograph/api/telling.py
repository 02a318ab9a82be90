"""What a person should hear of their photos before anything is done with them."""

from __future__ import annotations

from sortograph.dataset import label_notes, leak_notes
from sortograph.dataset.groups import no_group_note
from sortograph.errors import counted, listed
from sortograph.records import AuditResult, DatasetIndex, Finding, Progress, Said

_NAMED = 3
_GRAVE = 0.5
# What the notes of the index and the unreadable photos say already.
_TOLD = frozenset(("unreadable", "leakage"))


def tell_notes(index: DatasetIndex, progress: Progress) -> None:
    """The notes of the index; leaks, labels that contradict each other and missing groups as warnings."""
    grave = {*leak_notes(index), *label_notes(index), *no_group_note(index.notes)}
    for note in index.notes:
        progress(Said(note, warning=note in grave))


def tell_rejected(index: DatasetIndex, progress: Progress) -> None:
    """How many photos are left out, and why the first of them; nothing where none is."""
    if not index.rejected:
        return
    count = len(index.rejected)
    named = listed([f"{bad.path} ({bad.reason})" for bad in index.rejected], _NAMED, "; ")
    are = "is" if count == 1 else "are"
    progress(Said(f"{counted(count, 'unreadable photo')} {are} left out: {named}", warning=True))


def tell_findings(result: AuditResult, progress: Progress) -> None:
    """The gravest findings that nothing else has told, and how to see the others."""
    new = [finding for finding in result.findings if not _is_told(finding)]
    grave = [finding for finding in new if finding.severity >= _GRAVE]
    for finding in grave[:_NAMED]:
        progress(Said(f"{finding.check}: {finding.message}", warning=True))
    if rest := len(new) - len(grave[:_NAMED]):
        progress(Said(f"the audit has {counted(rest, 'further finding')}: sortograph audit PHOTOS"))


def _is_told(finding: Finding) -> bool:
    # The notes name equal contents under several labels; nearly equal ones are news.
    exact = finding.check == "conflicting-labels" and finding.message.startswith("the same photo")
    return exact or finding.check in _TOLD
