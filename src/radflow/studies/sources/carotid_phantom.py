"""The carotid phantom as a data set: drawn studies with reports, several per patient, split by patient.

An open stand-in for the private CarotidUS-MRG of the paper (12,000 studies, split by patient 70/15/15).
Study ``index`` of ``seed`` is always the same, so a larger count only adds studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radflow.errors import DataError, at_least
from radflow.files import make_folder
from radflow.reports import Report, render_report
from radflow.studies.phantoms.carotid import draw_carotid_study, draw_carotid_text
from radflow.studies.phantoms.carotid.anatomy import patient_name, patient_of
from radflow.studies.phantoms.drawing import SMALLEST_IMAGE, drawing_note, renderer_fingerprint, save_drawing
from radflow.studies.sources import Source
from radflow.studies.splits import deal_splits
from radflow.studies.study import Split, Study

SOURCE = "carotid-phantom"
SIDES = ("right", "left")  # the order in which the policy sees the sheets


def open_carotid_phantom(
    *, store: Path, count: int = 12_000, seed: int = 0, image_size: int = 192, difficulty: float = 0.5
) -> Source:
    """Open a data set of drawn carotid studies.

    Args:
        store: the folder for the drawings.
        count: studies, at least 1.
        seed: another seed draws other patients and splits them anew.
        image_size: height and width of each sheet in pixels.
        difficulty: from 0 (every finding plain) to 1.

    Raises:
        DataError: ``count`` is below 1, ``image_size`` below 64, or ``difficulty`` not between 0 and 1.
        NotWritableError: ``store`` cannot be made.
    """
    at_least("count", count, 1)
    at_least("image_size", image_size, SMALLEST_IMAGE)
    if not 0 <= difficulty <= 1:
        raise DataError(f"data.difficulty: expected a number from 0 to 1, got {difficulty}; 0 is the easiest")
    make_folder(store)
    splits = deal_splits((patient_name(patient_of(index, seed)[0]) for index in range(count)), seed)
    visits = f"{len(splits):,} drawn patients, {count / len(splits):.2f} studies each"
    return Source(
        total=count,
        studies=(_study(index, seed, difficulty, splits, store) for index in range(count)),
        notes=(f"{visits}, difficulty {difficulty:g}; nothing here is real",),
        draw=_Draw(
            seed=seed,
            size=image_size,
            difficulty=difficulty,
            renderer=renderer_fingerprint("carotid"),
        ),
    )


def _study(index: int, seed: int, difficulty: float, splits: Mapping[str, Split], store: Path) -> Study:
    text = draw_carotid_text(index, seed=seed, difficulty=difficulty)
    return Study(
        study_id=text.study_id,
        patient_id=text.patient_id,
        images=tuple(store / f"{text.study_id}-{side}.png" for side in SIDES),
        reference=Report(
            text=render_report(text.findings, text.impression),
            findings=text.findings,
            impression=text.impression,
        ),
        indication=text.indication,
        split=splits[text.patient_id],
        modality="carotid-us",
        critical=text.critical,
        critical_by=SOURCE,
        drawn=True,
        views=SIDES,
        truth=text.truth,
    )


@dataclass(frozen=True, kw_only=True)
class _Draw:
    """Draws the sheets of a study unless they lie there, made the same way."""

    seed: int
    size: int
    difficulty: float
    renderer: str

    def __call__(self, study: Study) -> tuple[str, ...]:
        made: dict[str, Any] = {"drawn": True, "source": SOURCE, "study": study.study_id}
        made |= {name: getattr(self, name) for name in ("seed", "size", "difficulty", "renderer")}
        sheets = [(s, path, {**made, "side": s}) for s, path in zip(SIDES, study.images, strict=True)]
        if any(drawing_note(path) != note for _, path, note in sheets):
            index = int(study.study_id.rpartition("-")[2])
            drawing = draw_carotid_study(index, seed=self.seed, size=self.size, difficulty=self.difficulty)
            for side, path, note in sheets:
                save_drawing(path, drawing.images[side], note)
        return ()
