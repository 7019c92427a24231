"""TRL's side of ``rft_step.py``: the stock GRPOTrainer, one group per batch, with clocks around its methods.

Nothing in it is changed, but for one switch in its favour (``compact_head``). Its phases are told apart
by wrapping three of its methods from outside; what lies between its own callbacks ``on_step_begin`` and
``on_step_end`` is the whole step, and what no wrapped method accounts for (forward, loss, backward,
clipping, optimiser) is the update. Loading pictures from its dataset and its logging lie outside and are
not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Image, List
from rft_clock import BETA, EPSILON, NORM, RATE, Clock, Setting, reward, trainable
from rft_models import instruction, lora
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import utils as trl_utils

from radflow.policy import Policy
from radflow.policy.prompts import prompt_text
from radflow.studies import Study


class Stock(TrainerCallback):
    """TRL's GRPOTrainer as it is installed, one group per batch.

    Args:
        after_step: called between its steps; the other side takes its turn there.
        compact_head: on a GPU with Triton TRL computes the head on completion tokens alone, elsewhere on all
            tokens. True gives it the former on a CPU too.
    """

    def __init__(
        self,
        policy: Policy,
        studies: Sequence[Study],
        setting: Setting,
        *,
        folder: Path,
        compact_head: bool,
        after_step: Callable[[int], None],
    ) -> None:
        self.clock = Clock(setting.device)
        self._inner, self._after = setting.inner, after_step
        self.kept: dict[str, Any] = {}
        self._start, self._reads = 0.0, 0
        if compact_head:
            trl_utils._use_triton = lambda device: True
        model: Any = policy.model
        reserved = {model.config.image_token_id, getattr(model.config, "video_token_id", None)} - {None}
        arguments = GRPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=setting.group,
            num_generations=setting.group,
            gradient_accumulation_steps=1,
            steps_per_generation=1,
            num_iterations=setting.inner,
            max_steps=setting.inner * len(studies),
            max_completion_length=setting.completion,
            generation_kwargs={"suppress_tokens": sorted(reserved)},
            loss_type="grpo",
            beta=BETA,
            use_bias_correction_kl=False,  # Eq. 8 has no such factor
            epsilon=EPSILON,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=NORM,
            bf16=setting.device == "cuda",
            use_cpu=setting.device == "cpu",
            gradient_checkpointing=setting.checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
            shuffle_dataset=False,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        self.trainer = GRPOTrainer(
            model=model,
            reward_funcs=[rewards_of],
            args=arguments,
            train_dataset=as_dataset(studies),
            processing_class=policy.processor,
            peft_config=lora(policy),
            callbacks=[self],
        )
        self._wrap()

    def run(self) -> None:
        """All steps."""
        self.trainer.train()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._inner == 0:
            self._start, self._reads = self.clock.now(), 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self._inner:
            return
        self.clock.add("whole", self.clock.now() - self._start)
        self.clock.turn(rest="update")
        self._after(state.global_step // self._inner - 1)

    def _wrap(self) -> None:
        """Put clocks around three methods, and keep what the last rollout was."""
        trainer, clock = self.trainer, self.clock
        make, read = trainer._generate_and_score_completions, trainer._get_per_token_logps_and_entropies

        def rollout(inputs: Any) -> Any:
            before, start = clock.so_far(), clock.now()
            weights = [p.detach().clone() for p in trainable(trainer.model)]
            begin = clock.now()
            made = make(inputs)
            clock.add("sample", clock.now() - begin - (clock.so_far() - before))
            clock.add("whole", start - begin)  # keeping the weights is not TRL's work
            self.kept = {"inputs": dict(made), "weights": weights}
            return made

        def logprobs(*args: Any, **kwargs: Any) -> Any:
            if torch.is_grad_enabled():
                return read(*args, **kwargs)
            self._reads += 1
            with clock.phase("old" if self._reads == 1 else "ref"):
                return read(*args, **kwargs)

        trainer._generate_and_score_completions = rollout
        trainer._get_per_token_logps_and_entropies = logprobs
        clock.wrap(trainer, "_calculate_rewards", "score")


def rewards_of(completions: Sequence[Sequence[dict[str, str]]], **_: Any) -> list[float]:
    """`reward` as TRL calls it."""
    return [reward(messages[0]["content"]) for messages in completions]


def as_dataset(studies: Sequence[Study]) -> Dataset:
    """The same prompts and pictures as TRL wants them."""
    rows = {
        "prompt": [[{"role": "user", "content": prompt_text(s, instruction())}] for s in studies],
        "images": [[str(path) for path in s.images] for s in studies],
    }
    return Dataset.from_dict(rows).cast_column("images", List(Image()))
