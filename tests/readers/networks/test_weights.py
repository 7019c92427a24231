import json
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertTokenizer

from radflow.errors import DataError, MissingFileError
from radflow.readers.networks.weights import (
    config_facts,
    fingerprint,
    load_weights,
    read_weights,
    tokenizer_facts,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


class Payload:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return (print, ("code from a weights file was run",))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("around", ["nothing", "checkpoint", "data parallel"])
def test_files_of_torch_save_are_read(model, tmp_path, zipped, around):
    weights = model.state_dict()
    content = {
        "nothing": weights,
        "checkpoint": {
            "epoch": 3,
            "model_state_dict": weights,
            "optimizer_state_dict": torch.optim.Adam(model.parameters()).state_dict(),
        },
        "data parallel": {"state_dict": {f"module.{name}": value for name, value in weights.items()}},
    }[around]
    path = tmp_path / "weights.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(path) == zipped
    assert same(read_weights(path), weights)


def test_safetensors_are_read(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    assert same(read_weights(tmp_path / "model.safetensors"), model.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path, capsys, zipped):
    path = tmp_path / "evil.pth"
    torch.save({"model_state_dict": Payload()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=r"evil\.pth.*needs code to be read.*safetensors"):
        read_weights(path)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pth"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>not found</html>", b"\x80\x02}q\x00."])
def test_a_damaged_file_is_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\."):
        read_weights(path)


def test_a_cut_off_file_is_named(model, tmp_path):
    for name, save in (("cut.pth", torch.save), ("cut.safetensors", save_file)):
        path = tmp_path / name
        save(model.state_dict(), path)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(DataError, match=r"cut\."):
            read_weights(path)


def test_what_is_not_a_state_dict_is_refused(tmp_path):
    for content in ([1, 2], {"epoch": 3}, {"model_state_dict": 7}):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(DataError, match="Expected a state dict"):
            read_weights(tmp_path / "other.pth")
    with pytest.raises(MissingFileError, match=r"none\.pth"):
        read_weights(tmp_path / "none.pth")


def test_weights_are_put_in(model):
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    load_weights(other, {**model.state_dict(), "pooler.weight": torch.ones(1)}, "here", unused=["pooler."])
    assert same(other.state_dict(), model.state_dict())


def test_every_name_that_does_not_fit_is_listed(model):
    weights = {**model.state_dict(), "0.weight": torch.ones(4, 4), "extra": torch.ones(1)}
    del weights["1.bias"]
    with pytest.raises(DataError) as caught:
        load_weights(model, weights, "here.pth")
    for part in ("here.pth", "missing: 1.bias", "unexpected: extra", "0.weight (4, 4) for (2, 3)"):
        assert part in str(caught.value)


def test_the_fingerprint_sees_every_weight_and_fact(model):
    first = fingerprint(model, "reader/1", {"dtype": "float32"})
    assert first == fingerprint(model, "reader/1", {"dtype": "float32"})
    assert first != fingerprint(model, "reader/1", {"dtype": "bfloat16"})
    assert fingerprint(model.bfloat16()) != first
    with torch.no_grad():
        model[0].weight[1, 2] += 0.5
    assert fingerprint(model, "reader/1", {"dtype": "float32"}) != first


def test_facts_do_not_hold_where_things_lie(tmp_path):
    config = BertConfig(hidden_size=32, num_attention_heads=2)
    config.save_pretrained(tmp_path)
    assert config_facts(BertConfig.from_pretrained(tmp_path)) == config_facts(config)
    assert config_facts(config)["hidden_size"] == 32
    json.dumps(config_facts(config))


def test_tokenizer_facts_see_the_vocabulary_and_not_the_calls():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "edema"]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    facts = tokenizer_facts(tokenizer)
    tokenizer(["no"], truncation=True, max_length=4, padding="max_length")
    assert tokenizer_facts(tokenizer) == facts
    cased = BertTokenizer(vocab={word: number for number, word in enumerate(words)}, do_lower_case=False)
    assert tokenizer_facts(cased) != facts
