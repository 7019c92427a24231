"""Where report text may go, and what it may not hold when it goes there."""
