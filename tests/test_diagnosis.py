"""The seeds' comparison of `benchmarks/rft_diagnosis.py`, on made-up runs."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from radflow.evaluation.over_seeds import SystemScores

_SPEC = spec_from_file_location(
    "rft_diagnosis", Path(__file__).parents[1] / "benchmarks" / "rft_diagnosis.py"
)
assert _SPEC is not None and _SPEC.loader is not None
diagnosis = sys.modules[_SPEC.name] = module_from_spec(_SPEC)
_SPEC.loader.exec_module(diagnosis)

STUDIES = 40


def run(seed: int, gain: float, *, own_patients: bool) -> Any:
    """A run whose RadFlow gains ``gain`` on every study; two studies per patient, every fourth critical."""
    draw = np.random.default_rng(seed)
    truth = draw.random((STUDIES, 3)) < 0.3
    sft = draw.random(STUDIES)
    reference = SimpleNamespace(canonical=f"of {seed * own_patients}")
    return SimpleNamespace(
        studies=[SimpleNamespace(study_id=f"s{i}", reference=reference) for i in range(STUDIES)],
        patients=[f"p{i // 2}" for i in range(STUDIES)],
        critical=np.arange(STUDIES) % 4 == 0,
        truth=truth,
        systems={
            "sft": SystemScores(columns={"reward": sft}, asserts=np.zeros_like(truth), truth=truth),
            "radflow": SystemScores(columns={"reward": sft + gain}, asserts=truth, truth=truth),
        },
    )


@pytest.mark.parametrize("own_patients", [True, False])
def test_an_interval_is_that_of_the_seeds_where_patients_are_alike(own_patients: bool) -> None:
    gains = (0.0, 0.1, 0.5)
    runs = [run(seed, gain, own_patients=own_patients) for seed, gain in enumerate(gains)]
    compared = diagnosis.Compared(runs, 500)
    assert compared.crossed == (not own_patients)
    reach = 4.303 * np.std(gains, ddof=1) / np.sqrt(3)  # within a seed all studies gain alike
    for critical in (False, True):
        found = compared.difference("sft", critical=critical)["reward"]
        assert found["mean"] == pytest.approx(0.2)
        assert (found["low"], found["high"]) == pytest.approx((0.2 - reach, 0.2 + reach), abs=1e-3)
    alone = diagnosis.Compared(runs[1:2], 100).difference("sft", critical=False)["reward"]
    assert (alone["low"], alone["high"]) == pytest.approx((0.1, 0.1))
