"""Which pictures of a study the policy sees: what data sets call a view, and the choice among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

View = Literal["frontal", "lateral", "unknown"]
Views = Literal["frontal", "lateral", "all"]

VIEWS: tuple[Views, ...] = ("frontal", "lateral", "all")

_FRONTAL = re.compile(r"\b(?:AP|PA|FRONTAL|POSTERO ?ANTERIOR|ANTERO ?POSTERIOR)\b")
_LATERAL = re.compile(r"\b(?:LATERAL|LAT|LL|RL|LLAT|RLAT)\b")
_RANK: dict[View, int] = {"frontal": 0, "lateral": 1, "unknown": 2}


class Picture(NamedTuple):
    """One image of a study, not yet looked at, and its view."""

    path: Path
    view: View


def view_of(word: object) -> View:
    """Frontal or lateral, from what data sets and DICOM headers write; oblique and unsaid views are unknown.

    >>> [view_of(word) for word in ("PA", "postero-anterior", "AP (KUB)", "Frontal", "AP LLD")]
    ['frontal', 'frontal', 'frontal', 'frontal', 'frontal']
    >>> [view_of(word) for word in ("LL", "left lateral", "Lateral", "LAO", "PA and lateral", None)]
    ['lateral', 'lateral', 'lateral', 'unknown', 'unknown', 'unknown']
    """
    if not isinstance(word, str):
        return "unknown"
    plain = re.sub(r"[^A-Z]+", " ", word.upper())
    frontal, lateral = bool(_FRONTAL.search(plain)), bool(_LATERAL.search(plain))
    if frontal == lateral or ("DECUB" in plain and not frontal):
        return "unknown"
    return "frontal" if frontal else "lateral"


def choose(pictures: Sequence[Picture], views: Views, max_images: int | None) -> list[Picture]:
    """The pictures of a study that are asked for: frontal before lateral before unknown, else as they came.

    Args:
        pictures: of one study.
        views: ``frontal`` and ``lateral`` leave the others out, those of unknown view among them.
        max_images: at most so many, the first ones.

    >>> both = [Picture(Path("b.png"), "lateral"), Picture(Path("a.png"), "frontal")]
    >>> [picture.path.name for picture in choose(both, "all", None)]
    ['a.png', 'b.png']
    >>> [picture.path.name for picture in choose(both, "lateral", None)]
    ['b.png']
    """
    wanted = [picture for picture in pictures if views in ("all", picture.view)]
    return sorted(wanted, key=lambda picture: _RANK[picture.view])[:max_images]


def said(pictures: Sequence[Picture]) -> tuple[str, ...]:
    """The ``views`` of a `Study`: one word per picture, or none where no view is known.

    >>> said([Picture(Path("a.png"), "frontal"), Picture(Path("b.png"), "unknown")])
    ('frontal', 'unknown')
    >>> said([Picture(Path("a.png"), "unknown")])
    ()
    """
    known = any(picture.view != "unknown" for picture in pictures)
    return tuple(picture.view for picture in pictures) if known else ()


def none_left(pictures: Sequence[Picture], views: Views) -> str:
    """Why `choose` left nothing, as the reason of a `Rejected`.

    >>> none_left([], "all"), none_left([Picture(Path("b.png"), "lateral")], "frontal")
    ('no image', 'no frontal image: it has 1 lateral')
    """
    if not pictures:
        return "no image"
    counts = Counter(picture.view for picture in pictures)
    return f"no {views} image: it has {', '.join(f'{count} {view}' for view, count in counts.items())}"
