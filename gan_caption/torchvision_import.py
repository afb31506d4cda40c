"""Import torchvision for its networks alone.

torchvision's wheels carry compiled operators for detection (nms). Where they do not load, beside a torch built for
another device for example, importing torchvision fails because it registers rules for operators that are not there.
Classification needs none of them, so their names are declared, and the import goes through.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType

import torch


def import_torchvision() -> ModuleType:
    """Return torchvision, with or without its compiled operators."""
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        _declare_operators()
        import torchvision
    return torchvision


@functools.cache  # a library's declarations live as long as the library
def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
