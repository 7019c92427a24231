"""The options of commands that have many: each is declared here once, with its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from radflow.modality import CHEST, ModalityName

ReportColumn = Annotated[str | None, Parameter(name=("--report-column", "--column"))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Of ``radflow label``."""

    modality: ModalityName = CHEST
    """Which labels."""
    reader: str | None = None
    """chexpert-rules when not given; chexbert:FOLDER for the network."""
    lexicon: Path | None = None
    """TOML file with phrases of your own, on top of chexpert-rules."""
    section: Literal["report", "findings", "impression"] = "report"
    """Label the whole report or one section."""
    headers: Path | None = None
    """TOML file with your own names of the sections, on top of those that are known."""
    report_column: ReportColumn = None
    """Where the report stands, when the column has none of the usual names."""
    id_column: str | None = None
    """Where the study's id stands, likewise."""
    explain: bool = False
    """Give the phrase, its scope and the rule behind each label: on the screen, or in a second table beside
    `out`."""
    page: Path | None = None
    """Write an HTML page in which the words behind each label are highlighted."""
    out: Path | None = None
    """CSV file to write; standard output when not given."""
    any_language: bool = False
    """Also read reports in languages other than English; most of what is read will be wrong."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TriageOptions:
    """Of ``radflow triage``."""

    judge: str
    """rules, openai:MODEL or local:FOLDER."""
    out: Path | None = None
    """The manifest to write; the same one when not given."""
    differences: Path | None = None
    """CSV file with every study on which judge and rules differ."""
    texts: bool = False
    """Write their reports into that file too."""
    any_language: bool = False
    """Also read reports in languages other than English; most of what is read will be wrong."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AgreeOptions:
    """Of ``radflow agree``."""

    judge: Annotated[list[str], Parameter(negative=())]
    """Given twice: rules, openai:MODEL or local:FOLDER."""
    question: Literal["consistency", "criticality"] = "consistency"
    """Whether the Impression follows from the Findings, or whether the report is critical."""
    headers: Path | None = None
    """TOML file with your own names of the sections, on top of those that are known."""
    report_column: ReportColumn = None
    """Where the report stands, when the column has none of the usual names."""
    id_column: str | None = None
    """Where the study's id stands, likewise."""
    out: Path | None = None
    """CSV file with both answers to each report."""
    json: bool = False
    """Print one JSON object instead of tables."""
    any_language: bool = False
    """Also read reports in languages other than English; most of what is read will be wrong."""
