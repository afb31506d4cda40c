"""The web page in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import gradio
import numpy as np
import pytest
from PIL import Image

from gan_caption.errors import UserError
from gan_caption.inference.captioner import Caption, Captioner
from gan_caption.inference.page import attention_maps, build_page, launch_page, warning, what_it_says
from gan_caption.inference.systems import load_systems


@pytest.fixture(scope="module")
def systems(trained_run) -> dict[str, Captioner]:
    return load_systems([trained_run], device="cpu")


@pytest.fixture
def address(systems):
    page = build_page(systems, title="a run", samples=2)
    yield launch_page(page, host="127.0.0.1", port=0, max_upload_mb=1)
    page.close()


def test_it_starts_where_a_proxy_is_set(systems, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setenv("no_proxy", "elsewhere")
    monkeypatch.delenv("NO_PROXY", raising=False)
    page = build_page(systems, title="a run", samples=2)
    assert launch_page(page, host="127.0.0.1", port=0, max_upload_mb=1).startswith("http://127.0.0.1:")
    page.close()
    assert (os.environ["no_proxy"], os.environ.get("NO_PROXY")) == ("elsewhere", None)


def test_it_warns_with_what_each_systems_run_has_measured(systems, trained_run, monkeypatch):
    assert warning(systems).count("none of its captions was a grammatical sentence") == len(systems)
    results = json.loads((trained_run / "results.json").read_text())
    for place, system in enumerate(results["systems"].values()):
        system["oracle_hallucinations"] = place + 0.25
    monkeypatch.setattr("gan_caption.inference.page.results_of", lambda folder: {trained_run: results}[folder])
    lines = warning(systems).split("\n- ")[1:]
    for line, (name, one) in zip(lines, systems.items(), strict=True):
        place = list(results["systems"]).index(one.phase)
        assert line.startswith(f"{name}: ")
        assert f"**{place}.250 false claims" in line


@pytest.fixture
def browser():
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no browser: install chromium to see the web page driven")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
def test_a_photograph_is_captioned_the_slider_draws_anew_and_a_bad_file_is_told(
    address, browser, systems, photos, tmp_path
):
    page = browser.new_page(viewport={"width": 390, "height": 900})
    asked, broken = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(address)
    page.wait_for_selector("input[type=file]", state="attached")

    page.set_input_files("input[type=file]", photos[0])
    page.wait_for_selector(".system .best")
    expected = [one.caption(photos[0]).best.text or "(no words)" for one in systems.values()]
    assert page.locator(".system .best").all_inner_texts() == expected
    assert page.locator(".system").first.locator(".opinion .bar").count() >= 2  # of the caption and of each sample
    words = len(expected[0].split())
    maps = page.locator(".system").first.locator("figure img")
    assert maps.count() >= words
    assert maps.first.evaluate("one => one.naturalWidth") > 0
    assert "at temperature 1" in page.locator(".system").first.inner_text()

    page.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.system').innerText.includes('at temperature 1.05')")
    assert page.locator(".system .best").all_inner_texts() == expected  # which does not depend on it

    bad = tmp_path / "notes.jpg"
    bad.write_text("not an image")
    page.get_by_role("button", name="Remove Image").click()
    page.set_input_files("input[type=file]", bad)
    page.wait_for_selector("text=it is no image")
    assert "notes.jpg cannot be read" in page.inner_text("body")
    page.goto(address)  # the server is still there
    page.wait_for_selector("input[type=file]", state="attached")
    large = tmp_path / "large.bmp"
    Image.new("RGB", (1000, 1000)).save(large)  # 3 MB, of 1 allowed
    page.set_input_files("input[type=file]", large)
    page.wait_for_selector("text=/exceeds|too large|maximum/i")

    page.goto(address)
    page.wait_for_selector("input[type=file]", state="attached")
    page.set_input_files("input[type=file]", photos[1])
    page.wait_for_selector(".system .best")
    assert broken == []
    assert all(url.startswith((address.rstrip("/"), "data:", "blob:")) for url in asked)  # nothing from elsewhere
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_no_address_is_fetched_in_place_of_an_upload(systems, photos):
    """Gradio would fetch it whole, however large it is."""
    page = build_page(systems, title="a run", samples=2)
    (photo,) = (block for block in page.blocks.values() if isinstance(block, gradio.Image))
    for place in ("http://127.0.0.1:9/large.bmp", "https://example.org/large.bmp"):
        with pytest.raises(gradio.Error, match="Upload the photograph itself"):
            asyncio.run(photo.async_move_resource_to_block_cache(place))
    assert Path(asyncio.run(photo.async_move_resource_to_block_cache(str(photos[0])))).name == photos[0].name


def test_a_taken_address_is_told(systems, address):
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(UserError, match="choose another"):
        launch_page(build_page(systems, title="a run", samples=2), host="127.0.0.1", port=port, max_upload_mb=1)


@pytest.mark.parametrize("host", ["192.0.2.1", "256.1.1.1", "a..b"])
def test_an_address_that_is_not_this_machines_is_told_at_once(systems, host):
    """192.0.2.1 is of a network that documents have, and nobody."""
    page = build_page(systems, title="a run", samples=2)
    with pytest.raises(UserError, match=f"^host={host} is no address of this machine"):
        launch_page(page, host=host, port=0, max_upload_mb=1)


def test_words_cannot_bring_code_into_the_page(systems, photos, monkeypatch):
    name, captioner = next(iter(systems.items()))
    monkeypatch.setattr(captioner.trained.tokenizer, "decode", lambda ids: "<script>alert(1)</script>")
    told = what_it_says(name, captioner, Image.open(photos[0]).convert("RGB"), temperature=1.0, samples=2)
    assert "<script>" not in told
    assert "&lt;script&gt;" in told


def test_a_captioner_that_attends_to_nothing_says_so(systems, photos, monkeypatch):
    name, captioner = next(iter(systems.items()))
    photo, ask = Image.open(photos[0]).convert("RGB"), captioner.caption
    assert "where each word looked" in what_it_says(name, captioner, photo, temperature=1.0, samples=2)
    monkeypatch.setattr(captioner, "caption", lambda photo, attention: ask(photo))
    told = what_it_says(name, captioner, photo, temperature=1.0, samples=2)
    assert "they attend to no regions" in told
    assert "<figure>" not in told


def test_an_attention_map_is_bright_where_the_word_looked(systems):
    captioner = next(iter(systems.values()))
    attention = np.zeros((1, 16), np.float32)
    attention[0, 3] = 1.0  # the upper right corner of 4 x 4
    caption = Caption("star", -1.0, None, attention, ("star",))
    ((shown, word),) = attention_maps(captioner, Image.new("RGB", (64, 64), "white"), caption)
    assert word == "star"
    light = np.asarray(shown.convert("L"), float)
    size = len(light)
    assert light[: size // 8, -size // 8 :].min() > 250
    assert light[size // 2 :, : size // 2].max() < 60
