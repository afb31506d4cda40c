"""Pictures of the web page in a real browser: see README.md."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from experiments.composing import part
from gan_caption.inference.page import build_page, launch_page, load_systems

HERE = Path(__file__).parent
WIDTHS = (1280, 390)
IMAGE = 3


def main(run: str) -> None:
    page = build_page(load_systems(Path(run)), title=Path(run).name, samples=3)
    address = launch_page(page, host="127.0.0.1", port=0, max_upload_mb=10)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        photo = Path(folder) / "scene.png"
        part("data/scenes").split("test").image(IMAGE).save(photo)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width in WIDTHS:
            opened = browser.new_page(viewport={"width": width, "height": 820})
            opened.goto(address)
            opened.wait_for_selector("input[type=file]", state="attached")
            opened.set_input_files("input[type=file]", photo)
            opened.wait_for_selector(".system .best")
            opened.wait_for_timeout(1000)  # until what is drawn has settled
            opened.screenshot(path=HERE / f"page_{width}.png", full_page=True)
        browser.close()
    page.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("say which run: python -m experiments.demo.run outputs/seqgan-scenes-seed0-...")
    main(sys.argv[1])
