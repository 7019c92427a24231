"""Open-i (IU X-Ray) as a data set: 3,955 real reports, of which 3,419 have both sections.

One report is one patient, as far as the published ids tell. Studies of the R2Gen split keep their place in
it; the others are placed by hash. The reports come from ``openi_reports.py``. The images are not with them:
given a folder with the real ones, they are used where they are; otherwise a frontal radiograph is drawn from
the report's MeSH tags, and the manifest says that it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from radflow.errors import DataError, RadflowError
from radflow.files import make_folder, write_jsonl
from radflow.reports import Report, render_report
from radflow.studies.images import check_image
from radflow.studies.manifest import Rejected, write_manifest
from radflow.studies.phantoms.chest import draw_chest
from radflow.studies.prepare import (
    MANIFEST,
    REJECTED,
    SMALLEST_IMAGE,
    PrepareAccount,
    Progress,
    at_least,
    drawing_note,
    renderer_fingerprint,
    run_jobs,
    save_drawing,
    split_counts,
)
from radflow.studies.sources.openi_images import (
    PROJECTIONS,
    OpenIImages,
    find_open_i_images,
    frontal_first,
    read_header_views,
)
from radflow.studies.sources.openi_reports import OpenIReport, open_i_reports, package_data, r2gen_split
from radflow.studies.splits import assign_split
from radflow.studies.study import Split, Study
from radflow.workspace import derive_seed

SOURCE = "open-i"
_HEADERS = "nlmcxr_dicom_metadata.csv.gz"


def prepare_open_i(
    out_dir: Path,
    *,
    images: Path | None = None,
    seed: int = 0,
    limit: int | None = None,
    image_size: int = 256,
    progress: Progress | None = None,
    workers: int | None = None,
) -> PrepareAccount:
    """Write a manifest of the studies that have both sections, 3,419 where every image can be had.

    Args:
        out_dir: gets ``studies.jsonl``, ``rejected.jsonl`` and, without ``images``, ``images/``.
        images: folder of the real radiographs (Open-i, Kaggle or R2Gen files); ``None`` draws them.
        seed: places the studies that the R2Gen split lacks, and picks those of ``limit``.
        limit: keep this many, picked evenly by hash.
        image_size: height and width of a drawn image in pixels.
        progress: called with (done, total) while drawing.
        workers: processes that draw; ``None`` for one a usable core.

    Raises:
        MissingDependencyError: torchxrayvision is not installed.
        MissingFileError, DataError: ``images`` is missing, or holds nothing that can be used; a number is
            too small.
        NotWritableError: ``out_dir`` cannot be written.
    """
    at_least("image_size", image_size, SMALLEST_IMAGE)
    if limit is not None:
        at_least("limit", limit, 1)
    make_folder(out_dir)
    reports = list(open_i_reports())
    usable = [report for report in reports if report.findings and report.impression]
    left_out = [
        Rejected(report.study_id, f"report with {report.sections}")
        for report in reports
        if not (report.findings and report.impression)
    ]
    unsupported: Counter[str] = Counter()
    if images is not None:
        found = find_open_i_images(images)
        pictures, unusable = _real_images(usable, found, images)
        left_out += unusable
        chosen = _limited([report for report in usable if report.study_id in pictures], limit, seed)
        notes = _notes_on_real(found)
    else:
        chosen = _limited(usable, limit, seed)
        pictures, missing = _drawn_images(chosen, out_dir, image_size, progress, workers)
        unsupported.update(tag for tags in missing.values() for tag in tags)
        notes = ("the images are drawn from the MeSH tags; no pixel is real",)
    if not chosen:
        raise DataError(f"open-i: none of {len(usable):,} studies has a usable image in {images}")
    splits = r2gen_split()
    studies = [
        _study(report, pictures[report.study_id], splits, seed=seed, drawn=images is None)
        for report in chosen
    ]
    write_jsonl(out_dir / REJECTED, (item._asdict() for item in left_out))
    write_manifest(out_dir / MANIFEST, studies)
    reasons = Counter(item.reason.partition(": ")[0] for item in left_out)
    if over := len(reports) - len(left_out) - len(studies):
        reasons[f"over the limit of {limit}"] = over
    return PrepareAccount(
        source=SOURCE,
        manifest=out_dir / MANIFEST,
        found=len(reports),
        rejected=dict(reasons),
        sections=dict(Counter(report.sections for report in reports)),
        unsupported=dict(unsupported),
        notes=notes,
        **split_counts(studies),
    )


def _study(
    report: OpenIReport, picture: Path, splits: Mapping[int, Split], *, seed: int, drawn: bool
) -> Study:
    return Study(
        study_id=report.study_id,
        patient_id=report.study_id,
        images=(picture,),
        reference=Report(
            text=render_report(report.findings, report.impression),
            findings=report.findings,
            impression=report.impression,
        ),
        indication=report.indication,
        comparison=report.comparison,
        split=splits.get(report.number) or assign_split(report.study_id, seed),
        modality="chest-xray",
        drawn=drawn,
        views=("frontal",),
        truth={"mesh": list(report.mesh)},
    )


def _limited(reports: list[OpenIReport], limit: int | None, seed: int) -> list[OpenIReport]:
    """At most ``limit`` reports, the same ones for a seed whatever else there is, still in order."""
    if limit is None or limit >= len(reports):
        return reports
    by_hash = sorted(reports, key=lambda report: derive_seed(seed, "open-i limit", report.study_id))
    return sorted(by_hash[:limit], key=lambda report: report.number)


# ---- real images -----------------------------------------------------------------------------------------


def _real_images(
    reports: list[OpenIReport], found: OpenIImages, folder: Path
) -> tuple[dict[str, Path], list[Rejected]]:
    """The frontal image of each study that has a whole one, and why the others have none."""
    header = read_header_views(package_data() / _HEADERS)
    pictures: dict[str, Path] = {}
    unusable: list[Rejected] = []
    for report in reports:
        files = found.of(report.image_ids)
        candidates = frontal_first(files, found.views, header)
        if not candidates:
            reason = "only lateral images" if files else f"no image in {folder}"
            unusable.append(Rejected(report.study_id, reason))
            continue
        try:
            check_image(candidates[0])
        except RadflowError as error:
            unusable.append(Rejected(report.study_id, f"broken image: {error}"))
        else:
            pictures[report.study_id] = candidates[0]
    return pictures, unusable


def _notes_on_real(found: OpenIImages) -> tuple[str, ...]:
    if found.views:
        return ()
    return (
        f"no {PROJECTIONS} beside the images: frontal images were chosen by DICOM header, "
        "which takes a lateral one for about 1 study in 20",
    )


# ---- drawn images ----------------------------------------------------------------------------------------


def _drawn_images(
    reports: list[OpenIReport],
    out_dir: Path,
    size: int,
    progress: Progress | None,
    workers: int | None,
) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    """Draw each study; its picture, and the tags that the picture does not show, by study id."""
    folder = make_folder(out_dir.absolute() / "images")
    renderer = renderer_fingerprint("chest")
    jobs = [
        (folder / f"{report.study_id}.png", _note(report, size=size, renderer=renderer)) for report in reports
    ]
    unsupported = run_jobs(_draw, jobs, workers=workers, progress=progress)
    ids = [report.study_id for report in reports]
    pictures = dict(zip(ids, (path for path, _ in jobs), strict=True))
    return pictures, dict(zip(ids, unsupported, strict=True))


def _note(report: OpenIReport, *, size: int, renderer: str) -> dict[str, Any]:
    return {
        "drawn": True,
        "source": SOURCE,
        "study": report.study_id,
        "mesh": list(report.mesh),
        "size": size,
        "renderer": renderer,
    }


def _draw(job: tuple[Path, dict[str, Any]]) -> tuple[str, ...]:
    """Draw one picture unless it lies there already, made the same way; the tags it does not show."""
    path, note = job
    present = drawing_note(path)
    if (
        present is not None
        and (unsupported := present.pop("unsupported", None)) is not None
        and present == note
    ):
        return tuple(unsupported)
    drawing = draw_chest(note["mesh"], study_id=note["study"], size=note["size"])
    save_drawing(path, drawing.image, {**note, "unsupported": list(drawing.unsupported)})
    return drawing.unsupported
