"""AnaXNet and the three rows it is compared with, for cxr-harness."""

from harness import hookimpl


@hookimpl
def harness_models() -> dict[str, str]:
    """Offer the four rows of the paper's Table 3."""
    return {
        "anaxnet": "anaxnet.model:AnaXNet",
        "faster-rcnn": "anaxnet.model:FasterRCNN",
        "chexgcn": "anaxnet.model:CheXGCN",
        "globalview": "anaxnet.globalview:GlobalView",
    }


@hookimpl
def harness_metrics() -> dict[str, str]:
    """Offer the quality of region detections."""
    return {"detection": "anaxnet.report:detection_report"}


@hookimpl
def harness_tables() -> dict[str, str]:
    """Offer the paper's tables 1 to 3."""
    return {
        "anaxnet-auc": "anaxnet:tables/auc.toml",
        "anaxnet-dataset": "anaxnet:tables/dataset.toml",
        "anaxnet-regions": "anaxnet:tables/regions.toml",
    }
