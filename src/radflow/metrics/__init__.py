"""Metrics: pairs of texts to one number per pair. :data:`METRICS` is the table of them all."""

from radflow.metrics.bertscore import Rescaled, bertscore
from radflow.metrics.chexpert_f1 import chexpert_f1, corpus_chexpert_f1
from radflow.metrics.corpus_f1 import Corpus, corpus_f1
from radflow.metrics.finding_match import finding_match, finding_match_from_facts
from radflow.metrics.keyword_match import keyword_match, keyword_match_from_terms
from radflow.metrics.label_f1 import CorpusF1, corpus_label_f1, label_f1, positives, texts_label_f1
from radflow.metrics.lexical import bleu2, bleu4, rouge_l
from radflow.metrics.naming import metric_label
from radflow.metrics.pairs import Reader, ReadOnce
from radflow.metrics.radcliq import RadCliqReaders, inverse_radcliq_v1, radcliq
from radflow.metrics.radgraph_f1 import radgraph_f1, radgraph_f1_from_graphs
from radflow.metrics.semb_score import semb_score
from radflow.metrics.table import METRICS, Metric, default_metrics, score

__all__ = [
    "METRICS",
    "Corpus",
    "CorpusF1",
    "Metric",
    "RadCliqReaders",
    "ReadOnce",
    "Reader",
    "Rescaled",
    "bertscore",
    "bleu2",
    "bleu4",
    "chexpert_f1",
    "corpus_chexpert_f1",
    "corpus_f1",
    "corpus_label_f1",
    "default_metrics",
    "finding_match",
    "finding_match_from_facts",
    "inverse_radcliq_v1",
    "keyword_match",
    "keyword_match_from_terms",
    "label_f1",
    "metric_label",
    "positives",
    "radcliq",
    "radgraph_f1",
    "radgraph_f1_from_graphs",
    "rouge_l",
    "score",
    "semb_score",
    "texts_label_f1",
]
