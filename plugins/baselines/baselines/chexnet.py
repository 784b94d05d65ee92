"""CheXNet of Rajpurkar et al. (2017): DenseNet-121 with one output a class.

`network.backbone` takes torchvision's DenseNet-121 state dict without `classifier.weight` and
`classifier.bias`.
"""

from torch import Tensor, nn

from .backbones import GrayToImageNet, Output, class_maps, densenet121_trunk


class CheXNet(nn.Module):
    """Classify the mean of a DenseNet-121's features."""

    def __init__(self, classes: int) -> None:
        """Build the network for a number of classes."""
        super().__init__()
        self.normalise = GrayToImageNet()
        self.backbone = densenet121_trunk()
        self.classifier = nn.Linear(1024, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature maps (B, 1024, H/32, W/32), at least 0."""
        return self.backbone(self.normalise(images))

    def forward(self, images: Tensor) -> Output:
        """Return logits (B, C) and class maps whose means are the logits without their bias."""
        features = self.features(images)
        logits = self.classifier(features.mean((2, 3)))
        return Output(logits, class_maps(features, self.classifier.weight))
