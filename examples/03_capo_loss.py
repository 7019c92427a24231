"""CAPO on tensors (Eq. 8-9): the same update on a critical and on a normal case.

    python examples/03_capo_loss.py

The policy here is a table of logits, the two cases start alike and get the same rewards. After each optimiser
step on the same rollout more ratios leave 1; the critical case, clipped at epsilon / 4, stops being pushed
before the normal one. At the first step nothing can clip: every ratio is exactly 1.
"""

import torch

from radflow.capo import capo_loss, clip_range, group_advantage

P, G, T, V = 2, 4, 6, 12  # studies, completions per study, tokens, vocabulary


def main() -> None:
    torch.manual_seed(0)
    critical = torch.tensor([True, False])
    tokens = torch.randint(V, (G, T)).repeat(P, 1)
    advantage = group_advantage(torch.tensor([[0.1, 0.4, 1.2, 2.3]]).repeat(P, 1)).flatten()
    clip = clip_range(critical, epsilon=0.2, divisor=4.0).repeat_interleave(G)
    mask = torch.ones(P * G, T, dtype=torch.bool)

    logits = torch.zeros(P * G, T, V, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=8.0)

    def logprobs() -> torch.Tensor:
        return logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)

    old = logprobs().detach()
    print(f"epsilon: critical {clip[0]:.2f}, normal {clip[-1]:.2f}")
    print("step     loss   clipped: critical  normal   shift: critical  normal")
    for step in range(1, 7):
        loss, stats = capo_loss(logprobs(), old, old, mask, advantage, clip, beta=0.04)
        clipped, shift = stats.clip_fraction.view(P, G).mean(1), stats.shift.view(P, G).mean(1)
        row = (loss.item(), clipped[0], clipped[1], shift[0], shift[1])
        print("{:4} {:8.4f} {:19.2f} {:7.2f} {:17.3f} {:7.3f}".format(step, *row))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
