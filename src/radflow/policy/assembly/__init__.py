"""A policy from parts: any vision tower, a connector, any causal language model (paper, section 3.1)."""
