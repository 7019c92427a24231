"""The resource against fhir.resources, which implements the R4B definitions; DiagnosticReport is as in R4."""

import base64
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from radflow.errors import DataError
from radflow.integrations.fhir import diagnostic_report
from radflow.reports import Report
from radflow.reports.draft import NOTICE, Draft


def validated(resource: dict[str, Any]) -> Any:
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    return DiagnosticReport.model_validate(resource)


def test_an_independent_library_reads_every_field(draft: Draft) -> None:
    report = validated(diagnostic_report(draft, page="<p>page</p>"))
    assert report.status == "preliminary"
    assert report.code.coding[0].code == "18748-4"
    assert {coding.code for coding in report.category[0].coding} == {"RAD", "LP29684-5"}
    assert report.issued.isoformat() == draft.created
    assert report.conclusion == f"{NOTICE} Left effusion."
    observations = {one.id: one for one in report.contained}
    assert observations["findings"].valueString == draft.report.findings
    assert observations["consistency"].valueBoolean is False
    assert observations["consistency"].note[0].text == draft.reasons[0]
    assert observations["critical"].valueBoolean is True
    assert [one.reference for one in report.result] == [f"#{name}" for name in observations]
    assert {one.status for one in report.contained} == {"preliminary"}


def test_the_same_json_comes_back(draft: Draft) -> None:
    resource = diagnostic_report(draft, page="x", subject="Patient/1", imaging_study="ImagingStudy/2")
    back = validated(resource).model_dump(mode="json", by_alias=True, exclude_none=True)
    instant = {"issued", "presentedForm"}
    assert {k: v for k, v in back.items() if k not in instant} == {
        k: v for k, v in resource.items() if k not in instant
    }


def test_the_notice_stands_in_narrative_conclusion_and_form(draft: Draft) -> None:
    resource = diagnostic_report(draft, page=f"<p>{NOTICE}</p>")
    [form] = resource["presentedForm"]
    places = (
        resource["text"]["div"],
        resource["conclusion"],
        form["title"],
        base64.b64decode(form["data"]).decode(),
    )
    assert all(NOTICE in place for place in places)


def test_the_narrative_is_xhtml_with_the_uncertain_words_underlined(draft: Draft) -> None:
    div = ElementTree.fromstring(diagnostic_report(draft, page="")["text"]["div"])
    name = "{http://www.w3.org/1999/xhtml}"
    assert div.tag == f"{name}div"
    assert [(u.text, u.get("title")) for u in div.iter(f"{name}u")] == [
        ("normal", "p = 0.25"),
        ("Left", "p = 0.40"),
    ]
    assert "Heart < 50% & normal." in "".join(div.itertext())


def test_nobody_is_named_unless_told(draft: Draft) -> None:
    resource = diagnostic_report(draft, page="")
    assert not {"subject", "imagingStudy", "performer", "identifier"} & set(resource)
    named = validated(
        diagnostic_report(
            draft, page="", subject="https://x.org/fhir/Patient/1", imaging_study="ImagingStudy/2"
        )
    )
    assert named.subject.reference == "https://x.org/fhir/Patient/1"
    assert named.imagingStudy[0].reference == "ImagingStudy/2"


@pytest.mark.parametrize(
    "subject", ["John Smith", "Patient", "ImagingStudy/1", "Patient/a b", "Patient/1/2", ""]
)
def test_what_is_no_reference_is_refused(draft: Draft, subject: str) -> None:
    with pytest.raises(DataError, match="expected a FHIR reference such as Patient/123"):
        diagnostic_report(draft, page="", subject=subject)


@pytest.mark.parametrize("text", ["", "Clear lungs."])
def test_a_text_without_sections_has_no_conclusion(draft: Draft, text: str) -> None:
    report = Report(text=text, findings=None, impression=None)
    bare = replace(draft, report=report, words=(), consistent=None, reasons=(), because=(), critical=False)
    resource = diagnostic_report(bare, page="")
    assert validated(resource).conclusion is None
    observations = {one["id"]: one for one in resource["contained"]}
    assert ("findings" in observations) == bool(text)
    assert "dataAbsentReason" in observations["consistency"]
    assert "note" not in observations["critical"]
