"""Hand-written sentences over all scope phenomena, and the engine on its own."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from radflow.readers import CHEXPERT_OBSERVATIONS
from radflow.readers.chexpert import label
from radflow.readers.lexicon import Entry
from radflow.readers.scope import Scope, likely

SENTENCES = tomllib.loads((Path(__file__).parent / "sentences.toml").read_text(encoding="utf-8"))
CASES = [
    pytest.param(text, expected, id=f"{table}: {text[:50]}")
    for table, rows in SENTENCES.items()
    for text, expected in rows.items()
]


def counts() -> tuple[Counter[str], Counter[str]]:
    """How many sentences name each observation, and how many show each phenomenon."""
    named = Counter(name for rows in SENTENCES.values() for expected in rows.values() for name in expected)
    return named, Counter({table: len(rows) for table, rows in SENTENCES.items()})


def test_the_set_is_large_enough():
    named, shown = counts()
    assert shown.total() >= 600
    assert set(named) == set(CHEXPERT_OBSERVATIONS)
    assert min(named.values()) >= 15, named
    assert min(shown.values()) >= 4, shown


def test_every_observation_has_every_state():
    found = {
        (name, state) for rows in SENTENCES.values() for row in rows.values() for name, state in row.items()
    }
    assert found == {(name, state) for name in CHEXPERT_OBSERVATIONS[:-1] for state in (1, 0, -1)} | {
        ("No Finding", 1)
    }


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_sentence(text, expected):
    ill = any(state in (1, -1) for name, state in expected.items() if name in CHEXPERT_OBSERVATIONS[:-2])
    stated = {name: state for name, state in label(text).items() if state is not None}
    assert stated == (expected if ill else {**expected, "No Finding": 1})


SCOPE = Scope([Entry(kind="finding", name=name, phrases=(name,)) for name in ("rash", "fever", "cough")])


def read(text: str) -> dict[str, str]:
    return {m.match.entry.name: m.assertion for r in SCOPE.read(text) for m in r.mentions}


def test_the_engine_knows_no_radiology():
    assert read("No rash, fever or cough.") == {"rash": "absent", "fever": "absent", "cough": "absent"}
    assert read("Rash but no fever.") == {"rash": "present", "fever": "absent"}
    assert read("Rash versus fever") == {"rash": "uncertain", "fever": "uncertain"}
    assert read("History of rash.") == {"rash": "aside"}


def test_the_past_reaches_only_a_few_words():
    assert read("History of trauma ten days ago falling from a tree, fever.")["fever"] == "present"


def test_the_cue_that_decided_is_kept():
    (reading,) = SCOPE.read("There is no evidence of fever.")
    (mention,) = reading.mentions
    assert mention.cue is not None
    assert reading.sentence.words[mention.cue.start : mention.cue.end] == ["no", "evidence", "of"]


def test_sentences_do_not_reach_into_each_other():
    assert read("No rash. Fever.") == {"rash": "absent", "fever": "present"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Rash: none. Fever: absent. Cough: present.",
            {"rash": "absent", "fever": "absent", "cough": "present"},
        ),
        ("Skin: no rash. Fever: no.", {"rash": "absent", "fever": "absent"}),
        ("Without rash: fever.", {"rash": "absent", "fever": "present"}),
    ],
)
def test_a_colon_labels_what_follows(text, expected):
    assert read(text) == expected


def test_a_slash_joins_and_an_or_chooses():
    assert read("Rash/fever.") == {"rash": "present", "fever": "present"}
    assert read("Rash or fever.") == {"rash": "uncertain", "fever": "uncertain"}
    assert read("No rash/fever, cough or so.") == dict.fromkeys(("rash", "fever", "cough"), "absent")


def test_removal_reaches_to_the_end_of_its_list():
    assert read("No rash and small fever.") == {"rash": "absent", "fever": "present"}
    assert read("Removal of rash and small fever.") == {"rash": "absent", "fever": "absent"}


def test_what_lasts_is_still_there_after_its_time():
    lasting = Entry(kind="finding", name="scar", phrases=("scar",), data={"lasting": True})
    scope = Scope([lasting, Entry(kind="finding", name="rash", phrases=("rash",))])
    (reading,) = scope.read("Prior scar, prior rash, history of scar.")
    assert [mention.assertion for mention in reading.mentions] == ["present", "aside", "aside"]


def test_likely_is_a_hedge_that_says_so():
    (reading,) = SCOPE.read("Likely rash.")
    assert reading.mentions[0].assertion == "uncertain"
    assert likely(reading.mentions[0].cue)
    assert read("Likely rash versus fever.") == {"rash": "uncertain", "fever": "uncertain"}
    (reading,) = SCOPE.read("Likely rash versus fever.")
    assert not any(likely(mention.cue) for mention in reading.mentions)


def test_clauses_are_numbered():
    (reading,) = SCOPE.read("rash but fever and cough")
    assert [mention.clause for mention in reading.mentions] == [0, 1, 1]
