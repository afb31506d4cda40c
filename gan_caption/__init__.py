"""Adversarial image captioning, measured against its maximum-likelihood baseline."""

from typing import Any

__version__ = "0.2.0"
__all__ = ["Captioner", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the captioner when it is asked for: it brings torch along, which `--help` can do without."""
    if name == "Captioner":
        from gan_caption.inference.captioner import Captioner

        return Captioner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
