"""CheXpert Plus's baselines: folders as the hub lays them out beside plain transformers, and training."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    BertConfig,
    BertTokenizer,
    GenerationConfig,
    Swinv2Config,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)

from radflow.baselines.chexpert_plus.folders import build_chexpert_plus
from radflow.config import Policy as Knobs
from radflow.policy import Policy, greedy_reports, load_policy, sample_groups
from radflow.policy.families import parts_of
from radflow.policy.load import language_layers
from radflow.policy.passes.logprobs import completion_logprobs
from radflow.studies import Study

Command = Callable[..., tuple[int, str, str]]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = {
    "findings": ("lungs", "are", "clear", ".", "no", "effusion", "heart", "large", "left"),
    "impression": ("no", "acute", "process", "left", ".", "effusion", "normal", "chest", "edema", "lungs"),
}
EDGE = 32


def publish(place: Path, section: str) -> Path:
    """A folder with the file names of IAMJB/...-baseline: a small random model, words of its own."""
    torch.manual_seed(len(section))
    words = (*SPECIAL, *WORDS[section])
    vision = Swinv2Config(
        image_size=EDGE, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    )
    text = BertConfig(
        vocab_size=len(words),
        hidden_size=24,  # unlike the encoder's, so that there is a projection between them
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=160,
    )
    settings = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        vision, text, bos_token_id=2, eos_token_id=3, pad_token_id=0, decoder_start_token_id=2
    )
    model = VisionEncoderDecoderModel(settings)
    with torch.no_grad():
        for weight in model.parameters():  # the classes' spread gives one report for all pictures
            weight.add_(0.25 * torch.randn_like(weight))
        model.decoder.cls.predictions.bias[:5] -= 20  # special tokens, but the end of a section: 1.5 less
        model.decoder.cls.predictions.bias[3] += 18.5
    model.save_pretrained(place)
    (place / "vocab.txt").write_text("\n".join(words) + "\n")
    named = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL}
    (place / "special_tokens_map.json").write_text(json.dumps(named))
    tokens = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "tokenize_chinese_chars": True}
    (place / "tokenizer_config.json").write_text(json.dumps(tokens | {"strip_accents": None} | named))
    pixels = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "do_rescale": True}
    pixels |= {"size": {"height": 224, "width": 224}, "resample": 2, "rescale_factor": 1 / 255}
    pixels |= {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (place / "preprocessor_config.json").write_text(json.dumps(pixels))
    return place


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("IAMJB")
    for section in WORDS:
        publish(place / f"chexpert-mimic-cxr-{section}-baseline", section)
    return place


@pytest.fixture
def folders(hub: Path, tmp_path: Path) -> list[Path]:
    """Copies, to be damaged."""
    shutil.copytree(hub, tmp_path / "hub")
    return [tmp_path / "hub" / f"chexpert-mimic-cxr-{section}-baseline" for section in WORDS]


def plain(place: Path, picture: Path) -> str:
    """A section as the published snippet writes it; it decodes greedily, whatever its beam_width says."""
    model: Any = VisionEncoderDecoderModel.from_pretrained(place).eval()
    tokenizer: Any = BertTokenizer.from_pretrained(place)
    processor: Any = AutoImageProcessor.from_pretrained(place, backend="pil")
    processor.size = {"height": EDGE, "width": EDGE}
    pixels = processor(Image.open(picture).convert("RGB"), return_tensors="pt").pixel_values
    settings = GenerationConfig(
        bos_token_id=2, eos_token_id=3, pad_token_id=0, decoder_start_token_id=2, max_length=128
    )
    ids = model.generate(pixels, generation_config=settings)
    return tokenizer.batch_decode(ids, skip_special_tokens=True)[0]


def converted(command: Command, folders: list[Path], out: Path) -> tuple[Policy, str]:
    status, said, err = command("baselines", "convert", "chexpert-plus", *folders, "--out", out)
    assert (status, err) == (0, "")
    return load_policy(out, Knobs(image_workers=0, lora_rank=2)), said


def test_both_sections_are_those_of_plain_transformers(
    command: Command, folders: list[Path], tmp_path: Path, studies: list[Study]
) -> None:
    """Unlike vocabularies, weights as torch.save writes them in one folder, one tensor too many."""
    weights = load_file(folders[0] / "model.safetensors") | {"encoder.old": torch.ones(2)}
    torch.save(weights, folders[0] / "pytorch_model.bin")
    (folders[0] / "model.safetensors").unlink()
    policy, said = converted(command, folders, tmp_path / "model")
    assert f"{folders[0]}: left out encoder.old" in said
    for study, completion in greedy_reports(policy, studies, max_new_tokens=258):
        findings, impression = (plain(folder, study.images[0]) for folder in folders)
        assert findings and impression
        assert completion.text == f"Findings: {findings} Impression: {impression}"


@torch.no_grad()
def test_its_probabilities_are_those_of_the_two_models(
    command: Command, folders: list[Path], tmp_path: Path, studies: list[Study]
) -> None:
    policy, _ = converted(command, folders, tmp_path / "model")
    text = "Findings: heart large. Impression: no acute edema."
    ids = [*policy.tokenizer(text, add_special_tokens=False).input_ids, policy.end_ids[0]]
    prompts = [policy.prompt(study) for study in studies]
    found, _ = completion_logprobs(policy.model, prompts, [ids] * 3, pad_id=policy.pad_id)
    for row, prompt in enumerate(prompts):
        parts = []
        for place, said in zip(folders, ("heart large.", "no acute edema."), strict=True):
            model: Any = VisionEncoderDecoderModel.from_pretrained(place).eval()
            own = BertTokenizer.from_pretrained(place)(said, return_tensors="pt").input_ids
            pixels = prompt.image_fields["pixel_values"][:, 0]
            logits = model(pixel_values=pixels, decoder_input_ids=own[:, :-1]).logits
            parts.append(logits.log_softmax(-1).gather(2, own[:, 1:, None])[0, :, 0])
        # The header that begins a report is certain; the one between the sections ends the first of them.
        expected = torch.cat([torch.zeros(1), *parts])
        torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=1e-4)


def test_a_report_of_another_form_is_unlikely_and_teaches_the_same(
    command: Command, folders: list[Path], tmp_path: Path, studies: list[Study]
) -> None:
    """Findings alone, without a header: finite, off by two constants, with the gradient of its words."""
    policy, _ = converted(command, folders, tmp_path / "model")
    losses, slopes = [], []
    for text in ("Findings: heart large. Impression: normal.", "heart large."):
        ids = [*policy.tokenizer(text, add_special_tokens=False).input_ids, policy.end_ids[0]]
        policy.model.zero_grad()
        logprobs, _ = completion_logprobs(
            policy.model, [policy.prompt(studies[0])], [ids], pad_id=policy.pad_id
        )
        ours = logprobs[0, 1:5] if text.startswith("F") else logprobs[0]
        ours.sum().backward()
        losses.append(float(ours.detach().sum()))
        slopes.append(policy.model.findings.decoder.bert.encoder.layer[0].output.dense.weight.grad.clone())
    assert losses[0] - losses[1] == pytest.approx(2 * 13.8155, abs=0.1)
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-4, rtol=1e-3)


def test_a_group_is_sampled_from_one_look_at_its_picture(
    command: Command, folders: list[Path], tmp_path: Path, studies: list[Study]
) -> None:
    policy, _ = converted(command, folders, tmp_path / "model")
    seen: list[int] = []
    policy.model.findings.encoder.register_forward_pre_hook(
        lambda _, __, named: seen.append(len(named["pixel_values"])), with_kwargs=True
    )
    [group] = sample_groups(policy, studies[:1], group_size=4, max_new_tokens=12, seeds=[5])
    assert seen == [1] and len(set(group.texts)) > 1
    heads = policy.tokenizer.convert_tokens_to_ids("Findings:")
    assert {c.token_ids[0] for c in group.completions} == {heads}


def test_lora_goes_on_both_decoders_and_on_no_head(
    command: Command, folders: list[Path], tmp_path: Path
) -> None:
    policy, _ = converted(command, folders, tmp_path / "model")
    layers = language_layers(policy.model)
    assert {name.split(".")[0] for name in layers} == {"findings", "impression"}
    assert not any(name.endswith("predictions.decoder") or "encoder.encoder" in name for name in layers)
    parts = {part: sum(p.numel() for p in own) for part, own in parts_of(policy.model).items()}
    assert min(parts["language"], parts["vision"], parts["connector"]) > 0


def rename(place: Path) -> None:
    weights = load_file(place / "model.safetensors")
    weights["encoder.layernorm.renamed"] = weights.pop("encoder.layernorm.weight")
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})


def lose_a_shard(place: Path) -> None:
    weights = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    names = dict.fromkeys(weights, "model-00001-of-00002.safetensors")
    names["encoder.layernorm.weight"] = "model-00002-of-00002.safetensors"
    save_file(weights, place / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def pickle_an_object(place: Path) -> None:
    (place / "model.safetensors").unlink()
    torch.save({"encoder.layernorm.weight": argparse.Namespace(x=1)}, place / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (rename, "without 1 of them, such as encoder.layernorm.weight"),
        (lose_a_shard, "model-00002-of-00002.safetensors"),
        (pickle_an_object, "needs code to be read"),
        (lambda place: (place / "vocab.txt").unlink(), "expected BERT's tokenizer (vocab.txt"),
        (lambda place: (place / "preprocessor_config.json").unlink(), "expected preprocessor_config.json"),
        (lambda place: (place / "config.json").write_text("{"), "config.json"),
    ],
)
def test_a_damaged_folder_is_one_line(
    command: Command, folders: list[Path], tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(folders[1])
    status, _, err = command("baselines", "convert", "chexpert-plus", *folders, "--out", tmp_path / "model")
    assert status == 1 and said in err and str(folders[1]) in err and len(err.splitlines()) == 1
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        (lambda f: f[::-1], "expected the findings model here"),
        (lambda f: f[:1], "expected two folders"),
        (lambda f: [], "expected the folder of IAMJB"),
        (lambda f: [f[0], f[1] / "none"], "not there"),
    ],
)
def test_other_folders_than_asked_for_are_one_line(
    command: Command,
    folders: list[Path],
    tmp_path: Path,
    choose: Callable[[list[Path]], list[Path]],
    said: str,
) -> None:
    status, _, err = command(
        "baselines", "convert", "chexpert-plus", *choose(folders), "--out", tmp_path / "model"
    )
    assert status == 1 and said in err and len(err.splitlines()) == 1


def test_it_learns_what_pictures_show(tmp_path: Path, knobs: Knobs, studies: list[Study]) -> None:
    """From noise: three reports by heart, told apart by nothing but their pictures."""
    texts = [s.reference.canonical for s in studies]
    build_chexpert_plus(knobs, tmp_path / "m", texts=texts * 4, images=[s.images[0] for s in studies], seed=0)
    policy = load_policy(tmp_path / "m", knobs.model_copy(update={"model": "chexpert-plus"}))
    prompts = [policy.prompt(study) for study in studies]
    ids = [[*policy.tokenizer(t, add_special_tokens=False).input_ids, policy.end_ids[0]] for t in texts]
    optimiser = torch.optim.Adam(policy.model.parameters(), lr=3e-3)
    for _ in range(100):
        loss = -completion_logprobs(policy.model, prompts, ids, pad_id=policy.pad_id)[0].sum() / 60
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    written = [c.text.lower() for _, c in greedy_reports(policy, studies, max_new_tokens=24)]
    assert written == [text.lower() for text in texts]


@pytest.mark.release
def test_the_whole_workflow_from_its_name(command: Command, recipe: Path, tmp_path: Path) -> None:
    """SFT with the label loss, exploration, RFT, evaluation and card."""
    status, _, err = command("run", recipe, "--policy.model", "chexpert-plus", "--sft.label-loss", "1")
    assert (status, err) == (0, "")
    run = next((tmp_path / "runs").iterdir())
    card = (run / "rft" / "model" / "README.md").read_text()
    assert "import radflow.baselines.chexpert_plus.model" in card
    assert set(json.loads((run / "results.json").read_text())["systems"]) >= {"sft", "radflow"}
