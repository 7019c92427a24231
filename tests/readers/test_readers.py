import subprocess
import sys

import pytest

from radflow.errors import RadflowError
from radflow.readers import NETWORK_READERS, READERS, load
from radflow.reports import Report


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("minilm", "criticality-rules")])
def test_every_reader_of_texts_loads_and_reads(name):
    assert len(load(name)(["Lungs are clear.", ""])) == 2


def test_the_criticality_reader_takes_reports():
    report = Report(text="Lungs are clear.", findings=None, impression=None)
    assert load("criticality-rules")([report]) == [False]


def test_a_dotted_path_works():
    assert load("radflow.readers.chexpert:chexpert_rules") is load("chexpert-rules")


def test_a_misspelt_name_is_helped():
    with pytest.raises(RadflowError, match=r"Did you mean 'chexpert-rules'\?"):
        load("chexpert-rule")


@pytest.mark.parametrize("prefix", NETWORK_READERS)
def test_a_network_that_is_not_there_is_named(prefix, tmp_path):
    with pytest.raises(RadflowError, match=str(tmp_path / "none")):
        load(f"{prefix}:{tmp_path / 'none'}")


@pytest.mark.parametrize("name", ["chexpert-rules", "radflow.readers.chexpert:chexpert_rules"])
def test_rules_take_no_options(name):
    with pytest.raises(RadflowError, match=r"no options for .* got device, dtype"):
        load(name, device="cpu", dtype="float32")


def test_a_misspelt_option_is_helped():
    with pytest.raises(RadflowError, match=r"Did you mean 'batch_tokens'\?"):
        load("minilm", batch_token=3)


def test_rules_do_not_load_torch():
    script = (
        "import sys; from radflow import readers; readers.load('chexpert-rules')(['Edema.']);"
        "from radflow.readers.networks import chexbert, embeddings, inference, text_cache, weights;"
        "sys.exit(sorted({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    "name", ["radflow.readers.nowhere:x", "radflow.readers.chexpert:nothing", "", ":", "chexbert:"]
)
def test_what_cannot_be_loaded_is_refused(name):
    with pytest.raises(RadflowError):
        load(name)
