"""The baselines that chest X-ray papers compare with."""

from collections.abc import Mapping

from harness import hookimpl


@hookimpl
def harness_models() -> Mapping[str, str]:
    """Offer four networks and the control that sees no image."""
    return {
        "dcnn": "baselines.model:DCNN",
        "chexnet": "baselines.model:CheXNet",
        "senet": "baselines.model:SENet",
        "agcnn": "baselines.model:AGCNN",
        "metadata": "baselines.model:Metadata",
    }
