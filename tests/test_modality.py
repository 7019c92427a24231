import pytest

from radflow.errors import DataError
from radflow.metrics import METRICS, default_metrics
from radflow.modality import MODALITIES, modality_of
from radflow.readers import labeler


@pytest.mark.parametrize("respect", ["content", "labels"])
def test_each_modality_has_a_metric_that_applies_to_it(respect: str) -> None:
    assert set(MODALITIES) == {"chest-xray", "carotid-us"}
    for name, modality in MODALITIES.items():
        metric = getattr(modality, respect).metric
        assert METRICS[metric].modality == name
        assert metric in default_metrics(name)


@pytest.mark.parametrize(
    ("modality", "text", "name"),
    [("chest-xray", "No edema.", "Edema"), ("carotid-us", "Left: no plaque.", "left plaque")],
)
def test_the_labeler_reads_the_language_of_its_modality(modality: str, text: str, name: str) -> None:
    assert labeler(modality)([text])[0][name] == 0


def test_an_unknown_modality_is_named_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"one of chest-xray, carotid-us; got 'carotid'. Did you mean 'carot"):
        modality_of("carotid")
