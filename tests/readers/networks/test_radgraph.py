"""The RadGraph network against the radgraph package on the same random weights, graph for graph.

The package (0.1.18) is the oracle. It was written for transformers 4: ``package`` gives it back the two
tokenizer methods it misses. Its models are random, so what they read means nothing; their heads are set so
that every label and relation comes up often.
"""

import copy
import json
import random
import shutil
import string
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertTokenizerFast,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from radflow.errors import DataError, MissingFileError
from radflow.readers.networks.radgraph import RadGraph
from radflow.readers.networks.radgraph_words import Collator, split_words, word_pieces
from radflow.readers.networks.text_cache import TextCache

LABELS = {
    "radgraph": ["ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA"],
    "radgraph-xl": [
        f"{kind}::{state}"
        for kind in ("Anatomy", "Observation")
        for state in ("definitely present", "uncertain", "definitely absent")
    ],
}
LABELS["modern-radgraph-xl"] = LABELS["radgraph-xl"]
RELATIONS = ["modify", "located_at", "suggestive_of"]
WORDS = (
    *("no", "the", "heart", "lungs", "are", "clear", "is", "normal", "in", "size"),
    *("effusion", "left", "small", "pleural", "opacity", "may", "represent"),
)
ENTITY_BIAS, RELATION_BIAS = -0.9, -1.5  # about one span in ten an entity, one pair in ten related
MAX_LENGTH = 24  # word pieces in a segment: reports longer than that are cut, as real ones are at 512


def report(words: int, seed: int) -> str:
    """Words of the vocabulary, unknown ones and stops."""
    choose = random.Random(seed)
    all_words = [*WORDS, "pneumothorax.", "XXXX", "well-aerated,", "2.5cm"]
    return " ".join(choose.choice(all_words) for _ in range(words))


PLAIN = [report(words, words) for words in (2, 3, 5, 9, 17, 18, 30)]
LONG = [report(words, words) for words in (60, 150)]
ODD = [
    "",
    "x",
    ".",
    "/. /? no/. effusion/?",
    "café naïve ™ 5µm “quoted” — dash",
    "[SEP] [CLS] [MASK] [UNK] heart",
    "2.5 cm, (3.4%), 10%. 'x.' (%). .'",
    "heart \u200b size \u0000 normal \ufffd",
    "supercalifragilistic" * 20 + " effusion",
    "心臓 normal size",
    'line\nbreak\r\n\ttab \\n \\f \\u2122 \\" end',
    "a/b,c:d;e!f?g(h)i-j",
    "\u00a0nbsp\u2003here\u0085",
    "1. 2. 3. ...",
]
TEXTS = [*PLAIN, *ODD, *LONG]


def save_word_pieces(bert: Path) -> None:
    """BERT's kind of tokenizer."""
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (bert / "vocab.txt").write_text("\n".join(dict.fromkeys([*tokens, *WORDS])))
    BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)


