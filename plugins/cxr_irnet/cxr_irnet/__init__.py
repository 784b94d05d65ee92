"""CXR-IRNet: features weighed by lung and heart masks (paper 004)."""

from collections.abc import Mapping

from harness import hookimpl


@hookimpl
def harness_models() -> Mapping[str, str]:
    """Offer CXR-IRNet; its settings give the paper's other rows."""
    return {"cxr-irnet": "cxr_irnet.model:CXRIRNet"}
