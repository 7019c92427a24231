"""Networks that read reports, on plain transformers; imported when one of them is asked for."""
