"""The web page on which one drops a photograph: what each system of one or several runs says of it."""

from __future__ import annotations

import base64
import errno
import io
import math
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from gan_caption.data.images import load_rgb
from gan_caption.decoding.decoders import Decoder, Proposer, SeveralSamples
from gan_caption.decoding.reweighted import Reweighted, SeveralReweighted
from gan_caption.errors import UserError
from gan_caption.extras import require
from gan_caption.inference.captioner import Caption, Captioner
from gan_caption.inference.model_card import hallucination, results_of
from gan_caption.inference.settings import DemoSettings
from gan_caption.inference.systems import load_systems

if TYPE_CHECKING:
    import gradio

HERE = Path(__file__).parent
_SHOWN = 112
"""Pixels a side of an attention map."""
_DARK = 0.2
"""Brightness left where a word did not look."""


def serve(settings: DemoSettings) -> None:
    """Show the page as `conf/demo.yaml` says, until it is interrupted.

    Raises:
        UserError: Gradio is missing, a run cannot be used, or the address is taken.
    """
    require("gradio", extra="demo", what="web pages")
    systems = load_systems(settings.run, device=settings.device, allow=settings.allow, decoding=settings.decoding)
    page = build_page(systems, title=title_of(settings.run), samples=settings.samples)
    launch_page(page, host=settings.host, port=settings.port, max_upload_mb=settings.max_upload_mb)
    page.block_thread()


def title_of(folders: Sequence[Path]) -> str:
    """Return what a page of runs is called."""
    return ", ".join(folder.resolve().name for folder in folders)


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

    _check_address(host, port)
    # Fonts of the system: the page loads nothing from elsewhere.
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    try:
        with _without_proxy(host):
            _, address, _ = page.launch(
                server_name=host, server_port=port or None, share=False, max_file_size=f"{max_upload_mb}mb", quiet=True,
                prevent_thread_lock=True, ssr_mode=False, footer_links=[], theme=theme, css_paths=HERE / "page.css",
            )  # fmt: skip
    except (TypeError, AttributeError):
        raise
    except Exception as error:  # Gradio has plain ones
        raise UserError(f"host={host} port={port}: {error}") from error
    print(f"The page is at {address} (Ctrl-C ends it)", flush=True)
    return str(address)


def _check_address(host: str, port: int) -> None:
    """Try the address out: Gradio would try all ports of a machine that is not this one.

    Raises:
        UserError: it is taken or not this machine's.
    """
    try:
        (family, kind, protocol, _, place), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind, protocol) as tried:
            if os.name == "posix":  # as the server does; elsewhere it would share the port
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except (OSError, UnicodeError) as error:  # the second of names that are none
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EADDRINUSE:
            why = f"port={port} is taken: choose another one, port=0 takes any that is free"
        elif number == errno.EACCES:
            why = f"port={port} is not yours to listen at: choose one above 1023, port=0 takes any that is free"
        else:
            why = f"host={host} is no address of this machine ({error}): give 127.0.0.1, or 0.0.0.0 for all of them"
        raise UserError(why) from error


@contextmanager
def _without_proxy(host: str) -> Iterator[None]:
    """Have this machine asked directly: Gradio asks its own page whether it is there, and a proxy could not say so."""
    names = ("no_proxy", "NO_PROXY")
    before = {name: os.environ.get(name) for name in names}
    told = [one for one in (before["no_proxy"] or before["NO_PROXY"], host, "localhost", "127.0.0.1") if one]
    os.environ.update(dict.fromkeys(names, ",".join(told)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def build_page(systems: Mapping[str, Captioner], *, title: str, samples: int) -> gradio.Blocks:
    """Lay out the page.

    Args:
        systems: by the names shown.
        title: of the runs.
        samples: how many are drawn of each system, at least 2.
    """
    import gradio

    def answer(photo: Image.Image | None, temperature: float) -> list[str]:
        return [
            "" if photo is None else what_it_says(name, captioner, photo, temperature=temperature, samples=samples)
            for name, captioner in systems.items()
        ]

    with gradio.Blocks(title=f"gan_caption: {title}", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gradio.Markdown(f"## What does it see?\n{title}. Drop a photograph. {warning(systems)}")
        with gradio.Row():
            with gradio.Column(scale=2, min_width=280):
                photo = gradio.Image(label="photograph", type="pil", sources=["upload", "clipboard"], height=320)
                # A subclass would have Gradio write files beside this one.
                photo.preprocess = read_upload  # type: ignore[method-assign]
                kept = photo.async_move_resource_to_block_cache
                photo.async_move_resource_to_block_cache = partial(keep_upload, kept)  # type: ignore[method-assign]
                temperature = gradio.Slider(0.1, 1.5, value=1.0, step=0.05, label="temperature of the samples")
            with (
                gradio.Column(scale=max(3, 2 * len(systems) - 1), min_width=280),
                gradio.Row(elem_classes="systems"),
            ):
                texts = []
                for _ in systems:
                    with gradio.Column(min_width=0):
                        texts.append(gradio.HTML(min_height=40))
        for change in (photo.change, temperature.change):
            change(answer, [photo, temperature], texts, show_progress="minimal", trigger_mode="always_last")
    return page


def warning(systems: Mapping[str, Captioner]) -> str:
    """Return in Markdown how often each system was found to state what is not there, by its run's final comparison.

    Raises:
        UserError: a run's results are damaged.
    """
    known = {name: hallucination(results_of(one.trained.folder), one.phase) for name, one in systems.items()}
    head = (
        "A model of this kind can state what is not there. What its run's final comparison found, by the run's own "
        "decoding:"
    )
    return "\n".join([f"{head}\n", *(f"- {name}: {told}" for name, told in known.items())])


async def keep_upload(keep: Callable[[Any], Awaitable[str | None]], place: Any) -> str | None:
    """Keep a file that was uploaded, and fetch none from an address: its size would have no bound.

    Args:
        keep: Gradio's own.
        place: of the file.
    """
    import gradio

    if "://" in str(place):
        raise gradio.Error("Upload the photograph itself.", title="An address is no upload", print_exception=False)
    return await keep(place)


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
    drawn = captioner.proposing(drawing(captioner.decoder, temperature, samples)).caption(photo, count=samples).captions
    maps = [(_data_url(shown), word) for shown, word in attention_maps(captioner, photo, best)]
    reweighted = captioner.decoder if isinstance(captioner.decoder, Reweighted) else None
    environment = Environment(
        loader=PackageLoader("gan_caption", "inference"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("answers.html").render(
        name=name, best=best, samples=drawn, temperature=f"{temperature:g}", maps=maps, reweighted=reweighted,
    )  # fmt: skip


def drawing(decoder: Decoder, temperature: float, samples: int) -> Proposer:
    """Return what draws samples of a system: of the policy, or as its decoder draws where that weighs the policy's own.

    Args:
        decoder: of the system.
        temperature: of the samples; of those that are weighed, where they are.
        samples: how many.
    """
    if isinstance(decoder, Reweighted):
        return SeveralReweighted(samples=samples, drawn_by=replace(decoder, temperature=temperature))
    return SeveralSamples(samples=samples, temperature=temperature, top_k=0, top_p=1.0)


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
