"""Anatomy X-Net as the harness trains it: segmentation, masks of every image, classification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from anatomy_xnet.attention import attention_loss
from anatomy_xnet.findings import LabelVector
from anatomy_xnet.network import AnatomyXNetwork
from anatomy_xnet.segmentation import (
    CLASSES,
    Generator,
    SemiSupervised,
    Supervised,
    UNet,
    organ_classes,
    organ_probabilities,
)
from harness import (
    Batch,
    Draws,
    Model,
    Prediction,
    Samples,
    SettingError,
    Stage,
    Task,
    View,
    center_crop,
    masked_bce,
    random_affine,
    random_crop,
    random_flip,
    ten_crop,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORGANS = ("left_lung", "right_lung", "heart")
UNIONS = {"lungs": ("left_lung", "right_lung"), "heart": ("heart",)}  # the masks predicted
ANATOMY = "anatomy"  # the column of masks: lungs, heart
BANK = 64  # masks that the shuffled control draws from
SEGMENTATION = (  # the settings that the segmentation stage and its loss read
    "segmentation",
    "labelled_images",
    "segmentation_epochs",
    "segmentation_decay",
    "segmentation_width",
    "segmentation_blocks",
    "segmentation_dropout",
    "cycle_image",
    "cycle_mask",
    "adversarial",
)


@dataclass(frozen=True)
class LinearFall:
    """The learning rate's factor: 1 up to an epoch, then linearly down to 0 at the last one."""

    start: int
    end: int

    def __call__(self, epoch: int) -> float:
        """Return the factor of an epoch, counted from 0."""
        return 1 - max(0, epoch - self.start) / max(1, self.end - self.start)


