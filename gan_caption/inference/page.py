"""The web page on which one drops a photograph: what the baseline says of it, and what the adversarial model says."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from gan_caption.configuration.building import Part
from gan_caption.data.images import load_rgb
from gan_caption.decoding.decoders import SeveralSamples
from gan_caption.errors import UserError
from gan_caption.evaluation.trained import left_weights
from gan_caption.extras import require
from gan_caption.inference.captioner import Caption, Captioner
from gan_caption.inference.settings import DemoSettings
from gan_caption.training.folders import read_settings

if TYPE_CHECKING:
    import gradio

HERE = Path(__file__).parent
_SHOWN = 112
"""Pixels a side of an attention map."""
_DARK = 0.2
"""Brightness left where a word did not look."""


def load_systems(
    folder: Path, *, device: str = "auto", allow: str | Sequence[str] = (), decoding: Part | None = None
) -> dict[str, Captioner]:
    """Load the baseline of a run and what its last phase left, by the names that the page gives them.

    Args:
        folder: the run's.
        device: "auto", "cpu", "cuda" ...
        allow: packages of your own whose classes the run may name.
        decoding: how one caption comes about; None: as the run decodes.

    Raises:
        UserError: the run has no weights yet; see `Captioner.load`.
    """
    run = read_settings(folder, allow=allow)
    phases = list(left_weights(folder, run))
    shown = dict.fromkeys([phases[0], phases[-1]]) if phases else [None]  # None: the captioner says what is missing
    node = None if decoding is None else decoding.node
    loaded = {
        phase: Captioner.load(folder, weights=phase, device=device, allow=allow, decoding=node) for phase in shown
    }
    return {
        "maximum likelihood (the baseline)" if phase == "mle" else f"{run.name} ({phase})": captioner
        for phase, captioner in loaded.items()
    }


def serve(settings: DemoSettings) -> None:
    """Show the page as `conf/demo.yaml` says, until it is interrupted.

    Raises:
        UserError: Gradio is missing, the run cannot be used, or the address is taken.
    """
    require("gradio", extra="demo", what="the web page")
    folder = settings.run
    systems = load_systems(folder, device=settings.device, allow=settings.allow, decoding=settings.decoding)
    page = build_page(systems, title=folder.name, samples=settings.samples)
    launch_page(page, host=settings.host, port=settings.port, max_upload_mb=settings.max_upload_mb)
    page.block_thread()


def launch_page(page: gradio.Blocks, *, host: str, port: int, max_upload_mb: int) -> str:
    """Start the server in the background and return its address.

    Args:
        page: of `build_page`.
        host: 127.0.0.1 can be reached from this machine alone, 0.0.0.0 from everywhere.
        port: where it listens; 0 for any free one.
        max_upload_mb: larger files are refused.

    Raises:
        UserError: the address is taken or not this machine's.
    """
    import gradio

    # Fonts of the system: the page loads nothing from elsewhere.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    try:
        _, address, _ = page.launch(
            server_name=host, server_port=port or None, share=False, max_file_size=f"{max_upload_mb}mb", quiet=True,
            prevent_thread_lock=True, ssr_mode=False, footer_links=[], theme=theme, css_paths=HERE / "page.css",
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"host={host} port={port}: {error}; choose another, port=0 takes any free one") from error
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
    return str(address)


def build_page(systems: Mapping[str, Captioner], *, title: str, samples: int) -> gradio.Blocks:
    """Lay out the page.

    Args:
        systems: by the names shown.
        title: of the run.
        samples: how many are drawn of each system, at least 2.
    """
    import gradio

    def answer(photo: Image.Image | None, temperature: float) -> list[str]:
        return [
            "" if photo is None else what_it_says(name, captioner, photo, temperature=temperature, samples=samples)
            for name, captioner in systems.items()
        ]

    with gradio.Blocks(title=f"gan_caption: {title}", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gradio.Markdown(
            f"## What does it see?\n{title}. Drop a photograph. A model of this kind can state what is not there."
        )
        with gradio.Row():
            with gradio.Column(scale=2, min_width=280):
                photo = gradio.Image(label="photograph", type="pil", sources=["upload", "clipboard"], height=320)
                # A subclass would have Gradio write files beside this one.
                photo.preprocess = read_upload  # type: ignore[method-assign]
                temperature = gradio.Slider(0.1, 1.5, value=1.0, step=0.05, label="temperature of the samples")
            with gradio.Column(scale=3, min_width=280), gradio.Row():
                texts = []
                for _ in systems:
                    with gradio.Column(min_width=260):
                        texts.append(gradio.HTML(min_height=40))
        for change in (photo.change, temperature.change):
            change(answer, [photo, temperature], texts, show_progress="minimal", trigger_mode="always_last")
    return page


def read_upload(payload: Any) -> Image.Image | None:
    """Read what was uploaded as training reads its images; what is none gets a message, and the page stays as it is."""
    import gradio

    if payload is None:
        return None
    try:
        return load_rgb(Path(payload.path))
    except (UserError, TypeError) as error:
        reason = str(error).replace(str(payload.path), payload.orig_name or "this file")
        raise gradio.Error(reason, title="This file cannot be used", print_exception=False) from error


def what_it_says(name: str, captioner: Captioner, photo: Image.Image, *, temperature: float, samples: int) -> str:
    """Return HTML of a system's caption, where its words looked, and a few samples; every text is escaped.

    Args:
        name: of the system.
        captioner: the system.
        photo: RGB.
        temperature: of the samples.
        samples: how many, at least 2.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    best = captioner.caption(photo, attention=True).best
    drawing = captioner.proposing(SeveralSamples(samples=samples, temperature=temperature, top_k=0, top_p=1.0))
    drawn = drawing.caption(photo, count=samples).captions
    maps = [(_data_url(shown), word) for shown, word in attention_maps(captioner, photo, best)]
    environment = Environment(
        loader=PackageLoader("gan_caption", "inference"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("answers.html").render(
        name=name, best=best, samples=drawn, temperature=f"{temperature:g}", maps=maps
    )


def attention_maps(captioner: Captioner, photo: Image.Image, caption: Caption) -> list[tuple[Image.Image, str]]:
    """Return, for each word of a caption, the part of the photograph that the encoder saw, bright where it looked.

    Args:
        captioner: whose caption it is.
        photo: RGB.
        caption: with its attention; the list is empty without, or where the regions make no square.
    """
    if caption.attention is None or math.isqrt(caption.attention.shape[1]) ** 2 != caption.attention.shape[1]:
        return []
    side = math.isqrt(caption.attention.shape[1])
    pixels = captioner.trained.encoder.preprocess(photo).permute(1, 2, 0).numpy()
    seen = np.asarray(Image.fromarray(pixels).resize((_SHOWN, _SHOWN), Image.Resampling.BICUBIC), np.float32)
    shown = []
    for word, looked in zip([*caption.tokens, "(end)"], caption.attention, strict=False):
        share = Image.fromarray((looked / looked.max()).reshape(side, side).astype(np.float32))
        light = np.asarray(share.resize((_SHOWN, _SHOWN), Image.Resampling.BILINEAR))[..., None]
        shown.append((Image.fromarray((seen * (_DARK + (1 - _DARK) * light)).clip(0, 255).astype(np.uint8)), word))
    return shown


def _data_url(image: Image.Image) -> str:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"
