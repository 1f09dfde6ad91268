"""R2D2's dense network (naver/r2d2, `nets/patchnet.py`: Quad_L2Net_ConfCFS) and its keypoints' descriptors (`extract.py`).

Strides are turned into dilations, so every pixel has a descriptor. A convolution's own stride dilates only those after it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.encoders.networks.network import Features, Network

KEYPOINTS = 8
_THRESHOLD = 0.7  # of reliability and of repeatability, extract.py's defaults
# outputs, kernel, stride, followed by a batch norm, followed by a ReLU
_LAYERS = (
    (32, 3, 1, True, True), (32, 3, 1, True, True), (64, 3, 2, True, True), (64, 3, 1, True, True), (128, 3, 2, True, True),
    (128, 3, 1, True, True), (128, 2, 2, True, False), (128, 2, 2, True, False), (128, 2, 2, False, False),
)  # fmt: skip


class R2d2(Network):
    """[N, 3, H, W] -> [N, 8 * 128]: L2-normalised descriptors, the best keypoint first, zeros where there are fewer than eight.

    A keypoint is a 3 x 3 maximum of repeatability with repeatability and reliability of at least 0.7; the best is the one with
    the largest product of the two, the upper left one of equals.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ops = nn.ModuleList()
        inputs, dilation = 3, 1
        for outputs, kernel, stride, norm, relu in _LAYERS:
            self.ops.append(nn.Conv2d(inputs, outputs, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation))
            dilation *= stride
            if norm:
                self.ops.append(nn.BatchNorm2d(outputs, affine=False))
            if relu:
                self.ops.append(nn.ReLU(inplace=True))
            inputs = outputs
        self.clf, self.sal = nn.Conv2d(inputs, 2, 1), nn.Conv2d(inputs, 1, 1)

    def maps(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Descriptors [N, 128, h, w] of unit length, reliability and repeatability [N, 1, h, w] in [0, 1]."""
        x = pixels.contiguous(memory_format=torch.channels_last)  # a quarter faster on a CPU
        for op in self.ops:
            x = op(x)
        saliency = F.softplus(self.sal(x**2))
        return F.normalize(x, dim=1), self.clf(x**2).softmax(1)[:, 1:2], saliency / (1 + saliency)

    def forward(self, pixels: Tensor) -> Features:
        descriptors, reliability, repeatability = self.maps(pixels)
        keypoint = repeatability == F.max_pool2d(repeatability, 3, stride=1, padding=1)
        keypoint &= (repeatability >= _THRESHOLD) & (reliability >= _THRESHOLD)
        score = (reliability * repeatability * keypoint).flatten(1)  # (N, h * w), 0 where there is no keypoint
        best, where = score.sort(dim=1, descending=True, stable=True)
        best, where = best[:, :KEYPOINTS], where[:, :KEYPOINTS]
        chosen = descriptors.flatten(2).gather(2, where[:, None].expand(-1, descriptors.shape[1], -1))  # (N, 128, 8)
        return (chosen * (best > 0)[:, None]).transpose(1, 2).flatten(1), None
