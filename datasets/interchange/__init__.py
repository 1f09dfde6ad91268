"""Other projects' data, in and out: one file a format, each naming the upstream code that defines it.

Importers (`registry.open_episodes`) give trajectories with their frames; there is no physics state, so nothing can be drawn
again. Exporters (`lerobot`, `minari`) write one look. All hold one episode in memory at a time and run no code from a file.
"""
