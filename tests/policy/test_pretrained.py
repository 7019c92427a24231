"""Model folders that are damaged, incomplete or of another kind: one sentence each, and no code is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from hub_folders import write_hub_folder
from radflow.config import Policy as PolicyKnobs
from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.policy import load_policy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hub_folder("qwen2_5_vl", tmp_path_factory.mktemp("whole"), texts=["Clear lungs."] * 4)


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])


def pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def a_layer_short(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if ".layers.1." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def configured(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


def wider(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    configured(text_config=text | {"intermediate_size": 96})(folder)


def own_code(folder: Path) -> None:
    (folder / "config.json").write_text(
        json.dumps({"model_type": "internvl_chat", "auto_map": {"AutoConfig": "code.Config"}})
    )
    (folder / "code.py").write_text("raise SystemExit('code of the folder ran')")


def broken_chat(folder: Path) -> None:
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{% for %}"}))


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
DAMAGE: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "cut short": (cut_short, DataError, "expected a model that transformers .* loads"),
    "a pointer of Git LFS": (pointer, DataError, "expected a model that transformers .* loads"),
    "not safetensors": (no_weights, MissingFileError, "with safetensors weights"),
    "a layer short": (a_layer_short, DataError, r"a model without 12 of them, such as .*layers\.1\."),
    "other shapes": (wider, DataError, r"other shapes than its config\.json says"),
    "a language model": (configured(model_type="llama"), DataError, "expected a model that transformers"),
    "of a kind nobody knows": (configured(model_type="nonesuch"), DataError, "expected a model that transf"),
    "code of its own": (own_code, DataError, r"policy\.trust_remote_code.*ends in -hf"),
    "quantised": (configured(quantization_config=AWQ), MissingDependencyError, "needs a package"),
    "a broken template": (broken_chat, DataError, "its chat template cannot be filled in"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_wrong_with_a_folder_is_said(damage: str, whole: Path, tmp_path: Path) -> None:
    change, kind, words = DAMAGE[damage]
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    change(folder)
    with pytest.raises(kind, match=words) as caught:
        load_policy(folder, PolicyKnobs())
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
