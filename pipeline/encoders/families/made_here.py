"""What needs no download: the references, and encoders that learn from the study's own frames.

`state`, `scratch` and `scratch_64` are no frozen encoders at all.
"""

from pipeline.encoders.entry import EncoderInfo

_END_TO_END = "trained end to end with the world model"
INFOS = (
    EncoderInfo("state", None, "none", "none: the task's own observation", "none", stores="observation"),
    EncoderInfo("scratch", None, "CNN", _END_TO_END, "the task's frames", stores="frame"),
    EncoderInfo("scratch_64", None, "CNN", _END_TO_END, "the task's frames at 64 pixels", stores="frame", side=64),
    EncoderInfo("random_cnn", 256, "CNN", "none: frozen random weights", "none", aliases=("random",)),
    EncoderInfo("random_vit", 128, "small ViT/8", "none: frozen random weights", "none", grid=(8, 8, 128)),
    EncoderInfo("autoencoder", 64, "CNN", "reconstruction", "the task's frames"),
    EncoderInfo("mae_indomain", 128, "small ViT/8", "masked pixels", "frames of the task, or of others", grid=(8, 8, 128)),
    EncoderInfo("dino_indomain", 128, "small ViT/8", "self-distillation", "frames of the task, or of others", grid=(8, 8, 128)),
)
VITS = ("random_vit", "mae_indomain", "dino_indomain")
_SHARED = ("checkpoint.py", "containers.py", "entry.py", "preprocess.py")
_VIT_CODE = ("networks/network.py", "networks/small_vit.py", "networks/vit.py")
CODE = {info.name: (*_SHARED, *(_VIT_CODE if info.name in VITS else ("cnn.py",))) for info in INFOS}
CODE["scratch_64"] += ("area.py",)
