"""The report of maximum likelihood and SeqGAN, on scenes and on Flickr8k, and a picture of it: see README.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.methods_on_scenes.run import train_pages
from experiments.study import train

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
WIDE, HIGH = 1280, 1700


def main(root: str | None = None, *overrides: str) -> None:
    baselines, methods = train_pages(("seqgan", "nsc", "control_constant"), ())
    runs = [*baselines, *(run for own in methods.values() for run in own)]
    report(runs, "scenes", "split=test", *overrides)
    if root is not None:
        report(on_photographs(root, *overrides), "flickr8k", "split=val", *overrides)


def on_photographs(root: str, *overrides: str) -> list[Path]:
    """Train the attention LSTM by maximum likelihood, and SeqGAN from there."""
    data = (
        "generator=attention_lstm", "data=flickr8k", f"data.root={root}", "encoder=efficientnet_lite0",
        "decoding=beam", *overrides,
    )  # fmt: skip
    start = train("+experiment=mle", *data, outputs=OUTPUTS / "runs")
    return [start, train("+experiment=seqgan", f"pretrained={start}", *data, outputs=OUTPUTS / "runs")]


def report(runs: Sequence[Path], name: str, *overrides: str) -> None:
    """Make a report and its picture."""
    folder = OUTPUTS / name
    together = f"runs=[{','.join(map(str, runs))}]"
    subprocess.run([sys.executable, "-m", "gan_caption.compare", together, f"out={folder}", *overrides], check=True)
    picture(folder / "index.html", HERE / f"{name}.png")


def picture(page: Path, path: Path) -> None:
    """Draw the top of a page in a headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium())
        view = browser.new_page(viewport={"width": WIDE, "height": HIGH})
        view.goto(page.as_uri())
        view.screenshot(path=path)
        browser.close()


def chromium() -> str | None:
    """Return the path of an installed Chromium; None: that which `playwright install chromium` brought."""
    import shutil

    return shutil.which("chromium") or shutil.which("google-chrome")


if __name__ == "__main__":
    main(*sys.argv[1:])
