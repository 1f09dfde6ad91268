"""Taskonomy's encoder (alexsax/visual-prior, `visualpriors/taskonomy_network.py`): almost, but not quite, a ResNet-50.

It differs from torchvision's where TensorFlow's did: a stage strides in its last block, whose shortcut is a plain subsampling;
the first convolution pads by hand and the pooling rounds up; a compression to 8 channels ends in a ReLU, then a GroupNorm.
"""

from torch import Tensor, nn

from pipeline.encoders.networks.network import Features, Network


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (strided), 1 x 1 convolutions and a shortcut: projected, subsampled or the identity."""

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        outputs = width * 4
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        elif stride > 1:
            self.downsample = nn.MaxPool2d(1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + self.downsample(x))


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    outputs = width * 4
    return nn.Sequential(
        _Bottleneck(inputs, width), *(_Bottleneck(outputs, width) for _ in range(blocks - 2)), _Bottleneck(outputs, width, stride)
    )


class Taskonomy(Network):
    """[N, 3, 256, 256] in [-1, 1] -> vector [N, 2048] (C-order of [8, 16, 16]) and tokens [N, 16, 16, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d(3)
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, stride=2, bias=False), nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.layer1 = _stage(64, 64, 3, stride=2)
        self.layer2 = _stage(256, 128, 4, stride=2)
        self.layer3 = _stage(512, 256, 6, stride=1)
        self.layer4 = _stage(1024, 512, 3, stride=1)
        self.compress1, self.compress_bn = nn.Conv2d(2048, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.groupnorm = nn.GroupNorm(8, 8, affine=False)

    def forward(self, pixels: Tensor) -> Features:
        pixels = pixels.contiguous()  # as upstream's are: its last norm amplifies what another order of sums rounds otherwise
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.pad(pixels)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 2048, 16, 16)
        x = self.groupnorm(self.relu(self.compress_bn(self.compress1(x))))  # (N, 8, 16, 16)
        return x.flatten(1), x.permute(0, 2, 3, 1)
