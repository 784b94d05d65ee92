"""A control without an image: disease from age, sex and view position."""

import torch
from torch import Tensor, nn


class Metadata(nn.Module):
    """Classify (age in years, sex, view), NaN where unknown, by logistic regression or a small MLP.

    Each value enters as itself, 0 where unknown, and as whether it is known. Age is brought to
    about the scale of the others: decades from 50.
    """

    def __init__(self, classes: int, hidden: int = 0) -> None:
        """Build the network; `hidden` units between input and output, or none for 0."""
        super().__init__()
        self.classifier = (
            nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, classes))
            if hidden
            else nn.Linear(6, classes)
        )

    def forward(self, metadata: Tensor) -> Tensor:
        """Return logits (B, C) for metadata (B, 3)."""
        age, others = (metadata[:, :1] - 50) / 10, metadata[:, 1:]
        values = torch.cat([age, others], dim=1)
        known = ~values.isnan()
        return self.classifier(torch.cat([values.nan_to_num(), known.to(values.dtype)], dim=1))
