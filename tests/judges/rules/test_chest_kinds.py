"""Pairs of every kind of fault, and as many that follow: ``kinds.jsonl``, written before the rules for them.

Batch ``a`` was written before the first rule, ``b`` and ``c`` before the rules were changed once more.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from radflow.judges.rules.judge import RulesJudge

ROWS = [json.loads(line) for line in Path(__file__).with_name("kinds.jsonl").read_text("utf-8").splitlines()]
KINDS = defaultdict(list)
for row in ROWS:
    KINDS[row["kind"]].append(row)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_fault_is_told_from_what_follows(kind):
    judge = RulesJudge()
    answers = judge([(row["findings"], row["impression"]) for row in KINDS[kind]])
    wrong = [
        (row["findings"], row["impression"], row["follows"])
        for row, answer in zip(KINDS[kind], answers, strict=True)
        if answer != row["follows"]
    ]
    assert wrong == []
    assert len(KINDS[kind]) >= 20


@pytest.mark.parametrize(
    ("findings", "impression", "reason"),
    [
        (
            "The effusion has increased.",
            "Decreased effusion.",
            "Pleural Effusion: less in the Impression, more",
        ),
        (
            "5 mm nodule.",
            "5 cm nodule.",
            "Lung Lesion: its size in the Impression is not that of the Findings",
        ),
        (
            "NG tube in the bronchus.",
            "NG tube well positioned.",
            "enteric tube: well placed in the Impression",
        ),
        ("Free air under the diaphragm.", "Normal.", "pneumoperitoneum: asserted in the Findings, denied"),
        ("Clear lungs.", "Findings of tuberculosis.", "tuberculosis: without a basis in the Findings"),
        ("Effusion. No effusion.", "Effusion.", "Pleural Effusion: the Findings contradict themselves"),
        ("Tortuous aorta.", "Effusion. The aorta is normal.", "aorta: normal in the Impression, abnormal"),
    ],
)
def test_the_reason_names_the_fault(findings, impression, reason):
    reasons = RulesJudge().explain(findings, impression).reasons
    assert any(one.startswith(reason) for one in reasons), reasons
