"""Anatomy X-Net: what the plugin offers."""

from harness import hookimpl


@hookimpl
def harness_models() -> dict[str, str]:
    """Offer the model and, through its fields, every row of its tables."""
    return {"anatomy-xnet": "anatomy_xnet.model:AnatomyXNet"}


@hookimpl
def harness_tables() -> dict[str, str]:
    """Offer Tables II to VI."""
    return {
        "anatomy-xnet-nih": "anatomy_xnet:tables/nih.toml",
        "anatomy-xnet-chexpert": "anatomy_xnet:tables/chexpert.toml",
        "anatomy-xnet-levels": "anatomy_xnet:tables/levels.toml",
        "anatomy-xnet-pooling": "anatomy_xnet:tables/pooling.toml",
        "anatomy-xnet-mask-size": "anatomy_xnet:tables/mask_size.toml",
    }
