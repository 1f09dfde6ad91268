"""Behaviour learned in imagination (DreamerV3, arXiv 2301.04104 v2) and the online loop around it."""
