"""Does the time for a study stay flat, and memory bounded, when MIMIC-CXR-JPG grows?

    python benchmarks/prepare.py --studies 100000 --out /tmp/mimic

makes a tree with the files, tables and columns of MIMIC-CXR-JPG (every image a tiny JPEG of its own, every
report a text of its own in one of six shapes), prepares a quarter, a half and all of it, each in
a fresh process, and prints one JSON object. The tree is removed at the end. ``cpu_ms_per_study`` is what
all processes used together; beside other work it says more than the time on the wall.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

METADATA = ("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition")
METADATA += ("Rows", "Columns", "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning")
METADATA += ("ViewCodeSequence_CodeMeaning", "PatientOrientationCodeSequence_CodeMeaning")
SPLIT = ("dicom_id", "study_id", "subject_id", "split")
VIEWS = (
    ("AP", "antero-posterior"),
    ("PA", "postero-anterior"),
    ("LATERAL", "lateral"),
    ("LL", "left lateral"),
)
SENTENCES = (
    "The lungs are clear.",
    "There is no pleural effusion or pneumothorax.",
    "Mild cardiomegaly is unchanged.",
    "Small bilateral pleural effusions with adjacent atelectasis.",
    "The endotracheal tube ends ___ cm above the carina.",
    "Right PICC line ends in the mid SVC.",
    "Mild pulmonary edema has improved since ___.",
    "Opacity in the right lower lobe is concerning for pneumonia.",
    "The cardiomediastinal silhouette is normal.",
    "No acute fracture is seen.",
    "Left lower lobe atelectasis is noted.",
    "Moderate right pneumothorax is new.",
)
SHAPES = (
    " EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  ___-year-old with {why}.\n \n COMPARISON:  ___\n \n"
    " FINDINGS: \n \n {findings}\n \n IMPRESSION: \n \n {impression}\n",
    " CHEST RADIOGRAPH, ___\n \n HISTORY:  {why}\n \n COMPARISON:  None.\n \n FINDINGS:  {findings}\n \n"
    " IMPRESSION:  {impression}\n",
    " PA AND LATERAL VIEWS OF THE CHEST:  {findings}\n \n CONCLUSION:  {impression}\n",
    " AP CHEST, 9:41 A.M. ON ___\n \n HISTORY:  {why}\n \n IMPRESSION:  AP chest compared to ___:\n \n"
    " {impression}\n",
    " INDICATION:  {why}\n \n FINDINGS: \n \n {findings}\n",
    " PORTABLE CHEST, ___\n \n COMPARISON:  ___.\n \n {findings}\n",
)


def main() -> None:
    """Make the tree, prepare three sizes of it, print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20_000)
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(_prepare(options.one, options.out, options.workers)))
        return
    options.out.mkdir(parents=True)
    try:
        begin = time.perf_counter()
        sizes = [options.studies // 4, options.studies // 2, options.studies]
        make_tree(options.out, sizes)
        made = time.perf_counter() - begin
        runs = [_in_a_process(options.out, size, options.workers) for size in sizes]
    finally:
        shutil.rmtree(options.out)
    costs = [run["cpu_ms_per_study"] for run in runs]
    print(json.dumps({"cpu_per_study_of_all_to_a_quarter": round(costs[-1] / costs[0], 3), "runs": runs,
                      "tree_made_in_s": round(made, 1)}, indent=1))  # fmt: skip


def make_tree(root: Path, sizes: list[int]) -> None:
    """A tree of the largest size; for each size a folder ``<size>`` with tables of its first studies."""
    tables = [(size, _Tables(root / str(size))) for size in sizes]
    for number, (subject, study, split, pictures, when, text) in enumerate(_studies(max(sizes))):
        folder = root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.with_suffix(".txt").write_text(text)
        for picture, _ in pictures:
            _jpeg(folder / f"{picture}.jpg", int(picture[:8], 16))
        for size, table in tables:
            if number < size:
                table.add(subject, study, split, pictures, when)
    for _, table in tables:
        table.close()


def _studies(count: int) -> Iterator[tuple[int, int, str, list[tuple[str, int]], str, str]]:
    dice = random.Random(0)
    subject, left, split = 9_999_999, 0, "train"
    for number in range(count):
        if not left:
            subject, left = subject + dice.randint(1, 200), dice.choice((1, 1, 1, 2, 3, 4, 8))
            split = dice.choices(("train", "validate", "test"), (97, 1, 2))[0]
        left -= 1
        pictures = [
            (_dicom_id(number, place), dice.randrange(2) if place == 0 else 1 + dice.randrange(3))
            for place in range(dice.choice((1, 1, 2, 2, 3)))
        ]
        when = f"{dice.randint(2110, 2200)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
        yield subject, 50_000_000 + number, split, pictures, when, _report(dice)


def _dicom_id(number: int, place: int) -> str:
    digest = hashlib.sha1(f"{number}/{place}".encode()).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def _report(dice: random.Random) -> str:
    def said(least: int, most: int) -> str:
        return "\n ".join(dice.choices(SENTENCES, k=dice.randint(least, most)))

    shape = dice.choices(SHAPES, (8, 3, 1, 3, 2, 1))[0]
    body = shape.format(why="fever and cough", findings=said(3, 8), impression=said(1, 3))
    wet_read = " WET READ: ___ ___ ___ 9:38 PM\n  No acute process.\n" + " " + "_" * 78 + "\n"
    return (wet_read if dice.random() < 0.1 else "") + " " * 33 + "FINAL REPORT\n" + body


class _Tables:
    """The two tables of MIMIC-CXR-JPG, written row by row."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._open = ExitStack()
        self._metadata, self._split = (
            csv.writer(self._open.enter_context(gzip.open(folder / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt")))  # noqa: SIM115
            for name in ("metadata", "split")
        )
        self._metadata.writerow(METADATA)
        self._split.writerow(SPLIT)

    def add(self, subject: int, study: int, split: str, pictures: list[tuple[str, int]], when: str) -> None:
        for picture, view in pictures:
            position, meaning = VIEWS[view]
            row = (picture, subject, study, "CHEST (PA AND LAT)", position, 3056, 2544, when)
            self._metadata.writerow((*row, "213014.53100000002", "CHEST (PA AND LAT)", meaning, "Erect"))
            self._split.writerow((picture, study, subject, split))

    def close(self) -> None:
        self._open.close()


def _jpeg(path: Path, number: int) -> None:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _in_a_process(root: Path, size: int, workers: int | None) -> dict[str, float]:
    command = [sys.executable, __file__, "--out", str(root), "--one", str(root / str(size))]
    command += ["--workers", str(workers)] if workers else []
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _prepare(tables: Path, root: Path, workers: int | None) -> dict[str, float]:
    from radflow.cli.preparing import annotate
    from radflow.studies.preparing.engine import prepare_source

    begin, at = time.perf_counter(), [0.0]

    def progress(done: int, total: int) -> None:
        at[0] = at[0] or time.perf_counter() - begin

    account = prepare_source(
        "mimic-cxr",
        tables,
        tables / "out" / "studies.jsonl",
        workers=workers,
        annotate=annotate,
        progress=progress,
        images=root / "files",
        reports=root / "files",
    )
    seconds = time.perf_counter() - begin
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (own, children))
    return {
        "studies": account.found,
        "kept": account.kept,
        "images": account.real,
        "seconds": round(seconds, 2),
        "until_the_first_study_s": round(at[0], 2),
        "studies_per_s": round(account.found / seconds, 1),
        "cpu_ms_per_study": round(1000 * cpu / account.found, 3),
        "peak_rss_mb": own.ru_maxrss // 1024,
        "peak_rss_of_a_worker_mb": children.ru_maxrss // 1024,
    }


if __name__ == "__main__":
    main()
