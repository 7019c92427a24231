"""What became of each study, and the account that a preparation ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from radflow.errors import DataError
from radflow.reports.language import LanguageCount
from radflow.studies.study import SPLITS

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
        pixels: a hash of each image's pixels; ``None`` where it is blank; empty where it is drawn.
        twin: the study that has one of these pixels too, under another name; itself where it has one twice.
        labels: the observations its report states, where readers were asked.
        unsupported: what its drawing should show and does not.
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
    unsupported: tuple[str, ...] = ()
    images: int = 0
    missing: int = 0


@dataclass(kw_only=True)
class PrepareAccount:
    """What a preparation found and what it made of it; counts one entry after the other.

    Attributes:
        source: the name in `SOURCES`.
        manifest: the file written.
        found: studies in the source.
        kept: studies in the manifest.
        rejected: reason -> studies left out for it.
        sections: which sections the reports of the manifest have -> studies.
        splits: split -> studies kept.
        patients_in_two_splits: 0, or something is wrong.
        drawn: images that are drawn.
        real: images that are real.
        unsupported: tag -> drawn images that should show it but do not.
        notes: what else the reader should know, one sentence each.
        examples: reason -> one study left out for it, with the particulars.
        labels: observation -> studies kept whose report states it; empty where nobody asked.
        critical: studies kept that are critical; ``None`` where nobody asked.
        languages: those of the reports.
    """

    source: str
    manifest: Path
    found: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    sections: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    patients_in_two_splits: int = 0
    drawn: int = 0
    real: int = 0
    unsupported: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()
    examples: dict[str, str] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    critical: int | None = None
    languages: LanguageCount = field(default_factory=LanguageCount, compare=False)

    _images: Counter[str] = field(default_factory=Counter, init=False)  # named, missing
    _patients: dict[str, str] = field(default_factory=dict, init=False, repr=False)  # to their split
    _twice: set[str] = field(default_factory=set, init=False, repr=False)
    _twins: list[str] = field(default_factory=list, init=False)
    _leaks: list[str] = field(default_factory=list, init=False)

    def add(self, entry: Entry) -> None:
        """Count one more study."""
        self.found += 1
        self._images.update(named=entry.images, missing=entry.missing)
        if entry.twin:
            pair = f"{entry.study} ({'twice' if entry.twin == entry.study else f'as in {entry.twin}'})"
            (self._twins if entry.row is not None else self._leaks).append(pair)
        if entry.row is not None:
            self._keep(entry.row)
            self.labels.update(entry.labels)
            self.unsupported.update(entry.unsupported)
            return
        kind, _, particulars = entry.reason.partition(": ")
        self.rejected[kind] += 1
        if particulars:
            said = particulars if particulars.startswith(entry.study) else f"{entry.study}: {particulars}"
            self.examples.setdefault(kind, said)

    def _keep(self, row: Mapping[str, Any]) -> None:
        self.kept += 1
        if row.get("drawn"):
            self.drawn += len(row["images"])
        else:
            self.real += len(row["images"])
        self.splits[row["split"]] += 1
        if self._patients.setdefault(row["patient_id"], row["split"]) != row["split"]:
            self._twice.add(row["patient_id"])
            self.patients_in_two_splits = len(self._twice)
        has = [name for name in ("findings", "impression") if row.get(name)]
        self.sections[" and ".join(has) or "no sections"] += 1
        self.sections.update(words for name, words in _MORE_SECTIONS.items() if row.get(name))
        self.languages.add(row["study_id"], row.get("report") or " ".join(row[name] for name in has))
        if "critical" in row:
            self.critical = (self.critical or 0) + row["critical"]

    def close(self, notes: tuple[str, ...]) -> None:
        """Add the data set's notes, and ours on missing images, languages and pictures seen before.

        Raises:
            DataError: no study is left; names the commonest reasons.
        """
        if not self.kept:
            why = ""
            for kind, count in self.rejected.most_common(_REASONS_SHOWN):
                example = f", e.g. {self.examples[kind]}" if kind in self.examples else ""
                why += f"\n  {count:,} times: {kind}{example}"
            raise DataError(
                f"{self.source}: expected studies that can be used, kept none of {self.found:,}:{why}"
            )
        self.notes += notes
        if missing := self._images["missing"]:
            named = self._images["named"]
            images = f"{missing:,} of {named:,} images ({missing / named:.1%})"
            self.notes += (f"{images} are not on disk: is the download whole?",)
        if self.languages.said:
            self.notes += (f"{self.languages.said}; what the readers by rules say of them is wrong",)
        if self._leaks:
            pairs = _first(self._leaks)
            self.notes += (f"a picture in two splits is a leak; left out for pixels before: {pairs}",)
        if self._twins:
            self.notes += (f"kept, with pixels that came before in the same split: {_first(self._twins)}",)

    def lines(self, *, most_common: int = 15) -> list[str]:
        """The account as text; of the unsupported tags the ``most_common`` ones."""
        lines = [f"{self.source}: {self.kept:,} of {self.found:,} studies -> {self.manifest}"]
        for reason, count in _falling(self.rejected):
            example = f", e.g. {self.examples[reason]}" if reason in self.examples else ""
            lines.append(f"  left out: {count:,} ({reason}){example}")
        lines += [f"  reports with {which}: {count:,}" for which, count in _falling(self.sections)]
        splits = ", ".join(f"{name} {self.splits.get(name, 0):,}" for name in SPLITS)
        lines.append(f"  split: {splits}; patients in two splits: {self.patients_in_two_splits}")
        lines.append(f"  images: {self.real:,} real, {self.drawn:,} drawn")
        if self.unsupported:
            total = sum(self.unsupported.values())
            lines.append(f"  tags the drawings do not show: {total:,}, of {len(self.unsupported):,} kinds")
            shown = _falling(self.unsupported)[:most_common]
            lines += [f"    {count:>5,}  {tag}" for tag, count in shown]
            if len(self.unsupported) > most_common:
                lines.append(f"    and {len(self.unsupported) - most_common:,} more kinds")
        lines += [f"  {label}: {self._share(count)}" for label, count in _falling(self.labels)]
        if self.critical is not None:
            lines.append(f"  critical: {self._share(self.critical)}")
        return lines + [f"  note: {note}" for note in self.notes]

    def _share(self, count: int) -> str:
        return f"{count:,} ({count / self.kept:.0%})" if self.kept else f"{count:,}"


def _falling(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _first(pairs: list[str]) -> str:
    """Some of the pairs, and how many there are."""
    more = f", and {len(pairs) - _PAIRS_SHOWN:,} more" if len(pairs) > _PAIRS_SHOWN else ""
    return ", ".join(pairs[:_PAIRS_SHOWN]) + more
