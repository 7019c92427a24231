"""Values of DICOM tags; nothing where a tag is missing, empty or cannot be read.

pydicom parses a value when it is first asked for, and raises errors of many kinds, which may quote it. A
value that cannot be read counts as missing everywhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset


def value_of(tags: Dataset, keyword: str) -> Any:
    """A tag's value, or ``None``."""
    try:
        value = tags.get(keyword)
    except Exception:  # see above
        return None
    return None if value is None or value == "" else value


def texts_of(tags: Dataset, keyword: str) -> list[str]:
    """All values of a tag as text, without the spaces around them."""
    value = value_of(tags, keyword)
    if value is None:
        return []
    return [str(part).strip() for part in (value if _is_list(value) else [value])]


def text_of(tags: Dataset, keyword: str) -> str:
    """The first value of a tag as text; empty without one."""
    return next(iter(texts_of(tags, keyword)), "")


def word_of(tags: Dataset, keyword: str) -> str:
    """`text_of` in capitals, as coded strings are meant."""
    return text_of(tags, keyword).upper()


def numbers_of(tags: Dataset, keyword: str) -> list[float]:
    """All values of a tag as numbers; none where one of them is not a number."""
    try:
        return [float(text) for text in texts_of(tags, keyword)]
    except ValueError:
        return []


def number_of(tags: Dataset, keyword: str) -> float | None:
    """The first value of a tag as a finite number."""
    numbers = numbers_of(tags, keyword)
    return numbers[0] if numbers and math.isfinite(numbers[0]) else None


def items_of(tags: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    value = value_of(tags, keyword)
    return list(value) if _is_list(value) else []


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes))
