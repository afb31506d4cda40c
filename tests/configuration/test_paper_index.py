"""The paper index of conf/experiment/README.md against what the pages compose to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from gan_caption.configuration.launching import conf_dir
from tests.tiny_runs import composed

PAGES = Path(conf_dir()) / "experiment"
INDEX = (PAGES / "README.md").read_text().partition("\n## The paper index\n")[2].partition("\n## ")[0]
WITHOUT_PAPER = (
    "control_blind", "control_constant", "control_generative", "control_logits", "control_more_mle",
    "control_oracle_ratio", "control_powers", "control_random", "control_shuffled_image", "control_shuffled_labels",
    "control_temperature", "distilled", "kl_ratio", "kl_ratio_on_policy",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    page: str
    overrides: tuple[str, ...]
    key: str
    theirs: str
    here: str
    why: str


def rows() -> list[Row]:
    found = []
    for section in re.split(r"^### ", INDEX, flags=re.M)[1:]:
        page, *more = re.findall(r"`([^`]+)`", section.splitlines()[0])
        for line in section.splitlines():
            if line.startswith("| `"):
                key, theirs, here, why = (cell.strip() for cell in line.strip("|").split("|"))
                found.append(Row(page, tuple(" ".join(more).split()), key.strip("`"), theirs, here.strip("`"), why))
    return found


def value(text: str) -> Any:
    """Read a value as a page has it; 1e-4 as well."""
    read = yaml.safe_load(text)
    try:
        return float(read) if isinstance(read, str) else read
    except ValueError:
        return read


@cache
def page(name: str, overrides: tuple[str, ...]) -> Any:
    return OmegaConf.create(composed(f"+experiment={name}", *overrides))


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.page} {row.key}")
def test_the_index_says_what_the_page_composes_to(row):
    assert OmegaConf.select(page(row.page, row.overrides), row.key, throw_on_missing=True) == value(row.here)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.page} {row.key}")
def test_every_difference_has_a_reason(row):
    told = re.match(r"`([^`]+)`", row.theirs)
    same = told is not None and value(told.group(1)) == value(row.here)
    assert same != bool(row.why) or "*unverified*" in row.theirs


def test_every_page_with_a_paper_is_in_the_index():
    listed = {row.page for row in rows()}
    assert listed == {path.stem for path in PAGES.glob("*.yaml")} - set(WITHOUT_PAPER)


def leaves(node: Any, prefix: str = "") -> list[str]:
    if isinstance(node, dict):
        return [leaf for key, own in node.items() for leaf in leaves(own, f"{prefix}{key}.")]
    return [prefix.rstrip(".")]


@pytest.mark.parametrize("name", sorted({row.page for row in rows()}))
def test_no_page_sets_a_number_that_the_index_does_not_tell(name):
    body = yaml.safe_load((PAGES / f"{name}.yaml").read_text())
    composition = page(name, ())
    told = {row.key for row in rows() if row.page == name}
    # A number is told by its own key, or by one that refers to it, such as phases.adversarial.learning_rate.
    for key in leaves({key: own for key, own in body.items() if key not in ("defaults", "name")}):
        set_here = OmegaConf.select(composition, key)
        if isinstance(set_here, int | float) and not isinstance(set_here, bool):
            last = key.rpartition(".")[2]
            same = [one for one in told if one == key or (OmegaConf.select(composition, one) == set_here
                                                          and (one.endswith(last) or "gate.steps" in one))]  # fmt: skip
            assert same, f"{name}: {key}={set_here} is not in the index"
