"""R2GenGPT, MedVersa and RadFM: published files, through the command, give what the equations give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import equations
import published_files as files
from radflow.config import load_recipe
from radflow.policy import Policy, load_policy, own_reports
from radflow.policy.prompts import collate
from radflow.reports import Report
from radflow.studies import Study

Command = Callable[..., tuple[int, str, str]]
REPLY = " The lungs are clear."
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama, a Swin, and two films of noise that differ."""
    folder = tmp_path_factory.mktemp("parts")
    torch.manual_seed(0)
    files.llama_folder(folder / "llama")
    files.swin_folder(folder / "swin")
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (50, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def study(parts: Path, *, images: int = 2) -> Study:
    return Study(
        study_id="s",
        patient_id="p",
        images=tuple(parts / f"{i}.png" for i in range(images)),
        reference=Report(text="Clear.", findings=None, impression=None),
        indication="Cough.",
    )


def pixels(path: Path, edge: int, resample: Image.Resampling, numbers: Any = None) -> Tensor:
    film = Image.open(path).convert("RGB").resize((edge, edge), resample)
    seen = torch.from_numpy(np.array(film)).permute(2, 0, 1) / 255
    if numbers is None:
        return seen
    mean, std = (torch.tensor(n)[:, None, None] for n in numbers)
    return (seen - mean) / std


def converted(command: Command, name: str, *sources: Path, out: Path) -> str:
    status, said, wrong = command("baselines", "convert", name, *sources, "--out", out)
    assert status == 0, wrong
    return said


def loaded(folder: Path) -> Policy:
    """As a run or a draft loads it, with the words of its own recipe."""
    return load_policy(folder, load_recipe(folder / "recipe.toml").policy.model_copy(update={"lora_rank": 2}))


def logits_of(policy: Policy, asked: Study, reply: Sequence[int]) -> Tensor:
    prompt = policy.encoder(asked)
    with torch.no_grad():
        got = policy.model(**collate([prompt], [list(reply)], pad_id=policy.pad_id)).logits[0]
    return got.float()


def llama(parts: Path, weights: Any, rows: Sequence[Tensor]) -> Tensor:
    own = {n.removeprefix("model."): t for n, t in weights.items() if n.startswith("model.")}
    x = torch.cat(list(rows))
    return equations.llama_logits(own, weights["lm_head.weight"], x, heads=files.HEADS, eps=1e-5)


def ids(parts: Path, text: str) -> list[int]:
    tokenizer = tf.AutoTokenizer.from_pretrained(parts / "llama")
    return tokenizer(text, add_special_tokens=False).input_ids


def folded(states: dict[str, Tensor], scale: float) -> dict[str, Tensor]:
    """``W + scale B A``, layer by layer."""
    whole = {n: t.clone() for n, t in states.items() if ".lora_" not in n}
    for name, a in states.items():
        if name.endswith(".lora_A.default.weight"):
            b = states[name.replace("lora_A", "lora_B")]
            whole[name.replace("lora_A.default.", "")] += scale * b @ a
    return whole


# ---- R2GenGPT --------------------------------------------------------------------------------------------


def r2gengpt_prompt(parts: Path, states: dict[str, Tensor], swin: dict[str, Tensor]) -> list[Tensor]:
    """Embedded as the authors embed it: two texts, tokenised apart, around the views' mean."""
    words = files.saved(parts / "llama")["model.embed_tokens.weight"]
    views = [
        equations.swin(
            swin,
            pixels(parts / f"{i}.png", 224, Image.Resampling.BICUBIC, IMAGENET),
            heads=(1, 2, 4),
            window=7,
        )
        for i in range(2)
    ]
    seen = equations.linear(states, "llama_proj", torch.stack(views).mean(0))
    before = ids(parts, "Human: <Img>")
    task = "Generate a comprehensive and detailed diagnosis report for this chest xray image."
    after = ids(parts, f"</Img> {task} \nAssistant:")
    return [words[[1, *before]], equations.layer_norm(states, "layer_norm", seen), words[after]]


@pytest.mark.filterwarnings("ignore:Passing `repetition_penalty`")  # of the reference, as its authors call it
@pytest.mark.parametrize("form", ["shallow", "delta", "deep"])
def test_r2gengpt(form: str, parts: Path, command: Command, tmp_path: Path) -> None:
    torch.manual_seed(1)
    states = files.r2gengpt_states(form, parts / "swin")
    weights = files.r2gengpt_file(tmp_path / "checkpoint_epoch3_step9_bleu0.1_cider0.2.pth", states)
    said = converted(command, "r2gengpt", weights, parts / "swin", parts / "llama", out=tmp_path / "model")
    assert f"the form is {form}" in said
    swin = files.saved(parts / "swin")
    if form == "deep":
        swin = equations.under(states, "visual_encoder.")
    if form == "delta":  # alpha 8, rank 4
        swin = folded(swin | equations.under(states, "visual_encoder.base_model.model."), 2.0)
    rows = r2gengpt_prompt(parts, states, swin)
    base = files.saved(parts / "llama")
    reply = ids(parts, REPLY)
    expected = llama(parts, base, [*rows, base["model.embed_tokens.weight"][reply]])

    policy = loaded(tmp_path / "model")
    got = logits_of(policy, study(parts), reply)
    assert got.shape[0] == expected.shape[0]
    torch.testing.assert_close(got[:, :-1], expected, atol=2e-4, rtol=1e-3)
    assert (
        got[:, -1].log_softmax(-1).shape and (got[:, -1] == -1e4).all()
    )  # the token that stands for pictures
    mixed = [policy.encoder(study(parts, images=number)) for number in (1, 2)]
    with torch.no_grad():  # a study of one view is filled up to two
        both = policy.model(**collate(mixed, [reply, reply], pad_id=policy.pad_id)).logits
    torch.testing.assert_close(both[1].float(), got, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(both[0], both[1], atol=1e-2)
    if form == "shallow":
        check_beams(policy, parts, rows)


def check_beams(policy: Policy, parts: Path, rows: list[Tensor]) -> None:
    """Decoded as the authors do, who give Llama embeddings and these settings."""
    language = tf.LlamaForCausalLM.from_pretrained(parts / "llama")
    language.generation_config = tf.GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    wanted = language.generate(
        inputs_embeds=torch.cat(rows)[None],
        attention_mask=torch.ones(1, sum(map(len, rows)), dtype=torch.long),
        num_beams=3,
        do_sample=False,
        min_new_tokens=80,
        max_new_tokens=120,
        repetition_penalty=2.0,
        length_penalty=2.0,
    )[0].tolist()
    asked = study(parts)
    [(_, one)] = own_reports(policy, [asked], max_new_tokens=5, seeds=[0])
    got = list(one.token_ids)
    assert 80 <= len(got) <= 120
    assert got == wanted[: len(got)] and len(set(got)) > 10
    [_, (_, other)] = own_reports(policy, [study(parts, images=1), asked], max_new_tokens=5, seeds=[0, 0])
    assert list(other.token_ids) == got


def test_r2gengpt_begins_as_its_authors_do(parts: Path, command: Command, tmp_path: Path) -> None:
    said = converted(command, "r2gengpt", parts / "swin", parts / "llama", out=tmp_path / "model")
    assert "a fresh connector" in said
    policy = loaded(tmp_path / "model")
    assert torch.isfinite(logits_of(policy, study(parts), [5])).all()


# ---- MedVersa --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("saved_as", ["one file", "shards of newer PEFT"])
def test_medversa(saved_as: str, parts: Path, command: Command, tmp_path: Path) -> None:
    torch.manual_seed(2)
    states = files.medversa_states(parts / "llama", parts / "swin")
    write_medversa(tmp_path / "medversa", states, shards=saved_as != "one file")
    said = converted(command, "medversa", tmp_path / "medversa", parts / "llama", out=tmp_path / "model")
    parts_left = "text_det., model_seg_2d., text2seg_, visual_encoder_3d., ln_vision_3d., llama_proj_3d."
    assert f"left out 10 tensors ({parts_left})" in said
    weights = {
        name.replace("lm_head.0.", "lm_head."): tensor
        for name, tensor in folded(equations.under(states, "llama_model.base_model.model."), 1.0).items()
        if not name.endswith("inv_freq")
    }
    words = weights["model.embed_tokens.weight"]
    swin = equations.under(states, "visual_encoder_2d.")
    rows = [words[[1]]]
    text = "###Human:"
    for i in range(2):
        seen = pixels(parts / f"{i}.png", 224, Image.Resampling.BILINEAR, CLIP)
        grid = equations.swin(swin, seen, heads=(1, 2, 4), window=7).T.unflatten(1, (7, 7))
        bins = [(0, 3), (2, 5), (4, 7)]  # of 7 in 3, as adaptive averages have them
        nine = torch.stack([grid[:, a:b, c:d].mean((1, 2)) for a, b in bins for c, d in bins])
        tokens = equations.linear(states, "llama_proj_2d", equations.layer_norm(states, "ln_vision_2d", nine))
        rows += [words[behind(parts, f"{text}<img{i}>", first=i == 0)], tokens]
        text = f"</img{i}>"
    asked = (
        "<context>Indication: Cough.</context>"
        "Can you provide a report of <img0><img1> with findings and impression?###Assistant:"
    )
    reply = ids(parts, REPLY)
    rows += [words[behind(parts, text, first=False)], words[ids(parts, asked)], words[reply]]
    policy = loaded(tmp_path / "model")
    got = logits_of(policy, study(parts), reply)
    torch.testing.assert_close(got, llama(parts, weights, rows), atol=2e-4, rtol=1e-3)
    if saved_as == "one file":
        check_drawn(policy, parts)


def behind(parts: Path, text: str, *, first: bool) -> list[int]:
    """Tokens of a text that follows a picture without a space, which is no text of its own."""
    return ids(parts, text) if first else ids(parts, f"\n{text}")[len(ids(parts, "\n")) :]


def write_medversa(folder: Path, states: dict[str, Tensor], *, shards: bool) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"config": {"max_txt_len": 256}}')
    states = {name: tensor.contiguous().clone() for name, tensor in states.items()}
    embeddings = "llama_model.base_model.model.model.embed_tokens.weight"
    if not shards:  # safetensors keeps one of the two names of a shared tensor
        states["embed_tokens.weight"] = states.pop(embeddings)
        states["embed_states.weight"] = states.pop("llama_model.base_model.model.lm_head.0.weight")
        save_file(states, folder / "model.safetensors")
        return
    adapted = {n.partition(".lora_")[0] for n in states if ".lora_" in n}
    states = {
        n.replace(".weight", ".base_layer.weight") if n.removesuffix(".weight") in adapted else n: t
        for n, t in states.items()
    }
    states["embed_tokens.weight"] = states[embeddings].clone()
    names = sorted(states)
    places = {n: f"pytorch_model-0000{1 + (i >= 20)}-of-00002.bin" for i, n in enumerate(names)}
    for shard in sorted(set(places.values())):
        torch.save({n: states[n] for n in names if places[n] == shard}, folder / shard)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


def check_drawn(policy: Policy, parts: Path) -> None:
    """A report is drawn from its seed, whatever is beside it, and ends before ``###``."""
    tokenizer = policy.tokenizer
    assert policy.end_ids[-1] == tokenizer.eos_token_id == 2
    for text in ("###", "clear.###"):
        assert any(i in policy.end_ids for i in ids(parts, text)[-3:])
    asked = [study(parts), study(parts, images=1)]
    own = policy.model.generation_config
    assert (own.do_sample, own.temperature, own.top_p, own.num_beams or 1) == (True, 0.1, 0.9, 1)  # ty: ignore
    own.temperature, own.max_new_tokens = 3.0, 40  # ty: ignore
    texts = [one.token_ids for _, one in own_reports(policy, asked, max_new_tokens=5, seeds=[3, 4])]
    again = [one.token_ids for _, one in own_reports(policy, asked[1:], max_new_tokens=5, seeds=[4])]
    other = [one.token_ids for _, one in own_reports(policy, asked[1:], max_new_tokens=5, seeds=[5])]
    assert texts[1] == again[0] != other[0]


# ---- RadFM -----------------------------------------------------------------------------------------------


def test_radfm(parts: Path, command: Command, tmp_path: Path) -> None:
    torch.manual_seed(3)
    states = files.radfm_states(parts / "llama")
    torch.save(states, tmp_path / "pytorch_model.bin")
    said = converted(
        command, "radfm", tmp_path / "pytorch_model.bin", parts / "llama", out=tmp_path / "model"
    )
    assert "left out 10 tensors (embedding_layer.bert_, embedding_layer.transformer_decoder" in said
    weights = equations.under(states, "lang_model.")
    words, marks = weights["model.embed_tokens.weight"], states["embedding_layer.figure_token_weight"]
    rows = [words[[1]]]
    for i in range(2):
        seen = pixels(parts / f"{i}.png", files.RADFM_EDGE, Image.Resampling.BICUBIC)
        tokens = equations.radfm_tokens(
            equations.under(states, "embedding_layer."), seen, patch=files.RADFM_PATCH
        )
        rows += [marks[:1], tokens, marks[1:]]
    reply = ids(parts, REPLY)
    rows += [words[ids(parts, "Please write a radiology report for this image.")], words[reply]]
    policy = loaded(tmp_path / "model")
    got = logits_of(policy, study(parts), reply)
    torch.testing.assert_close(got[:, :-3], llama(parts, weights, rows), atol=2e-4, rtol=1e-3)
    assert (got[:, -3:] == -1e4).all()


# ---- what is wrong with a checkpoint ---------------------------------------------------------------------


class Odd:
    """No tensor."""


def renamed(states: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in states.items()}


def refused(command: Command, name: str, *sources: Path, out: Path) -> str:
    status, _, wrong = command("baselines", "convert", name, *sources, "--out", out)
    assert status == 1 and not out.exists()
    assert len(wrong.strip().splitlines()) == 1, wrong
    return wrong


def test_checkpoints_of_r2gengpt_that_are_not_whole(parts: Path, command: Command, tmp_path: Path) -> None:
    torch.manual_seed(1)
    states, under = files.r2gengpt_states("delta", parts / "swin"), (parts / "swin", parts / "llama")
    at = "visual_encoder.base_model.model.encoder.layers.0.blocks.0.attention.self.query"
    cases: dict[str, dict[str, Any]] = {
        "missing llama_proj.weight; not known llama_proj.wieght": renamed(
            states, "llama_proj.weight", "llama_proj.wieght"
        ),
        "got llm_proj.bias besides": states | {"llm_proj.bias": torch.zeros(3)},
        "expected a tensor under 'llama_proj.bias', got int": states | {"llama_proj.bias": 3},
        "one that needs code to be read": states | {"llama_proj.bias": Odd()},
        "attention.self.query with weight, lora_A and lora_B, found it without one": {
            n: t for n, t in states.items() if n != f"{at}.lora_B.default.weight"
        },
        "of another shape layer_norm.bias; layer_norm.bias is 7 there, the model's 32": states
        | {"layer_norm.bias": torch.zeros(7)},
    }
    for said, wrong in cases.items():
        weights = files.r2gengpt_file(tmp_path / "c.pth", wrong)
        assert said in refused(command, "r2gengpt", weights, *under, out=tmp_path / "out")
    torch.save(states, tmp_path / "c.pth")
    said = refused(command, "r2gengpt", tmp_path / "c.pth", *under, out=tmp_path / "out")
    assert "expected a checkpoint with its weights under 'model', got llama_proj.weight, " in said
    deep = files.r2gengpt_states("deep", parts / "swin")
    del deep["visual_encoder.layernorm.bias"]
    weights = files.r2gengpt_file(tmp_path / "c.pth", deep)
    said = refused(command, "r2gengpt", weights, *under, out=tmp_path / "out")
    assert "missing visual_encoder.layernorm.bias" in said
    said = refused(command, "r2gengpt", weights, parts / "llama", parts / "llama", out=tmp_path / "out")
    assert "expected a vision tower" in said
    said = refused(command, "r2gengpt", weights, out=tmp_path / "out")
    assert "expected [CHECKPOINT.pth] SWIN LLAMA, got 1 of them" in said
    shutil.copytree(parts / "llama", tmp_path / "legacy")
    settings = tmp_path / "legacy" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"legacy": True}))
    said = refused(command, "r2gengpt", parts / "swin", tmp_path / "legacy", out=tmp_path / "out")
    assert "set legacy to false in its tokenizer_config.json" in said


