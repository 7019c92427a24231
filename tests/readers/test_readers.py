import pytest

from radflow.errors import RadflowError
from radflow.readers import READERS, load
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


@pytest.mark.parametrize("name", ["chexbert:/models/chexbert", "radgraph:/models/radgraph"])
def test_networks_are_said_to_be_missing(name):
    with pytest.raises(RadflowError, match=r"cannot load .* networks yet"):
        load(name)


@pytest.mark.parametrize(
    "name", ["radflow.readers.nowhere:x", "radflow.readers.chexpert:nothing", "", ":", "chexbert:"]
)
def test_what_cannot_be_loaded_is_refused(name):
    with pytest.raises(RadflowError):
        load(name)
