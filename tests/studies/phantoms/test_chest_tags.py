import pytest
from hypothesis import given
from hypothesis import strategies as st

from radflow.studies.phantoms.chest.tags import DEGREES, SITES, parse_tag


@pytest.mark.parametrize(
    ("text", "finding", "sites", "side", "degree", "descriptors"),
    [
        ("Cardiomegaly", "cardiomegaly", (), None, None, ()),
        ("Opacity/lung/base/bilateral/streaky", "opacity", ("lung", "base"), "bilateral", None, ("streaky",)),
        ("Aorta, Thoracic/tortuous/mild", "aorta, thoracic", (), None, "mild", ("tortuous",)),
        ("Subcutaneous  Emphysema/right", "subcutaneous emphysema", (), "right", None, ()),
        ("Calcinosis/lung/hilum/left/right", "calcinosis", ("lung", "hilum"), "bilateral", None, ()),
        ("Thing/of/an unknown kind", "thing", (), None, None, ("of", "an unknown kind")),
    ],
)
def test_a_tag_is_taken_apart(text, finding, sites, side, degree, descriptors):
    tag = parse_tag(text)
    assert (tag.finding, tag.sites, tag.side, tag.degree, tag.descriptors) == (
        finding,
        sites,
        side,
        degree,
        descriptors,
    )


def test_the_greater_of_two_degrees_counts():
    assert parse_tag("Nodule/lung/small/large").degree == "large"


def test_degrees_grow_in_strength():
    words = ("borderline", "mild", "moderate", "severe")
    assert [parse_tag(f"X/{w}").strength for w in words] == sorted({DEGREES[w] for w in words})
    assert parse_tag("X/mild").strength < parse_tag("X").strength < parse_tag("X/moderate").strength


def test_what_only_a_lateral_film_shows():
    assert parse_tag("Pleural Effusion/posterior").lateral_only
    assert not parse_tag("Opacity/lung/lower lobe/right/posterior").lateral_only


@given(st.text())
def test_any_text_parses_and_keeps_every_word(text):
    tag = parse_tag(text)
    sides = {"right", "left", "bilateral"}
    kept = {tag.finding, *tag.sites, *tag.descriptors}
    words = {" ".join(part.lower().split()) for part in text.split("/")} - {""}
    assert words - kept <= sides | set(DEGREES)
    assert set(tag.sites) <= SITES
