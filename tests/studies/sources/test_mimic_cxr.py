"""MIMIC-CXR on a small copy of its layout: names, columns and oddities of the real one, invented content."""

from __future__ import annotations

import csv
import gzip
import os
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.errors import DataError, MissingFileError
from radflow.studies import Study, read_manifest
from radflow.studies.preparing.account import PrepareAccount
from radflow.studies.preparing.engine import prepare_source
from radflow.studies.sources.mimic_cxr import open_mimic_cxr
from radflow.studies.sources.mimic_reports import ZipTexts
from radflow.studies.study import Rejected

METADATA = "mimic-cxr-2.0.0-metadata.csv.gz"
SPLIT = "mimic-cxr-2.0.0-split.csv.gz"
COLUMNS = ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition"]
COLUMNS += ["Rows", "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning"]
COLUMNS += ["ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning"]
FULL = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  ___F with cough
 
 COMPARISON:  {comparison}
 
 FINDINGS: 
 
 {findings}
 
 IMPRESSION: 
 
 {impression}
"""


def image_id(number: int) -> str:
    return f"02aa804e-bde0afdd-112c0b34-7bc16630-{number:08x}"


def report(findings: str = "Lungs are clear.", impression: str = "Normal.", comparison: str = "None.") -> str:
    return FULL.format(findings=findings, impression=impression, comparison=comparison)


# dicom, subject, study, ViewPosition, StudyDate, StudyTime, ViewCodeSequence_CodeMeaning, split
ROWS = [
    (1, 10000032, 50414267, "LATERAL", "21800506", "213014.53100000002", "lateral", "train"),
    (2, 10000032, 50414267, "PA", "21800506", "213014.53100000002", "postero-anterior", "train"),
    (3, 10000032, 53189527, "AP", "21800626", "93014.5", "antero-posterior", "train"),  # 09:30
    (4, 10000032, 53911762, "AP", "21800626", "165500.0", "antero-posterior", "train"),
    (5, 10000764, 57375967, "", "21320503", "121314.0", "Erect", "validate"),
    (6, 10000764, 57375967, "", "21320503", "121314.0", "left lateral", "validate"),
    (7, 10000764, 57375967, "", "21320503", "121314.0", "antero-posterior", "validate"),
    (8, 11000001, 58000001, "LL", "21410101", "101010.0", "left lateral", "test"),
    (9, 11000001, 58000002, "AP", "", "", "", "test"),  # the day is not known
    (10, 11000001, 58000003, "AP", "21420101", "101010.0", "", "test"),
]
TEXTS = {
    50414267: report(impression="Right apical ___ line."),
    53189527: " WET READ: ___ ___ 9:38 PM\n Pneumonia.\n " + "_" * 78 + "\n" + report(comparison="___."),
    53911762: " FINAL REPORT\n AP CHEST, 9:41 A.M.\n \n IMPRESSION:  Mild edema.\n",
    57375967: report(),
    58000001: report(),
    58000002: report(),
    58000003: report(),
}


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_tables(root: Path, rows: list[tuple[int, int, int, str, str, str, str, str]] = ROWS) -> None:
    write_csv(
        root / METADATA,
        COLUMNS,
        [
            [image_id(n), p, s, "CHEST (PA AND LAT)", view, 3056, 2544, date, time, "CHEST", code, "Erect"]
            for n, p, s, view, date, time, code, _ in rows
        ],
    )
    write_csv(
        root / SPLIT,
        ["dicom_id", "study_id", "subject_id", "split"],
        [[image_id(n), s, p, split] for n, p, s, *_, split in rows],
    )


def place(root: Path, subject: int, study: int) -> Path:
    return root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study}"


def image_file(root: Path, number: int, ending: str = ".jpg") -> Path:
    subject, study = next((row[1], row[2]) for row in ROWS if row[0] == number)
    return place(root, subject, study) / f"{image_id(number)}{ending}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mimic-cxr-jpg"
    root.mkdir()
    write_tables(root)
    for number, subject, study, *_ in ROWS:
        folder = place(root, subject, study)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 5), number).save(folder / f"{image_id(number)}.jpg")
        folder.with_suffix(".txt").write_text(TEXTS[study])
    return root


def prepare(root: Path, **options: object) -> PrepareAccount:
    out = root.parent / "out" / "studies.jsonl"
    return prepare_source("mimic-cxr", root, out, workers=1, **options)  # ty: ignore[invalid-argument-type]


def kept(root: Path, **options: object) -> dict[str, Study]:
    studies = read_manifest(prepare(root, **options).manifest).studies
    return {study.study_id: study for study in studies}


def opened(root: Path, **options: object) -> dict[str | int, Study | Rejected]:
    items: Iterator[Study | Rejected] = open_mimic_cxr(root, **options).studies  # ty: ignore[invalid-argument-type]
    return {item.study_id if isinstance(item, Study) else item.study: item for item in items}


def reason(root: Path, study: str, **options: object) -> str:
    item = opened(root, **options)[study]
    assert isinstance(item, Rejected)
    return item.reason


# ---- the layout as it should be ----------------------------------------------------------------------------


def test_studies(root: Path) -> None:
    studies = kept(root)
    assert list(studies) == ["s50414267", "s53189527", "s57375967", "s58000001", "s58000003", "s58000002"]
    first = studies["s50414267"]
    assert first.images == (image_file(root, 2), image_file(root, 1)), "frontal before lateral"
    assert first.views == ("frontal", "lateral")
    assert (first.patient_id, first.split) == ("p10000032", "train")
    assert first.reference.findings == "Lungs are clear."
    assert first.reference.impression == "Right apical ___ line."
    assert (first.indication, first.comparison) == ("___F with cough", "None.")
    assert studies["s57375967"].split == "validate"
    assert studies["s58000001"].split == "test"


def test_the_account(root: Path) -> None:
    account = prepare(root)
    assert (account.found, account.kept, account.real) == (7, 6, 9)
    assert account.rejected == {"report with impression only": 1}
    assert account.splits == {"train": 2, "validate": 1, "test": 3}
    assert account.sections["a prior report"] == 2
    assert (account.patients_in_two_splits, account.notes) == (0, ())


def test_the_prior_study_is_the_one_before_by_date_and_time(root: Path) -> None:
    items = opened(root, sections="any")
    priors = {name: item.prior_study for name, item in items.items() if isinstance(item, Study)}
    assert priors == {
        "s50414267": None,
        "s53189527": "s50414267",
        "s53911762": "s53189527",  # in the afternoon, though as a text "93014.5" sorts after "165500"
        "s57375967": None,
        "s58000001": None,
        "s58000003": "s58000001",
        "s58000002": None,
    }
    second = items["s53189527"]
    assert isinstance(second, Study)
    assert second.prior_report == "Findings: Lungs are clear. Impression: Right apical ___ line."


def test_a_prior_that_is_left_out_is_a_prior_all_the_same(root: Path) -> None:
    rows = [*ROWS, (11, 10000032, 54000000, "AP", "21810101", "0", "", "train")]
    write_tables(root, rows)
    place(root, 10000032, 54000000).with_suffix(".txt").write_text(report())
    study = opened(root)["s54000000"]
    assert isinstance(study, Study)
    assert (study.prior_study, study.prior_report) == ("s53911762", "Mild edema.")


def test_studies_of_one_time_have_no_order(root: Path) -> None:
    rows = [(11, 10000764, 57375960, "AP", "21320503", "121314.0", "", "validate"), *ROWS]
    write_tables(root, rows)
    place(root, 10000764, 57375960).with_suffix(".txt").write_text(report())
    items = opened(root)
    assert list(items)[3:5] == ["s57375960", "s57375967"]
    same = [items["s57375960"], items["s57375967"]]
    assert [item.prior_study for item in same if isinstance(item, Study)] == [None, None]


def test_views_where_the_position_is_blank_come_from_the_code(root: Path) -> None:
    study = kept(root)["s57375967"]
    assert study.images == (image_file(root, 7), image_file(root, 6), image_file(root, 5))
    assert study.views == ("frontal", "lateral", "unknown")


def test_views_and_max_images(root: Path) -> None:
    assert kept(root, views="frontal")["s50414267"].images == (image_file(root, 2),)
    assert reason(root, "s58000001", views="frontal") == "no frontal image: it has 1 lateral"
    assert kept(root, views="lateral")["s58000001"].images == (image_file(root, 8),)
    assert kept(root, max_images=2)["s57375967"].views == ("frontal", "lateral")


def test_reports_with_one_section(root: Path) -> None:
    assert reason(root, "s53911762") == "report with impression only"
    study = kept(root, sections="any")["s53911762"]
    assert (study.reference.findings, study.reference.impression) == (None, "Mild edema.")
    place(root, 10000764, 57375967).with_suffix(".txt").write_text(" CHEST\n \n Clear.\n")
    assert reason(root, "s57375967", sections="any") == "report with a last paragraph only"


# ---- where the reports are ---------------------------------------------------------------------------------


def take_reports(root: Path) -> dict[str, str]:
    """Remove the reports from the tree, as in MIMIC-CXR-JPG."""
    texts = {}
    for path in sorted(root.glob("files/p1*/p*/s*.txt")):
        texts[path.relative_to(root).as_posix()] = path.read_text()
        path.unlink()
    return texts


def pack(path: Path, texts: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("LICENSE.txt", "words")
        for name, text in texts.items():
            archive.writestr(name, text)
    return path


def test_reports_in_the_archive(root: Path, tmp_path: Path) -> None:
    in_tree = kept(root)
    texts = take_reports(root)
    archive = pack(root / "mimic-cxr-reports.zip", texts)
    assert kept(root) == in_tree
    elsewhere = shutil.move(archive, tmp_path / "elsewhere.zip")
    assert kept(root, reports=Path(elsewhere)) == in_tree


@pytest.mark.parametrize("folder", ["mimic-cxr-reports/files", "mimic-cxr-reports"])
def test_reports_in_a_folder_of_their_own(root: Path, tmp_path: Path, folder: str) -> None:
    in_tree = kept(root)
    for name, text in take_reports(root).items():
        path = root / folder / Path(name).relative_to("files")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert kept(root) == in_tree
    shutil.move(root / folder, tmp_path / "reports")
    assert kept(root, reports=tmp_path / "reports") == in_tree


def test_the_official_table_of_sections_goes_first(root: Path) -> None:
    with (root / "mimic_cxr_sectioned.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["study", "impression", "findings", "last_paragraph", "comparison"])
        rows.writerow(["s53911762", "Mild\n edema.", 'Said "new",\n\n twice.', "", "None."])
        rows.writerow(["s50414267", "Theirs.", "", "", ""])
    items = opened(root)
    study = items["s53911762"]
    assert isinstance(study, Study)
    assert (study.reference.findings, study.reference.impression) == ('Said "new", twice.', "Mild edema.")
    assert items["s50414267"] == Rejected("s50414267", "report with impression only")
    in_neither = items["s57375967"]
    assert isinstance(in_neither, Study), "our own parser reads what the table lacks"
    take_reports(root)
    alone = opened(root)
    assert isinstance(alone["s53911762"], Study)
    assert alone["s57375967"] == Rejected(
        "s57375967", "no report: files/p10/p10000764/s57375967.txt is not there"
    )


def test_names_that_lead_out_of_an_archive_are_never_looked_up(root: Path) -> None:
    in_tree = kept(root)
    texts = take_reports(root)
    pack(root / "mimic-cxr-reports.zip", {"../../evil.txt": "x", "/etc/evil.txt": "x", **texts})
    assert kept(root) == in_tree
    assert not list(root.parent.parent.rglob("evil.txt"))


def test_a_bomb_in_an_archive_costs_its_study_only(root: Path) -> None:
    texts = take_reports(root)
    name = "files/p10/p10000764/s57375967.txt"
    pack(root / "mimic-cxr-reports.zip", texts | {name: "0" * 50_000_000})
    assert (root / "mimic-cxr-reports.zip").stat().st_size < 100_000
    assert "would unpack to 50,000,000 bytes" in reason(root, "s57375967")
    assert set(kept(root)) == {"s50414267", "s53189527", "s58000001", "s58000003", "s58000002"}


def test_a_damaged_member_costs_its_study_only(root: Path) -> None:
    texts = take_reports(root)
    archive = pack(root / "mimic-cxr-reports.zip", texts)
    with zipfile.ZipFile(archive) as opened_archive:
        at = opened_archive.getinfo("files/p10/p10000764/s57375967.txt").header_offset
    content = bytearray(archive.read_bytes())
    content[at + 80 : at + 100] = bytes(20)
    archive.write_bytes(content)
    assert reason(root, "s57375967").startswith(f"broken report: {archive}:files/p10/p10000764/s57375967.txt")
    assert len(kept(root)) == 5


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_no_damage_to_an_archive_is_a_traceback(tmp_path: Path, method: int) -> None:
    """One line for each member that cannot be read, or for the archive where its list is damaged."""
    places = [f"p10/p1000000{n}/s{n}.txt" for n in range(4)]
    archive = pack(
        tmp_path / "reports.zip", {f"files/{place}": "Clear lungs. " * 9 for place in places}, method
    )
    whole, draw, members = archive.read_bytes(), random.Random(0), 0
    for _ in range(300):
        altered = bytearray(whole)
        altered[draw.randrange(len(whole))] = draw.randrange(256)
        archive.write_bytes(altered)
        try:
            reports = ZipTexts(archive)
        except DataError as error:
            assert f"{archive}: expected a whole zip archive" in str(error)
            continue
        for place in places:
            try:
                reports.read(place)
            except DataError as error:
                assert place in str(error)
                members += 1
    assert members > 20


def test_a_report_that_is_a_pipe_costs_its_study_only(root: Path) -> None:
    report = root / "files/p10/p10000764/s57375967.txt"
    report.unlink()
    os.mkfifo(report)
    assert reason(root, "s57375967").startswith(f"broken report: {report}: cannot be read")
    assert len(kept(root)) == 5


def test_an_archive_cut_short(root: Path) -> None:
    archive = pack(root / "mimic-cxr-reports.zip", take_reports(root))
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"reports\.zip: expected a whole zip archive"):
        open_mimic_cxr(root)


# ---- what goes wrong ---------------------------------------------------------------------------------------


def test_broken_images_and_a_half_downloaded_tree(root: Path) -> None:
    image_file(root, 3).write_bytes(image_file(root, 3).read_bytes()[:100])
    image_file(root, 8).write_bytes(b"")
    image_file(root, 10).unlink()
    image_file(root, 10).symlink_to(image_file(root, 10))
    shutil.rmtree(root / "files" / "p10" / "p10000764" / "s57375967")
    (root / "files" / "p10" / "loop").symlink_to(root / "files")
    account = prepare(root)
    assert account.kept == 2
    assert account.rejected == {
        "report with impression only": 1,
        "broken image": 3,
        "missing image": 1,
    }
    assert account.examples["missing image"] == f"s57375967: {image_file(root, 7)}"
    assert account.notes == ("3 of 9 images (33.3%) are not on disk: is the download whole?",)


def test_the_wrong_root(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MissingFileError, match=r"expected MIMIC-CXR with mimic-cxr-2.\*-split.csv.gz.*there are p10/"
    ):
        open_mimic_cxr(root / "files")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="the folder is empty"):
        open_mimic_cxr(tmp_path / "empty")
    shutil.rmtree(root / "files")
    with pytest.raises(
        MissingFileError, match=r"files: expected the images of MIMIC-CXR.*there are mimic-cxr-2"
    ):
        open_mimic_cxr(root)


def test_no_reports_anywhere(root: Path) -> None:
    take_reports(root)
    with pytest.raises(MissingFileError, match=r"expected the reports.*not with MIMIC-CXR-JPG"):
        open_mimic_cxr(root)


def test_without_metadata_there_are_no_views_and_no_priors(root: Path) -> None:
    (root / METADATA).unlink()
    source = open_mimic_cxr(root)
    assert "views and prior studies are not known" in source.notes[0]
    studies = [study for study in source.studies if isinstance(study, Study)]
    assert {view for study in studies for view in study.views} == {"unknown"}
    assert {study.prior_study for study in studies} == {None}
    with pytest.raises(MissingFileError, match="metadata"):
        open_mimic_cxr(root, views="frontal")


def test_dicom_files_are_taken_where_there_are_no_others(root: Path, make_dicom: Callable[..., Path]) -> None:
    pixels = np.arange(24, dtype=np.uint16).reshape(4, 6)
    image_file(root, 3, ".dcm").write_bytes(make_dicom(pixels, PatientName="Never^Seen").read_bytes())
    image_file(root, 3).unlink()
    image_file(root, 8).rename(image_file(root, 8, ".png"))
    account = prepare(root)
    studies = {study.study_id: study for study in read_manifest(account.manifest).studies}
    assert studies["s53189527"].images == (image_file(root, 3, ".dcm"),)
    assert studies["s58000001"].images == (image_file(root, 8, ".png"),)
    assert "Never" not in account.manifest.read_text()


def test_duplicate_rows_and_studies_in_two_splits(root: Path) -> None:
    again = [(*row[:7], "test") for row in ROWS if row[2] == 58000001 or row[1] == 10000764]
    write_tables(root, [*ROWS, *again])
    items = opened(root)
    assert items["s57375967"] == Rejected(
        "s57375967", "images in two splits: the split table has study 57375967 in more than one"
    )
    twice = items["s58000001"]
    assert isinstance(twice, Study)
    assert twice.images == (image_file(root, 8),)


def test_patients_in_two_splits_and_studies_without_one(root: Path) -> None:
    write_tables(root, [(*row[:7], "test" if row[2] == 53189527 else row[7]) for row in ROWS])
    account = prepare(root)
    assert account.rejected["patient in two splits"] == 1
    assert account.examples["patient in two splits"].startswith("s53189527: p10000032 is in test here")
    assert account.patients_in_two_splits == 0
    write_csv(
        root / SPLIT, ["dicom_id", "study_id", "subject_id", "split"], [[image_id(8), 58000001, 1, "test"]]
    )
    assert reason(root, "s50414267") == "not in the split table"


def test_broken_rows_have_a_line_each(root: Path) -> None:
    good = ROWS[3:]
    write_tables(root, good)
    with gzip.open(root / METADATA, "at") as file:
        file.write("../../etc/passwd,10000032,50414267,,PA,1,1,2180,0,,,\n")
        file.write(f"{image_id(2)},p10000032,none,,PA,1,1,2180,0,,,\n")
        file.write(f"{image_id(2)},10000032\n")
    with gzip.open(root / SPLIT, "at") as file:
        file.write(f"{image_id(2)},50414267,10000032,holdout\n")
    broken = [item.reason for item in opened(root).values() if isinstance(item, Rejected)]
    assert [line.split(": ", 2)[2] for line in broken if line.startswith("broken row: ")] == [
        "unknown split 'holdout'",
        "expected a dicom_id, got '../../etc/passwd'",
        "expected a number as study_id, got 'none'",
        "expected 12 fields as in the first line, got 2",
    ]
    assert f"{METADATA}:9" in broken[1]


@pytest.mark.parametrize("table", [METADATA, SPLIT])
def test_a_table_cut_short(root: Path, table: str) -> None:
    (root / table).write_bytes((root / table).read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{table}: expected a whole gzip file"):
        open_mimic_cxr(root)


def test_a_table_without_a_column(root: Path) -> None:
    write_csv(root / METADATA, ["dicom_id", "subject_id", "studyid"], [])
    with pytest.raises(
        DataError, match=r"metadata.csv.gz:1: expected a column 'study_id', found dicom_id, s"
    ):
        open_mimic_cxr(root)


def test_no_rows_at_all(root: Path) -> None:
    write_tables(root, [])
    with pytest.raises(DataError, match="kept none of 0"):
        prepare(root)


def test_no_images_are_no_choice(root: Path) -> None:
    with pytest.raises(DataError, match="max_images: expected at least 1, got 0"):
        open_mimic_cxr(root, max_images=0)
