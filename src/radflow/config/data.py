"""The recipe's section ``data``: which studies, and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from radflow.config.section import Count, Names, Section, Share
from radflow.modality import ModalityName


class Columns(Section):
    """What your own table calls the columns that radflow needs; the usual names are found by themselves."""

    study_id: str | None = None
    """The study; rows that follow each other with the same id are one study."""
    patient_id: str | None = None
    """The patient; without such a column each study counts as one."""
    images: Names = ()
    """One or more columns of paths; a cell may hold several, or a folder, or a path with ``*``."""
    report: str | None = None
    """The whole report; its sections are looked for."""
    findings: str | None = None
    """The Findings, where they have a column."""
    impression: str | None = None
    """The Impression, where it has a column."""
    indication: str | None = None
    """Why the study was asked for."""
    comparison: str | None = None
    """What it was compared with."""
    split: str | None = None
    """train, validate, test, or what ``data.splits`` maps to them; else patients are split by hash."""
    view: str | None = None
    """PA, AP, lateral, ...: one word per image."""
    modality: str | None = None
    """Where a table has studies of several modalities."""


class Data(Section):
    """Which studies, and where they come from. docs/datasets.md says which data set takes which knob."""

    source: Literal[
        "carotid-phantom",
        "open-i",
        "manifest",
        "mimic-cxr",
        "chexpert-plus",
        "rexgradient",
        "iu-xray",
        "rexrank",
        "r2gen",
        "table",
    ] = "carotid-phantom"
    """The data set to prepare; ``table`` for one of your own, ``manifest`` for one already prepared.
    ``open-i`` is an older name of ``iu-xray`` without a root."""
    manifest: Path | None = None
    """The studies.jsonl to use when the source is ``manifest``; relative to the recipe."""
    root: Path | None = None
    """The folder of a data set on disk; relative to the recipe. Without one ``iu-xray`` takes its reports
    from torchxrayvision. For ``manifest``: a folder that its images may lie in, besides its own."""
    images: Path | None = None
    """Folder of the images, if not the root. For ``iu-xray`` without a root: of the real ones; without it
    the images are drawn, and every table says so."""
    reports: Path | None = None
    """For ``mimic-cxr``: where the reports are, when not in the root."""
    table: Path | None = None
    """For ``table``, ``r2gen`` and ``rexrank``: the file of the studies, relative to the root."""
    columns: Columns = Columns()
    """For ``table``: which column holds what."""
    splits: dict[str, Literal["train", "validate", "test"]] = Field(default_factory=dict)
    """For ``table``: its own names of splits, mapped to the usual ones."""
    separator: str = ";"
    """For ``table``: what separates several paths in one cell."""
    encoding: str = "utf-8"
    """For ``table``: the encoding of a CSV file, e.g. latin-1 or cp1252."""
    modality: ModalityName = "chest-xray"
    """For ``table`` and ``r2gen``: the modality of all studies."""
    views: Literal["frontal", "lateral", "all"] = "all"
    """For a data set on disk: which pictures of each study to take."""
    max_images: Count | None = None
    """At most this many pictures per study, frontal before lateral."""
    sections: Literal["both", "any"] | None = None
    """``both`` leaves out reports that lack Findings or Impression; ``any`` keeps those with one.
    When not given, the data set decides."""
    headers: Path | None = None
    """For ``table``: a TOML file with your own names of the sections, on top of those that are known
    (docs/sections.md); relative to the recipe."""
    split: Literal["official", "rexrank"] = "official"
    """For ``chexpert-plus``, which has no official test: ``rexrank`` tests on the validation studies."""
    count: Count = 12_000
    """How many studies a phantom set draws, or at most how many reports ``iu-xray`` gives without a root."""
    image_size: Count = 192
    """Edge of a drawn image in pixels."""
    difficulty: Share = 0.5
    """How hard the carotid phantom is to read, from 0 (good scans, plain findings) to 1: gain, angle,
    speckle, shadows, small plaques, velocities at the limits, readers who differ (docs/phantoms.md)."""
    max_bad_share: Share = 0.05
    """The run stops when more than this share of the studies is unusable."""
    any_language: bool = False
    """Go on although most reports are not in English, the only language that rewards and metrics read."""
    triage: str = "rules"
    """Who decides which reference reports are critical, if no person has: ``rules``, or a judge as in
    ``reward.judge`` (the paper asked GPT-4o)."""
