"""Under torchrun: train and predict on all ranks; each writes what it has to FOLDER.

``python -m torch.distributed.run --standalone --nproc-per-node 2 two_ranks.py FOLDER``
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from engine_toys import COMPUTE, Toy, jitter, noisy, plain, samples, train
from safetensors.torch import save_file
from torch.optim import SGD

from harness import Prediction, Stage, batch_weighted_bce, masked_bce
from harness.engine import checkpoint, distributed, loop
from harness.engine.evaluate import predict

SEED = 3
STAGES = {
    "plain": {},
    "uneven": {"images": 21},  # the last batch has five: three and two
    "one-left": {"images": 17},  # the last batch has one: the second rank has none
    "accumulate": {"images": 21, "accumulate": 2},
    "micro-batch": {"images": 21, "micro_batch": 3},
    "weighted": {"images": 21, "loss": "weighted"},
    "weighted-micro-batch": {"images": 17, "loss": "weighted", "micro_batch": 1},
    "augmented": {"images": 21, "augment": True},
    "clipped": {"images": 21, "clip_norm": 0.05},
    "batchnorm": {"images": 21, "network": noisy},
}
COUNTS = (7, 8, 1)  # images to predict: not divisible by two, divisible, fewer than ranks


def loss_of(kind):
    def bce(network, batch):
        return {"bce": masked_bce(network(batch.images), batch.labels)}

    def weighted(network, batch):
        logits = network(batch.images)
        return {"bce": batch_weighted_bce(logits, batch.labels, batch.batch_labels)}

    return {"bce": bce, "weighted": weighted}[kind]


def stage_of(images=24, accumulate=1, micro_batch=None, loss="bce", augment=False, network=plain,
             clip_norm=None):  # fmt: skip
    """Return a stage and the micro-batch with which it is trained."""
    made = network(10) if augment else network()
    optimizer = SGD(made.parameters(), 0.05, momentum=0.9)
    stage = Stage(
        "stage", made, loss_of(loss), samples(images), optimizer, epochs=3, batch_size=8,
        accumulate=accumulate, augment=jitter if augment else None, clip_norm=clip_norm,
    )  # fmt: skip
    return stage, micro_batch


def trained(name, folder):
    """Train one of the stages; return its weights and history."""
    stage, micro_batch = stage_of(**STAGES[name])
    compute = type(COMPUTE)(COMPUTE.device, micro_batch=micro_batch)
    state = loop.train(stage, folder / name, compute, SEED)
    history = torch.tensor([entry["bce"] for entry in state.history], dtype=torch.float64)
    return {**stage.network.state_dict(), "history": history}


class Echo:
    """Predicts each image's mean, and counts how often it sees each."""

    def __init__(self):
        self.seen = []

    def predict(self, batch):
        self.seen.extend(batch.index.tolist())
        mean = batch.images.mean((1, 2, 3))[:, None]
        return Prediction(scores=mean, maps=batch.images, to_original=batch.to_original)


def predicted(count):
    """Return scores, maps of every second image, and which images this rank saw."""
    echo = Echo()
    wanted = np.arange(0, count, 2)
    said = predict(echo, echo.predict, samples(count), COMPUTE, detailed=wanted)
    maps = torch.from_numpy(said.heavy["maps"].astype(np.float32))
    seen = torch.tensor(echo.seen, dtype=torch.int64)
    return {"scores": torch.from_numpy(said.scores), "maps": maps, "seen": seen}


class Stopped(Exception):
    """Both ranks end here."""


def resumed(folder):
    """Train a stage, stopped in the middle of its second epoch and begun again; as ``trained``."""
    often, looks, save = loop.CHECKPOINT_SECONDS, loop._LOOK_EVERY, loop._Sitting._save

    def stop(self):
        save(self)
        if (self.state.epoch, self.state.batch) == (1, 2):
            raise Stopped

    loop.CHECKPOINT_SECONDS, loop._LOOK_EVERY, loop._Sitting._save = 0.0, 1, stop
    try:
        trained("uneven", folder)
    except Stopped:
        pass
    finally:
        loop.CHECKPOINT_SECONDS, loop._LOOK_EVERY, loop._Sitting._save = often, looks, save
    return trained("uneven", folder)


def slow_to_read():
    """Let this rank read weights so late that the first would have gone on without it."""
    read = checkpoint.load_weights

    def later(*args):
        time.sleep(1)
        read(*args)

    checkpoint.load_weights = later


def main(folder):
    """Write weights by stage, predictions by count, and a whole model's weights."""
    torch.set_num_threads(1)
    distributed.join("cpu")
    rank = distributed.ranks().rank
    found = {}
    for name in STAGES:
        found |= {f"{name}/{key}": value for key, value in trained(name, folder).items()}
    found |= {f"resumed/{key}": value for key, value in resumed(folder / "resumed").items()}
    for count in COUNTS:
        found |= {f"predict-{count}/{key}": value for key, value in predicted(count).items()}
    os.environ["HARNESS_HOME"] = str(folder / "home")
    if rank == 1:
        slow_to_read()
    model = Toy()
    train(model)
    found |= {f"toy/{key}": value for key, value in model.head.state_dict().items()}
    save_file({k: v.contiguous().clone() for k, v in found.items()}, folder / f"{rank}.safetensors")
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
