"""The harness's own plugin: the phantom, the constant model, the metrics, the joint tables."""

from collections.abc import Mapping

from harness.hookspecs import hookimpl


@hookimpl
def harness_datasets() -> Mapping[str, str]:
    """Offer the phantom, drawn when it is read."""
    return {"phantom": "harness.data.drawn:DrawnPhantom"}


@hookimpl
def harness_models() -> Mapping[str, str]:
    """Offer the model that knows nothing but how frequent a finding is."""
    return {"constant": "harness.model.constant:Constant"}


@hookimpl
def harness_metrics() -> Mapping[str, str]:
    """Offer the metrics that every record has where its predictions allow."""
    return {
        "auroc": "harness.metrics.report:auroc_report",
        "region_auroc": "harness.metrics.report:region_report",
        "localization": "harness.metrics.boxes_report:localization_report",
        "segmentation": "harness.metrics.report:segmentation_report",
        "calibration": "harness.metrics.report:calibration_report",
    }


@hookimpl
def harness_tables() -> Mapping[str, str]:
    """Offer the tables that join rows of several papers."""
    return {
        "nih-auc": "harness:results/tables/nih-auc.toml",
        "nih-localization": "harness:results/tables/nih-localization.toml",
        "chexpert-auc": "harness:results/tables/chexpert-auc.toml",
        "imagenome-auc": "harness:results/tables/imagenome-auc.toml",
    }
