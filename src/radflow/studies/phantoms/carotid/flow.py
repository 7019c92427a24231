"""Velocities and flow of the carotid phantoms, within the limits of `radflow.sru`."""

from __future__ import annotations

from typing import Literal

import numpy as np

from radflow.sru import Grade

Flow = Literal["normal", "accelerated", "turbulent", "trickle", "absent"]

PSV_RANGE: dict[Grade, tuple[int, int]] = {
    "normal": (50, 120),
    "<50%": (50, 120),
    "50-69%": (130, 230),
    ">=70%": (240, 400),
    "near occlusion": (10, 400),
    "occlusion": (0, 0),
}
"""Lowest and highest peak systolic velocity drawn, cm/s, in steps of 10. The limits 125 and 230 fall between
steps (230 still belongs to 50-69%), so a stated velocity never leaves the grade in doubt."""


def sample_psv(
    grade: Grade,
    stenosis_percent: int,
    own: np.random.Generator,
    day: np.random.Generator,
    *,
    difficulty: float = 0.0,
) -> int:
    """Return a peak systolic velocity in cm/s, a multiple of 10, rising with the stenosis in its grade.

    Args:
        grade: of the stenosis.
        stenosis_percent: diameter reduction.
        own: the patient's stream, the same at each visit.
        day: what differs from visit to visit, up to 10 cm/s.
        difficulty: from 0 to 1: how far velocities are drawn towards the limits at 125 and 230 cm/s.
    """
    low, high = PSV_RANGE[grade]
    if grade == "occlusion":
        return 0
    if grade == "50-69%":
        share = (stenosis_percent - 50) / 19
        psv = low + (share + 0.5 * difficulty * (round(share) - share)) * (high - low)
    elif grade == ">=70%":
        start = low + 20 * (1 - difficulty)
        psv = start + (stenosis_percent - 70) / 20 * (high - start) * (1 - 0.6 * difficulty)
    elif grade == "near occlusion":  # the consensus allows high and low velocities
        low, high = (10, 40) if own.random() < 0.7 else (300, 400)
        psv = own.uniform(low, high)
    else:
        psv = own.uniform(60, 105)
        if grade == "<50%":
            psv += 0.6 * difficulty * (115 - psv)
    return int(np.clip(round((psv + day.uniform(-10, 10)) / 10) * 10, low, high))


def edv_of(grade: Grade, psv: int) -> int:
    """Return the end-diastolic velocity in cm/s, within the limits of the table.

    >>> edv_of("<50%", 100), edv_of("50-69%", 130), edv_of(">=70%", 240)
    (30, 42, 105)
    """
    if grade == "50-69%":
        return round(42 + (psv - 130) * 0.5)
    if grade == ">=70%":
        return round(105 + (psv - 240) * 0.4)
    return round(psv * 0.3)


def ratio_of(grade: Grade, psv: int, common_psv: int) -> float | None:
    """Return the ICA/CCA ratio of velocities in steps of 0.5, kept within the limits; ``None`` without flow.

    >>> ratio_of("50-69%", 180, 60), ratio_of("occlusion", 0, 60)
    (3.0, None)
    """
    if grade == "occlusion":
        return None
    limits: dict[Grade, tuple[float, float]] = {
        "50-69%": (2.0, 4.0),
        ">=70%": (4.5, 8.0),
        "near occlusion": (0.5, 8),
    }
    return round(2 * float(np.clip(psv / common_psv, *limits.get(grade, (0.5, 1.5))))) / 2


def flow_of(grade: Grade, psv: int) -> Flow:
    """Return the word for the flow.

    >>> flow_of("<50%", 90), flow_of("near occlusion", 20), flow_of("near occlusion", 320)
    ('normal', 'trickle', 'turbulent')
    """
    if grade == "near occlusion":
        return "trickle" if psv < 125 else "turbulent"
    flows: dict[Grade, Flow] = {"50-69%": "accelerated", ">=70%": "turbulent", "occlusion": "absent"}
    return flows.get(grade, "normal")
