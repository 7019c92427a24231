"""What every test shares: hypothesis without deadlines, quiet tokenizers, and a tiny policy built once.

The policy's fixtures import torch inside themselves, so that folders which do not need it stay quick.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from radflow.config import Policy as PolicyKnobs
from radflow.config import Tiny
from radflow.reports import Report, render_report
from radflow.reports.draft import Draft, Word
from radflow.studies import Study

if TYPE_CHECKING:
    from radflow.policy import Policy, PromptEncoder

pytest_plugins = ["command_line"]  # fixtures of cli, run and drafting
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("radflow", deadline=None)
settings.load_profile("radflow")

KNOBS = PolicyKnobs(
    tiny=Tiny(image_size=32, vision_width=32, text_width=32, vision_layers=1, text_layers=2, heads=2),
    lora_rank=2,
    max_new_tokens=12,
    image_workers=0,
)
PHRASES = (
    ("Lungs are clear.", "Normal."),
    ("Large left effusion.", "Effusion."),
    ("Heart enlarged.", "Big heart."),
)


@pytest.fixture
def knobs() -> PolicyKnobs:
    """The recipe's section ``policy`` behind the fixtures below."""
    return KNOBS


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    """Three studies with pictures of noise; the second has two of them, and the first is not critical."""
    folder = tmp_path_factory.mktemp("images")
    made = []
    for i, (findings, impression) in enumerate(PHRASES):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40), dtype=np.uint8)
        paths = [folder / f"{i}-{view}.png" for view in range(1 + i % 2)]
        for path in paths:
            Image.fromarray(pixels).save(path)
        made.append(
            Study(
                study_id=f"s{i}",
                patient_id=f"p{i}",
                images=tuple(paths),
                reference=Report(
                    text=render_report(findings, impression), findings=findings, impression=impression
                ),
                indication="Cough." if i else None,
                critical=i > 0,
            )
        )
    return made


@pytest.fixture(scope="session")
def folder(studies: list[Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained tiny model that knows the words of ``studies``."""
    from radflow.policy import build_tiny

    folder = tmp_path_factory.mktemp("tiny") / "model"
    build_tiny(
        KNOBS.tiny,
        folder,
        texts=[s.reference.text for s in studies] * 4 + [f"Indication: Cough.\n{KNOBS.prompt}\n"] * 4,
        images=[s.images[0] for s in studies],
        seed=0,
    )
    return folder


@pytest.fixture
def policy(folder: Path) -> Policy:
    from radflow.policy import load_policy

    return load_policy(folder, KNOBS)


@pytest.fixture
def encoder(policy: Policy) -> PromptEncoder:
    return policy.encoder


@pytest.fixture
def draft() -> Draft:
    """A draft with two uncertain words, a verdict against it, and characters that HTML must escape."""
    text = "Findings: Heart < 50% & normal. No effusion. Impression: Left effusion."
    return Draft(
        study_id="s1",
        report=Report(text=text, findings="Heart < 50% & normal. No effusion.", impression="Left effusion."),
        words=tuple(
            Word(start=text.index(word), end=text.index(word) + len(word), probability=p)
            for word, p in {"Findings": 0.1, "Heart": 0.9, "normal": 0.25, "Left": 0.4, "No": 0.5}.items()
        ),
        uncertain_below=0.5,
        finished=True,
        consistent=False,
        reasons=('Pleural Effusion: denied in the Findings (in "Left effusion.")',),
        critical=True,
        because=("effusion",),
        model="Tiny (sft)",
        created="2026-11-22T09:45:40+00:00",
        indication="Pain <b>",
    )
