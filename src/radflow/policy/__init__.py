"""The policy: load a vision-language model, put LoRA on it, write its prompts, sample groups of reports.

A *group* is the unit of reinforcement fine-tuning: one study, one prompt, G completions, one clipping range.
"""

from radflow.policy.groups import Completion, Group
from radflow.policy.images.features import FeatureStore
from radflow.policy.load import Policy, load_policy, save_policy
from radflow.policy.passes.forward import GroupForward, group_logprobs
from radflow.policy.passes.logprobs import completion_logprobs
from radflow.policy.processors import load_processor
from radflow.policy.prompts import PromptEncoder
from radflow.policy.sampling.own import own_reports
from radflow.policy.sampling.sample import greedy_reports, greedy_texts, sample_groups
from radflow.policy.tiny import build_tiny

__all__ = [
    "Completion",
    "FeatureStore",
    "Group",
    "GroupForward",
    "Policy",
    "PromptEncoder",
    "build_tiny",
    "completion_logprobs",
    "greedy_reports",
    "greedy_texts",
    "group_logprobs",
    "load_policy",
    "load_processor",
    "own_reports",
    "sample_groups",
    "save_policy",
]
