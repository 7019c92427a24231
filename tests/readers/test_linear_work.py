"""The rule readers do work in proportion to the length of the text, whatever it says."""

import sys

import pytest

from radflow.readers import READERS, load
from radflow.reports import Report

PIECES = [
    "no effusion, ",
    "may represent pneumonia or ",
    "no ",
    "normal heart size and ",
    "no effusion, nodule is no mass is ",
    "effusion is not seen and ",
    "effusion heart lung base ",
    "heart effusion nodule ",
    "no change in , ",
    "stenosis plaque right 50 % ",
    "hard ",
    "Finding: ",
    "1. ",
    "\n- no effusion",
    "((",
    "no evidence of no ",
    "effusion: no. ",
    "likely edema versus pneumonia or ",
    "removal of tube, line and ",
    "9 a.m. ",
    "?effusion ",
    "XXXX ",
    "胸水なし、",
    "e\u0301\u0301 ",
    "<br/>no&nbsp;",
    "EFFUSION.\n",
]
RULES = [name for name in READERS if name != "minilm"]


def lines_run(name: str, text: str) -> int:
    """How many lines of Python a reader runs: a clock that does not depend on the machine."""
    read, count = load(name), 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    given = [Report(text=text, findings=None, impression=None)] if name == "criticality-rules" else [text]
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(given)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", RULES)
def test_work_grows_with_the_length_and_not_faster(name):
    lines_run(name, "warm: lexicons are compiled")
    for piece in PIECES:
        short, long = lines_run(name, piece * 10), lines_run(name, piece * 80)
        assert long <= 9 * short, piece


@pytest.mark.parametrize("name", [name for name in RULES if name != "criticality-rules"])
def test_a_hundred_kilobyte_line_is_read(name):
    assert len(load(name)(["no effusion in the left lung, hard plaque or " * 2200])) == 1
