import pytest

from radflow.metrics import METRICS, default_metrics
from radflow.metrics.modality import DOMAIN_METRIC, LABEL_METRIC, labeler


@pytest.mark.parametrize("table", [DOMAIN_METRIC, LABEL_METRIC])
def test_each_modality_has_a_metric_that_applies_to_it(table: dict[str, str]) -> None:
    assert set(table) == {"chest-xray", "carotid-us"}
    for modality, name in table.items():
        assert METRICS[name].modality == modality
        assert name in default_metrics(modality)


@pytest.mark.parametrize(
    ("modality", "text", "name"),
    [("chest-xray", "No edema.", "Edema"), ("carotid-us", "Left: no plaque.", "left plaque")],
)
def test_the_labeler_reads_the_language_of_its_modality(modality: str, text: str, name: str) -> None:
    assert labeler(modality)([text])[0][name] == 0
