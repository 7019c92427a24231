"""Commands that ask judges, or look at what they said."""
