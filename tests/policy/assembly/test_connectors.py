import pytest
import torch

from radflow.policy.assembly.connectors import CONNECTORS, make_connector


@pytest.mark.parametrize("name", CONNECTORS)
def test_fresh_visual_tokens_have_the_spread_of_words(name: str) -> None:
    torch.manual_seed(0)
    connector = make_connector(name, 24, 40, 9)
    connector.initialise(0.05, width=24)
    tokens = connector.eval()(connector.reduce(torch.randn(32, 36, 24)))
    assert tokens.shape == (32, 9, 40)
    assert 0.02 < tokens.std() < 0.1
    pictures, places = tokens[1:] - tokens[:-1], tokens[:, 1:] - tokens[:, :-1]
    assert pictures.std() > 0.1 * tokens.std()
    assert places.std() > 0.1 * tokens.std()


@pytest.mark.parametrize("name", CONNECTORS)
def test_every_weight_trains(name: str) -> None:
    connector = make_connector(name, 24, 40, 9).eval()
    connector(connector.reduce(torch.randn(2, 36, 24))).square().sum().backward()
    assert [n for n, p in connector.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of linear, mlp, perceiver, qformer, got 'conv'"):
        make_connector("conv", 8, 8, 4)
