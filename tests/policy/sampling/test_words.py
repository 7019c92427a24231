import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from radflow.policy import (
    Completion,
    GroupForward,
    Policy,
    completion_logprobs,
    greedy_reports,
)
from radflow.policy.sampling.words import greedy_logprobs, token_spans, words_of
from radflow.policy.tiny import train_tokenizer
from radflow.studies import Study

TEXTS = ["Findings: Heart size is 3.5 cm, T1-weighted. Impression: No oedème."] * 6


def sentencepiece() -> PreTrainedTokenizerFast:
    """As of Llama 1 and T5: a space is part of a word's first token, and bytes spell rare characters."""
    pieces = [("<unk>", 0.0), *((f"<0x{byte:02X}>", -20.0) for byte in range(256))]
    pieces += [(character, -8.0) for character in sorted(set("".join(TEXTS)) - {" ", "è"})]
    pieces += [("▁", -8.0), ("▁Heart", -2.0), ("▁size", -2.0), ("ings", -3.0), ("▁Im", -3.0), ("cm,", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )


BYTE_LEVEL, SENTENCEPIECE = train_tokenizer(TEXTS, 300), sentencepiece()
TOKENIZERS = pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, SENTENCEPIECE], ids=["bytes", "sentencepiece"])


def written(tokenizer: Any, text: str) -> Completion:
    ids = (*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id)
    return Completion(
        text=tokenizer.decode(ids, skip_special_tokens=True).strip(), token_ids=ids, finished=True
    )


@TOKENIZERS
def test_each_token_owns_the_characters_that_it_wrote(tokenizer: Any) -> None:
    completion = written(tokenizer, TEXTS[0])
    whole = tokenizer.decode(completion.token_ids, skip_special_tokens=True)
    assert completion.text == TEXTS[0]
    spans = token_spans(tokenizer, completion.token_ids)
    assert spans[-1] is None
    known = [span for span in spans if span is not None]
    assert known[0][0] == 0 and known[-1][1] == len(whole)
    assert all(a[1] >= b[0] and a[0] <= b[0] for a, b in pairwise(known))


@TOKENIZERS
def test_a_word_is_the_product_of_its_tokens(tokenizer: Any) -> None:
    completion = written(tokenizer, TEXTS[0])
    spans = token_spans(tokenizer, completion.token_ids)
    lead = len(tokenizer.decode(completion.token_ids, skip_special_tokens=True)) - len(TEXTS[0])
    logprobs = [-0.01 * (i + 1) for i in range(len(spans))]
    words = words_of(tokenizer, completion, logprobs)
    spelled = [completion.text[w.start : w.end] for w in words]
    assert spelled == [
        "Findings",
        "Heart",
        "size",
        "is",
        "3.5",
        "cm",
        "T1-weighted",
        "Impression",
        "No",
        "oedème",
    ]
    for word in words:
        own = [
            value
            for span, value in zip(spans, logprobs, strict=True)
            if span is not None and span[0] < word.end + lead and span[1] > word.start + lead
        ]
        assert own
        assert word.probability == pytest.approx(math.exp(sum(own)))


@TOKENIZERS
@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=30))
def test_any_text_gets_probabilities_between_0_and_1(tokenizer: Any, text: str) -> None:
    completion = written(tokenizer, text)
    words = words_of(tokenizer, completion, [-0.5] * len(completion.token_ids))
    assert all(0 < word.probability < 1 for word in words)
    assert all(completion.text[w.start : w.end].strip() for w in words)
    assert all(a.end <= b.start for a, b in pairwise(words))


def test_a_character_of_several_tokens_belongs_to_all_of_them() -> None:
    completion = written(SENTENCEPIECE, "è")
    assert len(completion.token_ids) >= 3  # two bytes at least, and the end
    [word] = words_of(SENTENCEPIECE, completion, [-1.0] * len(completion.token_ids))
    assert word.probability <= math.exp(-2.0)


def test_log_probabilities_are_those_of_the_plain_forward(policy: Policy, studies: list[Study]) -> None:
    done = list(greedy_reports(policy, studies, max_new_tokens=6))
    forward = GroupForward(policy, say=lambda line: None)
    values = greedy_logprobs(forward, policy, done)
    policy.model.eval()
    plain, mask = completion_logprobs(
        policy.model,
        [policy.encoder(s) for s in studies],
        [c.token_ids for _, c in done],
        pad_id=policy.pad_id,
    )
    for row, kept, (_, completion), mine in zip(plain, mask, done, values, strict=True):
        assert len(mine) == len(completion.token_ids)
        assert mine == pytest.approx(row[kept].tolist(), abs=1e-4)
