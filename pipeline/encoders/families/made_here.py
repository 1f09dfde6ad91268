"""The references: what needs no download. `state` and `scratch` are no frozen encoders at all."""

from pipeline.encoders.entry import EncoderInfo

INFOS = (
    EncoderInfo("state", None, "none", "none: the task's own observation", "none"),
    EncoderInfo("scratch", None, "CNN", "trained end to end with the world model", "the task's frames"),
    EncoderInfo("random_cnn", 256, "CNN", "none: frozen random weights", "none", aliases=("random",)),
    EncoderInfo("autoencoder", 64, "CNN", "reconstruction", "the task's frames"),
)
