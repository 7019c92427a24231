import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from radflow.drafting.studies import batch_of_folder, batch_of_manifest, open_pictures, pictures_in
from radflow.errors import DataError, MissingFileError
from radflow.studies import read_manifest
from radflow.studies.images import check_image


def picture(path: Path, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (20, 20), shade).save(path, "PNG")
    return path


def test_files_stay_in_the_order_given(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name) for name in ("b.png", "a.png")]
    opened = open_pictures(paths, tmp_path, study_id="s", indication="Cough.")
    assert opened.study.images == tuple(paths)
    assert (opened.study.indication, opened.study.views, opened.sources) == ("Cough.", (), ())


def test_a_folder_is_read_by_name_and_junk_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    for name in ("b.png", "a.PNG", "c"):  # one has no ending
        picture(folder / name)
    (folder / "notes.txt").write_text("hello")
    (folder / ".DS_Store").write_text("x")
    picture(folder / "__MACOSX" / "d.png")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    opened = open_pictures([folder], tmp_path, study_id="s")
    assert [path.name for path in opened.study.images] == ["a.PNG", "b.png", "c"]
    assert [path.name for path in opened.ignored] == ["notes.txt"]


def test_a_broken_picture_in_a_folder_is_an_error_and_not_junk(tmp_path: Path) -> None:
    whole = picture(tmp_path / "study" / "a.png")
    (tmp_path / "study" / "b").write_bytes(whole.read_bytes()[:60])
    with pytest.raises(DataError, match="truncated"):
        open_pictures([tmp_path / "study"], tmp_path, study_id="s")


@pytest.mark.parametrize("junk", [(), ("readme.txt",)])
def test_a_folder_without_pictures_is_an_error(junk: tuple[str, ...], tmp_path: Path) -> None:
    for name in junk:
        (tmp_path / name).write_text("hello")
    with pytest.raises(DataError, match="expected PNG, JPEG or DICOM files, found none"):
        open_pictures([tmp_path], tmp_path, study_id="s")


def test_two_studies_in_one_call_are_refused(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "b.png")
    for paths in ([first.parent, second.parent], [first.parent, second]):
        with pytest.raises(DataError, match="a folder is a study of its own"):
            open_pictures(paths, tmp_path, study_id="s")
    with pytest.raises(DataError, match=r"got some in .*x and in .*y"):
        open_pictures([tmp_path], tmp_path, study_id="s")
    open_pictures([first, second], tmp_path, study_id="s")  # named one by one they are the user's choice


def test_dicom_is_rendered_and_names_its_view(tmp_path: Path, film: Callable) -> None:
    paths = [film(tmp_path / "lat.dcm", view="LL"), film(tmp_path / "pa.dcm", view="PA")]
    opened = open_pictures(paths, tmp_path / "out", study_id="s")
    assert opened.study.views == ("lateral", "frontal")
    assert opened.sources == tuple(paths)
    assert all(
        path.suffix == ".png" and path.is_relative_to(tmp_path / "out") for path in opened.study.images
    )
    assert not any("Smith" in str(path) or "MRN77" in str(path) for path in opened.study.images)


def test_a_folder_of_dicom_puts_frontal_films_first(tmp_path: Path, film: Callable) -> None:
    film(tmp_path / "in" / "a.dcm", view="LL")
    film(tmp_path / "in" / "b.dcm", view="PA", edge=64)
    from_folder = open_pictures([tmp_path / "in"], tmp_path / "out", study_id="s")
    assert [check_image(path) for path in from_folder.study.images] == [(64, 64), (32, 32)]
    assert len(from_folder.sources) == 2


def test_a_clip_gives_so_many_frames(tmp_path: Path, film: Callable) -> None:
    clip = film(tmp_path / "clip.dcm", frames=9)
    assert len(open_pictures([clip], tmp_path / "a", study_id="s", frames=4).study.images) == 4


def test_dicom_of_two_studies_is_refused_without_their_uids(tmp_path: Path, film: Callable) -> None:
    paths = [film(tmp_path / "a.dcm"), film(tmp_path / "b.dcm", study="1.2.4")]
    with pytest.raises(DataError, match=r"a\.dcm and .*b\.dcm are of two studies") as error:
        open_pictures(paths, tmp_path, study_id="s")
    assert "1.2.4" not in str(error.value)


def test_each_subfolder_is_a_study(tmp_path: Path) -> None:
    picture(tmp_path / "s2" / "a.png")
    picture(tmp_path / "s10" / "a.png")
    picture(tmp_path / "loose.png")
    waiting, loose = batch_of_folder(tmp_path)
    assert [study.study_id for study in waiting] == ["s10", "s2"]
    assert [path.name for path in loose] == ["loose.png"]
    assert waiting[1].open(tmp_path).study.images == (tmp_path / "s2" / "a.png",)
    assert pictures_in(tmp_path / "s2") == ([tmp_path / "s2" / "a.png"], [])


def test_a_folder_without_subfolders_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a subfolder per study"):
        batch_of_folder(tmp_path)
    with pytest.raises(MissingFileError, match="no such folder"):
        batch_of_folder(tmp_path / "nowhere")


def test_a_manifest_needs_no_reports_and_may_name_dicom(tmp_path: Path, film: Callable) -> None:
    film(tmp_path / "a.dcm", view="PA")
    line = (
        '{"study_id": "s", "patient_id": "p", "split": "test", "images": ["a.dcm"], "indication": "Cough."}\n'
    )
    (tmp_path / "m.jsonl").write_text(line)
    manifest = read_manifest(tmp_path / "m.jsonl", check_images=False, needs_report=False)
    [waiting] = batch_of_manifest(manifest.studies)
    opened = waiting.open(tmp_path / "out")
    assert (opened.study.indication, opened.study.views) == ("Cough.", ("frontal",))
    assert opened.study.images[0].suffix == ".png"
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "a.dcm").unlink()
    with pytest.raises(MissingFileError):
        waiting.open(tmp_path / "out")
