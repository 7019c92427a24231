"""Which studies, patients and images (by file and by pixels) came before, in some bytes each."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from PIL import Image

from radflow.studies.preparing.account import Entry
from radflow.studies.study import SPLITS


class Seen:
    """Finds ids, images and patients that came before, in a manifest too large to keep.

    Names are kept as 64-bit hashes: among ten million, the chance that any two meet is 3 in a million.
    The first study with a name keeps it, and only studies that are kept lay claim to one.

    The same pixels under another name, whatever the format, are a leak between splits: the study that comes
    later is left out. In one split it is kept and said: a prior film in a later study is nobody's fault.
    """

    def __init__(self) -> None:
        self._studies: set[int] = set()
        self._pictures: dict[int, int] = {}  # to the place of its split in SPLITS
        self._patients: dict[int, int] = {}
        self._pixels: dict[int, tuple[str, int]] = {}  # to a study and the place of its split

    def judge(self, entry: Entry) -> Entry:
        """The entry as it is, its names noted; or the same study rejected for a name that came before."""
        if entry.row is None:
            return entry
        reason = self._clash(entry)
        other, leak = self._twin(entry)
        if reason is None and leak is not None:
            reason, entry = leak, replace(entry, twin=other)
        if reason is None:
            entry = replace(entry, twin=other)
            self.add(entry)
            return entry
        return replace(entry, row=None, reason=reason, pictures=(), pixels=(), labels=())

    def add(self, entry: Entry) -> None:
        """Note the names of a kept study."""
        if entry.row is None:
            return
        split = SPLITS.index(entry.row["split"])
        self._studies.add(name_key(entry.study))
        self._patients.setdefault(name_key(entry.row["patient_id"]), split)
        self._pictures |= dict.fromkeys(entry.pictures, split)
        claim = (entry.study, split)
        for key in entry.pixels:
            if key is not None:
                self._pixels.setdefault(key, claim)

    def _twin(self, entry: Entry) -> tuple[str, str | None]:
        """The study with the same pixels, if one came before, and why that is a leak, if it is one."""
        assert entry.row is not None
        own = [key for key in entry.pixels if key is not None]
        twin = ""
        for image, key in zip(entry.row["images"], entry.pixels, strict=False):
            study, place = self._pixels.get(key, ("", 0)) if key is not None else ("", 0)
            if study and SPLITS[place] != entry.row["split"]:
                here = entry.row["split"]
                return study, (
                    f"same picture in two splits: {image} is in {here} here, and has the pixels of one in "
                    f"{SPLITS[place]}, in study {study}"
                )
            twin = twin or study
        return twin or (entry.study if len(set(own)) < len(own) else ""), None

    def _clash(self, entry: Entry) -> str | None:
        assert entry.row is not None
        if name_key(entry.study) in self._studies:
            return f"study id twice: {entry.study} came before"
        split = entry.row["split"]
        patient = entry.row["patient_id"]
        before = self._patients.get(name_key(patient))
        if before is not None and SPLITS[before] != split:
            return f"patient in two splits: {patient} is in {split} here, and in {SPLITS[before]} before"
        for image, key in zip(entry.row["images"], entry.pictures, strict=True):
            if key in self._pictures:
                other = SPLITS[self._pictures[key]]
                kind = "image in two studies" if other == split else "image in two splits"
                return f"{kind}: {image} is in {split} here, and in a study of {other} before"
        if len(set(entry.pictures)) < len(entry.pictures):
            return f"image twice in one study: {', '.join(entry.row['images'])}"
        return None


def name_key(name: str) -> int:
    """A 64-bit hash, the same in every process.

    >>> name_key("s50414267") == name_key("s50414267") != name_key("s50414268")
    True
    """
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def pixels_key(picture: Image.Image) -> int | None:
    """A 64-bit hash of a picture as a model sees it, in gray; ``None`` for one without anything on it.

    The same for a copy, another format without loss, other metadata; not for a picture compressed anew.
    """
    least, most = picture.getextrema()
    if least == most:
        return None
    digest = hashlib.sha256(repr(picture.size).encode())
    digest.update(picture.tobytes())
    return int.from_bytes(digest.digest()[:8], "little")


def picture_key(path: Path) -> int:
    """The hash of an image file's real path, so that two links to one file are one image."""
    return name_key(os.path.realpath(path))
