"""Readers: report text to structure. By rules here; ``(rules)`` stands in every table beside their numbers.

``load(name)`` gives a callable; :data:`READERS` is every name. Phrases are in ``lexicon/*.toml``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from radflow.errors import RadflowError, did_you_mean
from radflow.readers.labels import CHEXPERT_OBSERVATIONS, State, label_vector

__all__ = ["CHEXPERT_OBSERVATIONS", "NETWORK_READERS", "READERS", "State", "label_vector", "load"]

READERS: dict[str, str] = {
    "chexpert-rules": "radflow.readers.chexpert:chexpert_rules",
    "radgraph-rules": "radflow.readers.radgraph:radgraph_rules",
    "carotid-terms": "radflow.readers.carotid:carotid_terms",
    "carotid-labels": "radflow.readers.carotid:carotid_labels",
    "criticality-rules": "radflow.readers.criticality:criticality_rules",
    "minilm": "radflow.readers.embeddings:minilm",
}
"""name -> "module:attribute"."""

NETWORK_READERS: dict[str, str] = {}
"""prefix of "prefix:<folder>" -> "module:attribute" of a function from folder to reader. None is here yet."""

_MADE = frozenset({"minilm"})  # their attribute makes the reader, because weights have to be read first
_RESERVED = ("chexbert", "radgraph")


def load(name: str) -> Callable[..., Any]:
    """Load a reader.

    Args:
        name: one of :data:`READERS`, ``prefix:folder`` with a prefix of :data:`NETWORK_READERS`, or a dotted
            path ``package.module:attribute``.

    Returns:
        a callable on a list of texts: labels, graphs, term sets. ``criticality-rules`` takes reports;
        ``minilm`` is a :class:`~radflow.readers.embeddings.TokenEmbedder`.

    Raises:
        RadflowError: no such reader.

    >>> load("chexpert-rules")(["Small left pleural effusion."])[0]["Pleural Effusion"]
    1
    """
    if name in READERS:
        reader = _attribute(READERS[name])
        return reader() if name in _MADE else reader
    prefix, _, rest = name.partition(":")
    if prefix in NETWORK_READERS and rest:
        return _attribute(NETWORK_READERS[prefix])(rest)
    if prefix in _RESERVED and rest:
        raise RadflowError(
            f"Reader {name!r}: this version of radflow cannot load {prefix} networks yet; "
            f"use one of {', '.join(READERS)}."
        )
    if "." in prefix and rest:
        return _named(name)
    raise RadflowError(
        f"Expected a reader out of {', '.join(READERS)}, or a dotted path 'package.module:attribute', "
        f"got {name!r}.{did_you_mean(name, READERS)}"
    )


def _attribute(target: str) -> Callable[..., Any]:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _named(target: str) -> Callable[..., Any]:
    try:
        return _attribute(target)
    except (ImportError, AttributeError) as error:
        raise RadflowError(f"Expected a reader at {target!r}: {error}.") from error
