"""What an evaluation leaves is read with care: the folder may be somebody else's."""

from __future__ import annotations

import json
import math
import os

import pytest

from gan_caption.errors import UserError
from gan_caption.evaluation.result_files import (
    calibration_file,
    captions_file,
    read_calibration,
    read_results,
    read_said,
)
from gan_caption.training.folders import RESULTS, write_values

GOOD = {"title": "mle: 3 images", "systems": {"mle": {"cider_d": 0.5}}, "humans": {"cider_d": 1}}


def test_what_is_no_number_is_null_in_the_file_and_comes_back(tmp_path):
    values = {"cider_d": 0.5, "chair_i": math.nan, "nll": math.inf}
    write_values(tmp_path / RESULTS, {**GOOD, "systems": {"mle": values}})

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads((tmp_path / RESULTS).read_text(), parse_constant=refused)
    found = read_results(tmp_path, tmp_path)["systems"]["mle"]
    assert found["cider_d"] == 0.5
    assert math.isnan(found["chair_i"])
    assert math.isnan(found["nll"])


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", json.dumps({**GOOD, "systems": []}), json.dumps({**GOOD, "systems": {"mle": 3}}),
        json.dumps({**GOOD, "systems": {"mle": {"cider_d": "high"}}}), json.dumps({**GOOD, "humans": None}),
        json.dumps({**GOOD, "systems": {"mle": {"cider_d": 10**400}}}),
    ],
)  # fmt: skip
def test_damaged_results_are_told(tmp_path, content):
    (tmp_path / RESULTS).write_text(content)
    with pytest.raises(UserError, match=r"results\.json"):
        read_results(tmp_path, tmp_path)


SAID = {"image_id": "a", "caption": "b", "samples": []}


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "3", '[{"image_id": "a", "caption": "b", "samples": [1]}]', "[[]]",
        json.dumps([{**SAID, "samples": "several"}]),
        *(json.dumps([{**SAID, "discriminator": opinion}]) for opinion in (None, "sure", 1.5)),
    ],
)  # fmt: skip
def test_damaged_captions_are_told(tmp_path, content):
    (tmp_path / captions_file("mle")).write_text(content)
    with pytest.raises(UserError, match=r"captions_mle\.json holds no captions"):
        read_said(tmp_path, tmp_path, "mle")


@pytest.mark.parametrize("change", [{"people": None}, {"weight": "1"}, {"probability": 1.5}, {"more": 1},
                                    {"captions": "4"}, {"captions": 0}, {"captions": True}])  # fmt: skip
def test_a_damaged_calibration_is_told(tmp_path, change):
    whole = {"weight": 1, "probability": 0.5, "people": 0.25, "captions": 4}
    path = tmp_path / calibration_file("mle")
    path.write_text(json.dumps([whole]))
    assert [one._asdict() for one in read_calibration(tmp_path, tmp_path, "mle")] == [whole]
    path.write_text(json.dumps([{**whole, **change}]))
    with pytest.raises(UserError, match=r"calibration_mle\.json holds no calibration"):
        read_calibration(tmp_path, tmp_path, "mle")


def test_a_pipe_is_not_read_and_a_link_is_not_followed_out_of_the_folder(tmp_path):
    run = tmp_path / "run"
    (run / "evaluation").mkdir(parents=True)
    os.mkfifo(run / RESULTS)
    with pytest.raises(UserError, match="not a plain file"):
        read_results(run, run)
    (tmp_path / "secret.json").write_text("[]")
    for name in ("captions_mle.json", "calibration_mle.json"):
        (run / "evaluation" / name).symlink_to(tmp_path / "secret.json")
    for reading in (read_said, read_calibration):
        with pytest.raises(UserError, match="leads out of the folder"):
            reading(run, run / "evaluation", "mle")
