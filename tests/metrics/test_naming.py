import pytest

from radflow.errors import DataError
from radflow.metrics import METRICS, RadCliqReaders, ReadOnce, Rescaled, metric_label, score
from radflow.readers import load


def test_without_a_reader_it_is_the_tables_own():
    assert [metric_label(name) for name in METRICS] == [metric.label for metric in METRICS.values()]


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if "rules" in metric.label])
def test_rules_are_called_rules_and_nothing_else_is(name, chexbert):
    rules = load(METRICS[name].reader)
    assert metric_label(name, rules) == metric_label(name, ReadOnce(rules)) == METRICS[name].label
    assert metric_label(name, chexbert).endswith(" (CheXbert)")
    assert metric_label(name, ReadOnce(chexbert)).endswith(" (CheXbert)")


def test_networks_stand_under_their_own_names(radgraph, chexbert, tokens):
    assert metric_label("radgraph_f1", radgraph) == "RadGraph F1 (RadGraph)"
    assert metric_label("chexpert_f1", chexbert) == "CheXpert F1 (CheXbert)"
    assert metric_label("semb_score", chexbert) == "SembScore (CheXbert)"
    assert metric_label("bertscore", tokens) == f"BERTScore ({tokens.name})"
    assert tokens.name.endswith(", layer 1")
    rescaled = Rescaled(embedder=tokens, baseline=0.8)
    assert metric_label("bertscore", rescaled) == f"BERTScore ({tokens.name}, rescaled)"
    composite = RadCliqReaders(graphs=radgraph, tokens=tokens, reports=chexbert)
    assert metric_label("radcliq_v1", composite) == f"RadCliQ-v1 (RadGraph; {tokens.name}; CheXbert)"


def test_a_function_of_the_users_own_is_named_too():
    def my_labeler(texts):
        return [{} for _ in texts]

    assert metric_label("chexpert_f1", my_labeler) == "CheXpert F1 (my_labeler)"


def test_readers_of_metrics_that_read_nothing_and_misspelt_names_are_refused(chexbert):
    with pytest.raises(DataError, match="no reader for bleu2"):
        metric_label("bleu2", chexbert)
    with pytest.raises(DataError, match="no reader for bleu2"):
        score(["a"], ["a"], ["bleu2"], readers={"bleu2": chexbert})
    with pytest.raises(DataError, match="Did you mean 'bleu2'"):
        metric_label("blue2")
