import numpy as np
import pytest

from radflow.evaluation.over_seeds import SeedBootstrap, SystemScores, interval
from radflow.metrics import corpus_f1
from radflow.metrics.naming import CORPUS

STUDIES = 40


def scores(seed: int, gain: float = 0.0) -> SystemScores:
    draw = np.random.default_rng(seed)
    return SystemScores(
        columns={"reward": draw.random(STUDIES) + gain},
        asserts=draw.random((STUDIES, 3)) < 0.3,
        truth=draw.random((STUDIES, 3)) < 0.3,
    )


def test_figures_of_the_corpus_are_those_of_the_metric() -> None:
    some = np.arange(STUDIES) % 4 == 0
    made = scores(0)
    found = {name: value[0] for name, value in made.means(np.ones((1, STUDIES)) * some).items()}
    expected = corpus_f1(made.asserts[some], made.truth[some])
    assert [found[name] for name in (*CORPUS, "positives")] == pytest.approx(list(expected))


@pytest.mark.parametrize("crossed", [True, False])
def test_a_mean_over_seeds_and_an_interval_that_holds_both_spreads(crossed: bool) -> None:
    seeds = [scores(0, gain) if crossed else scores(seed, gain) for seed, gain in enumerate((0.0, 0.2, 0.6))]
    patients = [[f"p{i // 2}" for i in range(STUDIES)]] * 3
    bootstrap = SeedBootstrap(patients, crossed=crossed, resamples=400)
    means, drawn = bootstrap.figures(lambda seed, weights: seeds[seed].means(weights))
    assert means["reward"] == pytest.approx(np.mean([one.columns["reward"].mean() for one in seeds]))
    over_both = interval(means["reward"], drawn["reward"])
    alone, of_one = SeedBootstrap(patients[:1], crossed=True, resamples=400).figures(
        lambda _, weights: seeds[0].means(weights)
    )
    over_patients = interval(alone["reward"], of_one["reward"])
    assert over_both.low < means["reward"] < over_both.high
    assert over_both.high - over_both.low > 1.5 * (over_patients.high - over_patients.low)


def test_systems_of_one_call_share_every_resample() -> None:
    made = scores(3)
    bootstrap = SeedBootstrap([[str(i) for i in range(STUDIES)]], crossed=True, resamples=50)

    def both(_: int, weights: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        shifted = made.columns["reward"] + 0.25
        more = SystemScores(columns={"reward": shifted}, asserts=made.asserts, truth=made.truth)
        return {(who, m): v for who, s in (("a", made), ("b", more)) for m, v in s.means(weights).items()}

    _, drawn = bootstrap.figures(both)
    assert drawn["b", "reward"] - drawn["a", "reward"] == pytest.approx(0.25)
