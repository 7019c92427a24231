import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from radflow.errors import DataError, NotWritableError
from radflow.training.checkpoint import load_checkpoint, restore_weights, save_checkpoint, trainable_weights


def frozen_and_free(width: int = 3) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    model[0].requires_grad_(False)
    return model


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.arange(6.0).view(2, 3)).square().sum().backward()
    optimizer.step()


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return frozen_and_free()


@pytest.fixture
def optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)


def test_only_what_is_trained_is_kept_and_as_a_copy(model: nn.Sequential) -> None:
    kept = trainable_weights(model)
    assert set(kept) == {"1.weight", "1.bias"}
    before = kept["1.bias"].clone()
    with torch.no_grad():
        model[1].bias.add_(1)
    assert torch.equal(kept["1.bias"], before)


def test_training_goes_on_exactly_where_it_was(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    for _ in range(3):
        step(model, optimizer)
    best = trainable_weights(model)
    step(model, optimizer)
    folder = tmp_path / "checkpoint"
    save_checkpoint(folder, model=model, optimizer=optimizer, state={"step": 4, "losses": [0.1]}, best=best)
    step(model, optimizer)
    expected = trainable_weights(model)

    torch.manual_seed(0)
    again = frozen_and_free()
    fresh = torch.optim.AdamW([p for p in again.parameters() if p.requires_grad], lr=0.7)
    loaded = load_checkpoint(folder, model=again, optimizer=fresh)
    assert loaded is not None
    state, kept = loaded
    assert state == {"step": 4, "losses": [0.1]}
    assert kept is not None
    assert all(torch.equal(kept[name], best[name]) for name in best)
    step(again, fresh)
    assert all(torch.equal(value, expected[name]) for name, value in trainable_weights(again).items())


def test_nothing_there_is_none(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    before = trainable_weights(model)
    assert load_checkpoint(tmp_path / "none", model=model, optimizer=optimizer) is None
    assert all(torch.equal(value, before[name]) for name, value in trainable_weights(model).items())


def test_a_checkpoint_without_a_best_step_says_so(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "c", model=model, optimizer=optimizer, state={}, best=None)
    assert load_checkpoint(tmp_path / "c", model=model, optimizer=optimizer) == ({}, None)


def test_a_kill_between_the_two_renames_costs_nothing(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "c", model=model, optimizer=optimizer, state={"step": 7}, best=None)
    (tmp_path / "c").rename(tmp_path / ".c.old")
    loaded = load_checkpoint(tmp_path / "c", model=model, optimizer=optimizer)
    assert loaded is not None
    assert loaded[0] == {"step": 7}


def test_a_save_that_fails_leaves_the_one_before(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "c", model=model, optimizer=optimizer, state={"step": 1}, best=None)
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_checkpoint(tmp_path / "c", model=model, optimizer=optimizer, state={"step": object()}, best=None)
    loaded = load_checkpoint(tmp_path / "c", model=model, optimizer=optimizer)
    assert loaded is not None
    assert loaded[0] == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("other", "odd"), [(nn.Linear(3, 2), "1.bias"), (frozen_and_free(width=4), "1.weight")]
)
def test_weights_of_another_model_are_refused(model: nn.Sequential, other: nn.Module, odd: str) -> None:
    before = trainable_weights(model)
    with pytest.raises(DataError, match=rf"not this model's \(first difference: {odd}\)"):
        restore_weights(model, trainable_weights(other))
    assert all(torch.equal(value, before[name]) for name, value in trainable_weights(model).items())


@pytest.mark.parametrize("name", ["weights.safetensors", "best.safetensors", "optimizer.pt", "state.json"])
@pytest.mark.parametrize("damage", ["delete", "halve", "flip"])
def test_a_damaged_checkpoint_is_named_and_not_used(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path, name: str, damage: str
) -> None:
    step(model, optimizer)
    folder, best = tmp_path / "sft" / "checkpoint", trainable_weights(model)
    save_checkpoint(folder, model=model, optimizer=optimizer, state={"step": 17}, best=best)
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # in state.json, 17 becomes 16
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "halve" else content)
    step(model, optimizer)
    before = trainable_weights(model)
    said: list[str] = []
    assert load_checkpoint(folder, model=model, optimizer=optimizer, say=said.append) is None
    why = "missing" if damage == "delete" else "damaged"
    assert said == [f"sft: the checkpoint cannot be used ({name} is {why}); the stage begins anew"]
    assert all(torch.equal(value, before[name]) for name, value in trainable_weights(model).items())


def test_a_checkpoint_that_does_not_fit_on_the_disk_is_one_line(
    model: nn.Sequential, optimizer: torch.optim.Optimizer, tmp_path: Path
) -> None:
    step(model, optimizer)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (10, 400):  # the weights do not fit; they do, and the optimiser does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(NotWritableError, match=r"c: cannot be written \(File too large\)"):
                save_checkpoint(tmp_path / "c", model=model, optimizer=optimizer, state={}, best=None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list(tmp_path.iterdir()) == []
