import numpy as np
import pytest

from radflow.errors import DataError, MissingFileError
from radflow.metrics import METRICS, RadCliqReaders, default_metrics, score
from radflow.modality import MODALITIES
from radflow.readers.networks.rate import Entities


def graphs(texts):
    def entity(word, relations):
        return {"tokens": word, "label": "OBS-DP", "start_ix": 0, "end_ix": 0, "relations": relations}

    return [
        {
            "text": t,
            "entities": {str(i): entity(w, [["modify", "0"]] if i else []) for i, w in enumerate(t.split())},
        }
        for t in texts
    ]


class OneHot:
    def embed(self, texts):
        return [self._tokens(text.split()) for text in texts]

    def _tokens(self, words):
        return np.eye(64, dtype=np.float32)[[len(w) for w in words]], np.ones(len(words), dtype=bool)


def embed_reports(texts):
    return np.array([[len(t), 1.0] for t in texts])


def entities(texts):
    return [
        Entities(vectors=np.eye(64)[[len(w) for w in t.split()]], types=("DISEASE",) * len(t.split()))
        for t in texts
    ]


class Asked:
    name = "asked"

    def __call__(self, pairs):
        return [float(reference == generated) for reference, generated in pairs]


READERS = {
    "ratescore": entities,
    "green": Asked(),
    "crimson": Asked(),
    "bertscore": OneHot(),
    "semb_score": embed_reports,
    "radgraph_f1": graphs,
    "chexpert_f1": lambda texts: [{"Edema": 1 if "edema" in t else None} for t in texts],
    "radcliq_v0": RadCliqReaders(graphs=graphs, tokens=OneHot(), reports=embed_reports),
    "radcliq_v1": RadCliqReaders(graphs=graphs, tokens=OneHot(), reports=embed_reports),
    "keyword_match": lambda texts: [frozenset(t.split()) for t in texts],
    "carotid_f1": lambda texts: [{"plaque": int("plaque" in t)} for t in texts],
}


def test_every_record_is_whole():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert callable(metric.load())
        assert metric.label
        assert metric.modality in (None, *MODALITIES)
        assert metric.range[0] < metric.range[1]


def test_only_radcliq_is_better_when_lower():
    assert [name for name, m in METRICS.items() if m.arrow == "↓"] == ["radcliq_v0", "radcliq_v1"]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_gives_one_float_a_pair_in_its_range(name):
    generated, reference = ["mild edema", "", "clear", "edema"], ["mild edema", "clear", "", ""]
    values = score(generated, reference, [name], readers=readers_for(name))[name]
    low, high = METRICS[name].range
    assert values.shape == (4,)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert ((values >= low) & (values <= high + 1e-9)).all()


def readers_for(name):
    return {name: READERS[name]} if name in READERS else None


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_depends_on_the_batch(name):
    generated = ["mild edema", "clear lungs", "mild edema", "hard plaque"]
    reference = ["edema", "clear lungs today", "soft plaque", "plaque"]
    readers = readers_for(name)
    batch = score(generated, reference, [name], readers=readers)[name]
    backwards = score(generated[::-1], reference[::-1], [name], readers=readers)[name][::-1]
    alone = [
        score([g], [r], [name], readers=readers)[name][0] for g, r in zip(generated, reference, strict=True)
    ]
    assert batch.tolist() == backwards.tolist() == alone


def test_an_exact_match_is_radcliqs_published_anchor():
    exact = score(["mild edema"], ["mild edema"], ["radcliq_v1"], readers=readers_for("radcliq_v1"))
    assert exact["radcliq_v1"][0] == pytest.approx(-1.44069, abs=1e-5)


@pytest.mark.parametrize("name", ["semb_score", "radcliq_v0", "radcliq_v1"])
def test_official_weights_have_no_stand_in(name):
    with pytest.raises(MissingFileError, match="CheXbert"):
        score(["a"], ["a"], [name])


def test_defaults_need_no_download_and_fit_the_modality():
    for modality in MODALITIES:
        names = default_metrics(modality)
        assert all(METRICS[name].requires is None for name in names)
        assert all(METRICS[name].modality in (None, modality) for name in names)
    assert "chexpert_f1" in default_metrics("chest-xray")
    assert "carotid_f1" in default_metrics("carotid-us")
    with pytest.raises(DataError, match="'knee-mri'"):
        default_metrics("knee-mri")


def test_misspelt_names_are_refused():
    with pytest.raises(DataError, match="Did you mean 'bleu2'"):
        score(["a"], ["a"], ["blue2"])
    with pytest.raises(DataError, match="Did you mean 'bleu2'"):
        score(["a"], ["a"], ["rouge_l"], readers={"blue2": None})
