import pytest

from radflow.errors import MissingFileError
from radflow.metrics import score
from radflow.metrics.asked.green import green_counts, green_question, green_score

ANSWER = """[Explanation]:
The candidate misses the effusion.

[Clinically Significant Errors]:
(a) False report of a finding in the candidate: 1. Left pneumothorax
(b) Missing a finding present in the reference: 2. Effusion; Edema
(e) Mentioning a comparison that isn't in the reference: 0.

[Clinically Insignificant Errors]:
(a) False report of a finding in the candidate: 7. All kinds of things

[Matched Findings]:
3. Clear apices; Normal heart; No fracture
"""


@pytest.mark.parametrize(
    ("answer", "matched", "errors", "expected"),
    [
        (ANSWER, 3, (1, 2, 0, 0, 0, 0), 0.5),  # 3 / (3 + 3); insignificant errors do not count
        (ANSWER.replace("3. Clear", "0. Clear"), 0, (1, 2, 0, 0, 0, 0), 0.0),
        (ANSWER.replace("3. Clear", "Clear"), 0, (1, 2, 0, 0, 0, 0), 0.0),  # a list without its number
        (
            ANSWER.replace("(a)", "(1)").replace("(b)", "(2)").replace("(e)", "(5)"),
            3,
            (1, 2, 0, 0, 0, 0),
            0.5,
        ),
        (
            "[Clinically Significant Errors]:\nNo errors.\n\n[Matched Findings]:\n2. A; B",
            2,
            (0, 0, 0, 0, 0, 0),
            1.0,
        ),
        (
            "[Clinically Significant Errors]: (c) Location: 12. x\n\n[Matched Findings]: 4. y</s>",
            4,
            (0, 0, 12, 0, 0, 0),
            0.25,
        ),
    ],
)
def test_hand_computed(answer, matched, errors, expected):
    counts = green_counts(answer)
    assert (counts.matched, counts.errors) == (matched, errors)
    assert green_score(answer) == expected


@pytest.mark.parametrize("answer", ["", "yes", "The reports agree.", ANSWER.partition("[Matched")[0]])
def test_what_lacks_a_count_has_no_score(answer):
    assert green_score(answer) is None


def test_the_question_shows_300_words_of_each():
    asked = green_question(" ".join(f"r{i}" for i in range(400)), "one\n two {x}")
    assert "2. Reference Report:\n    r0 r1" in asked
    assert "r299\n\n    3. Candidate Report:\n    one two {x}\n\n    4. " in asked
    assert asked.endswith("<Finding n>\n    ```\n")


def test_no_model_ships():
    with pytest.raises(MissingFileError, match="--metrics green:<folder>"):
        score(["a"], ["a"], ["green"])
