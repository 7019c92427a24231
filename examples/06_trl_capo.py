"""CAPO inside TRL: each case's clipping range and the hierarchical reward, in ``GRPOTrainer``'s own loop.

    pip install 'radflow[trl]' && python examples/06_trl_capo.py

Two drawn studies, a tiny untrained vision-language model with LoRA, three optimiser steps on one rollout.
Other models and data take the same lines: a row has ``prompt``, ``images``, ``critical`` and ``study_id``.
"""

import tempfile
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig
from PIL import Image
from transformers import AutoModelForImageTextToText
from trl import GRPOConfig

from radflow.config import Tiny
from radflow.integrations.trl import CAPOTrainer, reward_function
from radflow.policy import build_tiny, load_processor
from radflow.reports import parse_report
from radflow.rewards import HierarchicalReward
from radflow.studies import Study

TEXTS = ("Findings: Clear lungs. Impression: Normal.", "Findings: Large effusion. Impression: Effusion.")
PROMPT = [{"role": "user", "content": "Write the report."}]


def main(folder: Path) -> None:
    studies, rows = [], []
    for i, text in enumerate(TEXTS):
        picture, path = Image.new("L", (32, 32), 90 + 90 * i), folder / f"{i}.png"
        picture.save(path)
        studies.append(Study(study_id=f"s{i}", patient_id="p", images=(path,), reference=parse_report(text)))
        rows.append({"prompt": PROMPT, "images": [picture], "critical": i == 1, "study_id": f"s{i}"})
    tiny = Tiny(image_size=32, vision_width=32, text_width=32, vision_layers=1, text_layers=2, heads=2)
    build_tiny(tiny, folder, texts=TEXTS * 4, images=[s.images[0] for s in studies], seed=0)

    args = GRPOConfig(str(folder), loss_type="grpo", use_bias_correction_kl=False, beta=0.04, epsilon=0.2,
                      num_iterations=3, num_generations=8, per_device_train_batch_size=16, max_steps=3,
                      max_completion_length=48, learning_rate=0.02, logging_steps=1, save_strategy="no",
                      report_to=[], disable_tqdm=True, use_cpu=True, bf16=False)  # fmt: skip
    model = AutoModelForImageTextToText.from_pretrained(folder)
    reward = reward_function(HierarchicalReward(modality="chest-xray"), studies)
    more = {
        "processing_class": load_processor(folder),
        "peft_config": LoraConfig(r=4, target_modules=r".*language_model.*(q|k|v|o)_proj"),
    }
    trainer = CAPOTrainer(model, reward, args, Dataset.from_list(rows), divisor=4.0, **more)
    trainer.train()
    print("step   clipped: critical  normal   shift: critical  normal")
    for row in trainer.state.log_history[:3]:
        names = [f"capo/{x}_{who}" for x in ("clip_fraction", "shift") for who in ("critical", "normal")]
        print("{:4} {:19.2f} {:7.2f} {:17.3f} {:7.3f}".format(row["step"], *map(row.get, names)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch))
