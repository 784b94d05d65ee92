"""The label vector that Anatomy X-Net learns: the findings, and "No Finding" last (Sec. IV-C)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

NO_FINDING = "No Finding"
NO_PATHOLOGY = "Support Devices"  # of CheXpert's 14 observations, the one the paper's 13 lack
OF_THE_HEART = ("Cardiomegaly", "Enlarged Cardiomediastinum")


@dataclass(frozen=True)
class LabelVector:
    """n outputs from C classes: 15 from NIH's 14, 13 from CheXpert's 14."""

    classes: tuple[str, ...]

    @cached_property
    def findings(self) -> list[int]:
        """Return the classes that are findings, n - 1 of them, as indices."""
        plain = (NO_FINDING, NO_PATHOLOGY)
        return [index for index, name in enumerate(self.classes) if name not in plain]

    @property
    def outputs(self) -> int:
        """Return n."""
        return len(self.findings) + 1

    def targets(self, labels: Tensor) -> Tensor:
        """Return what the outputs should say (B, n) of labels (B, C), NaN where unknown."""
        findings = labels[:, self.findings]
        if NO_FINDING in self.classes:
            last = labels[:, [self.classes.index(NO_FINDING)]]
        else:
            last = no_finding(findings)
        return torch.cat([findings, last], 1)

    def diseased_organs(self, labels: Tensor) -> Tensor:
        """Return (B, 2): 1 where any finding of the lungs, of the heart is there.

        Every finding but those of the heart is the lungs'; an unknown one counts as absent.
        """
        heart = [self.classes[index] in OF_THE_HEART for index in self.findings]
        of_heart = torch.tensor(heart, device=labels.device)
        positive = labels[:, self.findings].nan_to_num(0) > 0.5
        return torch.stack([(positive & ~of_heart).any(1), (positive & of_heart).any(1)], 1).float()

    def scores(self, probabilities: Tensor) -> Tensor:
        """Return scores (B, C) from the outputs' probabilities (B, n); 0.5 for no pathology."""
        scores = probabilities.new_full((len(probabilities), len(self.classes)), 0.5)
        scores[:, self.findings] = probabilities[:, :-1]
        if NO_FINDING in self.classes:
            scores[:, self.classes.index(NO_FINDING)] = probabilities[:, -1]
        return scores


def no_finding(findings: Tensor) -> Tensor:
    """Return (B, 1): 1 where all findings are 0, NaN where unknown ones leave it open."""
    none = 1 - findings.nan_to_num(0).amax(1, keepdim=True)
    unknown = findings.isnan().any(1, keepdim=True) & (none == 1)
    return none.masked_fill(unknown, float("nan"))