def test_checkpoints_of_medversa_and_radfm_that_are_not_whole(
    parts: Path, command: Command, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    states = files.medversa_states(parts / "llama", parts / "swin")
    folder, out = tmp_path / "medversa", tmp_path / "out"
    write_medversa(folder, states, shards=True)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    said = refused(command, "medversa", folder, parts / "llama", out=out)
    assert "names 2 shards; pytorch_model-00002-of-00002.bin is not there; fetch it again" in said
    weights = folder / "pytorch_model.bin"
    at = "llama_model.base_model.model.model.layers.1.mlp.up_proj.weight"
    for said, wrong in {
        f"missing {at}; not known {at}s": renamed(states, at, f"{at}s"),
        "missing ln_vision_2d.weight": {n: t for n, t in states.items() if n != "ln_vision_2d.weight"},
        "two names of embed_tokens.weight, got two that differ": states
        | {"embed_tokens.weight": torch.zeros(3)},
        "a Swin under visual_encoder_2d.": {
            n: t for n, t in states.items() if "relative_position_bias_table" not in n
        },
    }.items():
        torch.save(wrong, weights)
        assert said in refused(command, "medversa", weights, parts / "llama", out=out)
    radfm = files.radfm_states(parts / "llama")
    at = "embedding_layer.perceiver.layers.5.1.3.weight"
    for said, wrong in {
        f"missing {at}; not known {at}s": renamed(radfm, at, f"{at}s"),
        "missing embedding_layer.figure_token_weight": {
            n: t for n, t in radfm.items() if "figure_token" not in n
        },
        "one tensor under the two names of embed_tokens.weight": radfm
        | {"embedding_layer.weight": torch.zeros(3)},
        "got seg_head.weight besides": radfm | {"seg_head.weight": torch.zeros(3)},
    }.items():
        torch.save(wrong, weights)
        assert said in refused(command, "radfm", weights, parts / "llama", out=out)
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "damaged file" in refused(command, "radfm", weights, parts / "llama", out=out)