def byte_pairs() -> PreTrainedTokenizerFast:
    """ModernBERT's kind of tokenizer: bytes, and the words that the merges of their letters make."""
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.train_from_iterator(
        WORDS * 3,
        trainers.BpeTrainer(
            vocab_size=320,
            show_progress=False,
            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {name: f"[{name[:-6].upper()}]" for name in ("pad_token", "unk_token", "cls_token", "sep_token")}
    return PreTrainedTokenizerFast(tokenizer_object=tokens, **names)


def write_archive(package, folder: Path, dataset: str, encoder: PreTrainedConfig, max_length: int) -> Path:
    """A folder as the package unpacks its archives; the weights are random."""
    home = folder / dataset
    bert, vocabulary = home / "bert", home / "vocabulary"
    vocabulary.mkdir(parents=True)
    encoder.save_pretrained(bert)
    if isinstance(encoder, ModernBertConfig):
        byte_pairs().save_pretrained(bert)
    else:
        save_word_pieces(bert)
    (vocabulary / "non_padded_namespaces.txt").write_text("*tags\n*labels\n")
    (vocabulary / f"{dataset}__ner_labels.txt").write_text("\n".join(["", *LABELS[dataset], ""]))
    (vocabulary / f"{dataset}__relation_labels.txt").write_text("\n".join([*RELATIONS, ""]))
    bert_reader = {
        "type": "pretrained_transformer_mismatched",
        "model_name": str(bert),
        "max_length": max_length,
    }
    model = {
        "type": "dygie",
        "embedder": {"token_embedders": {"bert": bert_reader}},
        "initializer": {},
        "module_initializer": {},
        "loss_weights": {"ner": 0.2, "relation": 1.0, "coref": 0.0, "events": 0.0},
        "feature_size": 20,
        "max_span_width": 8,
        "target_task": "relation",
        "feedforward_params": {"num_layers": 2, "hidden_dims": 150, "dropout": 0.4},
        "modules": {
            "coref": {"spans_per_word": 0.3, "max_antecedents": 100, "coref_prop": 0},
            "ner": {},
            "relation": {"spans_per_word": 0.5},
            "events": {"trigger_spans_per_word": 0.3, "argument_spans_per_word": 0.8, "loss_weights": {}},
        },
    }
    reader = {"type": "dygie", "token_indexers": {"bert": bert_reader}, "max_span_width": 8}
    (home / "config.json").write_text(json.dumps({"dataset_reader": reader, "model": model}))
    torch.save(random_weights(package, home, model), home / "weights.th")
    return home


def random_weights(package, home: Path, model: dict) -> dict[str, torch.Tensor]:
    """The package's own network, random but lively: what it reads depends on the words."""
    from radgraph.allennlp.data import Vocabulary
    from radgraph.allennlp.modules.text_field_embedders import BasicTextFieldEmbedder
    from radgraph.allennlp.modules.token_embedders import PretrainedTransformerMismatchedEmbedder
    from radgraph.dygie.models.dygie import DyGIE

    not_taken = ("type", "embedder", "initializer", "module_initializer")
    arguments = {name: value for name, value in model.items() if name not in not_taken}
    bert = model["embedder"]["token_embedders"]["bert"]
    torch.manual_seed(0)
    embedder = PretrainedTransformerMismatchedEmbedder(bert["model_name"], max_length=bert["max_length"])
    weights = DyGIE(
        vocab=Vocabulary.from_files(str(home / "vocabulary")),
        embedder=BasicTextFieldEmbedder({"bert": embedder}),
        **copy.deepcopy(arguments),  # it empties them
    ).state_dict()
    for name, tensor in weights.items():
        if "token_type" in name:
            tensor.zero_()
        elif "transformer_model" in name and tensor.ndim > 1:
            tensor.normal_(0, 1.0 if "word_embeddings" in name else 0.2)
        elif tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor.shape[1]) ** 0.5).sub_(tensor.mean(dim=1, keepdim=True))
        elif "_ner_scorers" in name and name.endswith("1._module.bias"):
            tensor.fill_(ENTITY_BIAS)
        elif "_relation_scorers" in name:
            tensor.fill_(RELATION_BIAS)
    return weights


