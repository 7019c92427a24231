"""Finding real radiographs under the names of three archives, and the frontal one among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from radflow.errors import DataError, MissingFileError
from radflow.studies.sources.openi import find_open_i_images, frontal_first, image_key, open_i_reports

IDS = ("CXR1000_IM-0003-1001", "CXR1000_IM-0003-2001")
KEYS = ["1000_IM-0003-1001", "1000_IM-0003-2001"]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.mark.parametrize(
    "names",
    [
        ["NLMCXR_png/CXR1000_IM-0003-1001.png", "NLMCXR_png/CXR1000_IM-0003-2001.png"],
        [
            "images/images_normalized/1000_IM-0003-1001.dcm.png",
            "images/images_normalized/1000_IM-0003-2001.dcm.png",
        ],
        ["images/CXR1000_IM-0003/0.png", "images/CXR1000_IM-0003/1.png"],
        ["1000_IM-0003-1001.jpg", "1000_IM-0003-2001.jpeg"],
    ],
    ids=["open-i", "kaggle", "r2gen", "jpeg"],
)
def test_the_three_archives_give_the_same_study(tmp_path: Path, names: list[str]) -> None:
    found = find_open_i_images(touch(tmp_path, *names, "notes.txt", "CXR9_IM-0001-1001.png"))
    files = found.of(IDS)
    assert list(files) == KEYS
    assert list(files.values()) == [tmp_path / name for name in names]


def test_report_1_is_named_in_its_own_way(tmp_path: Path) -> None:
    ids = ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"]
    touch(tmp_path / "o", "CXR1_1_IM-0001-3001.png", "CXR1_1_IM-0001-4001.png")
    touch(tmp_path / "k", "1_IM-0001-3001.dcm.png", "1_IM-0001-4001.dcm.png")
    touch(tmp_path / "r", "CXR1_1_IM-0001/0.png", "CXR1_1_IM-0001/1.png")
    for archive in "okr":
        found = find_open_i_images(tmp_path / archive)
        assert list(found.of(ids)) == ["1_IM-0001-3001", "1_IM-0001-4001"]
        assert found.of(["CXR11_IM-0001-3001"]) == {}


def test_an_r2gen_folder_counts_only_the_images_it_names(tmp_path: Path) -> None:
    # A report with images of two examinations: the folder of one of them holds that one's images.
    ids = ["CXR1015_IM-0001-1001", "CXR1015_IM-0013-1001", "CXR1015_IM-0013-2001"]
    found = find_open_i_images(touch(tmp_path, "CXR1015_IM-0013/0.png", "CXR1015_IM-0013/1.png"))
    assert {key: path.name for key, path in found.of(ids).items()} == {
        "1015_IM-0013-1001": "0.png",
        "1015_IM-0013-2001": "1.png",
    }


def test_the_table_decides_then_the_header_then_the_order() -> None:
    images = {key: Path(key) for key in ("a", "b", "c")}
    assert frontal_first(images, {"a": "lateral", "b": "frontal"}, {"a": "frontal"}) == [Path("b"), Path("c")]
    assert frontal_first(images, {}, {"a": "lateral", "c": "frontal"}) == [Path("c"), Path("b")]
    assert frontal_first(images, {}, {}) == [Path("a"), Path("b"), Path("c")]
    assert frontal_first(images, {}, dict.fromkeys(images, "lateral")) == []


@pytest.mark.parametrize("place", [".", "images", "images/.."])
def test_the_table_is_found_near_the_images(tmp_path: Path, place: str) -> None:
    touch(tmp_path, "images/1000_IM-0003-1001.dcm.png")
    table = tmp_path / place / "indiana_projections.csv"
    table.write_text("uid,filename,projection\n1000,1000_IM-0003-1001.dcm.png,Lateral\n")
    assert find_open_i_images(tmp_path / "images").views == {"1000_IM-0003-1001": "lateral"}


def test_wrong_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder of images"):
        find_open_i_images(tmp_path / "gone")
    with pytest.raises(DataError, match="named as in Open-i"):
        find_open_i_images(touch(tmp_path, "holiday.png"))
    touch(tmp_path, "1000_IM-0003-1001.dcm.png", "indiana_projections.csv")
    with pytest.raises(DataError, match="expected the columns"):
        find_open_i_images(tmp_path)


def test_real_names_belong_to_real_reports(iu_xray: Path) -> None:
    found = find_open_i_images(iu_xray)
    known = {image_key(image_id) for report in open_i_reports() for image_id in report.image_ids}
    assert found.files.keys() == {path.name.partition(".")[0] for path in iu_xray.rglob("*_IM-*.dcm.*")}
    assert len(found.files) >= 9
    assert found.files.keys() <= known
    assert len(found.views) == 7466
    assert found.views.keys() <= known
