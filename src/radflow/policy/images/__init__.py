"""Pictures to inputs and features, made ahead and kept."""
