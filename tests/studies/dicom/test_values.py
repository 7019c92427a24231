"""Values of tags: text, words, numbers, items, and nothing for what cannot be read."""

from __future__ import annotations

import pytest

pytest.importorskip("pydicom", reason="pydicom is not installed (the extra 'dicom')")

from pydicom import Dataset

from radflow.studies.dicom.values import items_of, number_of, numbers_of, text_of, texts_of, value_of, word_of


@pytest.fixture
def tags() -> Dataset:
    ds, item = Dataset(), Dataset()
    item.CodeMeaning = "frontal"
    ds.StudyDescription = " cr "
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.WindowCenter = ["40", "-600.5"]
    ds.WindowWidth = ""
    ds.Rows = 512
    ds.ViewCodeSequence = [item]
    return ds


class Broken(Dataset):
    """A dataset whose values cannot be parsed, as pydicom has them."""

    def get(self, *args: object) -> object:
        raise OverflowError("a value, quoted")


def test_what_is_there(tags: Dataset) -> None:
    assert text_of(tags, "StudyDescription") == "cr"
    assert word_of(tags, "StudyDescription") == "CR"
    assert texts_of(tags, "ImageType") == ["ORIGINAL", "PRIMARY"]
    assert numbers_of(tags, "WindowCenter") == [40.0, -600.5]
    assert number_of(tags, "Rows") == 512.0
    assert [text_of(item, "CodeMeaning") for item in items_of(tags, "ViewCodeSequence")] == ["frontal"]


@pytest.mark.parametrize("keyword", ["WindowWidth", "Columns", "PatientName"])
def test_what_is_empty_or_missing(tags: Dataset, keyword: str) -> None:
    assert value_of(tags, keyword) is None
    assert (text_of(tags, keyword), word_of(tags, keyword)) == ("", "")
    assert numbers_of(tags, keyword) == items_of(tags, keyword) == []


def test_what_is_no_number(tags: Dataset) -> None:
    assert numbers_of(tags, "ImageType") == []
    assert number_of(tags, "StudyDescription") is None
    tags.add_new("RescaleSlope", "FD", float("nan"))
    assert number_of(tags, "RescaleSlope") is None


def test_what_cannot_be_read() -> None:
    assert value_of(Broken(), "Rows") is None
    assert texts_of(Broken(), "Rows") == items_of(Broken(), "Rows") == []
