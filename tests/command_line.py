"""A recipe so small that the whole workflow takes seconds, and the command line in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from radflow.config import Policy, dump_recipe, make_recipe
from radflow.studies import Study
from radflow.studies.training_facts import TrainingFacts

SMALL = """
name = "small"
threads = 1
[data]
count = 60
image_size = 64
[policy]
max_new_tokens = 12
lora_rank = 2
[policy.tiny]
image_size = 32
vision_width = 32
text_width = 32
vision_layers = 1
text_layers = 2
heads = 2
vocabulary = 600
[sft]
epochs = 1
batch_size = 8
warmup_steps = 1
validate_every = 2
checkpoint_every = 2
[exploration]
strategy = "balanced"
[rft]
studies_per_step = 2
steps = 2
validate_every = 1
validation_studies = 4
checkpoint_every = 1
[evaluation]
studies = 8
resamples = 50
cases = 3
"""


def _fixtures_of(path: Path) -> ModuleType:
    """The fixtures of another folder: tests are no packages, and a conftest serves its own folder only."""
    spec = spec_from_file_location(f"fixtures_of_{path.parent.name}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_judges = _fixtures_of(Path(__file__).parent / "judges" / "conftest.py")
fake, loopback_only, _socket_watch = _judges.fake, _judges.loopback_only, _judges._socket_watch

Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}


@pytest.fixture
def radflow(tmp_path: Path, environment: dict[str, str]) -> Callable[..., Ran]:
    """Run a command in ``tmp_path``, as a user would."""

    def radflow(*arguments: object, umask: int = -1) -> Ran:
        return subprocess.run(
            [sys.executable, "-m", "radflow", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            umask=umask,
        )

    return radflow


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process, from ``tmp_path``: exit status, standard output, standard error."""
    from rich.console import Console

    from radflow.cli import app, screens

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        plain = {"width": 200, "soft_wrap": True, "highlight": False, "emoji": False}
        monkeypatch.setattr(screens, "screen", Console(**plain))
        monkeypatch.setattr(screens, "errors", Console(stderr=True, **plain))
        status = 0
        try:
            app.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return command


@pytest.fixture
def film() -> Callable[..., Path]:
    """Write a DICOM picture, or a clip, of a named patient."""

    def film(path: Path, *, study: str = "1.2.3", view: str = "", frames: int = 1, edge: int = 32) -> Path:
        from pydicom import Dataset
        from pydicom.dataset import FileMetaDataset

        made = Dataset()
        made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1" if frames == 1 else "1.2.840.10008.5.1.4.1.1.3.1"
        made.SOPInstanceUID, made.SeriesInstanceUID, made.StudyInstanceUID = (
            f"{study}.{len(str(path))}",
            f"{study}.1",
            study,
        )
        made.PatientName, made.PatientID, made.Modality = "Smith^John", "MRN77", "CR" if frames == 1 else "US"
        made.ViewPosition, made.BodyPartExamined = view, "CHEST"
        made.Rows = made.Columns = edge
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated = made.BitsStored = 8
        made.HighBit, made.PixelRepresentation = 7, 0
        if frames > 1:
            made.NumberOfFrames = frames
        ramp = np.tile(np.arange(edge, dtype=np.uint8) * (256 // edge), (frames, edge, 1))
        made.PixelData = ramp.tobytes()
        made["PixelData"].VR = "OB"
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save_as(path, enforce_file_format=True)
        return path

    return film


@pytest.fixture(scope="session")
def taught(folder: Path, studies: list[Study], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has learnt the words of ``studies`` by heart, pictures aside."""
    import torch

    from radflow.policy import completion_logprobs, load_policy, save_policy

    knobs = Policy(max_new_tokens=40)
    policy = load_policy(folder, knobs)
    encoder = policy.encoder
    prompts = [encoder(study) for study in studies]
    texts = [[*policy.tokenizer(study.reference.canonical).input_ids, policy.end_ids[0]] for study in studies]
    optimiser = torch.optim.Adam(policy.model.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        (-completion_logprobs(policy.model, prompts, texts, pad_id=policy.pad_id)[0].sum() / 60).backward()
        optimiser.step()
    place = tmp_path_factory.mktemp("taught") / "model"
    save_policy(policy, place)
    return place


@pytest.fixture
def run(taught: Path, tmp_path: Path) -> Path:
    """A run's folder around the model that was taught, on chest films; it drafts two studies at a time."""
    run = tmp_path / "run"
    shutil.copytree(taught, run / "sft" / "model")
    facts = TrainingFacts(
        modality="chest-xray",
        drawn=False,
        studies=3,
        fewest_images=1,
        most_images=2,
        views=("frontal", "lateral"),
        indication_share=0.4,
    )
    (run / "sft" / "model" / "training.json").write_text(facts.model_dump_json())
    knobs = {"name": "Tiny", "policy": {"max_new_tokens": 40}, "evaluation": {"batch_size": 2}}
    (run / "recipe.toml").write_text(dump_recipe(make_recipe(knobs)))
    return run
