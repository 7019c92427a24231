"""What every test shares: hypothesis without deadlines, since machines are busy, and quiet tokenizers."""

import os

from hypothesis import settings

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("radflow", deadline=None)
settings.load_profile("radflow")
