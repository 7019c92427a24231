"""Write a manifest of your own studies, read it back, and see what happens to a bad one.

    python examples/05_own_manifest.py

With the file in place, a recipe with ``data.source = "manifest"`` and ``data.manifest`` set to it trains on
your studies. Keep all studies of a patient in one split; radflow refuses the second split otherwise.
"""

import tempfile
from pathlib import Path

from PIL import Image

from radflow.reports import parse_report
from radflow.studies import Study, assign_split, read_manifest, write_manifest

ROWS = [  # study, patient, report; yours come from a database or a spreadsheet
    ("s1", "p1", "FINDINGS: Clear lungs.\nIMPRESSION: Normal chest."),
    ("s2", "p1", "FINDINGS: Small left effusion.\nIMPRESSION: Left pleural effusion."),
    ("s3", "p2", "No acute cardiopulmonary disease."),  # no headers: kept, read as a whole
    ("s4", "p3", "FINDINGS: Cardiomegaly.\nIMPRESSION: Cardiomegaly."),
]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = []
        for study_id, patient_id, text in ROWS:
            picture = folder / f"{study_id}.png"
            Image.new("L", (64, 64), 90).save(picture)  # yours are already there
            studies.append(
                Study(
                    study_id=study_id,
                    patient_id=patient_id,
                    images=(picture,),
                    reference=parse_report(text),
                    split=assign_split(patient_id, seed=0),
                    modality="chest-xray",
                )
            )
        write_manifest(folder / "studies.jsonl", studies)
        (folder / "s4.png").write_bytes(b"")  # a download that went wrong

        manifest = read_manifest(folder / "studies.jsonl", max_bad_share=0.5)
        for study in manifest.studies:
            sections = "both sections" if study.reference.sectioned else "no sections"
            print(f"{study.study_id}  {study.patient_id}  {study.split:8}  {sections}")
        for study_id, reason in manifest.rejected:
            print(f"{study_id}  set aside: {reason.replace(str(folder), '.')}")


if __name__ == "__main__":
    main()
