"""Every phrase of every lexicon means what its group says."""

import pytest

from radflow.errors import DataError, MissingFileError
from radflow.readers.carotid import carotid_terms
from radflow.readers.chexpert import chexpert_rules, label
from radflow.readers.criticality import critical
from radflow.readers.lexicon import FOLDER, WORDS, Entry, Trie, expand, lexicon, read_lexicon
from radflow.readers.radgraph import graph

EFFUSION = {"present": 1, "uncertain": -1, "absent": 0, "aside": None}
CUES = lexicon("scope")
CHEXPERT = lexicon("chexpert")


def ids(entry: Entry) -> str:
    return f"{entry.kind}-{entry.name}"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_every_group_has_an_example(name):
    """An example, or for a cue a frame in which each of its phrases is read; both are tests below."""
    for entry in lexicon(name):
        shown = entry.data.get("frame" if name == "scope" else "example", "")
        assert shown.strip() and shown.isprintable(), entry
        assert name != "scope" or "{}" in shown, entry


@pytest.mark.parametrize("entry", CUES, ids=ids)
def test_every_cue_reads_as_its_group_says(entry):
    reads = entry.data.get("reads", entry.name)
    wrong = []
    for phrase in entry.phrases:
        for words in expand(phrase):
            text = entry.data["frame"].replace("{}", " ".join(words))
            if label(text)["Pleural Effusion"] != EFFUSION[reads]:
                wrong.append(text)
    assert not wrong


@pytest.mark.parametrize("entry", [entry for entry in CHEXPERT if entry.kind == "finding"], ids=ids)
def test_every_finding_is_asserted_and_denied(entry):
    stated = -1 if entry.data.get("weak") else 1
    for phrase in entry.phrases:
        for words in expand(phrase):
            name = " ".join(words)
            for observation in entry.data.get("labels", [entry.name]):
                assert label(f"There is {name}.")[observation] == stated, name
                assert label(f"No {name}.")[observation] == 0, name


@pytest.mark.parametrize("entry", [entry for entry in CHEXPERT if entry.kind == "structure"], ids=ids)
def test_every_structure_links_to_what_is_said_of_it(entry):
    for phrase in entry.phrases:
        name = " ".join(next(expand(phrase)))
        for quality, said in (("normal", 0), ("enlarged", -1 if entry.data.get("weak") else 1)):
            listed = (
                entry.data["denies" if said == 0 else "asserts"]
                if "asserts" in entry.data or said == 0
                else {}
            )
            for observation in listed.get(quality, []):
                assert label(f"The {name} is {quality}.")[observation] == said, name
                assert label(f"{quality} {name}")[observation] == said, name


@pytest.mark.parametrize("entry", [entry for entry in CHEXPERT if entry.kind == "denial"], ids=ids)
def test_every_denial_denies(entry):
    for phrase in entry.phrases:
        for words in expand(phrase):
            text = ("No " if entry.data["needs"] == "absent" else "") + " ".join(words)
            labels = label(text)
            assert all(labels[observation] == 0 for observation in entry.data["denies"]), text
            assert labels["No Finding"] == 1


@pytest.mark.parametrize(
    "entry", [entry for entry in lexicon("criticality") if entry.kind == "abnormal"], ids=ids
)
def test_every_abnormal_word_is_critical_unless_denied(entry):
    for phrase in entry.phrases:
        for words in expand(phrase):
            name = " ".join(words)
            assert critical(f"There is {name}."), name
            assert not critical(f"No {name}."), name


@pytest.mark.parametrize("name", ["chexpert", "carotid", "radgraph", "criticality"])
def test_each_group_shows_itself_in_its_example(name):
    """An example contains a phrase of its own group, as the reader's own trie matches it."""
    from radflow.readers.tokens import sentences

    trie = Trie([*lexicon("scope"), *lexicon(name)])
    for entry in lexicon(name):
        if entry.kind == WORDS:
            continue
        found = [
            match.entry.name for s in sentences(entry.data["example"]) for match in trie.matches(s.words)
        ]
        assert entry.name in found, entry


def test_examples_of_findings_are_labelled_so():
    for entry in CHEXPERT:
        if entry.kind == "finding":
            labels = chexpert_rules([entry.data["example"]])[0]
            assert all(labels[name] in (1, -1) for name in entry.data.get("labels", [entry.name])), entry


def test_examples_of_criticality_are_critical():
    for entry in lexicon("criticality"):
        if entry.kind != WORDS:
            assert critical(entry.data["example"]) == (entry.kind == "abnormal"), entry


def test_examples_of_carotid_words_give_terms():
    for entry in lexicon("carotid"):
        assert carotid_terms([entry.data["example"]])[0], entry


def test_examples_of_graph_words_give_entities():
    for entry in lexicon("radgraph"):
        assert graph(entry.data["example"])["entities"], entry


def test_expansion_of_optional_and_alternative_words():
    got = {"".join(words) for words in expand("a|b (c|d) e")}
    assert got == {"ace", "ade", "ae", "bce", "bde", "be"}


def test_longest_match_wins_and_matches_do_not_overlap():
    entries = [Entry(kind="x", name=name, phrases=(name,)) for name in ("no", "no change in", "change")]
    found = Trie(entries).matches(["no", "change", "in", "no", "change"])
    assert [(match.start, match.end, match.entry.name) for match in found] == [
        (0, 3, "no change in"),
        (3, 4, "no"),
        (4, 5, "change"),
    ]


def test_a_phrase_under_two_meanings_is_refused():
    with pytest.raises(DataError, match=r"'edema'.*remove one"):
        Trie([Entry(kind="finding", name=name, phrases=("edema",)) for name in ("A", "B")])


@pytest.mark.parametrize(
    ("content", "message"),
    [("= broken", "Expected TOML"), ('[[finding]]\nname = "X"', "Expected 'name' and 'phrases'")],
)
def test_a_broken_lexicon_names_its_file(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_lexicon(path)
    assert str(path) in str(error.value)


def test_parentheses_around_two_words_are_refused():
    with pytest.raises(DataError, match="as one item of a phrase"):
        list(expand("no (evidence of) effusion"))


def test_a_missing_lexicon_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="no such file"):
        read_lexicon(tmp_path / "none.toml")


def test_every_shipped_lexicon_loads():
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    assert names == ["carotid", "chexpert", "criticality", "facts", "radgraph", "scope"]
    assert all(lexicon(name) for name in names)
