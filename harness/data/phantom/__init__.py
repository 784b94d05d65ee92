"""Procedurally drawn frontal chest radiographs of which every annotation is known exactly.

`draw(PhantomSettings(), index)` is film `index` of an endless series, whatever else is drawn.
A film is made in this order, each step in a module of its own:

- `cohort`: patient, follow-up, view, age, sex and findings, by the copula of `frequencies`;
- `anatomy`: outlines of lungs, heart, mediastinum and body in fractions of the film, from
  `template`; findings that change the anatomy (cardiomegaly, emphysema) change it here;
- `placement`: the pose on the film; `seats` and `lesions`: which zones a finding takes, and its
  outline; `scene`: masks and supports in pixels; `regions`: the 18 regions and their labels;
- `rendering`: densities of tissue, bones, vessels (`skeleton`), findings (`opacities`) and
  `distractors`, then the film's `tone`.

Two choices deserve a word. Half the sense of a dependence between regions lies in weak evidence:
with `neighbours` on, a finding spreads over neighbouring zones and is fainter in each of them
(visibility 0.45 to 0.90 instead of 0.75 to 1.00); off, zones are independent given their
prevalences. With `location_priors` off, effusion, pneumothorax and pleural thickening become
pockets anywhere in a lung; cardiomegaly, emphysema and hernia have no other place to go.

Difficulty. It was set with a plain ResNet-34 alone and is not touched when methods are compared.
Protocol: default settings but size 64; torchvision's resnet34 without weights, one input channel,
14 outputs; trained on films 0 to 4,999, tested on the next 2,500 films of patients not among them;
no augmentation, binary cross-entropy on the noisy labels, AdamW with weight decay 1e-4, one cycle
up to 1e-3, batches of 32, 6 epochs, bf16, seed 0. Mean AUROC over the 14 classes against the
noisy labels: 0.801 (against the true labels 0.848; after 3 epochs 0.755 and 0.786). By class:
Atelectasis .77, Cardiomegaly .96, Effusion .93, Infiltration .73, Mass .81, Nodule .80, Pneumonia
.81, Pneumothorax .82, Consolidation .84, Edema .87, Emphysema .91, Fibrosis .87, Pleural_Thickening
.68, Hernia .41 (4 positive films: chance; the mean over the other 13 is 0.831).
"""

from harness.data.phantom.drawing import Description, Drawing, describe, draw
from harness.data.phantom.names import FINDINGS, LABELS9, LANDMARKS, ORGANS, REGIONS
from harness.data.phantom.settings import PhantomSettings

__all__ = [
    "FINDINGS",
    "LABELS9",
    "LANDMARKS",
    "ORGANS",
    "REGIONS",
    "Description",
    "Drawing",
    "PhantomSettings",
    "describe",
    "draw",
]
