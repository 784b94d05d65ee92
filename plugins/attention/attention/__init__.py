"""Space attention and attention gates for chest X-rays (paper 003)."""

from collections.abc import Mapping

from harness import hookimpl


@hookimpl
def harness_models() -> Mapping[str, str]:
    """Offer the baseline and both attention networks."""
    return {
        "resnet34": "attention.model:ResNet34",
        "space-attention": "attention.model:SpaceAttention",
        "attention-gate": "attention.model:AttentionGate",
    }


@hookimpl
def harness_tables() -> Mapping[str, str]:
    """Offer the paper's tables."""
    return {
        "attention-auc": "attention:tables/auc.toml",
        "attention-localization": "attention:tables/localization.toml",
    }
