"""Share a trained captioner: `python -m gan_caption.export run=outputs/... format=onnx`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_caption.configuration.launching import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(config: DictConfig) -> None:
    """Write the captioner of a run as one folder: ONNX graphs or safetensors, and a model card."""
    from gan_caption.inference.exporting import export_run
    from gan_caption.inference.settings import export_from

    export_run(export_from(config))


if __name__ == "__main__":
    launch(main, config_name="export")
