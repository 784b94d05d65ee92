"""Records, tables, audit and rendering; nothing here imports torch."""
