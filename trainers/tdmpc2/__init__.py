"""The world model of TD-MPC2 (arXiv 2310.16828, nicklashansen/tdmpc2): a latent that predicts itself, reward and value.

Symbols beside those of `datasets/__init__.py`: Z latent, K stacked frames, H steps of a training rollout, Q members of the value
ensemble, N bins of a discrete regression.
"""
