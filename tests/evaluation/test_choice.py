from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from radflow import readers
from radflow.config import Evaluation
from radflow.errors import DataError, MissingFileError
from radflow.evaluation.choice import Networks, choose, folder_facts
from radflow.metrics import Rescaled
from radflow.metrics.bertscore import OFFICIAL_BASELINE

ALL = Networks(chexbert="c", radgraph="r", bertscore="d@5")


class Network:
    """Stands for a network: `choose` looks at its name alone."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, texts: Sequence[str]) -> list[Any]:
        raise AssertionError("read before anything was scored")

    embed = __call__


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    load: Callable = readers.load

    def loaded(name: str) -> Any:
        asked.append(name)
        return Network(name.upper()) if ":" in name else load(name)

    monkeypatch.setattr(readers, "load", loaded)
    return asked


def test_the_official_run_has_every_metric_from_its_network(asked: list[str]) -> None:
    chosen = choose(None, "chest-xray", ALL)
    assert [name for name in asked if ":" in name] == ["chexbert:c", "radgraph:r", "embeddings:d@5"]
    assert chosen.labels == {
        "bleu2": "BLEU-2",
        "bleu4": "BLEU-4",
        "rouge_l": "ROUGE-L",
        "bertscore": "BERTScore (EMBEDDINGS:D@5, rescaled)",
        "semb_score": "SembScore (CHEXBERT:C)",
        "radgraph_f1": "RadGraph F1 (RADGRAPH:R)",
        "chexpert_f1": "CheXpert F1 (CHEXBERT:C)",
        "finding_match": "FindingMatch (rules)",
        **{
            f"radcliq_{v}": f"RadCliQ-{v} (RADGRAPH:R; EMBEDDINGS:D@5, rescaled; CHEXBERT:C)"
            for v in ("v0", "v1")
        },
        "consistency": "Consistency (rules)",
    }
    assert "consistency" not in chosen.metrics  # it is not a number of a pair
    assert isinstance(chosen.readers["bertscore"], Rescaled)
    assert chosen.readers["bertscore"].baseline == OFFICIAL_BASELINE
    assert chosen.labeler is chosen.readers["chexpert_f1"]


def test_without_networks_the_rules_say_so(asked: list[str]) -> None:
    chosen = choose(["chexpert_f1", "bleu2", "chexpert_f1"], "chest-xray", Networks())
    assert chosen.labels == {"chexpert_f1": "CheXpert F1 (rules)", "bleu2": "BLEU-2"}
    assert chosen.names == {"chexpert_f1": "chexpert-rules", "bleu2": None}
    assert chosen.labeler is chosen.readers["chexpert_f1"]
    assert set(asked) == {"chexpert-rules"}


def test_one_network_changes_its_own_metrics_alone(asked: list[str]) -> None:
    chosen = choose(None, "chest-xray", Networks(chexbert="c"))
    assert chosen.labels["semb_score"] == "SembScore (CHEXBERT:C)"
    assert chosen.labels["radgraph_f1"] == "RadGraph F1 (rules)"
    assert not {"radcliq_v0", "radcliq_v1"} & set(chosen.labels)


def test_radcliq_alone_still_loads_what_it_is_made_of(asked: list[str]) -> None:
    chosen = choose(["radcliq_v1"], "chest-xray", ALL)
    assert list(chosen.labels) == ["radcliq_v1"]
    assert set(chosen.readers) == {"radgraph_f1", "bertscore", "semb_score"}


@pytest.mark.parametrize(
    ("metrics", "modality", "networks", "error", "message"),
    [
        (["radcliq_v0"], "chest-xray", {"radgraph": "r"}, MissingFileError, "with --chexbert, --bertscore"),
        (["bleu5"], "chest-xray", {}, DataError, "got 'bleu5'. Did you mean 'bleu"),
        (None, "carotid-us", {"chexbert": "c"}, DataError, "--chexbert reads chest X-ray reports"),
        (None, "chest-xray", {"bertscore": "d@6"}, DataError, "expected FOLDER@5, got 'd@6'"),
    ],
)
def test_what_cannot_be_computed_is_said(
    metrics: list[str] | None,
    modality: str,
    networks: dict[str, str],
    error: type,
    message: str,
    asked: list[str],
) -> None:
    with pytest.raises(error, match=message):
        choose(metrics, modality, Networks(**networks))


def test_a_recipe_s_networks_are_named_as_it_names_them(asked: list[str]) -> None:
    networks = Networks.of(Evaluation(chexbert="c"))
    assert choose(["chexpert_f1"], "chest-xray", networks).labels == {
        "chexpert_f1": "CheXpert F1 (CHEXBERT:C)"
    }
    with pytest.raises(MissingFileError, match=r"with evaluation\.radgraph, evaluation\.bertscore"):
        choose(["radcliq_v1"], "chest-xray", networks)


def test_other_weights_in_a_folder_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a")
    before = folder_facts(f"{tmp_path}@5")
    (tmp_path / "weights").write_text("bb")
    assert folder_facts(f"{tmp_path}@5") != before
