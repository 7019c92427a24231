import numpy as np
import pytest

from radflow.evaluation.over_seeds import OverSeeds, SystemScores, interval
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
    over = OverSeeds(patients, crossed=crossed, resamples=400)
    both = over.intervals(lambda seed, weights: seeds[seed].means(weights))["reward"]
    alone = OverSeeds(patients[:1], crossed=True, resamples=400).intervals(
        lambda _, weights: seeds[0].means(weights)
    )["reward"]
    assert both.mean == pytest.approx(np.mean([one.columns["reward"].mean() for one in seeds]))
    assert both.high - both.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize("crossed", [True, False])
@pytest.mark.parametrize("of_seeds", [0.0, 0.3, 3.0])
def test_intervals_of_three_seeds_hold_the_truth_as_often_as_they_say(crossed: bool, of_seeds: float) -> None:
    draw, held, tries = np.random.default_rng(0), 0, 400
    for _ in range(tries):
        shared = draw.normal(size=(1, STUDIES)) if crossed else draw.normal(size=(3, STUDIES))
        values = shared + draw.normal(scale=of_seeds, size=(3, 1))
        picks = draw.integers(0, STUDIES, size=(1 if crossed else 3, 200, STUDIES))
        resampled = np.stack([values[seed][picks[seed % len(picks)]].mean(axis=1) for seed in range(3)])
        found = interval(values.mean(axis=1), resampled, crossed=crossed)
        held += found.low < 0 < found.high
    assert held / tries > 0.92


def test_a_figure_that_some_seeds_lack_is_of_the_others() -> None:
    means = np.array([0.2, np.nan, 0.4, 0.3])
    found = interval(means, np.repeat(means[:, None], 5, axis=1), crossed=False)
    assert found.mean == pytest.approx(0.3)
    assert found.high - found.mean == pytest.approx(4.303 * 0.1 / np.sqrt(3))
    assert np.isnan(interval(np.full(3, np.nan), np.full((3, 2), np.nan), crossed=True).mean)


def test_two_seeds_have_an_interval_where_patients_are_what_is_not_sure() -> None:
    drawn = np.random.default_rng(0).normal(0.5, 0.1, size=(1, 2000)).repeat(2, axis=0)
    alike = interval(np.array([0.5, 0.501]), drawn, crossed=True)
    assert alike.high - alike.mean == pytest.approx(1.96 * 0.1, rel=0.05)
    apart = interval(np.array([0.3, 0.7]), drawn, crossed=True)
    assert apart.mean == pytest.approx(0.5) and np.isnan(apart.low) and np.isnan(apart.high)
