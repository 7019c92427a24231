"""Processors of folders as the hub lays them out: with torchvision and without, saved and loaded again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers.models.auto import image_processing_auto, video_processing_auto
from transformers.models.smolvlm import processing_smolvlm

from hub_folders import LAYOUTS, as_hub_cache, write_hub_folder
from radflow.config import Policy as PolicyKnobs
from radflow.errors import DataError, MissingDependencyError, MissingFileError
from radflow.policy import Policy, PromptEncoder, load_policy
from radflow.policy.chat import chat_text, reply_type, starts_itself
from radflow.policy.passes.logprobs import completion_logprobs
from radflow.policy.processors import leaves_video_out, load_processor
from radflow.studies import Study

TEXTS = ["The lungs are clear. Write the findings and impression."] * 9
PICTURES = [Image.effect_noise((40, 30), 90).convert("RGB"), Image.effect_noise((24, 36), 90).convert("RGB")]
VIDEO = {"llava_onevision", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "smolvlm"}


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    return {family: write_hub_folder(family, root / family, texts=TEXTS) for family in LAYOUTS}


@pytest.fixture(params=LAYOUTS)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def inputs(processor: Any, images: int = 2) -> dict[str, torch.Tensor]:
    chat = chat_text(processor, "Write.", images=images)
    begun = {"add_special_tokens": False} if starts_itself(processor, chat) else {}
    return dict(processor(text=[chat], images=[PICTURES[:images]], return_tensors="pt", **begun))


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("torchvision", [False, True])
def test_it_loads_with_torchvision_and_without(
    torchvision: bool, family: str, hub: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (image_processing_auto, video_processing_auto):
        monkeypatch.setattr(module, "is_torchvision_available", lambda: torchvision)
    processor = load_processor(hub[family])
    assert type(processor).__name__ == LAYOUTS[family].processor
    assert type(processor.image_processor).__name__.endswith("Pil")
    assert leaves_video_out(processor) is (family in VIDEO)
    assert inputs(processor)["pixel_values"].shape[-1] in (16, 96)


def test_its_prompt_is_the_one_that_transformers_writes(family: str, hub: dict[str, Path]) -> None:
    """The token that begins a text stands there once, and each image has its place."""
    processor = load_processor(hub[family])
    ours = inputs(processor)
    if LAYOUTS[family].chat is None:
        assert processor.tokenizer.decode(ours["input_ids"][0]) == "<image>" * 32 + "<bos>Write.\n"
        return
    content = [{"type": "image", "image": picture} for picture in PICTURES]
    message = {"role": "user", "content": [*content, {"type": "text", "text": "Write."}]}
    theirs = processor.apply_chat_template(
        [message], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert same(ours, dict(theirs))
    if (begin := processor.tokenizer.bos_token_id) is not None:
        assert ours["input_ids"][0].tolist().count(begin) == 1


def test_what_is_saved_loads_again_and_is_whole(family: str, hub: dict[str, Path], tmp_path: Path) -> None:
    processor = load_processor(hub[family])
    processor.save_pretrained(tmp_path)
    again = load_processor(tmp_path)
    assert same(inputs(processor), inputs(again))
    assert again.chat_template == processor.chat_template
    written = json.loads((tmp_path / "processor_config.json").read_text())
    assert written["processor_class"] == LAYOUTS[family].processor
    if family in VIDEO:  # as transformers finds it, where torchvision is
        source = hub[family] / "video_preprocessor_config.json"
        source = source if source.is_file() else hub[family] / "preprocessor_config.json"
        assert written["video_processor"] == json.loads(source.read_text())
        again.save_pretrained(tmp_path / "twice")
        assert json.loads((tmp_path / "twice" / "processor_config.json").read_text()) == written


def test_links_of_the_hub_cache_are_followed(hub: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(hub["internvl"], tmp_path / "plain")
    snapshot = as_hub_cache(tmp_path / "plain", "internvl", tmp_path / "cache")
    assert (snapshot / "config.json").is_symlink()
    assert same(inputs(load_processor(snapshot)), inputs(load_processor(hub["internvl"])))


def test_smolvlm_says_which_extra_it_needs(hub: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'radflow\[smolvlm\]'"):
        load_processor(hub["smolvlm"])


@pytest.mark.parametrize(
    "kept", [(), ("tokenizer.json", "tokenizer_config.json"), ("preprocessor_config.json",)]
)
@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_half_a_processor_is_an_error_that_names_the_files(
    family: str, kept: tuple[str, ...], hub: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("config.json", *kept):
        shutil.copy(hub[family] / name, tmp_path)
    with pytest.raises(MissingFileError, match=r"expected a processor \(preprocessor_config.json"):
        load_processor(tmp_path)


def test_a_template_that_the_tokenizer_alone_has_is_taken(hub: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(hub["llava"], tmp_path, dirs_exist_ok=True)
    template = json.loads((tmp_path / "chat_template.json").read_text())["chat_template"]
    (tmp_path / "chat_template.json").unlink()
    with pytest.raises(DataError, match="expected a chat template"):
        load_policy(tmp_path, PolicyKnobs())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    assert same(inputs(load_processor(tmp_path)), inputs(load_processor(hub["llava"])))


def test_templates_of_plain_text_and_of_none_at_all(hub: dict[str, Path]) -> None:
    processor = load_processor(hub["llava"])
    processor.chat_template = "{% for m in messages %}Human: {{ m['content'] }}\nAssistant:{% endfor %}"
    assert chat_text(processor, "Write.", images=2) == "Human: <image>\n<image>\nWrite.\nAssistant:"
    processor.chat_template = "Human:"
    with pytest.raises(DataError, match=r"place 1 image\(s\), got 0 of <image>"):
        chat_text(processor, "Write.", images=1)


def paligemma(hub: dict[str, Path]) -> Policy:
    return load_policy(hub["paligemma"], PolicyKnobs())


def test_paligemma_learns_what_its_own_labels_say(hub: dict[str, Path], studies: list[Study]) -> None:
    """Its prompt is read both ways, its report is not: as in transformers' loss on a suffix."""
    policy = paligemma(hub)
    prompt = PromptEncoder(policy.processor, PolicyKnobs(prompt="Write.", prompt_context=False))(studies[0])
    assert (prompt.reply_type, reply_type(policy.processor)) == (1, 1)
    with Image.open(studies[0].images[0]) as picture:
        theirs = policy.processor(
            text=["<image>Write."],
            images=[[picture.convert("RGB")]],
            suffix=["The lungs"],
            return_tensors="pt",
        )
    with torch.no_grad():
        loss = policy.model.eval()(**theirs).loss
        report = theirs["labels"][0][theirs["labels"][0] != -100].tolist()
        ours, mask = completion_logprobs(policy.model, [prompt], [report], pad_id=policy.pad_id)
    assert theirs["input_ids"][0].tolist() == prompt.input_ids.tolist() + report
    assert torch.allclose(-ours[mask].mean(), loss, atol=1e-5)


def test_a_report_of_paligemma_is_not_read_before_it_is_written(
    hub: dict[str, Path], studies: list[Study]
) -> None:
    policy = paligemma(hub)
    prompt = PromptEncoder(policy.processor, PolicyKnobs(prompt="Write."))(studies[0])
    with torch.no_grad():
        values, _ = completion_logprobs(
            policy.model, [prompt, prompt], [(7, 8, 9), (7, 8, 60)], pad_id=policy.pad_id
        )
    assert torch.allclose(values[0, :2], values[1, :2], atol=1e-6)
    assert not torch.allclose(values[0, 2], values[1, 2], atol=1e-2)
