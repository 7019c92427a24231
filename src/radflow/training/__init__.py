"""The stages that change a policy: supervised fine-tuning, Target Exploration, reinforcement fine-tuning."""
