"""The engine: what is kept and left out, the account, and the same bytes after any kill."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from radflow.cli import preparing
from radflow.errors import DataError, MissingDependencyError, MissingFileError, NotWritableError
from radflow.reports import parse_report
from radflow.studies import Study, read_manifest
from radflow.studies.images import checked_gray
from radflow.studies.preparing import engine
from radflow.studies.preparing.account import PrepareAccount
from radflow.studies.preparing.engine import Annotation, prepare_source
from radflow.studies.sources import SOURCES, Source
from radflow.studies.study import Rejected

COUNT = 150  # more than one process is worth


class Stopped(Exception):
    """A preparation that was interrupted."""


def stop(done: int, total: int) -> None:
    raise Stopped


def a_study(root: Path, number: int, **fields: object) -> Study:
    known: dict[str, object] = {
        "study_id": f"s{number}",
        "patient_id": f"p{number // 2}",
        "images": (root / f"{number}.png",),
        "reference": parse_report(f"Findings: Clear, {number}. Impression: Normal."),
    }
    return Study(**(known | fields))  # ty: ignore[invalid-argument-type]


def plain(root: Path) -> Iterator[Study | Rejected]:
    return (a_study(root, number) for number in range(COUNT))


def mixed(root: Path) -> Iterator[Study | Rejected]:
    """One of each kind of bad study among the good ones."""
    changes: dict[int, dict[str, object]] = {
        5: {"images": (root / "gone.png", root / "5.png")},
        7: {"split": "test"},
        8: {"split": "test", "images": (root / "4.png",)},
        10: {"images": (root / "9.png",)},
        12: {"study_id": "s11"},
        14: {"images": (root / "empty.png",)},
        16: {"images": (root / "cut.png",)},
        18: {"images": (root / "loop.png",)},
        20: {"images": ()},
        22: {"images": (root / "22.png", root / "link.png")},
        # What a preparation that goes on must know of the studies that it did before.
        100: {"images": (root / "1.png",)},
        130: {"patient_id": "p0", "split": "test"},
        140: {"study_id": "s2"},
    }
    for number in range(COUNT):
        if number == 3:
            yield Rejected("s3", "report with impression only")
        else:
            yield a_study(root, number, **changes.get(number, {}))


def annotate(studies: Sequence[Study]) -> list[Annotation]:
    """Every third report is critical; labels by the parity of its number."""
    numbers = [int((study.reference.findings or "").split()[1].rstrip(".")) for study in studies]
    return [
        Annotation(
            critical=n % 3 == 0, critical_by="thirds", labels=("Even",) if n % 2 == 0 else ("Odd", "Edema")
        )
        for n in numbers
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    for number in range(COUNT):
        Image.new("L", (4, 4), number).save(root / f"{number}.png")
    (root / "empty.png").touch()
    (root / "cut.png").write_bytes((root / "1.png").read_bytes()[:-16])
    (root / "loop.png").symlink_to("loop.png")
    (root / "link.png").symlink_to("22.png")
    return root


Studies = Callable[[Path], Iterator[Study | Rejected]]


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Callable[[Studies], None]:
    """Let the adapter "fake" yield these studies."""

    def use(studies: Studies, total: int | None = COUNT, notes: tuple[str, ...] = ("A note.",)) -> None:
        module = ModuleType("fake_adapter")
        setattr(module, "open_fake", lambda root: Source(total=total, studies=studies(root), notes=notes))  # noqa: B010
        monkeypatch.setitem(sys.modules, "fake_adapter", module)
        monkeypatch.setitem(SOURCES, "fake", "fake_adapter:open_fake")

    return use


def prepare(root: Path, name: str = "studies.jsonl", **options: object) -> PrepareAccount:
    known: dict[str, object] = {"workers": 1} | options
    return prepare_source("fake", root, root / "out" / name, **known)  # ty: ignore[invalid-argument-type]


def reasons(root: Path) -> dict[str, str]:
    lines = (root / "out" / "studies.rejected.jsonl").read_text().splitlines()
    return {row["study"]: row["reason"] for row in map(json.loads, lines)}


# ---- what is kept and left out -----------------------------------------------------------------------------


def test_every_kind_of_bad_study_has_a_line_and_the_rest_goes_on(
    root: Path, adapter: Callable[..., None]
) -> None:
    adapter(mixed)
    account = prepare(root)
    left_out = reasons(root)
    assert left_out.pop("s14").startswith(f"broken image: {root}/empty.png: the image file is empty")
    assert left_out.pop("s16").startswith(f"broken image: {root}/cut.png: the image is truncated")
    assert left_out.pop("s18").startswith(
        f"broken image: {root}/loop.png: the image cannot be read (Too many"
    )
    assert left_out == {
        "s3": "report with impression only",
        "s5": f"missing image: {root}/gone.png",
        "s7": "patient in two splits: p3 is in test here, and in train before",
        "s8": "image in two splits: ../4.png is in test here, and in a study of train before",
        "s10": "image in two studies: ../9.png is in train here, and in a study of train before",
        "s11": "study id twice: s11 came before",
        "s20": "no image",
        "s22": "image twice in one study: ../22.png, ../link.png",
        "s100": "image in two studies: ../1.png is in train here, and in a study of train before",
        "s130": "patient in two splits: p0 is in test here, and in train before",
        "s2": "study id twice: s2 came before",
    }
    assert account.rejected == {
        "report with impression only": 1,
        "missing image": 1,
        "patient in two splits": 2,
        "image in two splits": 1,
        "image in two studies": 2,
        "study id twice": 2,
        "broken image": 3,
        "no image": 1,
        "image twice in one study": 1,
    }
    assert (account.found, account.kept, account.real) == (COUNT, COUNT - 14, COUNT - 14)
    assert account.patients_in_two_splits == 0
    assert account.notes == (
        "A note.",
        f"1 of {COUNT} images (0.7%) are not on disk: is the download whole?",
    )
    manifest = read_manifest(account.manifest)
    assert not manifest.rejected
    left_out_numbers = {3, 5, 7, 8, 10, 12, 14, 16, 18, 20, 22, 100, 130, 140}
    expected = [f"s{number}" for number in range(COUNT) if number not in left_out_numbers]
    assert [study.study_id for study in manifest.studies] == expected


def test_text_that_cannot_be_written_costs_its_study_only(root: Path, adapter: Callable[..., None]) -> None:
    half = chr(0xDC80)

    def studies(root: Path) -> Iterator[Study | Rejected]:
        yield a_study(root, 0, study_id=f"s{half}")
        yield a_study(root, 1, reference=parse_report(f"Findings: {half}. Impression: Normal."))
        yield a_study(root, 2, images=(root / f"{half}.png",))
        yield Rejected(f"r{half}", f"broken row: {half}")
        yield a_study(root, 4)

    adapter(studies)
    with pytest.raises(Stopped):
        prepare(root, progress=stop)
    assert prepare(root).kept == 1, "gone on with, too"
    why = "text that is not UTF-8: half a surrogate pair in an id, path or text"
    assert reasons(root) == {
        "s\\udc80": why,
        "s1": why,
        "s2": f"missing image: {root}/\\udc80.png",
        "r\\udc80": "broken row: \\udc80",
    }


def test_the_same_pixels_under_another_name(
    root: Path, adapter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CHUNK", 1)
    picture = Image.linear_gradient("L").resize((8, 8))
    picture.save(root / "a.png")
    picture.convert("RGB").save(root / "b.png", compress_level=0)  # other bytes, other mode, no other picture
    picture.save(root / "c.png", dpi=(300, 300))
    picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(root / "d.png")
    Image.new("L", (8, 8), 7).save(root / "blank.png")
    Image.new("L", (8, 8), 7).save(root / "blank2.png", compress_level=0)

    def studies(root: Path) -> Iterator[Study | Rejected]:
        found = {
            "s0": ("train", ["a.png", "blank.png"]),
            "s1": ("train", ["b.png", "d.png"]),
            "s2": ("test", ["c.png"]),
            "s3": ("test", ["blank2.png"]),
            "s4": ("train", ["a2.png", "d2.png", "d3.png"]),
        }
        for name, (split, files) in found.items():
            yield a_study(
                root,
                0,
                study_id=name,
                patient_id=name,
                split=split,
                images=tuple(root / file for file in files),
            )

    (root / "a2.png").write_bytes((root / "1.png").read_bytes())
    for name in ("d2.png", "d3.png"):
        Image.radial_gradient("L").resize((9, 9)).save(root / name, compress_level=int(name[1]))
    adapter(studies)
    with pytest.raises(Stopped):
        prepare(root, progress=stop)
    account = prepare(root)  # gone on with: what came before is known from the journal
    assert reasons(root) == {
        "s2": "same picture in two splits: ../c.png is in test here, "
        "and has the pixels of one in train, in study s0"
    }
    assert account.notes[1:] == (
        "a picture in two splits is a leak; left out for pixels before: s2 (as in s0)",
        "kept, with pixels that came before in the same split: s1 (as in s0), s4 (twice)",
    )


def test_a_rejected_study_lays_no_claim(root: Path, adapter: Callable[..., None]) -> None:
    adapter(
        lambda root: iter(
            [
                a_study(root, 0, images=(root / "gone.png",), split="test"),
                a_study(root, 0),
                a_study(root, 1, patient_id="p0"),
            ]
        )
    )
    assert prepare(root).kept == 2
    assert reasons(root) == {"s0": f"missing image: {root}/gone.png"}


def test_processes_change_nothing(root: Path, adapter: Callable[..., None]) -> None:
    adapter(mixed)
    by_the_rules = preparing.annotate  # processes import it by name
    prepare(root, "one.jsonl", annotate=by_the_rules)
    prepare(root, "two.jsonl", annotate=by_the_rules, workers=2)
    out = root / "out"
    assert (out / "one.jsonl").read_bytes() == (out / "two.jsonl").read_bytes()
    assert (out / "one.rejected.jsonl").read_bytes() == (out / "two.rejected.jsonl").read_bytes()


def test_annotations_and_their_account(root: Path, adapter: Callable[..., None]) -> None:
    adapter(lambda root: (a_study(root, n, **({"critical": False} if n == 3 else {})) for n in range(9)))
    account = prepare(root, annotate=annotate)
    assert account.labels == {"Even": 5, "Odd": 4, "Edema": 4}
    assert account.critical == 2
    studies = read_manifest(account.manifest).studies
    assert [study.study_id for study in studies if study.critical] == ["s0", "s6"]
    assert studies[3].critical_by is None, "an annotation that the data set brought stays"
    assert studies[4].critical_by == "thirds"
    assert "  Even: 5 (56%)" in account.lines()
    assert "  critical: 2 (22%)" in account.lines()


def test_sections_are_counted(root: Path, adapter: Callable[..., None]) -> None:
    def studies(root: Path) -> Iterator[Study | Rejected]:
        yield a_study(root, 0, indication="Cough.", comparison="None.")
        yield a_study(root, 1, indication="Cough.", prior_study="s0", prior_report="Findings: Clear.")
        yield a_study(root, 2, reference=parse_report("Clear."))

    adapter(studies)
    account = prepare(root)
    assert account.sections == {
        "findings and impression": 2,
        "no sections": 1,
        "indication": 2,
        "comparison": 1,
        "a prior report": 1,
    }
    kept = read_manifest(account.manifest).studies
    assert [(study.prior_study, study.prior_report) for study in kept] == [
        (None, None),
        ("s0", "Findings: Clear."),
        (None, None),
    ]


@pytest.mark.parametrize(("total", "expected"), [(COUNT, COUNT), (None, 0)])
def test_progress(root: Path, adapter: Callable[..., None], total: int | None, expected: int) -> None:
    adapter(plain, total)
    seen: list[tuple[int, int]] = []
    prepare(root, progress=lambda *at: seen.append(at))
    assert seen[-1] == (COUNT, expected)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_no_more_studies_are_read_than_are_in_flight(root: Path, adapter: Callable[..., None]) -> None:
    read = 0

    def studies(root: Path) -> Iterator[Study | Rejected]:
        nonlocal read
        for number in range(5000):
            read += 1
            yield Rejected(f"r{number}", "one of very many")

    adapter(studies, None)

    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 1000:
            raise Enough

    with pytest.raises(Enough):
        prepare(root, workers=2, progress=stop)
    assert read < 1500


# ---- errors ------------------------------------------------------------------------------------------------


def test_nothing_kept(root: Path, adapter: Callable[..., None]) -> None:
    adapter(lambda root: iter([a_study(root, 0, images=(root / "gone.png",)), Rejected("s1", "no report")]))
    with pytest.raises(DataError) as raised:
        prepare(root)
    assert str(raised.value).splitlines() == [
        "fake: expected studies that can be used, kept none of 2:",
        f"  1 times: missing image, e.g. s0: {root}/gone.png",
        "  1 times: no report",
    ]
    assert not list((root / "out").iterdir()), "whoever mends the data set begins anew"


def test_unknown_names_and_roots(root: Path) -> None:
    with pytest.raises(DataError, match=r"got 'mimic-cxl'\. Did you mean 'mimic-cxr'\?"):
        prepare_source("mimic-cxl", root, root / "studies.jsonl")
    with pytest.raises(MissingFileError, match="no such folder; expected the root of the data set mimic-cxr"):
        prepare_source("mimic-cxr", root / "nowhere", root / "studies.jsonl")


def test_a_place_that_cannot_be_written(root: Path, adapter: Callable[..., None]) -> None:
    adapter(plain)
    (root / "out").touch()
    with pytest.raises(NotWritableError, match="cannot make this folder"):
        prepare(root)


def test_a_missing_package_stops_instead_of_spoiling_every_study(
    root: Path, adapter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(path: Path) -> tuple[int, int]:
        raise MissingDependencyError("pip install something")

    monkeypatch.setattr(engine, "checked_gray", check)
    adapter(plain)
    with pytest.raises(MissingDependencyError, match="pip install something"):
        prepare(root)


# ---- resuming ----------------------------------------------------------------------------------------------


def results(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "out").iterdir()}


def killed(root: Path, at: int) -> None:
    """Prepare in this process, and kill it when so many studies are done."""

    def progress(done: int, total: int) -> None:
        if done >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    prepare(root, annotate=annotate, progress=progress)


@pytest.mark.parametrize("kills", [(32,), (64, 96, 128), (COUNT,)])
def test_killed_and_started_again(root: Path, adapter: Callable[..., None], kills: tuple[int, ...]) -> None:
    adapter(mixed)
    for at in kills:
        process = multiprocessing.get_context("fork").Process(target=killed, args=(root, at))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert [path.name for path in (root / "out").iterdir()] == ["studies.jsonl.part"]
    resumed = prepare(root, annotate=annotate)
    after_kills = results(root)
    assert prepare(root, annotate=annotate) == resumed
    assert results(root) == after_kills
    assert set(after_kills) == {"studies.jsonl", "studies.rejected.jsonl"}


def test_any_torn_journal_ends_with_the_same_bytes(root: Path, adapter: Callable[..., None]) -> None:
    adapter(mixed)
    prepare(root)
    expected = results(root)

    def stop(done: int, total: int) -> None:
        if done == COUNT:
            raise Stopped

    with pytest.raises(Stopped):
        prepare(root, progress=stop)
    part = root / "out" / "studies.jsonl.part"
    journal = part.read_bytes()
    for cut in (0, 1, 50, len(journal) // 3, len(journal) // 2, len(journal) - 1, len(journal)):
        part.write_bytes(journal[:cut])
        prepare(root)
        assert results(root) == expected


def test_what_is_done_is_not_looked_at_again(
    root: Path, adapter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter(plain)

    def stop(done: int, total: int) -> None:
        if done >= 64:
            raise Stopped

    with pytest.raises(Stopped):
        prepare(root, progress=stop)
    looked: list[str] = []
    monkeypatch.setattr(engine, "checked_gray", lambda path: looked.append(path.stem) or checked_gray(path))
    assert prepare(root).kept == COUNT
    assert looked == [str(number) for number in range(64, COUNT)]


def test_a_data_set_that_changed_is_refused(root: Path, adapter: Callable[..., None]) -> None:
    adapter(plain)
    with pytest.raises(Stopped):
        prepare(root, progress=stop)
    adapter(lambda root: itertools.islice(plain(root), 5, None))
    with pytest.raises(DataError, match=r"expected 's0' as study 1 of .*got 's5'.*delete the file"):
        prepare(root)
    adapter(lambda root: itertools.islice(plain(root), 5))
    with pytest.raises(DataError, match=r"expected 's5' as study 6 of the data .*got None"):
        prepare(root)


def test_other_options_begin_anew(root: Path, adapter: Callable[..., None]) -> None:
    adapter(plain)
    with pytest.raises(Stopped):
        prepare(root, progress=stop)
    account = prepare(root, annotate=annotate)
    assert account.critical == COUNT // 3, "the studies done before had no annotation"
