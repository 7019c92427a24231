"""Carotid ultrasound reports, by rules: terms and labels, findings, and what is said of which side."""

from radflow.readers.carotid.labels import CAROTID_OBSERVATIONS as CAROTID_OBSERVATIONS
from radflow.readers.carotid.labels import TermEvidence as TermEvidence
from radflow.readers.carotid.labels import carotid_labels as carotid_labels
from radflow.readers.carotid.labels import carotid_terms as carotid_terms
from radflow.readers.carotid.labels import explain as explain
