"""The carotid phantom as a data set: drawn studies with reports, several per patient, split by patient.

An open stand-in for the private CarotidUS-MRG of the paper (12,000 studies, split by patient 70/15/15).
Study ``index`` of ``seed`` is always the same, so a larger count only adds studies.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from radflow.files import make_folder
from radflow.reports import Report, render_report
from radflow.studies.manifest import write_manifest
from radflow.studies.phantoms.carotid import CarotidText, draw_carotid_study, draw_carotid_text
from radflow.studies.prepare import (
    MANIFEST,
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
from radflow.studies.splits import deal_splits
from radflow.studies.study import Study

SOURCE = "carotid-phantom"
SIDES = ("right", "left")  # the order in which the policy sees the sheets


@dataclass(frozen=True, kw_only=True)
class _Job:
    index: int
    seed: int
    size: int
    renderer: str
    folder: Path


def prepare_carotid_phantom(
    out_dir: Path,
    *,
    count: int = 12_000,
    seed: int = 0,
    image_size: int = 192,
    progress: Progress | None = None,
    workers: int | None = None,
) -> PrepareAccount:
    """Draw ``count`` carotid studies and write their manifest.

    Args:
        out_dir: gets ``studies.jsonl`` and ``images/``.
        count: studies, at least 1.
        seed: another seed draws other patients and splits them anew.
        image_size: height and width of each sheet in pixels.
        progress: called with (done, total).
        workers: processes; ``None`` for one a usable core.

    Raises:
        DataError: ``count`` is below 1, ``image_size`` below 64, or a drawing process died.
        NotWritableError: ``out_dir`` cannot be written.
    """
    at_least("count", count, 1)
    at_least("image_size", image_size, SMALLEST_IMAGE)
    folder = make_folder(out_dir.absolute() / "images")
    renderer = renderer_fingerprint("carotid")
    jobs = [
        _Job(index=index, seed=seed, size=image_size, renderer=renderer, folder=folder)
        for index in range(count)
    ]
    drawn = run_jobs(_draw, jobs, workers=workers, progress=progress)
    splits = deal_splits((study.patient_id for study in drawn), seed)
    studies = [replace(study, split=splits[study.patient_id]) for study in drawn]
    manifest = out_dir / MANIFEST
    write_manifest(manifest, studies)
    visits = Counter(study.patient_id for study in studies)
    return PrepareAccount(
        source=SOURCE,
        manifest=manifest,
        found=count,
        rejected={},
        sections={"findings and impression": count},
        notes=(
            f"{len(visits):,} drawn patients, {count / len(visits):.2f} studies each; nothing here is real",
        ),
        **split_counts(studies),
    )


def _draw(job: _Job) -> Study:
    """One study, not yet in a split; sheets that lie there, made the same way, are not drawn again."""
    text: CarotidText = draw_carotid_text(job.index, seed=job.seed)
    paths = {side: job.folder / f"{text.study_id}-{side}.png" for side in SIDES}
    notes = {side: _note(job, text.study_id, side) for side in SIDES}
    if any(drawing_note(paths[side]) != notes[side] for side in SIDES):
        drawing = draw_carotid_study(job.index, seed=job.seed, size=job.size)
        for side in SIDES:
            save_drawing(paths[side], drawing.images[side], notes[side])
    return Study(
        study_id=text.study_id,
        patient_id=text.patient_id,
        images=tuple(paths[side] for side in SIDES),
        reference=Report(
            text=render_report(text.findings, text.impression),
            findings=text.findings,
            impression=text.impression,
        ),
        indication=text.indication,
        modality="carotid-us",
        critical=text.critical,
        critical_by=SOURCE,
        drawn=True,
        views=SIDES,
        truth=text.truth,
    )


def _note(job: _Job, study_id: str, side: str) -> dict[str, Any]:
    return {
        "drawn": True,
        "source": SOURCE,
        "study": study_id,
        "side": side,
        "seed": job.seed,
        "size": job.size,
        "renderer": job.renderer,
    }
