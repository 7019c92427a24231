from radflow.viewer.records import Exploration, HardCase, PickedAgain, SplitAndPicked
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


def test_samples_and_later_rounds_are_told():
    first = HardCase(
        study_id="s1", score=0.5, reference="Findings: A. Impression: B.", prediction="C.", best="D."
    )
    spread, labels = SplitAndPicked(split=0.1, picked=0.35), {"Edema": SplitAndPicked(split=0.1, picked=0.4)}
    view = exploration_view(
        Exploration(
            strategy="learnable",
            picked_size=2,
            split_size=8,
            samples=4,
            spread=spread,
            labels=labels,
            hardest=(first,),
        ),
        [PickedAgain(step=5, picked_size=3, critical_share=0.5, positives=1.25, spread=0.4)],
    )
    assert "the studies on which sampled reports differ most in the label metric" in view.sentence
    assert ("spread of the label metric", "0.10", "0.35") in view.contrasts
    assert [title for title, _ in view.hardest[0].reports] == ["Reference", "Best of 4", "Worst of 4"]
    assert view.rounds == (("5", "3", "50.0%", "1.2", "0.40"),)
