"""A tiny policy with three drawn studies, built once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radflow.config import Policy as PolicyKnobs
from radflow.config import Tiny
from radflow.policy import Policy, PromptEncoder, build_tiny, load_policy
from radflow.reports import Report, render_report
from radflow.studies import Study

KNOBS = PolicyKnobs(
    tiny=Tiny(image_size=32, vision_width=32, text_width=32, vision_layers=1, text_layers=2, heads=2),
    lora_rank=2,
    max_new_tokens=12,
)
PHRASES = (
    ("Lungs are clear.", "Normal."),
    ("Large left effusion.", "Effusion."),
    ("Heart enlarged.", "Big heart."),
)


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    folder = tmp_path_factory.mktemp("images")
    made = []
    for i, (findings, impression) in enumerate(PHRASES):
        pixels = np.random.default_rng(i).integers(0, 255, (40, 40), dtype=np.uint8)
        paths = [folder / f"{i}-{view}.png" for view in range(1 + i % 2)]  # one picture, or two
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
    return load_policy(folder, KNOBS)


@pytest.fixture
def encoder(policy: Policy) -> PromptEncoder:
    return PromptEncoder(policy, instruction=KNOBS.prompt)


@pytest.fixture
def knobs() -> PolicyKnobs:
    return KNOBS
