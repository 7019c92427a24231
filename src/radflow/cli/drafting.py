"""``radflow draft`` on the command line. The module ``run`` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from radflow.cli import screens
from radflow.drafting.options import Decoding, DraftOptions, Form
from radflow.modality import ModalityName


def draft(
    images: Annotated[list[Path] | None, Parameter(negative=())] = None,
    *,
    model: Path,
    indication: str | None = None,
    modality: ModalityName | None = None,
    format: Annotated[
        list[Form] | None,
        Parameter(negative=(), consume_multiple=False),
    ] = None,
    out: Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=False)] = None,
    manifest: Path | None = None,
    root: Path | None = None,
    studies: Path | None = None,
    uncertain: float = 0.5,
    keep_patient: bool = False,
    subject: str | None = None,
    imaging_study: str | None = None,
    frames: int = 8,
    decoding: Decoding = "greedy",
    samples: int = 16,
    json: bool = False,
) -> None:
    """Draft a report for one study, or for many. A draft, not for diagnosis.

    Many: `--manifest studies.jsonl` or `--studies FOLDER`, with a folder as `--out`. It gets one JSON file
    per study and drafts.jsonl, which `radflow score` reads. Run again, it drafts only what is missing.

    A study of another modality than the model's, or with more pictures than it ever saw, is refused; where a
    study differs from the training studies in another way, every form of the draft says so.

    Args:
        images: The pictures of one study (PNG, JPEG, DICOM), in the order the model was trained on, or one
            folder that holds them.
        model: A run's folder, a model folder, or an adapter folder.
        indication: Why the study was asked for.
        modality: What the pictures show. PNG and JPEG files do not say; a model of another modality refuses.
        format: text, json, html, fhir (R4 DiagnosticReport) or sr (DICOM Basic Text SR); may be repeated.
        out: File whose ending tells the format (.txt, .json, .html, .fhir.json, .dcm), or a folder; may be
            repeated.
        manifest: Draft every study of a manifest; its reports are not needed.
        root: A folder that the manifest's images may lie in, besides its own.
        studies: Draft every subfolder of a folder as a study.
        uncertain: Mark words to which the model gave a probability below this. It is not calibrated.
        keep_patient: Copy patient and study from the DICOM input into the structured report, and refer to the
            images. Without it the report names nobody.
        subject: Who the FHIR report is about, such as Patient/123.
        imaging_study: The study it is about, such as ImagingStudy/456.
        frames: How many pictures to take from a DICOM file with many frames.
        decoding: greedy; consensus, of several samples the one whose labels agree best with the others; or
            own, as the model's generation_config.json says.
        samples: How many reports consensus samples for each study.
        json: The same as `--format json`.
    """
    from radflow.drafting.run import draft_command

    forms: list[Form] = [*(format or ()), *(("json",) if json else ())]
    options = DraftOptions(
        images=tuple(images or ()),
        model=model,
        indication=indication,
        modality=modality,
        forms=tuple(dict.fromkeys(forms)),
        out=tuple(out or ()),
        manifest=manifest,
        root=root,
        studies=studies,
        uncertain=uncertain,
        keep_patient=keep_patient,
        subject=subject,
        imaging_study=imaging_study,
        frames=frames,
        decoding=decoding,
        samples=samples,
    )
    draft_command(screens.screen, screens.errors, options)
