"""Ablations: rows of overrides on one recipe, run over seeds, and the tables that come of them.

``definition.py`` reads what somebody asks, ``plan.py`` says which runs that takes and what they share,
``runner.py`` runs them, ``collect.py`` reads what they left.
"""
