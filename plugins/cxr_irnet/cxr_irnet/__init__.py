"""CXR-IRNet: features weighed by lung and heart masks (paper 004)."""

from collections.abc import Mapping

from harness import hookimpl


@hookimpl
def harness_models() -> Mapping[str, str]:
    """Offer CXR-IRNet; its settings give the paper's other rows."""
    return {"cxr-irnet": "cxr_irnet.model:CXRIRNet"}


@hookimpl
def harness_tables() -> Mapping[str, str]:
    """Offer the paper's tables."""
    return {
        "cxr-irnet-auc": "cxr_irnet:tables/auc.toml",
        "cxr-irnet-iou": "cxr_irnet:tables/iou.toml",
        "cxr-irnet-split": "cxr_irnet:tables/split.toml",
    }
