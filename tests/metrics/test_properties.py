"""What holds for every metric that runs by default, whatever the texts."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radflow.metrics import METRICS, default_metrics, score
from radflow.metrics.lexical import rexrank_tokens
from radflow.modality import MODALITIES
from radflow.readers import load

NAMES = tuple(dict.fromkeys(name for modality in MODALITIES for name in default_metrics(modality)))
LABEL_METRICS = (
    "chexpert_f1",
    "carotid_f1",
    "keyword_match",
    "finding_match",
)  # nothing against nothing is agreement: 1
SENTENCES = (
    "No pleural effusion.",
    "Small left pleural effusion, unchanged.",
    "Findings: The heart is mildly enlarged.",
    "Impression: Cannot exclude edema",
    "Hard plaque in the right carotid bulb.",
    "Left: no stenosis; 50-69% on the right",
)
ODD = (
    *("", " ", "\n\t\r", ".", "...", "nan", "NaN", "None", "null", "inf", "-1", "0"),
    *("\x00", "\x07\x1b[31mred\x1b[0m", "no\x00effusion", "\ud800", "edema \udfff\ud800.", "\ufeffNo edema."),
    *("[CLS] [SEP] [PAD]", "心影不大。", "𝔼dema", "e\u0301dema", "\u202eamede oN", "İstanbul", "a" * 300),
)
reports = st.lists(st.sampled_from(SENTENCES), max_size=4).map(" ".join)
anything = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
texts = st.one_of(reports, st.sampled_from(ODD), anything)
rounds = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=NAMES)
def scored(request, tokens):
    """A metric's name and the metric; BERTScore on a tiny network, so that no download is needed."""
    name = request.param
    readers = {name: tokens} if name == "bertscore" else None

    def run(generated, reference):
        return score(generated, reference, [name], readers=readers)[name]

    return name, run


@rounds
@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=5), random=st.randoms())
def test_a_pair_scores_the_same_alone_in_any_batch_and_in_any_order(scored, pairs, random):
    name, run = scored
    batch = run(*map(list, zip(*pairs, strict=True)))
    order = random.sample(range(len(pairs)), len(pairs))
    shuffled = run([pairs[i][0] for i in order], [pairs[i][1] for i in order])
    alone = np.concatenate([run([a], [b]) for a, b in pairs])
    rounding = 1e-5 if name == "bertscore" else 0.0  # a network's sums run in another order in another batch
    np.testing.assert_allclose(batch, alone, rtol=0, atol=rounding)
    np.testing.assert_allclose(batch[order], shuffled, rtol=0, atol=rounding)
    low, high = METRICS[name].range
    assert ((batch >= low - 1e-6) & (batch <= high + 1e-6)).all()


@rounds
@given(text=texts)
def test_identical_texts_score_best_where_there_is_something_to_compare(scored, tokens, text):
    name, run = scored
    assert run([text], [text])[0] == pytest.approx(best(name, text, tokens), abs=1e-6)


def best(name, text, tokens):
    """What a text scores against itself."""
    if name in LABEL_METRICS:
        return 1.0
    if name == "rouge_l":
        return float(any(c in "abcdefghijklmnopqrstuvwxyz0123456789" for c in text.lower()))
    if name in ("bleu2", "bleu4"):
        # Too short for an n-gram of some order, that order counts its smoothing: 0.1 of one.
        order, length = int(name[-1]), len(rexrank_tokens(text))
        return 0.1 ** (max(0, order - length) / order) if length else 0.0
    if name == "bertscore":
        return float(tokens.embed([text])[0].is_word.any())
    (graph,) = load("radgraph-rules")([text])
    related = any(entity["relations"] for entity in graph["entities"].values())
    return (bool(graph["entities"]) + related) / 2


def test_odd_texts_never_raise(scored):
    name, run = scored
    rules = "rules" in METRICS[name].label  # slow on long reports while every call's types are checked
    long = "No pleural effusion. Small left nodule, unchanged. " * (100 if rules else 20_000)
    some = [*ODD, long, "x" * 1_000_000, " \n" * 500_000]
    plain = ["No effusion."] * len(some)
    values = run([*some, *plain], [*plain, *some])
    assert np.isfinite(values).all()
    assert values.max() > 0, name
