"""Parquet and Arrow by pyarrow: one file, shards in a folder, what ``datasets.save_to_disk`` writes."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.tables.chats import has_chats, report_columns
from radflow.tables.rows import Row, Table

_BATCH = 256  # rows in memory at once
_PICTURES = 8  # the same where rows hold pictures
_BUFFER = 2**20  # bytes read at once of a column, whose part in a row group may be gigabytes of pictures
_SPLIT = re.compile(r"(train|training|validation|valid|val|dev|test)(?![a-z])", re.IGNORECASE)

Shard = tuple[Path, str | None]  # a file, and the split that its name says


def is_saved(folder: Path) -> bool:
    """Whether ``datasets.save_to_disk`` wrote a folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def shards_of(folder: Path) -> list[Shard]:
    """The files of a data set in a folder, in order, each with the split it is named after.

    A folder of ``datasets.save_to_disk`` holds ``state.json``, or ``dataset_dict.json`` with a folder per
    split; one from the Hugging Face hub Parquet files such as ``data/train-00000-of-00005.parquet``.

    Raises:
        MissingFileError: there is none.
    """
    listed = folder / "dataset_dict.json"
    if listed.is_file():
        splits = _json(listed).get("splits") or []
        return [(path, split) for split in splits for path, _ in shards_of(folder / str(split))]
    state = folder / "state.json"
    if state.is_file():
        names = [file["filename"] for file in _json(state).get("_data_files") or []]
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise MissingFileError(
                f"{folder / missing[0]}: no such file, but {state} names it; copy it again"
            )
        return [(folder / name, None) for name in names]
    found = sorted([*folder.rglob("*.parquet"), *folder.rglob("*.arrow")])
    if not found:
        raise MissingFileError(
            f"{folder}: expected Parquet files or a folder of datasets.save_to_disk, found no table in it"
        )
    return [(path, _split(path.relative_to(folder))) for path in found]


def _split(path: Path) -> str | None:
    named = [part for part in reversed(path.with_suffix("").parts) if _SPLIT.match(part)]
    return _SPLIT.match(named[0])[1].lower() if named else None  # ty: ignore[not-subscriptable]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected JSON of datasets.save_to_disk, got {error}; copy it again"
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected JSON of datasets.save_to_disk, got {str(content)[:40]}")
    return content


def open_arrow(path: Path, shards: Sequence[Shard], *, pictures: bool = True) -> ArrowTable:
    """Open a table in one or several files.

    Args:
        path: the file or folder.
        shards: its files, as `shards_of` gives them.
        pictures: whether columns of embedded pictures are read.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        DataError: a file is no Parquet or Arrow, or has other columns than the first.
    """
    names: tuple[str, ...] | None = None
    held: list[str] = []
    for file, _ in shards:
        with _reading(file) as reader:
            schema = reader.schema
        if names is None:
            names = tuple(schema.names)
            held = [field.name for field in schema if _holds_pictures(field.type)]
        elif set(names) != set(schema.names):
            raise DataError(
                f"{file}: expected the columns of {shards[0][0]} ({', '.join(names)}), got "
                f"{', '.join(schema.names)}; name one of them as the table"
            )
    read = tuple(name for name in names or () if pictures or name not in held)
    says_split = "split" not in read and any(split for _, split in shards)
    return ArrowTable(
        path=path,
        columns=report_columns((*read, "split") if says_split else read),
        examples=bool(held) or has_chats(read),
        shards=tuple(shards),
        names=read,
        batch=_PICTURES if pictures and held else _BATCH,
        embedded=tuple(held),
    )


@dataclass(frozen=True, kw_only=True)
class ArrowTable(Table):
    """An open table of pyarrow.

    Attributes:
        shards: its files.
        names: the columns to read.
        batch: rows in memory at once.
        embedded: columns whose cells may hold a picture itself: bytes, or ``{"bytes": ..., "path": ...}``,
            which is how ``datasets`` keeps an ``Image``, or lists of these.
    """

    shards: tuple[Shard, ...]
    names: tuple[str, ...]
    batch: int
    embedded: tuple[str, ...]

    def read(self) -> Iterator[Row]:
        """All rows in order."""
        for file, split in self.shards:
            said = {"split": split} if split and "split" not in self.names else {}
            number = 0
            with _reading(file) as reader:
                for batch in reader.batches(list(self.names), self.batch):
                    for fields in batch.to_pylist():
                        number += 1
                        yield Row(f"{file}: row {number}", fields | said)


def _holds_pictures(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _holds_pictures(kind.value_type)
    if types.is_struct(kind):
        return any(kind.field(place).name == "bytes" for place in range(kind.num_fields))
    return types.is_binary(kind) or types.is_large_binary(kind)


class _Parquet:
    def __init__(self, file: Path) -> None:
        import pyarrow.parquet

        self.file = pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        self.schema = self.file.schema_arrow

    def batches(self, columns: list[str], size: int) -> Iterator[Any]:
        return self.file.iter_batches(batch_size=size, columns=columns)


class _Arrow:
    """An Arrow file, as a stream (what ``datasets`` writes) or with an index at its end."""

    def __init__(self, file: Path) -> None:
        import pyarrow

        self.file = pyarrow.memory_map(str(file))
        try:
            self.reader = pyarrow.ipc.open_stream(self.file)
        except pyarrow.ArrowInvalid:
            self.file.seek(0)
            self.reader = pyarrow.ipc.open_file(self.file)
        self.schema = self.reader.schema

    def batches(self, columns: list[str], size: int) -> Iterator[Any]:
        count = getattr(self.reader, "num_record_batches", None)
        whole = iter(self.reader) if count is None else (self.reader.get_batch(n) for n in range(count))
        for batch in whole:
            kept = batch.select(columns)
            for start in range(0, kept.num_rows, size):
                yield kept.slice(start, size)


@contextmanager
def _reading(file: Path) -> Generator[_Parquet | _Arrow]:
    """A reader of a file; what breaks while it is read becomes one clear line."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError(
            f"{file}: Parquet needs pyarrow: pip install 'radflow[parquet]', or save the table as CSV"
        ) from None
    kind = "an Arrow" if file.suffix.lower() == ".arrow" else "a Parquet"
    try:
        reader = _Arrow(file) if file.suffix.lower() == ".arrow" else _Parquet(file)
        try:
            yield reader
        finally:
            reader.file.close()
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{file}: expected {kind} file, got {said:.200}; fetch or write it again") from None
