"""F1 between two sets: the one formula under RadGraph F1, KeyWordMatch and every per-report label F1."""

from __future__ import annotations

from collections.abc import Hashable, Set


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
