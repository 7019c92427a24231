"""Pictures that a table holds itself: written out as files that are named after what is in them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radflow.errors import DataError
from radflow.files import write_atomic
from radflow.tables import listed

_KINDS = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"))
_DATA_URL = "data:image/"


def cell_items(cell: Any, separator: str) -> list[Any]:
    """The pictures of a cell: texts are paths, all else is embedded.

    >>> cell_items([{"bytes": b"x"}, {"bytes": None, "path": "a.png"}, "b.png"], ";")
    [b'x', 'a.png', 'b.png']
    >>> cell_items("a.png; b.png", ";"), cell_items({"bytes": None, "path": None}, ";"), cell_items(None, ";")
    (['a.png', 'b.png'], [], [])
    """
    if isinstance(cell, (bytes, Mapping)):
        cell = [cell]
    if isinstance(cell, str) and cell.startswith(_DATA_URL):
        return [cell]
    if not isinstance(cell, list) or all(isinstance(item, str | None) for item in cell):
        return listed(cell, separator)
    items = [_item(item) for item in cell]
    return [item for item in items if item is not None]


def _item(item: Any) -> Any:
    """Bytes or a path of one picture, as ``datasets`` keeps an ``Image``."""
    if isinstance(item, Mapping):
        return item.get("path") if item.get("bytes") is None else item["bytes"]
    return item


def is_embedded(item: Any) -> bool:
    """Whether an item of `cell_items` is a picture rather than a path."""
    return not isinstance(item, str) or item.startswith(_DATA_URL)


def write_picture(item: Any, folder: Path) -> Path:
    """The file of an embedded picture in ``folder``; it is written unless it is there.

    Args:
        item: bytes, or a data URL.
        folder: files are ``ab/abcd....png``, after the SHA-256 of the bytes: the same picture is one file,
            and one from an earlier preparation stays.

    Raises:
        DataError: it is empty, or neither; as the reason of a `Rejected`.
        NotWritableError: the folder cannot be written.
    """
    content = _content(item)
    name = hashlib.sha256(content).hexdigest()
    kind = next((ending for magic, ending in _KINDS if content.startswith(magic)), ".dcm")
    path = folder / name[:2] / f"{name[:32]}{kind}"
    if not (path.is_file() and path.stat().st_size == len(content)):
        write_atomic(path, content)
    return path


def _content(item: Any) -> bytes:
    if isinstance(item, str):
        try:
            item = base64.b64decode(item.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise DataError(f"broken image: expected a data URL in base64, got {error}") from None
    if not isinstance(item, bytes):
        raise DataError(f"broken image: expected a path or an embedded picture, got {type(item).__name__}")
    if not item:
        raise DataError("broken image: an embedded picture of 0 bytes")
    return item
