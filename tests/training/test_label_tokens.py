"""Weights fall on the tokens that wrote the words which labels rest on, and nowhere else."""

import re

import pytest

from radflow.errors import TrainingError
from radflow.policy import Completion, Group
from radflow.policy.sampling.words import token_spans
from radflow.policy.tiny import train_tokenizer
from radflow.reports import parse_report
from radflow.studies import Study
from radflow.training import label_tokens
from radflow.training.label_tokens import check_evidence, deciding_tokens, label_weights

CHEST = {
    "Findings: The heart is enlarged. No pleural effusion. Impression: Possible pneumonia.": (
        "heart enlarged No pleural effusion Possible pneumonia"
    ),
    "Impression: Pneumonia is not seen, stable pneumothorax on the left.": (
        "Pneumonia is not seen pneumothorax"
    ),
    "Findings: The trachea is midline. History of pneumonia. Impression: Follow up.": "",
    "Findings: May be edema. Impression: Edema.": "May be edema Edema",
}
CAROTID = {
    "Findings: Right: hard plaque in the bulb. Left: no plaque. Impression: Possible thrombus of the ICA.": (
        "hard plaque no plaque Possible thrombus"
    ),
    "Findings: The right ICA has less than 50% stenosis. Impression: Right ICA stenosis.": (
        "less than 50 stenosis"
    ),
}
CASES = [
    (m, *case) for m, cases in (("chest-xray", CHEST), ("carotid-us", CAROTID)) for case in cases.items()
]
TOKENIZER = train_tokenizer([*CHEST, *CAROTID] * 4, 330)


def written(text: str, lead: str = "") -> Completion:
    """As a policy would leave it: its text without the white space around it."""
    ids = (*TOKENIZER(lead + text, add_special_tokens=False).input_ids, TOKENIZER.eos_token_id)
    return Completion(text=text, token_ids=ids, finished=True)


@pytest.mark.parametrize("lead", ["", " ", "\n\n"])
@pytest.mark.parametrize(("modality", "text", "words"), CASES)
def test_the_words_that_decide_a_label_and_no_others(modality: str, text: str, words: str, lead: str) -> None:
    completion = written(text, lead)
    deciding = deciding_tokens(TOKENIZER, completion, modality).tolist()
    spans = token_spans(TOKENIZER, completion.token_ids)
    assert len(deciding) == len(completion.token_ids)
    assert deciding[-1] is False  # the end is no word
    found = []
    for word in re.finditer(r"\w+", text):
        start, end = word.start() + len(lead), word.end() + len(lead)
        own = [d for d, s in zip(deciding, spans, strict=True) if s and s[0] < end and start < s[1]]
        assert len(set(own)) == 1  # a word decides with all of its tokens, or with none
        found += [word.group()] * own[0]
    assert " ".join(found) == words


def test_rows_stand_in_the_order_of_the_groups_and_have_mean_one() -> None:
    groups = [
        Group(study=_study(modality), completions=tuple(written(text) for text in cases))
        for modality, cases in (("chest-xray", CHEST), ("carotid-us", CAROTID))
    ]
    rows = label_weights(TOKENIZER, groups, 3.0)
    assert [len(row) for row in rows] == [len(c.token_ids) for g in groups for c in g.completions]
    assert [float(row.mean()) for row in rows] == pytest.approx([1.0] * len(rows))
    for row, words in zip(rows, [*CHEST.values(), *CAROTID.values()], strict=True):
        assert float(row.max() / row.min()) == pytest.approx(4.0 if words else 1.0)


def test_a_modality_without_evidence_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_evidence("chest-xray")
    nobody = type("Record", (), {"evidence": None})
    monkeypatch.setattr(label_tokens, "modality_of", lambda name: nobody)
    with pytest.raises(TrainingError, match="label_tokens: expected a modality whose record names"):
        check_evidence("chest-xray")


def _study(modality: str) -> Study:
    reference = parse_report("Findings: Normal. Impression: Normal.")
    return Study(
        study_id="s", patient_id="p", images=(), reference=reference, split="train", modality=modality
    )
