from radflow.viewer.records import Exploration
from radflow.viewer.run_page.explored import MOST_HARD_CASES, exploration_view
from radflow.viewer.run_page.run_files import read_run


def test_what_was_picked_is_told_and_drawn(run):
    view = exploration_view(read_run(run).exploration)
    assert "of 3,173 training studies" in view.sentence
    assert "the studies on which SFT scored lowest" in view.sentence
    assert "BLEU-2, BERTScore, RadGraph F1" in view.sentence
    assert "kept up to 0.275" in view.scores_svg
    assert "stenosis 70% or more" in view.labels_svg
    assert ("critical studies", "63.0%", "99.0%") in view.contrasts
    assert len(view.hardest) == MOST_HARD_CASES
    assert view.hardest[0].scores[0] == ("score", "0.03")


def test_a_bare_summary_is_enough():
    view = exploration_view(Exploration(strategy="mine", picked_size=0, split_size=0))
    assert view.sentence == "Picked 0 of 0 training studies (–): by the strategy “mine”."
    assert (view.scores_svg, view.labels_svg, view.contrasts, view.hardest) == ("", "", (), ())
