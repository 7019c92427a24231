"""Draw the contact sheets of docs/phantoms.md.

    python docs/images/sheets.py

Carotid: the first study of seed 0 that shows each thing named below; four of them also at difficulty 0, the
default and 1, one column each. Chest: MeSH tags written here, on
patients that do not exist; nothing of any data set is in the picture. Few grey levels keep the files small.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from radflow.config.data import Data
from radflow.reports import Report, parse_report, render_report
from radflow.studies import Study
from radflow.studies.contact_sheet import contact_sheet
from radflow.studies.phantoms.carotid import draw_carotid_study, draw_carotid_text
from radflow.studies.phantoms.chest import draw_chest

HERE = Path(__file__).parent
BLANK = Report(text="", findings=None, impression=None)


def has(**wanted: Any) -> Callable[[dict[str, Any]], bool]:
    """Whether some side of a study has one plaque, of these properties."""
    return lambda truth: any(
        len(side["plaques"]) == 1
        and all((side["plaques"][0] | side)[name] == value for name, value in wanted.items())
        for side in (truth["right"], truth["left"])
    )


CAROTID: tuple[Callable[[dict[str, Any]], bool], ...] = (
    lambda truth: not any(side["plaques"] or side["imt_mm"] >= 1 for side in (truth["right"], truth["left"])),
    lambda truth: truth["left"]["imt_mm"] >= 1.2 and not truth["left"]["plaques"],
    has(kind="soft", grade="<50%"),
    has(kind="hard", grade="<50%"),
    has(kind="mixed", grade="50-69%"),
    has(surface="ulcerated", grade=">=70%"),
    has(grade="near occlusion", flow="trickle"),
    has(grade="occlusion"),
)
CHEST = (
    "normal", "Cardiomegaly/severe", "Pleural Effusion/left/moderate", "Pneumothorax/right/large",
    "Consolidation/lung/lower lobe/right", "Pulmonary Atelectasis/base/left", "Pulmonary Edema",
    "Nodule/lung/upper lobe/left", "Lung/hyperdistention", "Diaphragm/right/elevated",
    "Aorta/tortuous", "Scoliosis/thoracic vertebrae/right/moderate", "Fractures, Bone/ribs/left/multiple",
    "Implanted Medical Device", "Catheters, Indwelling/right",
)  # fmt: skip


def carotid_sheet(folder: Path, out: Path) -> None:
    """Eight studies of two sides each, captioned with their Impression."""
    studies = [carotid(folder, shows, difficulty=0) for shows in CAROTID]
    small(contact_sheet(studies, out, columns=2, rows=4, tile=194), greys=20)  # speckle hides the steps


def difficulty_sheet(folder: Path, out: Path) -> None:
    """Four studies, each at three difficulties."""
    levels = (0.0, Data().difficulty, 1.0)
    studies = [carotid(folder, CAROTID[row], difficulty=d) for row in (1, 2, 3, 4) for d in levels]
    small(contact_sheet(studies, out, columns=3, rows=4, tile=194), greys=20)


def carotid(folder: Path, shows: Callable[[dict[str, Any]], bool], *, difficulty: float) -> Study:
    """Draw the first study that shows something at difficulty 0."""
    index = next(i for i in range(5_000) if shows(draw_carotid_text(i, seed=0).truth))
    study = draw_carotid_study(index, seed=0, difficulty=difficulty)
    paths = []
    for side, image in study.images.items():
        paths.append(folder / f"{study.study_id}-{side}-{difficulty}.png")
        Image.fromarray(image).save(paths[-1])
    report = parse_report(render_report(study.findings, study.impression))
    return Study(study_id=study.study_id, patient_id="-", images=tuple(paths), reference=report, drawn=True)


def chest_sheet(folder: Path, out: Path) -> None:
    """One film a tag, captioned with it."""
    studies = []
    for number, tag in enumerate(CHEST, start=1):
        name = f"phantom-{number}"
        drawing = draw_chest([tag], study_id=name)
        assert not drawing.unsupported, tag
        Image.fromarray(drawing.image).save(folder / f"{name}.png")
        studies.append(
            Study(
                study_id=name,
                patient_id=name,
                images=(folder / f"{name}.png",),
                reference=BLANK,
                drawn=True,
                truth={"mesh": [tag]},
            )
        )
    small(contact_sheet(studies, out, columns=5, rows=3, tile=200), greys=72)


def small(path: Path, *, greys: int) -> None:
    """Rewrite a picture with few grey levels."""
    with Image.open(path) as image:
        grey = image.convert("L").quantize(greys, dither=Image.Dither.NONE)
    grey.save(path, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        carotid_sheet(Path(name), HERE / "carotid-phantoms.png")
        difficulty_sheet(Path(name), HERE / "carotid-difficulty.png")
        chest_sheet(Path(name), HERE / "chest-phantoms.png")
