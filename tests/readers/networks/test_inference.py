import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer, PreTrainedTokenizerFast

from radflow.errors import RecipeError
from radflow.readers.networks.inference import (
    CPU_BATCH_TOKENS,
    affixes,
    length_batches,
    pad,
    place,
    run_in_batches,
    token_ids,
)

lengths = st.lists(st.integers(0, 600), max_size=60)


@pytest.fixture(scope="module")
def tokenizer():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "no", "edema", "a"]
    return BertTokenizer(vocab={word: number for number, word in enumerate(words)})


def test_the_defaults_resolve_on_any_machine():
    placement = place()
    assert placement.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert placement.dtype == torch.float32


def test_what_is_asked_for_is_used():
    placement = place(device="cpu", dtype="bfloat16", batch_tokens=7)
    assert (placement.device, placement.dtype, placement.batch_tokens) == (
        torch.device("cpu"),
        torch.bfloat16,
        7,
    )
    assert place(device="cpu").batch_tokens == CPU_BATCH_TOKENS


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:99", "cpu:x", ""])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(RecipeError, match="Expected"):
        place(device=device)


def test_nonsense_is_refused_at_once():
    with pytest.raises(RecipeError, match=r"Did you mean 'bfloat16'\?"):
        place(dtype="bfloat")
    with pytest.raises(RecipeError, match="at least 1, got 0"):
        place(batch_tokens=0)


@given(lengths, st.integers(1, 2000))
def test_batches_hold_each_item_once_within_the_budget(lengths, budget):
    batches = length_batches(lengths, budget)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        assert (
            len(batch) == 1
            or len(batch) * max(lengths[position] for position in batch) <= budget
            or not any(lengths[position] for position in batch)
        )


@given(st.lists(st.integers(1, 600), min_size=1, max_size=60), st.integers(600, 2000))
def test_batches_are_not_needlessly_many(lengths, budget):
    # Every batch but the last is at least half full of padded tokens: one more row would not have fitted.
    assert len(length_batches(lengths, budget)) <= 2 * math.ceil(len(lengths) * max(lengths) / budget)


@given(lengths, st.integers(1, 2000))
def test_results_come_back_in_order(lengths, budget):
    items = list(enumerate(lengths))
    assert run_in_batches(lambda batch: [item[0] for item in batch], items, lengths, budget) == list(
        range(len(items))
    )


def test_a_forward_that_loses_results_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        run_in_batches(lambda batch: batch[1:], ["a", "b"], [1, 1], 10)


def test_long_texts_keep_the_last_special_token(tokenizer):
    assert token_ids(tokenizer, ["no edema " * 9, "no", ""], 6) == [[2, 5, 6, 5, 6, 3], [2, 5, 3], [2, 3]]
    assert token_ids(tokenizer, [], 6) == []


def test_tokenizing_leaves_the_tokenizer_as_it_was(tokenizer):
    before = tokenizer.backend_tokenizer.to_str()
    token_ids(tokenizer, ["no edema " * 9], 6)
    assert tokenizer.backend_tokenizer.to_str() == before


@given(st.text(st.characters(), max_size=40))
def test_any_text_has_tokens(tokenizer, text):
    (ids,) = token_ids(tokenizer, [text + "\ud800"], 16)
    assert ids[0] == 2
    assert ids[-1] == 3
    assert len(ids) <= 16


def test_a_tokenizer_without_special_tokens_has_no_affixes(tokenizer):
    bare = tokenizer.backend_tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    bare.post_processor = None
    plain = PreTrainedTokenizerFast(tokenizer_object=bare, unk_token="[UNK]")
    assert affixes(tokenizer) == ([2], [3])
    assert affixes(plain) == ([], [])
    assert token_ids(plain, ["no", ""], 4) == [[5], []]


def test_padding_is_masked():
    padded, mask = pad([[7, 8, 9], [7]], 5, torch.device("cpu"))
    assert padded.tolist() == [[7, 8, 9], [7, 5, 5]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
