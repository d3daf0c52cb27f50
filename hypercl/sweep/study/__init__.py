"""The Optuna study of a sweep: what was suggested, reported and decided."""
