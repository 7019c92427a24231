import numpy as np
import pytest

from radflow.errors import MissingFileError
from radflow.metrics import score
from radflow.metrics.ratescore import rate_score
from radflow.readers.networks.rate import Entities

X, Y = (1.0, 0.0), (0.0, 1.0)
BETWEEN = (0.6, 0.8)


def entities(*found):
    vectors = np.array([vector for vector, _ in found]).reshape(-1, 2)
    return Entities(vectors=vectors, types=tuple(kind for _, kind in found))


def test_hand_computed():
    reference = entities((X, "DISEASE"), (Y, "ANATOMY"))
    generated = entities((BETWEEN, "NON-DISEASE"))
    # To both entities the only candidate is the negated disease: cosines 0.6 (opposed) and 0.8.
    weights = 0.3789136708096537, 0.00013736314126696204
    there = (0.6 * 0.8716553966489615 * weights[0] + 0.8 * weights[1]) / sum(weights)
    back = 0.8  # the negated disease is most like the anatomy, which is not opposed
    assert rate_score(generated, reference) == pytest.approx(2 * there * back / (there + back), abs=1e-12)


def test_its_holes_are_the_published_ones():
    something = entities((X, "DISEASE"))
    assert rate_score(entities(), something) == rate_score(something, entities()) == 0.5
    assert rate_score(entities(), entities()) == 0.5
    assert rate_score(something, something) == 1.0
    assert rate_score(entities((X, "NON-DISEASE")), something) == pytest.approx(0.8716553966489615)
    assert rate_score(entities((Y, "DISEASE")), something) == 0.0


def test_no_networks_ship():
    with pytest.raises(MissingFileError, match=r"ratescore:NER\+ENCODER"):
        score(["a"], ["a"], ["ratescore"])
