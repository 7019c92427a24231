"""What became of each study, and the account that a preparation ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.reports.language import LanguageCount
from radflow.studies.prepare import PrepareAccount

_PAIRS_SHOWN = 5
_REASONS_SHOWN = 3  # in the error when nothing is kept
_MORE_SECTIONS = {"indication": "indication", "comparison": "comparison", "prior_report": "a prior report"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What became of one study.

    Attributes:
        study: its id.
        row: its line of the manifest; ``None`` where it is left out.
        reason: why it is left out: the kind, and after a colon the particulars.
        pictures: a hash of each image's place on disk.
        pixels: a hash of each image's pixels; ``None`` where it is blank.
        twin: the study that has one of these pixels too, under another name; itself where it has one twice.
        labels: the observations its report states, where readers were asked.
        images: images that the data set names for it.
        missing: how many of these are not on disk.
    """

    study: str
    row: Mapping[str, Any] | None = None
    reason: str = ""
    pictures: tuple[int, ...] = ()
    pixels: tuple[int | None, ...] = ()
    twin: str = ""
    labels: tuple[str, ...] = ()
    images: int = 0
    missing: int = 0


def printable(text: str) -> str:
    """A text that can be written as UTF-8: half a surrogate pair, as file names and JSON bring it, spelt out.

    >>> printable("CXR1"), printable("CXR" + chr(0xDC80))
    ('CXR1', 'CXR\\\\udc80')
    """
    return text.encode("utf-8", "backslashreplace").decode()


class Tally:
    """Counts entries into an account."""

    def __init__(self) -> None:
        self.found = self.kept = self.critical = self.annotated = 0
        self.images = self.named = self.missing = 0
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.sections: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.patients: dict[str, str] = {}
        self.twice: set[str] = set()
        self.twins: list[str] = []
        self.leaks: list[str] = []
        self.languages = LanguageCount()

    def add(self, entry: Entry) -> None:
        """Count one more study."""
        self.found += 1
        self.named += entry.images
        self.missing += entry.missing
        if entry.twin:
            pair = f"{entry.study} ({'twice' if entry.twin == entry.study else f'as in {entry.twin}'})"
            (self.twins if entry.row is not None else self.leaks).append(pair)
        if entry.row is None:
            kind, _, particulars = entry.reason.partition(": ")
            self.reasons[kind] += 1
            if particulars:
                said = particulars if particulars.startswith(entry.study) else f"{entry.study}: {particulars}"
                self.examples.setdefault(kind, said)
            return
        self._kept(entry.row)
        self.labels.update(entry.labels)

    def _kept(self, row: Mapping[str, Any]) -> None:
        self.kept += 1
        self.images += len(row["images"])
        self.splits[row["split"]] += 1
        if self.patients.setdefault(row["patient_id"], row["split"]) != row["split"]:
            self.twice.add(row["patient_id"])
        self.sections[_which(row)] += 1
        self.sections.update(words for name, words in _MORE_SECTIONS.items() if row.get(name))
        texts = (row.get(name) for name in ("findings", "impression"))
        self.languages.add(row["study_id"], row.get("report") or " ".join(filter(None, texts)))
        self.annotated += "critical" in row
        self.critical += bool(row.get("critical"))

    def account(self, source: str, manifest: Path, notes: tuple[str, ...]) -> PrepareAccount:
        """What was counted, with the adapter's notes, and ours on missing images and languages."""
        if self.missing:
            share = self.missing / self.named
            images = f"{self.missing:,} of {self.named:,} images ({share:.1%})"
            notes += (f"{images} are not on disk: is the download whole?",)
        if self.languages.said:
            notes += (f"{self.languages.said}; what the readers by rules say of them is wrong",)
        if self.leaks:
            notes += (f"a picture in two splits is a leak; left out for pixels before: {_first(self.leaks)}",)
        if self.twins:
            notes += (f"kept, with pixels that came before in the same split: {_first(self.twins)}",)
        return PrepareAccount(
            source=source,
            manifest=manifest,
            found=self.found,
            kept=self.kept,
            rejected=dict(self.reasons),
            examples=self.examples,
            sections=dict(self.sections),
            splits=dict(self.splits),
            patients_in_two_splits=len(self.twice),
            drawn=0,
            real=self.images,
            labels=dict(self.labels),
            critical=self.critical if self.annotated else None,
            notes=notes,
        )

    def nothing_kept(self, source: str) -> str:
        """The error where no study is left: the commonest reasons."""
        why = ""
        for kind, count in self.reasons.most_common(_REASONS_SHOWN):
            example = f", e.g. {self.examples[kind]}" if kind in self.examples else ""
            why += f"\n  {count:,} times: {kind}{example}"
        return f"{source}: expected studies that can be used, kept none of {self.found:,}:{why}"


def _first(pairs: list[str]) -> str:
    """Some of the pairs, and how many there are."""
    more = f", and {len(pairs) - _PAIRS_SHOWN:,} more" if len(pairs) > _PAIRS_SHOWN else ""
    return ", ".join(pairs[:_PAIRS_SHOWN]) + more


def _which(row: Mapping[str, Any]) -> str:
    has = [name for name in ("findings", "impression") if row.get(name)]
    return " and ".join(has) if has else "no sections"
