"""Probes: how well something simple reads a reward, a state or an embedding out of a vector, and what the vectors look like.

Symbols beside those of `datasets/__init__.py`: D channels of what is read, K channels of what is to be told from it.
"""
