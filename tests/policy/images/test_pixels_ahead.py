"""Work begun ahead gives what work on demand gives, errors included."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from radflow.config import Policy as PolicyKnobs
from radflow.errors import DataError
from radflow.policy import Policy, PromptEncoder, greedy_reports, prompts
from radflow.policy.images.pixels_ahead import Ahead
from radflow.studies import Study
from radflow.studies.dicom.file import quiet
from radflow.studies.images import check_image


def test_studies_begun_ahead_are_the_same(
    policy: Policy,
    knobs: PolicyKnobs,
    encoder: PromptEncoder,
    studies: list[Study],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = PromptEncoder(policy.processor, knobs.model_copy(update={"image_workers": 2}))
    many = [replace(study, indication=f"Reason {i}.") for i in range(8) for study in studies]
    plain = [encoder(study) for study in many]
    original, threads = prompts.to_pil, set()

    def to_pil(path: Path) -> Image.Image:
        threads.add(threading.current_thread().name.split("_")[0])
        return original(path)

    monkeypatch.setattr(prompts, "to_pil", to_pil)
    quick.ahead(many)
    made = [quick(study) for study in many]
    assert threads == {"images"}
    for a, b in zip(made, plain, strict=True):
        assert torch.equal(a.input_ids, b.input_ids)
        assert all(torch.equal(a.image_fields[n], b.image_fields[n]) for n in b.image_fields)


def test_the_reports_are_the_same(policy: Policy, knobs: PolicyKnobs, studies: list[Study]) -> None:
    threads = knobs.model_copy(update={"image_workers": 2})
    quick = replace(policy, encoder=PromptEncoder(policy.processor, threads, max_bytes=1))
    many = [replace(study, indication=f"Reason {i}.") for i in range(3) for study in studies]
    texts = [
        [c.text for _, c in greedy_reports(p, many, max_new_tokens=6, batch_size=2)]
        for p in (policy, quick, quick)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_a_study_that_fails_does_so_when_it_is_called(
    policy: Policy, knobs: PolicyKnobs, studies: list[Study], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(studies[0].images[0].read_bytes()[:200])
    bad = replace(studies[0], images=(tmp_path / "bad.png",))
    quick = PromptEncoder(policy.processor, knobs.model_copy(update={"image_workers": 1}))
    quick.ahead([bad, studies[1]])
    quick(studies[1])
    with pytest.raises(DataError, match="truncated"):
        quick(bad)


def test_work_runs_beside_and_what_is_not_wanted_is_given_up() -> None:
    entered, leave, done = threading.Barrier(3), threading.Event(), []

    def work(processor: list[int]) -> int:
        entered.wait(timeout=10)
        leave.wait(timeout=10)
        done.append(id(processor))
        return len(done)

    ahead = Ahead([1], 2)
    ahead.begin({"a": work, "b": work, "never": work})
    entered.wait(timeout=10)  # both threads are in their work at once
    ahead.begin({"a": work, "b": work})
    leave.set()
    assert {ahead.take("a"), ahead.take("b")} == {1, 2}
    assert len(set(done)) == 2  # each with a processor of its own
    assert ahead.take("never") is None
    assert ahead.take("a") is None


@pytest.fixture
def process_wide() -> Generator[None]:
    """Put the switches of the process back."""
    logger = logging.getLogger("pydicom")
    was = logger.disabled, logger.propagate
    with warnings.catch_warnings():
        yield
    logger.disabled, logger.propagate = was


@pytest.mark.usefixtures("process_wide")
def test_a_thread_that_is_done_takes_no_guard_from_one_that_still_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the order in which two threads may enter and leave."""
    Image.new("L", (30, 30)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    warnings.simplefilter("default")
    ahead = Ahead([1], 1)
    ahead.begin({"a": lambda processor: None})
    ahead.take("a")
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    logging.getLogger("pydicom").warning("PatientName: Doe")
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn_explicit("PatientName: Doe", UserWarning, "x.py", 1, module="pydicom.dataset")
    second.__exit__(None, None, None)
    assert "Doe" not in caplog.text
    assert not shown
    with pytest.raises(Image.DecompressionBombWarning):
        Image.open(tmp_path / "large.png")
    with pytest.raises(DataError, match="decompression bomb"):
        check_image(tmp_path / "large.png")
