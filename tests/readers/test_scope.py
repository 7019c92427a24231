"""Hand-written sentences over all scope phenomena, and the engine on its own."""

import tomllib
from pathlib import Path

import pytest

from radflow.readers import CHEXPERT_OBSERVATIONS
from radflow.readers.chexpert import label
from radflow.readers.lexicon import Entry
from radflow.readers.scope import Scope

SENTENCES = tomllib.loads((Path(__file__).parent / "sentences.toml").read_text(encoding="utf-8"))
CASES = [
    pytest.param(text, expected, id=f"{table}: {text[:50]}")
    for table, rows in SENTENCES.items()
    for text, expected in rows.items()
]


def test_the_set_is_large_enough():
    assert len(CASES) >= 80


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_sentence(text, expected):
    labels = label(text)
    assert {k: v for k, v in labels.items() if v is not None and k != "No Finding"} == expected


def test_every_observation_occurs():
    named = {name for rows in SENTENCES.values() for expected in rows.values() for name in expected}
    assert named == set(CHEXPERT_OBSERVATIONS) - {"No Finding"}


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


def test_clauses_are_numbered():
    (reading,) = SCOPE.read("rash but fever and cough")
    assert [mention.clause for mention in reading.mentions] == [0, 1, 1]
