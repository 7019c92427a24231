"""Half-edited groups: some sampled reports are mended by rules with sentences of their reference."""