@pytest.fixture(scope="module")
def package():
    """The radgraph package on transformers 5."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(PreTrainedTokenizerBase, "encode_plus", PreTrainedTokenizerBase.__call__, raising=False)
        patch.setattr(
            PreTrainedTokenizerBase,
            "build_inputs_with_special_tokens",
            lambda self, ids: [self.cls_token_id, *ids, self.sep_token_id],
            raising=False,
        )
        import radgraph

        yield radgraph


@pytest.fixture(scope="module", params=LABELS)
def archive(request, package, tmp_path_factory) -> Path:
    shape = {
        "vocab_size": 200,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": MAX_LENGTH,
    }
    special = {"pad_token_id": 0, "cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
    encoder = BertConfig(**shape)
    if request.param.startswith("modern"):
        encoder = ModernBertConfig(**shape | {"vocab_size": 320}, **special, local_attention=8)
    return write_archive(package, tmp_path_factory.mktemp("radgraph"), request.param, encoder, MAX_LENGTH)


@pytest.fixture(scope="module")
def oracle(archive, package):
    """Texts to graphs by the package; it prints, and warns of reports of one word."""
    with warnings.catch_warnings():  # it leaves files open
        warnings.simplefilter("ignore")
        model = package.RadGraph(model_type=archive.name, model_cache_dir=str(archive.parent), cuda=-1)

    def read(texts):
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            graphs = model(list(texts))
        return [graphs[str(number)] for number in range(len(texts))]

    return read


@pytest.fixture(scope="module")
def reader(archive):
    return RadGraph(archive, device="cpu", cache=None)


def test_the_same_graphs_as_the_package(reader, oracle):
    expected = oracle(TEXTS)
    assert reader(TEXTS) == expected
    entities = [entity for graph in expected for entity in graph["entities"].values()]
    labels = Counter(entity["label"] for entity in entities)
    relations = Counter(kind for entity in entities for kind, _ in entity["relations"])
    assert set(labels) == set(reader.entity_labels), "a label that no report has is not tested"
    assert set(relations) == set(RELATIONS) == set(reader.relation_labels)
    assert min(*labels.values(), *relations.values()) >= 5


@pytest.mark.parametrize("batch_tokens", [1, 60, 400])
def test_the_same_graph_alone_and_in_any_batch_and_order(reader, monkeypatch, batch_tokens):
    expected = reader(TEXTS)
    monkeypatch.setattr(reader, "_batch_tokens", batch_tokens)
    order = random.Random(batch_tokens).sample(range(len(TEXTS)), len(TEXTS))
    assert reader([TEXTS[position] for position in order]) == [expected[position] for position in order]


def test_it_says_which_network_it_is(reader):
    assert (
        reader.name
        == {
            "radgraph": "RadGraph",
            "radgraph-xl": "RadGraph-XL",
            "modern-radgraph-xl": "Modern RadGraph-XL",
        }[reader.dataset]
    )


def test_pairs_in_any_portion(reader, monkeypatch):
    expected = reader(TEXTS)
    monkeypatch.setattr("radflow.readers.networks.radgraph_model.PAIRS_AT_ONCE", 7)
    assert reader(TEXTS) == expected


def test_a_text_is_read_once_and_by_each_model_for_itself(archive, monkeypatch):
    cache = TextCache()
    reader = RadGraph(archive, device="cpu", cache=cache)
    expected = reader(PLAIN)
    monkeypatch.setattr(reader, "_forward", lambda reports: pytest.fail("read again"))
    assert reader([*PLAIN, *PLAIN]) == expected * 2
    weights = torch.load(archive / "weights.th")
    weights["_endpoint_span_extractor._span_width_embedding.weight"] += 1
    other = archive.parent / "other"
    shutil.copytree(archive, other)
    torch.save(weights, other / "weights.th")
    assert RadGraph(other, device="cpu", cache=cache).fingerprint != reader.fingerprint
    shutil.rmtree(other)


def test_a_safetensors_conversion_is_the_same_model(archive, reader, tmp_path):
    folder = tmp_path / archive.name
    shutil.copytree(archive, folder)
    save_file(torch.load(folder / "weights.th"), folder / "weights.safetensors")
    (folder / "weights.th").unlink()
    converted = RadGraph(folder, device="cpu", cache=None)
    assert converted.fingerprint == reader.fingerprint
    assert converted(PLAIN) == reader(PLAIN)


def test_heads_stay_in_float32(archive):
    reader = RadGraph(archive, device="cpu", dtype="bfloat16", cache=None)
    assert reader._model.encoder.dtype == torch.bfloat16
    assert reader._model.width.weight.dtype == torch.float32
    words = [split_words(text, reader.dataset) for text in PLAIN]
    assert [graph["text"].split() for graph in reader(PLAIN)] == words


def test_texts_without_words_or_pieces(reader):
    """The package fails on these. Here a text without words is the report "None"."""
    assert reader([" \n\t ", ""]) == reader(["None", "None"])
    assert reader(["\x00 \x01"])[0]["text"] in ("\x00 \x01", "None")
    assert reader(["no\ud800 heart"])[0]["text"].endswith("heart")
    assert reader([]) == []


@given(st.text())
def test_words_of_the_original_model_are_the_packages(package, text):
    (expected,) = package.utils.preprocess_reports([text], "radgraph")[0]["sentences"]
    assert split_words(text, "radgraph") == (expected or ["None"])


@given(st.text(st.sampled_from(string.printable + "éß™µ“”—\u00a0\u2003\u0085中")))
def test_words_of_later_models_are_the_packages(package, text):
    """Without marks and fractions (½): NLTK 3.10 takes another view of letters than the NLTK before it."""
    (expected,) = package.utils.preprocess_reports([text], "radgraph-xl")[0]["sentences"]
    assert split_words(text, "radgraph-xl") == (expected or ["None"])


def test_long_reports_are_cut_into_segments(reader):
    pieces = word_pieces(reader._tokenizer, [split_words(text, reader.dataset) for text in LONG])
    collate = Collator(reader._tokenizer, MAX_LENGTH, torch.device("cpu"))
    batch = collate(pieces)
    room = MAX_LENGTH - 2
    assert [collate.segments(report) for report in pieces] == [-(-len(r.ids) // room) for r in pieces]
    assert batch.ids.shape == (sum(map(collate.segments, pieces)), MAX_LENGTH)
    assert batch.ids.flatten()[batch.pieces].tolist() == [number for r in pieces for number in r.ids]
    assert batch.mask.sum() == len(batch.pieces) + 2 * len(batch.ids)


def test_errors_name_the_file_and_the_remedy(archive, tmp_path):
    def load(change) -> None:
        folder = tmp_path / archive.name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(archive, folder)
        change(folder)
        RadGraph(folder, device="cpu", cache=None)

    def configure(**changes):
        def change(folder):
            config = json.loads((folder / "config.json").read_text())
            config["model"].update(changes)
            (folder / "config.json").write_text(json.dumps(config))

        return change

    def without_encoder(folder):
        shutil.rmtree(folder / "bert")
        text = (folder / "config.json").read_text().replace(str(archive / "bert"), "/nowhere/bert")
        (folder / "config.json").write_text(text)

    labels = Path("vocabulary", f"{archive.name}__ner_labels.txt")
    archive_file = tmp_path / "radgraph.tar.gz"
    archive_file.write_bytes(b"")
    with pytest.raises(MissingFileError, match="tar -xzf"):
        RadGraph(archive_file)
    with pytest.raises(MissingFileError, match="folder of a RadGraph model"):
        RadGraph(tmp_path / "none")
    with pytest.raises(MissingFileError, match=r"config\.json"):
        load(lambda folder: (folder / "config.json").unlink())
    with pytest.raises(DataError, match="Unpack the archive again"):
        load(lambda folder: (folder / "config.json").write_text("{}"))
    with pytest.raises(DataError, match="coreference propagation"):
        load(configure(modules={"coref": {"coref_prop": 1}, "relation": {"spans_per_word": 0.5}}))
    with pytest.raises(DataError, match="of another shape: entity"):
        load(configure(feature_size=10))
    with pytest.raises(DataError, match="__ner_labels"):
        load(lambda folder: (folder / labels).unlink())
    with pytest.raises(MissingFileError, match="__relation_labels"):
        load(lambda folder: (folder / "vocabulary" / f"{archive.name}__relation_labels.txt").unlink())
    with pytest.raises(DataError, match="empty first line"):
        load(lambda folder: (folder / labels).write_text("OBS-DP\n"))
    with pytest.raises(MissingFileError, match=r"weights\.safetensors or weights\.th"):
        load(lambda folder: (folder / "weights.th").unlink())
    with pytest.raises(MissingFileError, match=r"/nowhere/bert.*vocab\.txt.*into .*bert"):
        load(without_encoder)
