"""The record of a metric: its direction, its floors, its place in tables, and what it is told to compute."""

from __future__ import annotations

import numpy as np
import pytest
from pycocoevalcap.cider.cider import Cider

from gan_caption.errors import UserError
from gan_caption.metrics import DocumentFrequencies, Metric, Predictions, Score
from gan_caption.metrics.metric import choose, corpus_value, in_order, measure, on_curves
from gan_caption.metrics.standard import STANDARD, catalogue
from gan_caption.reporting.results import metrics_of

REFERENCES = [["a dog runs"], ["two girls swim"]]
SAID = Predictions(["a dog", "girls"], [["a", "a"], ["b", "c"]], REFERENCES, DocumentFrequencies.of(REFERENCES))


def test_what_rounds_to_zero_has_no_minus():
    shown = STANDARD["cider_d"].shown
    assert [shown(value, sign="+") for value in (-0.0004, 0.0004, -0.0006)] == ["+0.0", "+0.0", "-0.1"]
    assert shown(-0.0) == "0.0"


def test_directions_and_floors_by_hand():
    higher, lower, neither = (Metric(name="m", label="m", better=better) for better in ("higher", "lower", "neither"))
    assert (higher.beats(2, 1), lower.beats(2, 1), neither.beats(2, 1)) == (True, False, False)
    assert (higher.beats(1, 2), lower.beats(1, 2), neither.beats(1, 2)) == (False, True, False)
    # A first validation without a value is no best one.
    assert [own.beats(1, float("nan")) for own in (higher, lower, neither)] == [True, True, False]
    assert not any(own.beats(float("nan"), other) for own in (higher, lower) for other in (1, float("nan")))
    # Half of 8 is 4; of what should be low, at most 8 / .5 = 16.
    assert [higher.keeps(value, share=0.5, reference=8) for value in (3.9, 4, 9)] == [False, True, True]
    assert [lower.keeps(value, share=0.5, reference=8) for value in (3.9, 16, 16.1)] == [True, True, False]
    # Of -8 a half is lost at -16; where lower is better, at -4.
    assert [higher.keeps(value, share=0.5, reference=-8) for value in (-8, -16, -16.1)] == [True, True, False]
    assert [lower.keeps(value, share=0.5, reference=-8) for value in (-8, -4, -3.9)] == [True, True, False]
    for own in (higher, lower):
        assert own.keeps(0, share=0.9, reference=0)
        assert all(own.keeps(value, share=0, reference=8) for value in (-1e9, 0, 1e9, float("nan")))
        assert own.keeps(1, share=0.9, reference=float("nan"))
        assert not own.keeps(float("nan"), share=0.9, reference=8)
    assert (STANDARD["nll_per_token"].better, STANDARD["length"].better) == ("lower", "neither")


def test_tables_go_by_what_is_looked_at_and_keep_the_order_of_each():
    of = {"own": "captions", "sampled": "samples", "last": "model"}
    mine = [Metric(name=name, label=name, of=kind) for name, kind in of.items()]
    beside = Metric(name="beside", label="beside")
    names = list(catalogue(*mine, quality=(beside,)))
    assert names[names.index("rouge_l") + 1 : names.index("rouge_l") + 3] == ["beside", "length"]
    assert names[names.index("length_distance") + 1 : names.index("length_distance") + 3] == ["own", "sample_cider_d"]
    assert names[names.index("sample_verbatim") + 1] == "sampled"
    assert names[-1] == "last"
    with pytest.raises(UserError, match="two are called own"):
        in_order(mine, mine)
    assert [one.name for one in on_curves(STANDARD, "quality", "diversity")] == [
        "sample_cider_d",
        "self_cider",
        "div_2",
    ]


def test_shared_work_is_done_once_and_a_function_keeps_its_word():
    calls = []

    def count() -> int:
        calls.append(1)
        return len(SAID.captions)

    twice = [Metric(name=n, label=n, function=lambda told: told.once("count", count)) for n in ("one", "two")]
    assert measure([*twice, Metric(name="told", label="of the model")], SAID) == {"one": 2.0, "two": 2.0}
    assert calls == [1]
    images = Metric(name="m", label="m", per_image=True, function=lambda told: Score.of(np.array([1.0, 0.0])))
    assert measure([images], SAID)["m"].corpus == 0.5
    broken = Metric(name="m", label="m", per_image=True, function=lambda told: 0.5)
    with pytest.raises(UserError, match="metric m: its function returned float, and not a Score"):
        measure([broken], SAID)
    silent = Metric(name="m", label="m", function=lambda told: None)
    with pytest.raises(UserError, match="metric m: its function returned NoneType, and not a number"):
        measure([silent], SAID)
    short = Metric(name="m", label="m", per_image=True, function=lambda told: Score.of(np.array([1.0])))
    with pytest.raises(UserError, match=r"metric m: its function returned values \(1,\), and there are 2 images"):
        measure([short], SAID)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "a b"}, "letters, digits and _"),
        ({"better": "more"}, "better='more': one of 'higher', 'lower', 'neither'"),
        ({"of": "images"}, "of='images': one of"),
        ({"decimals": 1.5}, "decimals: a whole number"),
        ({"decimals": True}, "decimals: a whole number"),
        ({"factor": 10**400}, "factor a finite number"),
        ({"factor": True}, "factor a finite number"),
        ({"axis": "quality"}, "only with per_image=True"),
    ],
)
def test_faulty_records_say_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message):
        Metric(**{"name": "m", "label": "m", **wrong})


def test_what_can_be_chosen_is_validated_and_has_a_direction():
    assert choose(STANDARD, "nll_per_token").name == "nll_per_token"
    for name in ("length", "self_cider", "nothing"):
        with pytest.raises(ValueError, match=f"{name}: one of cider_d, .*nll_per_token"):
            choose(STANDARD, name)


def test_results_describe_their_metrics_and_older_ones_are_known():
    row = {"name": "mine", "label": "mine, %", "factor": 100, "decimals": 1, "better": "lower", "of": "samples"}
    (mine,) = metrics_of({"metrics": [row]}).values()
    assert (mine.shown(0.25), mine.better, mine.function) == ("25.0", "lower", None)
    assert {"cider_d", "oracle_true", "sample_oracle_nll_per_token"} <= metrics_of({}).keys()
    for damaged in (5, [{}], [{**row, "label": 5}], [{**row, "decimals": 10**9}], ["mine"]):
        with pytest.raises(UserError, match="its metrics are not described"):
            metrics_of({"metrics": damaged})


def test_a_value_is_a_number_of_python_whatever_a_metric_returns():
    """One of NumPy's would be in checkpoints, which name nothing but tensors and dicts."""
    for value in (np.float64(0.5), Score(np.mean([0.25, 0.75]), np.array([0.25, 0.75])), Score.of(np.array([0.5]))):
        assert type(corpus_value(value)) is float
        assert corpus_value(value) == 0.5


def test_the_cider_d_of_samples_is_the_mean_of_what_coco_gives_each():
    references = [["a dog runs", "the dog"], ["a man rides a bike"], ["two cats sleep"]]
    samples = [["a dog", "a man"], ["a man rides", "two cats"], ["cats sleep", "a dog runs"]]
    told = Predictions((), samples, references, DocumentFrequencies.of(references))
    each = [
        Cider().compute_score(dict(enumerate(references)), {row: [own[place]] for row, own in enumerate(samples)})[1]
        for place in range(2)
    ]
    expected = np.mean(each, axis=0)
    assert len(set(expected)) == 3
    assert STANDARD["sample_cider_d"].function(told).per_image == pytest.approx(expected, abs=1e-6)
