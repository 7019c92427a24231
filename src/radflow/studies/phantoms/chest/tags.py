"""Open-i's MeSH ``major`` tags, read into what is there, where, on which side and how much.

A tag is a path such as ``Pleural Effusion/bilateral/small``: the finding first, then qualifiers in no fixed
order. The vocabulary below is that of the 3,955 Open-i reports (1,719 distinct tags). Words that it does not
know are kept among the descriptors, so nothing of a tag is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Side = Literal["right", "left", "bilateral"]

# fmt: off
SITES = frozenset((
    "lung", "base", "apex", "hilum", "upper lobe", "middle lobe", "lower lobe", "lingula", "azygos lobe",
    "retrocardiac", "multilobar", "pulmonary alveoli", "interstitial", "bronchovascular", "bronchi",
    "mediastinum", "paratracheal", "trachea", "trachea, carina", "lymph nodes", "esophagus", "neck",
    "supracardiac", "aorta", "aorta, thoracic", "pulmonary artery", "blood vessels", "coronary vessels",
    "heart", "heart ventricles", "heart atria", "aortic valve", "mitral valve",
    "pleura", "pleural sinus", "costophrenic angle", "cardiophrenic angle", "sulcus", "diaphragm",
    "thorax", "abdomen", "breast", "breast implants", "adipose tissue",
    "shoulder", "humerus", "clavicle", "ribs", "sternum",
    "spine", "thoracic vertebrae", "lumbar vertebrae", "cervical vertebrae",
))
# fmt: on
"""Places that a tag can name after its finding."""

DEGREES = {"borderline": 0.35, "mild": 0.6, "small": 0.6, "moderate": 1.3, "large": 1.8, "severe": 1.8}
"""How strongly a degree is drawn, as a multiple of the finding without one (1.0)."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """One MeSH tag, taken apart.

    Attributes:
        text: the tag as it was given.
        finding: its first part, lower case with single spaces, e.g. ``pleural effusion``.
        sites: the places it names, in its order, e.g. ``("lung", "base")``.
        side: the patient's side, or ``None`` where the tag names none.
        degree: a key of ``DEGREES``, or ``None``.
        descriptors: every other word, e.g. ``("multiple", "chronic")``.
    """

    text: str
    finding: str
    sites: tuple[str, ...] = ()
    side: Side | None = None
    degree: str | None = None
    descriptors: tuple[str, ...] = ()

    @property
    def strength(self) -> float:
        """How much of the finding to draw: 1.0 without a degree, otherwise its entry in ``DEGREES``."""
        return DEGREES[self.degree] if self.degree else 1.0

    @property
    def lateral_only(self) -> bool:
        """Whether the tag describes the posterior sulcus or the like, which a frontal film does not show."""
        return "posterior" in self.descriptors and not {"lung", "ribs"} & set(self.sites)

    def at(self, *places: str) -> bool:
        """Whether the tag names any of these sites.

        >>> parse_tag("Opacity/lung/base/left").at("base", "apex")
        True
        """
        return not set(places).isdisjoint(self.sites)

    def has(self, *words: str) -> bool:
        """Whether any of these words is among the descriptors.

        >>> parse_tag("Aorta/tortuous/mild").has("tortuous")
        True
        """
        return not set(words).isdisjoint(self.descriptors)


def parse_tag(text: str) -> Tag:
    """Take a MeSH tag apart. Any string is accepted; a word met twice counts once.

    >>> tag = parse_tag("Pleural Effusion/bilateral/small")
    >>> tag.finding, tag.side, tag.degree
    ('pleural effusion', 'bilateral', 'small')
    >>> parse_tag("Opacity/lung/base/left/streaky").sites
    ('lung', 'base')
    """
    finding, *parts = (" ".join(part.lower().split()) for part in text.split("/"))
    words = dict.fromkeys(part for part in parts if part)
    named: set[str] = words.keys() & {"right", "left", "bilateral"}
    degrees = [word for word in words if word in DEGREES]
    side: Side | None = None
    if "bilateral" in named or len(named) > 1:
        side = "bilateral"
    elif named:
        side = "right" if "right" in named else "left"
    return Tag(
        text=text,
        finding=finding,
        sites=tuple(word for word in words if word in SITES),
        side=side,
        degree=max(degrees, key=DEGREES.__getitem__) if degrees else None,
        descriptors=tuple(
            word for word in words if word not in SITES and word not in named and word not in DEGREES
        ),
    )
