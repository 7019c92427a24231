"""Stenosis and velocity of the carotid phantoms: the SRU consensus criteria as code.

Grant et al., Radiology 2003;229:340-346, table 3, for the internal carotid artery:

    grade           PSV cm/s    plaque           ICA/CCA ratio  EDV cm/s
    normal          < 125       none             < 2            < 40
    <50%            < 125       < 50% diameter   < 2            < 40
    50-69%          125 - 230   >= 50%           2 - 4          40 - 100
    >=70%           > 230       >= 50%           > 4            > 100
    near occlusion  any         visible          any            any
    occlusion       no flow     no lumen         -              -

The consensus counts intimal thickening without plaque as "<50%"; here it stays grade ``"normal"`` and is
stated on its own, as reports usually do.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Grade = Literal["normal", "<50%", "50-69%", ">=70%", "near occlusion", "occlusion"]
Flow = Literal["normal", "accelerated", "turbulent", "trickle", "absent"]

GRADES: tuple[Grade, ...] = ("normal", "<50%", "50-69%", ">=70%", "near occlusion", "occlusion")

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


def sru_grade(psv: int | float, *, plaque: bool, string_lumen: bool = False) -> Grade:
    """Return the grade that the consensus draws from what Findings state.

    Args:
        psv: peak systolic velocity, cm/s; 0 where no flow is detected.
        plaque: whether plaque is seen.
        string_lumen: whether only a string of lumen is left.

    >>> [sru_grade(psv, plaque=True) for psv in (90, 130, 230, 240, 0)]
    ['<50%', '50-69%', '50-69%', '>=70%', 'occlusion']
    >>> sru_grade(90, plaque=False), sru_grade(20, plaque=True, string_lumen=True)
    ('normal', 'near occlusion')
    """
    if psv <= 0:
        return "occlusion"
    if string_lumen:
        return "near occlusion"
    if psv > 230:
        return ">=70%"
    if psv >= 125:
        return "50-69%"
    return "<50%" if plaque else "normal"


def grade_of(stenosis_percent: int) -> Grade:
    """Return the grade of a diameter reduction; 0 is no plaque.

    >>> [grade_of(percent) for percent in (0, 40, 50, 69, 70, 95, 100)]
    ['normal', '<50%', '50-69%', '50-69%', '>=70%', 'near occlusion', 'occlusion']
    """
    limits = (1, 50, 70, 95, 100)
    return GRADES[int(np.searchsorted(limits, stenosis_percent, side="right"))]


def sample_psv(
    grade: Grade, stenosis_percent: int, own: np.random.Generator, day: np.random.Generator
) -> int:
    """Return a peak systolic velocity in cm/s, a multiple of 10, rising with the stenosis in its grade.

    Args:
        grade: see :func:`grade_of`.
        stenosis_percent: diameter reduction.
        own: the patient's stream, the same at each visit.
        day: what differs from visit to visit, up to 10 cm/s.
    """
    low, high = PSV_RANGE[grade]
    if grade == "occlusion":
        return 0
    if grade == "50-69%":
        psv = low + (stenosis_percent - 50) / 19 * (high - low)
    elif grade == ">=70%":
        psv = low + 20 + (stenosis_percent - 70) / 20 * (high - low - 20)
    elif grade == "near occlusion":  # the consensus allows high and low velocities
        low, high = (10, 40) if own.random() < 0.7 else (300, 400)
        psv = own.uniform(low, high)
    else:
        psv = own.uniform(60, 105)
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
