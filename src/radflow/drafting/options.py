"""What ``radflow draft`` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radflow.modality import ModalityName

Decoding = Literal["greedy", "consensus", "own"]
Form = Literal["text", "json", "html", "fhir", "sr"]


@dataclass(frozen=True, kw_only=True)
class DraftOptions:
    """What ``radflow draft`` was asked for; its help says what each means."""

    model: Path
    images: tuple[Path, ...] = ()
    manifest: Path | None = None
    root: Path | None = None
    studies: Path | None = None
    indication: str | None = None
    modality: ModalityName | None = None
    forms: tuple[Form, ...] = ()
    out: tuple[Path, ...] = ()
    uncertain: float = 0.5
    keep_patient: bool = False
    subject: str | None = None
    imaging_study: str | None = None
    frames: int = 8
    decoding: Decoding = "greedy"
    samples: int = 16
