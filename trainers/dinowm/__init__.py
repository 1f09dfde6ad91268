"""DINO-WM's predictor (arXiv 2411.04983) with a reward head: a causal transformer over the tokens of the last few frames."""
