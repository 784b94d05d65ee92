"""The datasets of the papers, each in its official layout."""

from collections.abc import Mapping

from harness import hookimpl


@hookimpl
def harness_datasets() -> Mapping[str, str]:
    """Offer the datasets."""
    return {
        "nih": "cxr_datasets.nih:NIH",
        "chexpert": "cxr_datasets.chexpert:CheXpert",
        "imagenome": "cxr_datasets.imagenome:ImaGenome",
        "csv": "cxr_datasets.csv:CSV",
        "jsrt": "cxr_datasets.jsrt:JSRT",
    }
