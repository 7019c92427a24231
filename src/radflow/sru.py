"""The SRU consensus on stenosis of the internal carotid artery: grades by velocity and by diameter.

Grant et al., Radiology 2003;229:340-346, table 3, for the internal carotid artery:

    grade           PSV cm/s    plaque           ICA/CCA ratio  EDV cm/s
    normal          < 125       none             < 2            < 40
    <50%            < 125       < 50% diameter   < 2            < 40
    50-69%          125 - 230   >= 50%           2 - 4          40 - 100
    >=70%           > 230       >= 50%           > 4            > 100
    near occlusion  any         visible          any            any
    occlusion       no flow     no lumen         -              -

The consensus counts intimal thickening without plaque as "<50%"; here that stays grade ``"normal"``: reports
usually state thickening on its own.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

Grade = Literal["normal", "<50%", "50-69%", ">=70%", "near occlusion", "occlusion"]

GRADES: tuple[Grade, ...] = ("normal", "<50%", "50-69%", ">=70%", "near occlusion", "occlusion")


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
    return GRADES[bisect_right(limits, stenosis_percent)]
