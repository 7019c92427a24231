import pytest

from radflow.judges.rules.chest_statements import read_section, read_statement, sentences
from radflow.readers.chexpert import label


def read(sentence):
    return read_statement(sentence, label)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("1. Small effusion. 2. Clear lungs.", ["1. Small effusion.", "2. Clear lungs."]),
        ("No change\nClear lungs.", ["No change", "Clear lungs."]),
        ("A 2.5 cm nodule.", ["A 2.5 cm nodule."]),
        ("  ", []),
        ("1. ", []),
    ],
)
def test_sentences_keep_their_list_numbers(section, expected):
    assert sentences(section) == expected


@pytest.mark.parametrize(
    ("sentence", "degrees"),
    [
        ("Small right effusion and severe cardiomegaly.", {"Pleural Effusion": {0}, "Cardiomegaly": {2}}),
        ("Heart mildly enlarged, stable mediastinum.", {"Cardiomegaly": {0}}),
        ("The heart is slightly large.", {"Cardiomegaly": {0}}),
        ("Heart size is at the upper limits of normal.", {"Cardiomegaly": {0}}),
        ("Small to moderate right pneumothorax.", {"Pneumothorax": {0, 1}}),
        ("No large pleural effusion.", {}),
        ("Cardiomegaly with marked tortuosity of the aorta.", {}),
        ("Large body habitus.", {}),
    ],
)
def test_a_degree_belongs_to_what_it_is_said_of(sentence, degrees):
    assert read(sentence).degrees == degrees


@pytest.mark.parametrize(
    ("sentence", "sides", "sites"),
    [
        ("Left upper lobe opacity.", {"left"}, {0}),
        ("Middle lobe infiltrate.", {"right"}, {1}),
        ("Lingular atelectasis.", {"left"}, {1}),
        ("Bibasilar atelectasis.", {"left", "right"}, {2}),
        ("Cardiomegaly.", set(), set()),
    ],
)
def test_sides_and_zones(sentence, sides, sites):
    statement = read(sentence)
    assert (statement.sides, statement.sites) == (sides, sites)


def test_a_section_has_the_strongest_state_of_each_observation():
    section = read_section("No pneumothorax. Possible effusion. Left effusion.", read)
    assert (section.labels["Pneumothorax"], section.labels["Pleural Effusion"]) == (0, 1)
    assert not section.asserts("Pneumothorax")
    assert [s.text for s in section.about({"Pleural Effusion"})] == ["Possible effusion.", "Left effusion."]


@pytest.mark.parametrize(
    ("sentence", "played_down"),
    [
        ("Stable scar.", True),
        ("Lobar opacity.", False),
        ("Opacity, atelectasis or pneumonia.", False),
    ],
)
def test_what_may_be_pneumonia_is_not_played_down(sentence, played_down):
    assert read(sentence).played_down == played_down
