"""Why a rule judge objects: one reason per fault, with the sentence of the Impression that it is about."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_QUOTE = 60


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One fault.

    Attributes:
        about: what is wrongly reported: an observation, a side, a thing; ``""`` for the report as a whole.
        what: the fault, in words that are the same for every report.
        sentence: of the Impression, as it stands there; ``None`` where the fault is what the Impression as a
            whole does not say.

    >>> print(Reason(about="Edema", what="asserted in the Impression", sentence="Pulmonary edema."))
    Edema: asserted in the Impression (in "Pulmonary edema.")
    >>> print(Reason(about="Edema", what="left out of the Impression", sentence=None))
    Edema: left out of the Impression (Impression as a whole)
    """

    about: str
    what: str
    sentence: str | None

    def __str__(self) -> str:
        where = "Impression as a whole" if self.sentence is None else f'in "{shortened(self.sentence)}"'
        return f"{self.about}: {self.what} ({where})" if self.about else f"{self.what} ({where})"


def shortened(sentence: str) -> str:
    """A sentence on one line, cut at a word where it is long.

    >>> shortened("Right lower\\n lobe pneumonia.")
    'Right lower lobe pneumonia.'
    >>> shortened("word " * 30).endswith("word …"), len(shortened("x" * 100))
    (True, 61)
    """
    line = " ".join(sentence.split())
    if len(line) <= _LONGEST_QUOTE:
        return line
    cut = line[:_LONGEST_QUOTE]
    whole, space, _ = cut.rpartition(" ")
    return f"{whole} …" if space else f"{cut}…"
