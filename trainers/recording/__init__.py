"""Recordings of imagined rollouts: what a model imagines, beside what happens, as rows of the data that look most like either."""
