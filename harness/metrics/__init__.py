"""Metrics and statistics: pure functions of stored predictions and annotations, on numpy arrays."""
