"""Encoded studies on disk: the same bits, never a stale or a half file, within bounds."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from radflow.config import Policy as PolicyKnobs
from radflow.errors import DataError
from radflow.policy import Policy, PromptEncoder, prompts
from radflow.policy.images.pixels_files import SUFFIX, processor_fingerprint
from radflow.policy.prompts import EncodedPrompt
from radflow.studies import Study


@pytest.fixture
def encode(policy: Policy, knobs: PolicyKnobs, tmp_path: Path) -> Callable[..., PromptEncoder]:
    """A new encoder over the same folder, which remembers nothing."""

    def encode(**more: object) -> PromptEncoder:
        how = {"instruction": knobs.prompt, "folder": tmp_path / "kept", "max_bytes": 1, **more}
        return PromptEncoder(policy, **how)

    return encode


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pictures that were decoded."""
    seen: list[Path] = []
    original = prompts.to_pil

    def to_pil(path: Path) -> Image.Image:
        seen.append(path)
        return original(path)

    monkeypatch.setattr(prompts, "to_pil", to_pil)
    return seen


def same(a: EncodedPrompt, b: EncodedPrompt) -> bool:
    fields = [
        {"ids": p.input_ids, **p.token_fields, **{f"i{n}": t for n, t in p.image_fields.items()}}
        for p in (a, b)
    ]
    return set(fields[0]) == set(fields[1]) and all(
        torch.equal(fields[0][n], fields[1][n]) and fields[0][n].dtype == fields[1][n].dtype
        for n in fields[0]
    )


def files(folder: Path) -> list[Path]:
    return sorted((folder / "kept").glob(f"*{SUFFIX}"))


def test_a_kept_study_is_the_same_and_not_decoded_again(
    encode: Callable[..., PromptEncoder],
    encoder: PromptEncoder,
    studies: list[Study],
    decoded: list[Path],
    tmp_path: Path,
) -> None:
    made = [encode()(study) for study in studies]
    assert len(decoded) == 4
    again = [encode()(study) for study in studies]
    assert len(decoded) == 4
    plain = [encoder(study) for study in studies]
    assert all(same(a, b) and same(a, c) for a, b, c in zip(made, again, plain, strict=True))
    assert len(files(tmp_path)) == 3


def test_what_changes_the_pixels_makes_another_file(
    encode: Callable[..., PromptEncoder],
    studies: list[Study],
    policy: Policy,
    decoded: list[Path],
    tmp_path: Path,
) -> None:
    picture = tmp_path / "a.png"
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(picture, compress_level=0)
    study = replace(studies[0], images=(picture,))
    black = encode()(study)
    size = picture.stat().st_size
    Image.fromarray(np.full((40, 40), 99, np.uint8)).save(picture, compress_level=0)
    assert picture.stat().st_size == size
    os.utime(picture, ns=(1, 1))
    assert not same(encode()(study), black)
    encode(instruction="Other words.")(study)
    policy.processor.image_processor.image_mean = [0.25] * 3
    encode()(study)
    assert len(decoded) == len(files(tmp_path)) == 4


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_made_again(
    harm: str,
    encode: Callable[..., PromptEncoder],
    studies: list[Study],
    decoded: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = encode()(studies[0])
    [path] = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "flipped": content, "empty": b""}[harm])
    with caplog.at_level(logging.WARNING):
        assert same(encode()(studies[0]), before)
    assert len(decoded) == 2
    assert "damaged" in caplog.text
    assert same(encode()(studies[0]), before)
    assert len(decoded) == 2


def test_what_a_kill_left_behind_is_never_read_and_goes_in_its_turn(
    encode: Callable[..., PromptEncoder], studies: list[Study], tmp_path: Path
) -> None:
    encode()(studies[0])
    [whole] = files(tmp_path)
    half = whole.with_name(f".{whole.name}.x1y2z3")
    half.write_bytes(whole.read_bytes()[:100])
    os.utime(half, ns=(1, 1))
    small = encode(max_disk_bytes=whole.stat().st_size * 3 // 2)
    small(studies[2])
    assert not half.exists()


def test_the_oldest_go_first_and_the_bound_holds(
    encode: Callable[..., PromptEncoder], studies: list[Study], tmp_path: Path
) -> None:
    encode()(studies[0])
    size = files(tmp_path)[0].stat().st_size
    tight = encode(max_disk_bytes=int(2.5 * size))
    for number in range(6):
        tight(replace(studies[0], indication=f"Number {number}."))
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 2.5 * size
    assert len(files(tmp_path)) == 2


def test_an_error_names_what_is_wrong_with_the_study(
    encode: Callable[..., PromptEncoder], studies: list[Study], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="prompt has"):
        encode(max_tokens=3)(studies[0])
    with pytest.raises(DataError, match="prompt has"):  # kept by now, and still too long
        encode(max_tokens=3)(studies[0])
    with pytest.raises(FileNotFoundError, match="no such image file"):
        encode()(replace(studies[0], images=(tmp_path / "gone.png",)))


def test_a_folder_that_cannot_be_written_costs_time_only(
    encode: Callable[..., PromptEncoder], encoder: PromptEncoder, studies: list[Study], tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text("a file")
    assert same(encode()(studies[0]), encoder(studies[0]))


def test_the_fingerprint_is_of_settings_and_words(policy: Policy) -> None:
    first = processor_fingerprint(policy.processor)
    assert first == processor_fingerprint(policy.processor)
    assert first != processor_fingerprint(policy.processor, True)
    policy.tokenizer.add_tokens(["zyx"])
    assert first != processor_fingerprint(policy.processor)
