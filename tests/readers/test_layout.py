"""Which sentences are one statement."""

import pytest

from radflow.readers.tokens import sentences


def split(text: str) -> list[str]:
    return [" ".join(sentence.words) for sentence in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No:\n1. edema\n2. mass", ["no : edema mass"]),
        ("Negative for:\nEdema\nMass", ["negative for : edema mass"]),
        ("The following are absent:\n- edema\n- mass\nHeart normal", ["the following are absent : edema mass",
                                                                      "heart normal"]),
        ("No\n- edema\n- mass", ["no edema mass"]),
        ("No:\n- edema\n\nMass", ["no : edema", "mass"]),  # a blank line ends the list
        ("No:\n- edema\n- there is a mass", ["no : edema", "there is a mass"]),  # and so does a statement
        ("No:\n- edema\nPresent:\n- mass", ["no : edema", "present :", "mass"]),
        ("Seen:\n- edema\n- mass", ["seen :", "edema", "mass"]),  # nothing is denied
        ("Edema? No. Mass? Yes, left.", ["edema no", "mass yes , left"]),
        ("Edema? Mass of 2 cm.", ["edema ?", "mass of 2 cm"]),  # no answer
        ("Edema: No\nMass: Yes", ["edema : no", "mass : yes"]),
        ("Edema ..... absent\nMass ... present", ["edema : absent", "mass : present"]),
    ],
)  # fmt: skip
def test_sentences_that_belong_together(text, expected):
    assert split(text) == expected
