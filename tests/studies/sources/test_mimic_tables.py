"""The compact tables against the same thing done with lists and dictionaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from radflow.errors import DataError
from radflow.studies.sources.mimic_tables import MimicImages, MimicSplits, read_splits
from radflow.studies.study import SPLITS
from radflow.tables import Row

ROW = st.fixed_dictionaries(
    {
        "study_id": st.sampled_from(["50000001", "50000002", "50000003", "s50000004", "50000005.0"]),
        "dicom_id": st.sampled_from(["a", "b-c", "d.1", "e"]),
        "StudyDate": st.sampled_from(["21800506", "21800507", ""]),
        "StudyTime": st.sampled_from(["93014.5", "165500.0", "0", ""]),
        "ViewPosition": st.sampled_from(["PA", "LATERAL", ""]),
    }
)
VIEWS = {"PA": "frontal", "LATERAL": "lateral", "": "unknown"}


def number(text: str) -> int:
    return int(text.removeprefix("s").removesuffix(".0"))


def subject_of(study: int) -> int:
    """Two patients."""
    return 10000000 + study % 2


def when(row: dict[str, Any]) -> float:
    if not row["StudyDate"]:
        return math.inf
    return float(row["StudyDate"]) * 1e6 + float(row["StudyTime"] or 0)


@given(st.lists(ROW, max_size=30))
def test_studies_come_in_order_with_their_images(rows: list[dict[str, Any]]) -> None:
    images = MimicImages()
    expected: dict[int, tuple[float, dict[str, str]]] = {}
    for line, row in enumerate(rows, start=2):
        study = number(row["study_id"])
        images.add(Row(f"t.csv:{line}", row | {"subject_id": str(subject_of(study))}))
        earliest, pictures = expected.get(study, (math.inf, {}))
        pictures[row["dicom_id"]] = VIEWS[row["ViewPosition"]]
        expected[study] = (min(earliest, when(row)), pictures)
    found = [(study.subject, study.when, study.study, dict(study.images)) for study in images.order()]
    assert found == sorted(
        ((subject_of(study), time, study, pictures) for study, (time, pictures) in expected.items()),
        key=lambda item: item[:3],
    )
    assert not images.broken
    assert len(images) == len(rows)


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(SPLITS)), max_size=12))
def test_splits(tmp_path_factory: Any, pairs: Sequence[tuple[int, str]]) -> None:
    path = tmp_path_factory.mktemp("splits") / "split.csv"
    path.write_text("study_id,split\n" + "".join(f"{study},{split}\n" for study, split in pairs))
    splits, broken = read_splits(path)
    assert not broken
    for study in range(8):
        named = {split for other, split in pairs if other == study}
        assert said(splits, study) == ("two" if len(named) > 1 else named.pop() if named else None)


def said(splits: MimicSplits, study: int) -> str | None:
    try:
        return splits.of(study)
    except DataError:
        return "two"
