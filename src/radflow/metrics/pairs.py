"""What metrics share: pairs that are pairs, each text read once, and F1 between two sets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence, Set
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

from radflow import readers
from radflow.errors import DataError

Reading = TypeVar("Reading")
Reader = Callable[[Sequence[str]], Sequence[Any]]
"""Anything that turns a list of texts into a list of readings, one per text, each a function of its text."""


def check_pairs(generated: Sequence[Any], reference: Sequence[Any]) -> None:
    """Raise unless there is exactly one reference for each generated report.

    Raises:
        DataError: the lengths differ, or one of the two is a bare string.
    """
    if isinstance(generated, str) or isinstance(reference, str):
        raise DataError(
            "Expected two lists of reports, got a single string. Wrap it: score([text], [reference])."
        )
    if len(generated) != len(reference):
        raise DataError(
            f"Expected one reference for each generated report, got {len(generated)} generated and "
            f"{len(reference)} references. Pair them by study id first."
        )


def read_pairs(
    generated: Sequence[str], reference: Sequence[str], reader: Reader | None, default: str = ""
) -> tuple[list[Any], list[Any]]:
    """Read both sides of all pairs in one call, each distinct text once.

    Args:
        generated: generated reports.
        reference: their references.
        reader: texts to readings, or ``None``.
        default: the name of the reader to load where ``reader`` is ``None``.

    Raises:
        DataError: the lists differ in length.
    """
    check_pairs(generated, reference)
    if reader is None:
        reader = readers.load(default)
    readings = ReadOnce(reader, size=len(generated) + len(reference) + 1)([*generated, *reference])
    return readings[: len(generated)], readings[len(generated) :]


def reader_name(reader: Any) -> str:
    """What tables call a reader: its own ``name``, else that of the function or class.

    >>> reader_name(len)
    'len'
    """
    if isinstance(reader, ReadOnce):
        return reader_name(reader.reader)
    own = getattr(reader, "name", None) or getattr(reader, "__name__", None)
    return own or type(reader).__name__


class ReadOnce(Generic[Reading]):
    """A bounded memory in front of a reader: a text that was read before is not read again.

    In reinforcement fine-tuning the G completions of a study share one reference, and a study comes back
    epoch after epoch; reading is most of what a clinical metric costs.

    Args:
        reader: texts to readings.
        size: how many readings are kept; the least recently used goes first.

    >>> calls = []
    >>> def reader(texts):
    ...     calls.extend(texts)
    ...     return [text.split() for text in texts]
    >>> read = ReadOnce(reader)
    >>> read(["no edema", "no edema", "clear"])
    [['no', 'edema'], ['no', 'edema'], ['clear']]
    >>> calls
    ['no edema', 'clear']
    """

    def __init__(self, reader: Callable[[Sequence[str]], Sequence[Reading]], size: int = 16384) -> None:
        if size < 1:
            raise ValueError(f"Expected room for at least one reading, got size={size}.")
        self.reader = reader
        self._readings: LRUCache[str, Reading] = LRUCache(size)

    def __call__(self, texts: Sequence[str]) -> list[Reading]:
        """Return one reading per text, in order."""
        new = [text for text in dict.fromkeys(texts) if text not in self._readings]
        # Held apart until the end: a batch larger than the memory must not evict its own readings.
        fresh = dict(zip(new, self.reader(new), strict=True)) if new else {}
        readings = [fresh[text] if text in fresh else self._readings[text] for text in texts]
        self._readings.update(fresh)
        return readings


def set_f1(generated: Set[Hashable], reference: Set[Hashable], *, both_empty: float) -> float:
    """Return ``2 |A & B| / (|A| + |B|)``, in [0, 1].

    Equal to the harmonic mean of precision and recall with 0 where either is undefined.

    Args:
        generated: what the generated report says.
        reference: what the reference says.
        both_empty: the value where neither says anything. RadGraph F1 takes 0, label F1 and KeyWordMatch 1.

    >>> set_f1({"plaque", "stenosis"}, {"plaque"}, both_empty=1.0)
    0.6666666666666666
    >>> set_f1(set(), {"plaque"}, both_empty=1.0), set_f1(set(), set(), both_empty=1.0)
    (0.0, 1.0)
    """
    total = len(generated) + len(reference)
    if total == 0:
        return both_empty
    return 2 * len(generated & reference) / total
