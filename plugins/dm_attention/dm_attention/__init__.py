"""Disease masks and alignment for weakly supervised localization (Kim, Jung and Lee)."""

from collections.abc import Mapping

from harness import hookimpl


@hookimpl
def harness_models() -> Mapping[str, str]:
    """Offer the rows of the paper's ablation and the control that never looks at the image."""
    return {
        "resnet50": "dm_attention.aligned:ResNet50",
        "resnet50-aligned": "dm_attention.aligned:AlignedResNet50",
        "dm-attention": "dm_attention.model:DMAttention",
        "dm-prior": "dm_attention.model:DMPrior",
    }


@hookimpl
def harness_tables() -> Mapping[str, str]:
    """Offer the paper's four tables."""
    return {
        "dm-localization": "dm_attention:tables/localization.toml",
        "dm-masks": "dm_attention:tables/masks.toml",
        "dm-auc": "dm_attention:tables/auc.toml",
        "dm-ablation": "dm_attention:tables/ablation.toml",
    }
