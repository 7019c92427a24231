"""Generated reports beside their references, on disk, so that memory does not grow with their number.

Files of predictions and of references come in any order. Both are read once into a temporary SQLite database,
joined by study id, and handed out in slices in the order of the predictions.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from radflow.errors import DataError
from radflow.evaluation.drift import Texts
from radflow.evaluation.files.predictions import Prediction
from radflow.evaluation.files.rexrank import BOTH, scored_text

_TABLES = ("generated", "reference", "train")


class Pair(NamedTuple):
    """One study: what was generated and its reference, as the track scores them."""

    study_id: str
    patient_id: str | None
    context: str
    generated: str
    reference: str


class Said(NamedTuple):
    """A report that a baseline may write for another study."""

    study_id: str
    patient_id: str | None
    context: str
    text: str


class Unpaired(NamedTuple):
    """A record without a pair: its study, its file, and why."""

    study_id: str
    side: str
    reason: str


class ReportStore:
    """All pairs of two files, on disk.

    Args:
        predictions: records with the generated reports.
        references: records of another file; without it each prediction carries its own reference.
        train: training reports, for baselines.
        track: which part of a report is scored; see :mod:`radflow.evaluation.files.rexrank`.

    Attributes:
        splits: of the data set, with the number of references each.
        has_train: whether baselines are made of training reports; of the paired references otherwise.

    Raises:
        DataError: nothing pairs, or no training report has a text.
    """

    def __init__(
        self,
        predictions: Iterable[Prediction],
        references: Iterable[Prediction] | None = None,
        train: Iterable[Prediction] | None = None,
        *,
        track: str = BOTH,
    ) -> None:
        self.track = track
        self.splits: Counter[str] = Counter()
        self.has_train = False
        self._db = sqlite3.connect("")  # an unlinked file, which disappears even if the process is killed
        try:
            self._fill(predictions, references, train)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ReportStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Remove the database."""
        self._db.close()

    def _fill(
        self,
        predictions: Iterable[Prediction],
        references: Iterable[Prediction] | None,
        train: Iterable[Prediction] | None,
    ) -> None:
        for table in _TABLES:
            self._db.execute(
                f"CREATE TABLE {table} (row INTEGER PRIMARY KEY, study TEXT UNIQUE, patient TEXT, "
                "context TEXT NOT NULL, text TEXT NOT NULL, raw TEXT, digest INTEGER)"
            )
        for record in predictions:
            self._insert("generated", record, record.text, keep=True)
            if references is None and record.reference is not None:
                self._add_reference(record, record.reference)
        for record in references or ():
            self._add_reference(record, record.truth)
        for record in train or ():
            if record.truth is not None:
                self._insert("train", record, record.truth)
        self.has_train = bool(self._one("SELECT EXISTS (SELECT 1 FROM train)"))
        if train is not None and not self.has_train:
            raise DataError(f"expected training reports with text on the track {self.track!r}, got none")
        self._db.execute(
            "CREATE TABLE pair AS SELECT g.row AS g, r.row AS r FROM generated g "
            "JOIN reference r ON r.study = g.study WHERE r.text <> '' ORDER BY g.row"
        )
        self._count: int = self._one("SELECT COUNT(*) FROM pair")
        if not self._count:
            raise DataError(self._nothing_pairs(references is None))

    def _add_reference(self, record: Prediction, text: str | None) -> None:
        if record.split is not None:
            self.splits[record.split] += 1
        self._insert("reference", record, text or "")

    def _insert(self, table: str, record: Prediction, text: str, *, keep: bool = False) -> None:
        scored = scored_text(text, self.track) if text.strip() else ""
        squeezed = " ".join(scored.split())
        if table == "train" and not squeezed:
            return  # nothing a baseline could write
        digest = int.from_bytes(hashlib.blake2b(squeezed.encode(), digest_size=8).digest(), signed=True)
        self._db.execute(
            f"INSERT INTO {table} (study, patient, context, text, raw, digest) VALUES (?, ?, ?, ?, ?, ?)",
            (
                record.study_id,
                record.patient_id,
                record.context or "",
                scored if squeezed else "",
                text if keep else None,
                digest,
            ),
        )

    def _nothing_pairs(self, in_one_file: bool) -> str:
        if self.track != BOTH and self._one("SELECT COUNT(*) FROM generated JOIN reference USING (study)"):
            return f"no reference has anything on the track {self.track!r}; use --track {BOTH}"
        advice = (
            "expected a column 'reference' (or 'section_findings' and 'section_impression') beside the "
            "predictions, or --reference FILE with the same study ids"
        )
        if in_one_file:
            return f"no prediction has a reference: {advice}"
        ours, theirs = (self._one(f"SELECT study FROM {t} LIMIT 1") for t in ("generated", "reference"))
        return f"no prediction has a reference: {advice}; got ids such as {ours!r} and {theirs!r}"

    # ---- what is scored --------------------------------------------------------------------------------

    def ids(self) -> tuple[list[str], list[str | None]]:
        """Study and patient of every pair."""
        rows = self._db.execute(
            "SELECT g.study, COALESCE(g.patient, r.patient) FROM pair p "
            "JOIN generated g ON g.row = p.g JOIN reference r ON r.row = p.r ORDER BY p.rowid"
        ).fetchall()
        return [study for study, _ in rows], [patient for _, patient in rows]

    def __getitem__(self, places: slice) -> list[Pair]:
        """Pairs ``start`` to ``stop``, in the order of the predictions."""
        rows = self._db.execute(
            "SELECT g.study, COALESCE(g.patient, r.patient), "
            "CASE WHEN r.context <> '' THEN r.context ELSE g.context END, g.text, r.text "
            "FROM pair p JOIN generated g ON g.row = p.g JOIN reference r ON r.row = p.r "
            "WHERE p.rowid > ? AND p.rowid <= ? ORDER BY p.rowid",
            (places.start, places.stop),
        )
        return [Pair(*row) for row in rows]

    def generated(self, study: str) -> str | None:
        """The report as the system wrote it, or ``None`` where it has none for the study."""
        row = self._db.execute("SELECT raw FROM generated WHERE study = ?", (study,)).fetchone()
        return row and row[0]

    def unpaired(self) -> Iterator[Unpaired]:
        """Every record that is in no pair: predictions first, each side in the order of its file."""
        nothing = "the reference is empty" + ("" if self.track == BOTH else f" on the track {self.track}")
        for study, has_reference in self._db.execute(
            "SELECT g.study, r.study IS NOT NULL FROM generated g LEFT JOIN reference r ON r.study = g.study "
            "WHERE r.study IS NULL OR r.text = '' ORDER BY g.row"
        ):
            yield Unpaired(study, "prediction", nothing if has_reference else "no reference")
        for (study,) in self._db.execute(
            "SELECT study FROM reference WHERE study NOT IN (SELECT study FROM generated) ORDER BY row"
        ):
            yield Unpaired(study, "reference", "no prediction")

    # ---- what the frame needs --------------------------------------------------------------------------

    def texts(self, side: str) -> Texts:
        """How similar one side's paired reports are: ``"generated"`` or ``"reference"``."""
        row = {"generated": "g", "reference": "r"}[side]
        counts = f"SELECT COUNT(*) AS n FROM {side} s JOIN pair p ON p.{row} = s.row GROUP BY s.digest"
        total, distinct, most = self._db.execute(
            f"SELECT SUM(n), COUNT(*), MAX(n) FROM ({counts})"
        ).fetchone()
        return Texts(total, distinct, most)

    def reference_fingerprint(self) -> str:
        """A hash of the paired references: systems scored against different ones must not be compared."""
        rows = self._db.execute(
            "SELECT s.study, s.digest FROM reference s JOIN pair p ON p.r = s.row ORDER BY s.study"
        )
        digest = hashlib.sha256()
        for study, text in rows:
            digest.update(repr((study, text)).encode())
        return digest.hexdigest()[:16]

    def pool_size(self) -> int:
        """How many reports a baseline may choose from."""
        return self._one("SELECT COUNT(*) FROM train") if self.has_train else len(self)

    def pool(self, number: int) -> Said:
        """One report that a baseline may write, by its number from 0."""
        if self.has_train:
            query = "SELECT study, patient, context, text FROM train WHERE row = ? + 1"
        else:
            query = (
                "SELECT study, patient, context, text FROM reference "
                "WHERE row = (SELECT r FROM pair WHERE rowid = ? + 1)"
            )
        return Said(*self._db.execute(query, (number,)).fetchone())

    def most_frequent(self) -> tuple[str, int]:
        """The report that occurs most often in the pool, the first such, and how often it does."""
        table = "train" if self.has_train else "(SELECT * FROM reference WHERE row IN (SELECT r FROM pair))"
        first, count = self._db.execute(
            f"SELECT MIN(row), COUNT(*) AS n FROM {table} GROUP BY digest ORDER BY n DESC, MIN(row) LIMIT 1"
        ).fetchone()
        source = "train" if self.has_train else "reference"
        return self._one(f"SELECT text FROM {source} WHERE row = {first}"), count

    def _one(self, query: str) -> Any:
        return (self._db.execute(query).fetchone() or (None,))[0]
