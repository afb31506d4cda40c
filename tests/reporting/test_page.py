"""The page of a comparison, in a real browser."""

from __future__ import annotations

import shutil
from xml.etree import ElementTree

import pytest
from PIL import Image

from gan_caption.reporting.page import Adversarial, Card, CardCaption, Cell, Page, Picture, Row, Table, write_page

HOSTILE = '<img src=x onerror="document.title=\'taken over\'"> & "quotes"'


def made_page(folder, *, caption="a green star"):
    for name, colour in (("0", "red"), ("1", "blue")):
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.jpg")
    (folder / "plot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>')
    table = Table(["", "CIDEr-D"], [Row([Cell("mle"), Cell("90.0", "80 to 100", "up")])])
    cards = [
        Card("first", "0.jpg", [CardCaption("mle", caption, 12.0, False, {"D": 0.25})], ["seed 1: x"], ["a red square"],
             {"disagreement": 1.0, "position": 0.0}),
        Card("second", "1.jpg", [CardCaption("mle", "a blue square", 0.0, None, {})], [], ["blue"],
             {"disagreement": 9.5, "position": -1.0}),
    ]  # fmt: skip
    page = Page(
        title="mle / seqgan", description="2 images", summary=table, legend="", findings=["alike"],
        trade_offs=[Picture("plot", "a plot")], verdicts=table, adversarial=Adversarial("a judge", table),
        calibration=None, learning=None, gallery=cards,
        orders={"disagreement": "disagreement", "position": "order of the data"}, everything=table, differences=table,
        borrowed=["mle"],
        commands=["python -m gan_caption.train seed=0"],
    )  # fmt: skip
    write_page(folder / "index.html", page)
    return folder / "index.html"


@pytest.fixture
def browser():
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no browser: install chromium to see the report rendered")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_the_page_opens_offline_sorts_and_searches(tmp_path, browser):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(made_page(tmp_path).as_uri())
    page.locator(".card").last.scroll_into_view_if_needed()
    page.wait_for_load_state("networkidle")
    assert all(url.startswith(tmp_path.as_uri()) for url in asked)
    assert complaints == []

    def order():
        return page.eval_on_selector_all(".card:not([hidden]) > img", "all => all.map(one => one.alt)")

    assert order() == ["image second", "image first"], "the greatest disagreement comes first"
    page.select_option("#order", "position")
    assert order() == ["image first", "image second"]
    page.fill("#find", "RED SQUARE")
    assert order() == ["image first"]
    assert page.text_content("#shown") == "1 of 2 images"
    page.fill("#find", "")
    assert all(page.eval_on_selector_all(".card > img", "all => all.map(one => one.naturalWidth === 40)"))
    assert page.eval_on_selector(".card .false", "one => one.textContent").startswith("a green star")
    # On a narrow screen the page itself does not scroll sideways: only its tables do.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_caption_cannot_bring_code_into_the_page(tmp_path, browser):
    page = browser.new_page()
    page.goto(made_page(tmp_path, caption=HOSTILE).as_uri())
    page.wait_for_load_state("networkidle")
    assert page.title() == "mle / seqgan"
    assert page.locator(".said", has_text="onerror").count() == 1


def test_what_the_page_says_is_escaped(tmp_path):
    text = made_page(tmp_path, caption=HOSTILE).read_text()
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    ElementTree.fromstring(text[text.index("<table>") : text.index("</table>") + len("</table>")])
