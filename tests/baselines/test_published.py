"""Checkpoints are read as tensors, and every tensor is accounted for."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from radflow.baselines.published import Published, folded, read_published, settings_of
from radflow.errors import DataError


def test_settings_of_lightning_are_read_as_a_plain_dictionary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("lightning.fabric.utilities.data")
    module.AttributeDict = type("AttributeDict", (dict,), {"__module__": module.__name__})  # ty: ignore
    for name in ("lightning", "lightning.fabric", "lightning.fabric.utilities", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    content = {"model": {"x": torch.ones(2)}, "config": module.AttributeDict(vis_alpha=8)}  # ty: ignore
    torch.save(content, tmp_path / "c.pth")
    monkeypatch.undo()
    found = read_published(tmp_path / "c.pth", key="model")
    assert settings_of(found) == {"vis_alpha": 8}
    assert torch.equal(found.take("")["x"], torch.ones(2))
    torch.save({"model": {}, "config": Namespace(vis_alpha=4)}, tmp_path / "c.pth")
    assert settings_of(read_published(tmp_path / "c.pth", key="model")) == {"vis_alpha": 4}
    torch.save({"model": {}, "config": None}, tmp_path / "c.pth")
    assert settings_of(read_published(tmp_path / "c.pth", key="model")) == {}


def test_every_tensor_is_taken_or_left_out_for_a_reason() -> None:
    names = ("a.x", "a.y.index", "b.x", "c.x")
    published = Published(source=Path("f"), left={name: torch.ones(1) for name in names})
    published.leave("a.", ending=".index", why="it follows")
    published.leave("c.", "d.", why="not ours")
    assert list(published.take("a.")) == ["x"]
    with pytest.raises(DataError, match=r"f: expected no tensors but those of the system, got b\.x besides"):
        published.close()
    assert list(published.take("b.")) == ["x"]
    assert published.close() == [
        "left out 1 tensor (a. ... .index): it follows",
        "left out 1 tensor (c.): not ours",
    ]


@pytest.mark.parametrize("base", ["q.weight", "q.base_layer.weight"])
def test_lora_is_folded_in(base: str) -> None:
    whole, a, b = torch.randn(3, 4), torch.randn(2, 4), torch.randn(3, 2)
    weights = {base: whole, "q.lora_A.default.weight": a, "q.lora_B.default.weight": b, "k": whole}
    found = folded(weights, 6.0, Path("f"))
    assert list(found) == ["q.weight", "k"]
    torch.testing.assert_close(found["q.weight"], whole + 3 * b @ a)
    with pytest.raises(DataError, match="lora_A 2 x 4 and lora_B 2 x 3 do not go with 3 x 4"):
        folded(weights | {"q.lora_B.default.weight": b.T}, 6.0, Path("f"))
