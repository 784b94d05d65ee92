"""Pure functions of stored predictions and annotations."""
