"""Verdicts as a file of lines, so that a published run can be repeated with no key and no network.

One JSON object per line, ordered by key: the fields of :class:`~radflow.judges.verdicts.rows.StoredVerdict`,
the key as 64 hexadecimal digits. ``texts`` is there only where the store kept them. The file is the user's
alone (mode 0600), since only the user knows whether it may be published.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from radflow.errors import DataError, MissingFileError
from radflow.files import atomic_file
from radflow.judges.verdicts.rows import StoredVerdict, bare_answer, from_line, to_line
from radflow.judges.verdicts.store import VerdictStore


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of an import: verdicts that are new, that were here already, and that are here with the
    other answer, which stayed."""

    added: int
    known: int
    contradicted: int


def export_verdicts(store: VerdictStore, path: Path) -> int:
    """Write every verdict that is whole; the file appears whole or not at all. Returns how many.

    Raises:
        NotWritableError: the file cannot be written.
        DataError: the store is damaged.
    """
    lines = [to_line(verdict) for verdict in store.scan() if verdict is not None]
    with atomic_file(path, mode=0o600) as file:
        file.writelines(lines)
    return len(lines)


def import_verdicts(store: VerdictStore, path: Path) -> Imported:
    """Add the verdicts of an export, all or none. Texts in it are kept only where the store keeps texts.

    Raises:
        MissingFileError: there is no such file.
        DataError: a line is not a verdict, or a key is there twice with two answers.
        NotWritableError: the store cannot be written.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: expected an export of verdicts, got no such file")
    verdicts: dict[bytes, StoredVerdict] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                verdict = from_line(line)
            except DataError as error:
                raise DataError(f"{path}:{number}: {error}") from None
            if verdicts.setdefault(verdict.key, verdict).verdict != verdict.verdict:
                raise DataError(f"{path}:{number}: expected one answer per key, got both; export again")
    if not store.keep_texts:
        verdicts = {key: _without_texts(verdict) for key, verdict in verdicts.items()}
    standing = store.add(list(verdicts.values()))
    contradicted = sum(verdict.verdict != verdicts[verdict.key].verdict for verdict in standing)
    return Imported(
        added=len(verdicts) - len(standing), known=len(standing) - contradicted, contradicted=contradicted
    )


def _without_texts(verdict: StoredVerdict) -> StoredVerdict:
    if verdict.texts is None:
        return replace(verdict, said=bare_answer(verdict.said, ()))
    return replace(verdict, said=bare_answer(verdict.said, verdict.texts), texts=None)
