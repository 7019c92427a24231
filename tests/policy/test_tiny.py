from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaForConditionalGeneration

from radflow.config import Policy as PolicyKnobs
from radflow.config import Tiny
from radflow.policy import Policy, PromptEncoder, build_tiny
from radflow.policy.prompts import collate
from radflow.policy.tiny import IMAGE, train_tokenizer
from radflow.studies import Study


def test_auto_classes_find_it(folder: Path) -> None:
    assert isinstance(AutoModelForImageTextToText.from_pretrained(folder), LlavaForConditionalGeneration)
    assert AutoProcessor.from_pretrained(folder, backend="pil").image_token == IMAGE


def test_default_has_about_a_million_parameters(studies: list[Study], tmp_path: Path) -> None:
    model = build_tiny(Tiny(), tmp_path / "m", texts=["a b c"] * 9, images=studies[0].images, seed=0)
    assert 0.5e6 < sum(p.numel() for p in model.parameters()) < 3e6


def test_the_seed_decides_the_weights(studies: list[Study], tmp_path: Path, knobs: PolicyKnobs) -> None:
    def weights(seed: int) -> torch.Tensor:
        model = build_tiny(
            knobs.tiny, tmp_path / "m", texts=["a b c"] * 9, images=studies[0].images, seed=seed
        )
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_tokenizer_gives_any_text_back(policy: Policy) -> None:
    for text in ("Findings: Lungs are clear.", "IMT 0.8 mm, ≥70 %; größer  (two  spaces)\nnew line"):
        ids = policy.tokenizer.encode(text, add_special_tokens=False)
        assert policy.tokenizer.decode(ids) == text


def test_frequent_words_become_one_token() -> None:
    tokenizer = train_tokenizer(["The lungs are clear."] * 9, 400)
    assert len(tokenizer.encode(" lungs", add_special_tokens=False)) == 1


def test_the_first_word_depends_on_the_picture(
    policy: Policy, encoder: PromptEncoder, studies: list[Study]
) -> None:
    """With the initialisation of the classes this difference is two orders of magnitude smaller."""
    a = encoder(studies[0])
    b = encoder(studies[0])
    batch = collate([a, b], pad_id=policy.pad_id)
    batch["pixel_values"] = torch.cat([a.image_fields["pixel_values"], -b.image_fields["pixel_values"]])
    with torch.no_grad():
        logits = policy.model(**batch).logits[:, -1].log_softmax(-1)
    assert (logits[0] - logits[1]).abs().max() > 0.05
