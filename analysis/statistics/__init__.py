"""What can be concluded from runs: estimates with intervals that cover, and verdicts that say no more than they allow.

`draws` (what is resampled) and `intervals` (from resamples to an interval) serve `scores` and `improvement` (rliable's estimates)
and `correlation`; `mixed` fits `regression` on `properties` of encoders. `multiple` corrects for many tests, `verdict` judges a
claim. Every table has `estimate`, `low`, `high`, `seeds` and `few_seeds`.
"""
