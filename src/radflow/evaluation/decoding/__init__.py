"""Which of the sampled reports of a study to take, and what the best of them would be worth."""