@dataclass
class AnatomyXNet(Model):
    """Anatomy X-Net; the defaults are the paper's, by the readings that the README gives."""

    level: int = 2  # Sec. V-D: taps DB-4; DB-3, 4; DB-2, 3, 4; 0 is the bare backbone
    pooling: Literal["pwap", "avg", "max", "gem"] = "pwap"  # Table V
    mask_size: int = 84  # Table VI
    masks: Literal["soft", "hard", "shuffled"] = "soft"  # shuffled: a control
    anatomy_term: Literal["mask", "mask_feature"] = "mask"  # Eq. 3, 4 as printed, or times F
    reduction: float = 0.5  # r of Table I: 2 C hidden units; 2 is the bottleneck of the text
    tap: Literal["pre-pool", "post-pool"] = "pre-pool"  # DB-3 as transition 3 before its pooling
    attention_loss: Literal["post", "pre"] = "post"  # Eq. 20 on vectors after, before softmax
    attention_weight: float = 0.2  # lambda_pa, Eq. 21
    tta: Literal["none", "ten-crop"] = "none"  # Sec. V-A: 0.8401 and 0.8439

    size: int = 256  # Sec. IV-C
    crop: int = 224  # Sec. IV-C
    scale: float = 0.1  # Sec. IV-C names scaling without a range
    flip: float = 0.5  # Sec. IV-C names flipping without a probability
    epochs: int = 14  # Sec. IV-C
    batch_size: int = 44  # Sec. IV-C
    accumulate: int = 2  # Sec. IV-C
    learning_rate: float = 1e-4  # Sec. IV-C
    beta2: float = 0.99  # Sec. IV-C, as printed
    weights: str = "DenseNet121_Weights.IMAGENET1K_V1"  # Sec. III-C

    segmentation: Literal["semi-supervised", "supervised", "unet"] = "semi-supervised"
    labelled_images: int = 0  # 0: all there are
    segmentation_epochs: int = 400  # of the labelled images; from here on as reference [18]
    segmentation_decay: int = 100  # epoch from which the rate falls linearly to 0
    segmentation_batch: int = 5
    segmentation_rate: float = 2e-4
    segmentation_width: int = 64
    segmentation_blocks: int = 9
    segmentation_dropout: float = 0.5
    cycle_image: float = 1.0
    cycle_mask: float = 0.05
    adversarial: float = 0.5

    smoke: ClassVar[Mapping[str, object]] = {
        "size": 96,
        "crop": 80,
        "mask_size": 42,
        "batch_size": 16,
        "accumulate": 1,
        "epochs": 2,
        "learning_rate": 1e-3,
        "weights": "none",
        "labelled_images": 300,
        "segmentation_epochs": 2,
        "segmentation_decay": 1,
        "segmentation_rate": 2e-3,
        "segmentation_width": 8,
        "segmentation_blocks": 3,
    }

    def __post_init__(self) -> None:
        """Refuse what no network can be built from."""
        if self.level not in (0, 1, 2, 3):
            raise SettingError(f"level is 0, 1, 2 or 3, not {self.level}")
        if self.size % 16:
            raise SettingError(f"size is a multiple of 16, not {self.size}")
        if self.crop > self.size:
            raise SettingError(f"crop {self.crop} is larger than size {self.size}")

    @property
    def view(self) -> View:
        """Return the view of the resized image."""
        return View(self.size)

    def stages(self, task: Task) -> Iterator[Stage]:
        """Segment, map every training and validation image, classify."""
        self.vector = LabelVector(task.classes)
        train, validation = task.train, task.validation
        if self.level > 0:
            training = self._segmentation_training()
            self.segmenter = training.to_mask
            yield self._segmentation_stage(training, task)
            train = task.map(ANATOMY, self.segment, train, spatial=True)
            if self.masks == "shuffled":
                bank = train.take(np.arange(min(BANK, len(train))))
                self.bank = task.keep("mask bank", lambda: torch.from_numpy(bank.need(ANATOMY)))
                train = task.map(ANATOMY, self.shuffle, train, spatial=True)
            validation = task.map(ANATOMY, self.anatomy, validation, spatial=True)
        self.network = AnatomyXNetwork(
            self.vector.outputs,
            self.level,
            self.mask_size,
            self.reduction,
            self.anatomy_term,
            self.pooling,
            self.tap,
        )
        task.load(self.network.backbone, self.weights, without=("classifier.",))
        yield self._classification_stage(train, lambda: task.score(self._validating(validation)))

    def _segmentation_training(self) -> nn.Module:
        width, blocks = self.segmentation_width, self.segmentation_blocks
        if self.segmentation == "unet":
            return Supervised(UNet(1, CLASSES, width))
        if self.segmentation == "supervised":
            return Supervised(Generator(1, CLASSES, width, blocks, self.segmentation_dropout))
        weights = (self.cycle_image, self.cycle_mask, self.adversarial)
        return SemiSupervised(width, blocks, self.segmentation_dropout, *weights)

    def _segmentation_stage(self, training: nn.Module, task: Task) -> Stage:
        labelled = task.annotated("masks", organs=ORGANS)
        if 0 < self.labelled_images < len(labelled):
            picked = np.linspace(0, len(labelled) - 1, self.labelled_images).round()
            labelled = labelled.take(picked.astype(np.int64))
        semi = self.segmentation == "semi-supervised"
        adam = Adam(training.parameters(), lr=self.segmentation_rate, betas=(0.5, 0.999))
        fall = LinearFall(self.segmentation_decay, self.segmentation_epochs)
        return Stage(
            name="segmentation",
            network=training,
            loss=segmentation_loss(labelled.space.organs),
            data={"labelled": labelled, **({"unlabelled": task.train} if semi else {})},
            optimizer=adam,
            epochs=self.segmentation_epochs,
            batch_size=self.segmentation_batch,
            scheduler=LambdaLR(adam, fall),
            key=tuple((name, getattr(self, name)) for name in SEGMENTATION),
        )

    def _classification_stage(self, train: Samples, score: Callable[[], float]) -> Stage:
        return Stage(
            name="classification",
            network=self.network,
            loss=self._classification_loss,
            data=train,
            optimizer=Adam(
                self.network.parameters(), lr=self.learning_rate, betas=(0.9, self.beta2)
            ),
            epochs=self.epochs,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            augment=self._augment,
            score=score,
            drop_last=True,  # the encoders' batch norms need two images
            key=(
                (self.level, self.pooling, self.mask_size, self.masks, self.anatomy_term),
                (self.reduction, self.tap, self.attention_loss, self.attention_weight),
                (self.crop, self.scale, self.flip, self.weights),
            ),
            crop=self.crop,
        )

    def _classification_loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        assert batch.labels is not None
        reading = network(batch.images, self.masks_of(batch))
        losses = {"bce": masked_bce(reading.logits, self.vector.targets(batch.labels))}  # Eq. 19
        if reading.attention:
            diseased = self.vector.diseased_organs(batch.labels)
            after = self.attention_loss == "post"
            value = attention_loss(reading.attention, diseased, after_softmax=after)
            losses["attention"] = self.attention_weight * value  # Eq. 20, 21
        return losses

    def _augment(self, batch: Batch, draws: Draws) -> Batch:
        if self.scale > 0:
            batch = random_affine(batch, draws, scale=(1 - self.scale, 1 + self.scale))
        return random_flip(random_crop(batch, draws, self.crop), draws, self.flip)

    def segment(self, batch: Batch) -> Tensor:
        """Return the probabilities of lungs and heart (B, 2, S, S), uint8, 255 is certain."""
        organs = organ_probabilities(self.segmenter, batch.images)
        return (255 * organs).round().to(torch.uint8)

    def shuffle(self, batch: Batch) -> Tensor:
        """Return masks of other images (B, 2, S, S); the pixels of an image decide whose."""
        pixels = (255 * batch.images).round().long().flatten(1)
        weights = torch.arange(pixels.shape[1], device=pixels.device) * 2654435761 % 2**20
        rows = (pixels * weights).sum(1) % len(self.bank)
        return self.bank.to(rows.device)[rows]

    def anatomy(self, batch: Batch) -> Tensor:
        """Return the masks that the classifier is given (B, 2, S, S), uint8."""
        return self.shuffle(batch) if self.masks == "shuffled" else self.segment(batch)

    def masks_of(self, batch: Batch) -> Tensor | None:
        """Return the masks of a batch as the network takes them (B, 2, H, W), None without any."""
        organs = batch.spatial.get(ANATOMY)
        if organs is None:
            return None
        organs = organs / 255 if organs.dtype == torch.uint8 else organs
        return (organs >= 0.5).float() if self.masks == "hard" else organs

    def predict(self, batch: Batch) -> Prediction:
        """Score the centre crop, or the mean over ten crops, with the masks of the whole image.

        These masks are offered too, over the whole image, unless they are those of other images.
        """
        anatomy = self.anatomy(batch) if self.level > 0 else None
        scored = self._scored(batch, anatomy, ten=self.tta == "ten-crop")
        if anatomy is None or self.masks == "shuffled":
            return scored
        return replace(
            scored,
            masks=anatomy / 255,
            organs=UNIONS,
            to_original=batch.to_original,
            map_frame=(self.size, self.size),
        )

    def pictures(self, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
        """Yield Figures 4 and 5, an image each; without attention what any model shows."""
        if self.level == 0:
            yield from super().pictures(batch, truth)
            return
        from anatomy_xnet.figures import picture

        for row, name in enumerate(truth.names.tolist()):
            yield f"{name}-attention", picture(self, batch, truth, row)

    def _validating(self, validation: Samples) -> Callable[[Batch], Prediction]:
        """Return the prediction that selects an epoch: the centre crop, with the mapped masks."""

        def predict(batch: Batch) -> Prediction:
            anatomy = None
            if self.level > 0:
                rows = validation.columns[ANATOMY].gather(batch.index.cpu().numpy())
                anatomy = torch.from_numpy(rows).to(batch.images.device)
            return self._scored(batch, anatomy, ten=False)

        return predict

    def _scored(self, batch: Batch, anatomy: Tensor | None, *, ten: bool) -> Prediction:
        if anatomy is not None:
            batch = replace(batch, spatial={**batch.spatial, ANATOMY: anatomy})
        crops = ten_crop(batch, self.crop) if ten else [center_crop(batch, self.crop)]
        logits = [self.network(crop.images, self.masks_of(crop)).logits for crop in crops]
        probabilities = torch.stack([logit.float().sigmoid() for logit in logits]).mean(0)
        return Prediction(scores=self.vector.scores(probabilities))


def segmentation_loss(
    organs: tuple[str, ...],
) -> Callable[[nn.Module, Mapping[str, Batch]], Mapping[str, Tensor]]:
    """Return the loss of a segmentation stage, whose masks have these organs."""
    places = [organs.index(name) for name in ORGANS]

    def loss(network: nn.Module, batches: Mapping[str, Batch]) -> Mapping[str, Tensor]:
        labelled = batches["labelled"]
        assert labelled.masks is not None
        classes = organ_classes(*labelled.masks[:, places].unbind(1))
        others = [batch.images for name, batch in batches.items() if name == "unlabelled"]
        return network(labelled.images, classes, *others)

    return loss
