import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from radflow.errors import DataError
from radflow.metrics import radcliq, reciprocal_of_mean
from radflow.metrics.radcliq import MODELS


@pytest.mark.parametrize(
    ("version", "ones", "zeros"),
    [("v1", -1.4406902828, 2.4501430833), ("v0", -0.2421334229, 5.5161608041)],
)
def test_published_anchors(version, ones, zeros):
    assert radcliq(1, 1, 1, 1, version=version) == pytest.approx(ones, abs=1e-9)
    assert radcliq(0, 0, 0, 0, version=version) == pytest.approx(zeros, abs=1e-9)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_equals_a_scikit_learn_pipeline(version):
    published = MODELS[version]
    scaler, linear = StandardScaler(), LinearRegression()
    scaler.mean_, scaler.scale_ = np.array(published.mean), np.array(published.scale)
    linear.coef_, linear.intercept_ = np.array(published.coefficients), published.intercept
    features = np.random.default_rng(0).uniform(-1, 1, size=(50, 4))
    oracle = linear.predict(scaler.transform(features))
    np.testing.assert_allclose(radcliq(*features.T, version=version), oracle, atol=1e-12)


def test_an_exact_match_scores_the_same_alone_and_in_a_batch():
    alone = radcliq([1.0], [1.0], [1.0], [1.0])
    batch = radcliq([1.0, 0.2], [1.0, 0.1], [1.0, 0.4], [1.0, 0.0])
    assert alone[0] == batch[0] == pytest.approx(-1.44069, abs=1e-5)


def test_better_reports_score_lower():
    assert radcliq(0.9, 0.9, 0.9, 0.9) < radcliq(0.1, 0.1, 0.1, 0.1)


def test_reciprocal_is_of_the_mean():
    assert reciprocal_of_mean([1.0, 3.0]) == 0.5  # the mean of the reciprocals would be 2/3


def test_unknown_version_and_unequal_shapes_are_refused():
    with pytest.raises(DataError, match="'v2'"):
        radcliq(1, 1, 1, 1, version="v2")
    with pytest.raises(DataError, match=r"semb \(3,\)"):
        radcliq([1, 1], [1, 1], [1, 1, 1], [1, 1])
