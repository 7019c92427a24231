"""RadCliQ from texts to number, through random networks of the real classes."""

import numpy as np
import pytest

from radflow.metrics import RadCliqReaders, Rescaled, bertscore, bleu2, radgraph_f1, score, semb_score
from radflow.metrics.bertscore import OFFICIAL_BASELINE
from radflow.metrics.radcliq import MODELS

TEXTS = [
    "the heart is normal in size and the lungs are clear .",
    "there is a small left pleural effusion and edema .",
    "no pleural effusion . the left opacity may represent edema .",
]
EXACT = {"radcliq_v1": -1.4406902828, "radcliq_v0": -0.2421334229}


@pytest.fixture(scope="module")
def official(radgraph, tokens, chexbert):
    return RadCliqReaders(graphs=radgraph, tokens=tokens, reports=chexbert)


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_match_is_the_published_anchor_alone_and_in_a_batch(official, name):
    graphs = official.graphs(TEXTS)
    assert all(any(e["relations"] for e in graph["entities"].values()) for graph in graphs)
    alone = [score([text], [text], [name], readers={name: official})[name][0] for text in TEXTS]
    company = [*TEXTS, *TEXTS], [*TEXTS, *reversed(TEXTS)]
    batch = score(*company, [name], readers={name: official})[name]
    np.testing.assert_allclose(alone, EXACT[name], atol=1e-5)  # networks round at 1e-7, the baseline times 7
    np.testing.assert_allclose(batch[:3], EXACT[name], atol=1e-5)
    assert batch[3] > EXACT[name] + 0.01
    assert batch[5] > EXACT[name] + 0.01


@pytest.mark.parametrize("version", MODELS)
def test_it_is_the_linear_model_over_the_four_metrics(official, version):
    generated, reference = TEXTS, TEXTS[1:] + TEXTS[:1]
    model = MODELS[version]
    rescaled = Rescaled(embedder=official.tokens, baseline=OFFICIAL_BASELINE)
    features = np.stack(
        [
            radgraph_f1(generated, reference, official.graphs),
            bertscore(generated, reference, rescaled),
            semb_score(generated, reference, official.reports),
            bleu2(generated, reference),
        ]
    )
    z = (features - np.array(model.mean)[:, None]) / np.array(model.scale)[:, None]
    expected = np.array(model.coefficients) @ z + model.intercept
    name = f"radcliq_{version}"
    np.testing.assert_allclose(
        score(generated, reference, [name], readers={name: official})[name], expected, atol=1e-9
    )
