"""CheXpert Plus's baselines: one model for the Findings, one for the Impression (Swinv2 and a small BERT)."""
