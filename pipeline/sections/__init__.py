"""The sections of params.yaml, typed; `pipeline.params` puts them together."""
