import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from radflow.errors import DataError
from radflow.metrics import inverse_radcliq_v1, radcliq
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


def test_better_reports_score_lower():
    assert radcliq(0.9, 0.9, 0.9, 0.9) < radcliq(0.1, 0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("version", "ones", "zeros"),
    [("v1", -1.4406902828, 2.4501430833), ("v0", -0.2421334229, 5.5161608041)],
)
@given(company=st.lists(st.floats(-1, 1), max_size=9))
def test_anchors_hold_in_any_batch(version, ones, zeros, company):
    batch = np.array([1.0, 0.0, *company])
    scores = radcliq(batch, batch, batch, batch, version=version)
    alone = [radcliq(x, x, x, x, version=version).item() for x in batch]
    assert scores.tolist() == alone
    assert scores[:2].tolist() == pytest.approx([ones, zeros], abs=1e-9)


def test_reciprocal_is_of_the_mean():
    assert inverse_radcliq_v1([1.0, 3.0]) == 0.5  # the mean of the reciprocals would be 2/3
    assert inverse_radcliq_v1(np.array([-0.5, 2.5])) == 1.0  # a report below 0 is like any other


@pytest.mark.parametrize("scores", [[], [0.0], [1.0, -1.0], [-1.44, 0.3], [1.0, np.nan]])
def test_there_is_no_reciprocal_of_a_mean_that_is_not_positive(scores):
    assert np.isnan(inverse_radcliq_v1(scores))


def test_unknown_version_and_unequal_shapes_are_refused():
    with pytest.raises(DataError, match="'v2'"):
        radcliq(1, 1, 1, 1, version="v2")
    with pytest.raises(DataError, match=r"semb \(3,\)"):
        radcliq([1, 1], [1, 1], [1, 1, 1], [1, 1])
