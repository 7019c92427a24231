from radflow.viewer.records import MetricLog
from radflow.viewer.run_page.curves import rft_panels, sft_panels
from radflow.viewer.run_page.run_files import read_run


def test_every_curve_of_a_whole_run_is_drawn(run):
    log = read_run(run).log
    assert [panel.heading for panel in sft_panels(log)] == ["Loss", "Learning rate"]
    assert [panel.heading for panel in rft_panels(log, 10)] == [
        "Reward",
        "Label F1 on validation",
        "Spread of the reward",
        "Reward term: syntax",
        "Reward term: domain",
        "Reward term: consistency",
        "Reward term: impression",
        "KL from the SFT model",
        "Entropy of the policy",
        "Gradient norm",
        "Clipped tokens",
        "Range of the ratio",
        "Policy shift",
        "Policy shift over the vocabulary",
        "Length of reports",
        "Reports that end by themselves",
        "Groups without a gradient",
    ]


def test_the_chosen_step_is_marked_on_every_rft_chart(run):
    log = read_run(run).log
    assert all("chosen: step 10" in panel.svg for panel in rft_panels(log, 10))
    assert not any("chosen" in panel.svg for panel in rft_panels(log, None))


def test_a_chart_without_data_is_left_out():
    log = MetricLog(lines=({"stage": "rft", "step": 1, "kl": 0.1, "reward": None},))
    assert [panel.heading for panel in rft_panels(log, 0)] == ["KL from the SFT model"]
    assert sft_panels(log) == []


def test_a_long_log_says_over_how_many_steps_it_is_averaged(run):
    assert sft_panels(read_run(run).log)[0].note == "Each training point is the mean of 5 steps."
