"""Log-probabilities of a group: the packed row that shares its prefix, and the plain forward."""
