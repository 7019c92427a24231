"""A tiny vision-language model, its data set and TRL's trainers. TRL is imported late: it takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radflow.studies import Study

COMMON = {
    "beta": 0.04,
    "bf16": False,
    "gradient_checkpointing": False,
    "learning_rate": 0.1,
    "logging_steps": 1,
    "loss_type": "grpo",
    "max_completion_length": 8,
    "max_steps": 3,
    "num_generations": 2,
    "num_iterations": 3,
    "per_device_train_batch_size": 4,
    "report_to": [],
    "save_strategy": "no",
    "use_bias_correction_kl": False,  # Eq. 8 does not weigh its KL term with the ratio; TRL's default does
    "use_cpu": True,
}


@pytest.fixture
def rows(studies: list[Study]) -> Any:
    """The studies as a data set in TRL's format; the second has two pictures, the last two are critical."""
    from datasets import Dataset

    from radflow.studies.images import to_pil

    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": "Write the report."}],
                "images": [to_pil(path) for path in study.images],
                "critical": study.critical,
                "study_id": study.study_id,
            }
            for study in studies
        ]
    )


@pytest.fixture
def build(folder: Path, rows: Any, tmp_path: Path) -> Callable[..., Any]:
    """``build(GRPOTrainer, reward, options=..., **arguments)``: a trainer with LoRA on the tiny model."""
    from peft import LoraConfig
    from transformers import AutoModelForImageTextToText
    from trl import GRPOConfig

    from radflow.policy import load_processor
    from radflow.policy.load import language_layers

    def build(trainer: type, reward: Any, *, data: Any = rows, **arguments: Any) -> Any:
        options = {name: arguments.pop(name) for name in list(arguments) if hasattr(GRPOConfig, name)}
        model = AutoModelForImageTextToText.from_pretrained(folder)
        return trainer(
            model,
            reward,
            GRPOConfig(str(tmp_path / "out"), **COMMON | options),
            data,
            processing_class=load_processor(folder),
            peft_config=LoraConfig(r=2, target_modules=language_layers(model)),
            **arguments,
        )

    return build
