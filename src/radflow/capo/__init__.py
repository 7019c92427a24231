"""CAPO: group-relative policy optimisation with a clipping range per case, as pure tensor functions.

Axes: ``P`` studies, ``G`` completions per study, ``N = P * G`` rows, ``T`` tokens, ``V`` vocabulary.
"""

from radflow.capo.advantage import (
    class_weights,
    conditioned,
    dead_groups,
    decoupled_advantage,
    group_advantage,
)
from radflow.capo.clip import clip_range
from radflow.capo.guard import group_shift, shift_guard
from radflow.capo.loss import capo_loss
from radflow.capo.ratio import importance_ratio, k3_divergence
from radflow.capo.shift import exact_shift, visited_shift
from radflow.capo.stats import CapoStats
from radflow.capo.weights import token_weights

__all__ = [
    "CapoStats",
    "capo_loss",
    "class_weights",
    "clip_range",
    "conditioned",
    "dead_groups",
    "decoupled_advantage",
    "exact_shift",
    "group_advantage",
    "group_shift",
    "importance_ratio",
    "k3_divergence",
    "shift_guard",
    "token_weights",
    "visited_shift",
]
