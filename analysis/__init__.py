"""What is concluded: error tables, statistics, figures, the report.

Reads tables, not models (and so imports no torch). From one row per prediction to a sentence:
`sums` (per episode) -> `resample` (intervals) -> `errors` (tables) -> `results` -> `findings`, `figures`, `metrics` -> `page`.
"""
