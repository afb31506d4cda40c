"""Pictures of the web page in a real browser: see README.md."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from experiments.composing import part
from gan_caption.inference.page import build_page, launch_page, title_of
from gan_caption.inference.systems import load_systems

HERE = Path(__file__).parent
WIDTHS = (1280, 390)
IMAGE = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.demo.run")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders; of several, several_*.png is made")
    parser.add_argument("--photo", type=Path, help="what is uploaded; without, a scene")
    asked = parser.parse_args()
    name = "page" if len(asked.runs) == 1 else "several"
    page = build_page(load_systems(asked.runs), title=title_of(asked.runs), samples=3)
    address = launch_page(page, host="127.0.0.1", port=0, max_upload_mb=10)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        photo = asked.photo
        if photo is None:
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
            opened.screenshot(path=HERE / f"{name}_{width}.png", full_page=True)
        browser.close()
    page.close()


if __name__ == "__main__":
    main()
