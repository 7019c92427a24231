"""Readers: report text to structure, by rules or by networks.

``load(name)`` gives a callable. :data:`READERS` is every name that works without weights of your own;
:data:`NETWORK_READERS` are the networks, loaded from a folder as ``"chexbert:<folder>"``. The phrases of the
rules are in ``lexicon/*.toml``, and ``(rules)`` stands in every table beside their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from radflow.errors import RadflowError, did_you_mean
from radflow.modality import attribute, modality_of
from radflow.readers.labels import CHEXPERT_OBSERVATIONS, SUMMARIES, State, assertions, label_vector

__all__ = [
    "CHEXPERT_OBSERVATIONS",
    "NETWORK_READERS",
    "READERS",
    "SUMMARIES",
    "State",
    "assertions",
    "label_vector",
    "labeler",
    "load",
]

READERS: dict[str, str] = {
    "chexpert-rules": "radflow.readers.chexpert:chexpert_rules",
    "radgraph-rules": "radflow.readers.radgraph:radgraph_rules",
    "chest-facts": "radflow.readers.chest_facts:chest_facts_of",
    "carotid-terms": "radflow.readers.carotid:carotid_terms",
    "carotid-labels": "radflow.readers.carotid:carotid_labels",
    "criticality-rules": "radflow.readers.criticality:criticality_rules",
    "minilm": "radflow.readers.networks.embeddings:minilm",
}
"""name -> "module:attribute"."""

NETWORK_READERS: dict[str, str] = {
    "chexbert": "radflow.readers.networks.chexbert:CheXbert",
    "radgraph": "radflow.readers.networks.radgraph:RadGraph",
    "embeddings": "radflow.readers.networks.embeddings:load_embedder",
    "ratescore": "radflow.readers.networks.rate:RateReader",
}
"""prefix of "prefix:<folder>" -> "module:attribute" of what makes a reader from the folder and options."""

OPTIONS = ("device", "dtype", "batch_tokens", "cache")
"""What networks take beside their folder: see ``inference.place`` and ``text_cache.TextCache``."""

_MADE = frozenset({"minilm"})  # a network too: its attribute makes the reader


def load(name: str, **options: Any) -> Callable[..., Any]:
    """Load a reader.

    Args:
        name: one of :data:`READERS`; ``prefix:folder`` with a prefix of :data:`NETWORK_READERS`
            (``embeddings:folder@5`` is hidden layer 5, ``ratescore:NER+ENCODER`` two folders); or a
            dotted path ``package.module:attribute``.
        options: :data:`OPTIONS`, for networks only.

    Returns:
        a callable on a list of texts: labels, graphs, term sets, token vectors. ``criticality-rules`` takes
        reports. Networks have a ``name`` for tables.

    Raises:
        RadflowError: no such reader or option, weights that are not there or not whole.

    >>> load("chexpert-rules")(["Small left pleural effusion."])[0]["Pleural Effusion"]
    1
    """
    for option in options:
        if option not in OPTIONS:
            raise RadflowError(
                f"Expected options of a reader among {', '.join(OPTIONS)}; got {option!r}."
                f"{did_you_mean(option, OPTIONS)}"
            )
    if name in _MADE:
        return attribute(READERS[name])(**options)
    prefix, _, rest = name.partition(":")
    if prefix in NETWORK_READERS and rest:
        return attribute(NETWORK_READERS[prefix])(rest, **options)
    if name in READERS:
        _refuse(name, options)
        return attribute(READERS[name])
    if "." in prefix and rest:
        _refuse(name, options)
        return _named(name)
    known = [*READERS, *(f"{prefix}:<folder>" for prefix in NETWORK_READERS)]
    raise RadflowError(
        f"Expected a reader out of {', '.join(known)}, or a dotted path 'package.module:attribute', "
        f"got {name!r}.{did_you_mean(name, known)}"
    )


def labeler(modality: str) -> Callable[..., Any]:
    """The reader of labels of a modality: texts to observations with their states.

    >>> labeler("chest-xray")(["No edema."])[0]["Edema"]
    0
    """
    return load(modality_of(modality).labels.reader)


def _refuse(name: str, options: Mapping[str, Any]) -> None:
    if options:
        raise RadflowError(
            f"Expected no options for {name!r}, which runs no network of radflow's; got "
            f"{', '.join(options)}. Drop them."
        )


def _named(target: str) -> Callable[..., Any]:
    try:
        return attribute(target)
    except (ImportError, AttributeError) as error:
        raise RadflowError(f"Expected a reader at {target!r}: {error}.") from error
