"""What a study keeps of its runs: once, whole, and of one size."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments.ratio import begun_with
from experiments.ratio_on_scenes.run import Study
from experiments.records import NOWHERE, Options, Records, Wanted, base_of, judge_of, options, without_places
from experiments.study import cost, cost_of, finished, gigabytes_of, settings_by, settings_in, train
from tests.tiny_runs import composed
from tests.tiny_sizes import TINY

OVERRIDES = (*(one for one in TINY if one != "threads=1"), "+experiment=mle", "phases.mle.epochs=1")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Where one run is finished."""
    folder = tmp_path_factory.mktemp("outputs")
    train(*OVERRIDES, "threads=1", outputs=folder)
    return folder


def measure(run: Path) -> dict[str, object]:
    """Note that it was called, and say what it was called with."""
    with (run / "measured.txt").open("a") as file:
        file.write("once\n")
    return {"run": run.name, "images": len(json.loads((run / "captions_mle.json").read_text()))}


def fails(run: Path) -> dict[str, object]:
    raise ArithmeticError(f"no number in {run.name}")


def unkeepable(run: Path) -> dict[str, object]:
    return {"good": 1, "bad": {1, 2}}


def measured(outputs: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in outputs.glob("*/*/measured.txt"))


def test_what_is_kept_is_found_wherever_the_runs_began(tmp_path):
    records = Records(tmp_path / "new" / "records")
    here = Wanted("An arm, beta .5", 3, ("+experiment=mle", "pretrained=/here/run", "data.root=/here/data"), dict)
    there = Wanted(here.name, 3, ("+experiment=mle", "pretrained=/there/x", "data.root=/there/data"), dict)
    assert records.found(here) is None
    assert records.missing([here]) == [here]
    records.keep(here, {"jsd": 0.1})
    assert [path.name for path in records.folder.iterdir()] == ["an-arm-beta-.5-3.json"]
    assert records.found(there) == {"jsd": 0.1}
    assert records.missing([there]) == []
    assert records.found(Wanted(here.name, 4, here.overrides, dict)) is None, "another seed is another run"


def test_what_other_overrides_made_is_not_taken(tmp_path):
    """A quick study's records are not a full one's, though a folder has both under one name."""
    studies = {size: Study(size, workers=0, records=tmp_path) for size in ("quick", "full")}
    wanted = {size: Wanted("maximum likelihood", 0, study.baseline(0), dict) for size, study in studies.items()}
    studies["quick"].records.keep(wanted["quick"], {"jsd": 0.69})
    with pytest.raises(SystemExit, match=r"data\.train=100 .*give records=FOLDER, another one, or delete it"):
        studies["full"].records.found(wanted["full"])
    places = [Study(size, workers=0).records.folder for size in ("quick", "full", "tables")]
    assert places[0] != places[1] == places[2]


def test_runs_of_a_seed_that_have_several_baselines_are_told(tmp_path):
    records = Records(tmp_path)
    wanted = {(name, seed): Wanted(name, seed, (f"seed={seed}",), dict) for name in "abc" for seed in (0, 1, 2)}
    bases = {("a", 0): "one", ("b", 0): "one", ("a", 1): "two", ("b", 1): "another", ("a", 2): "three", ("c", 2): None}
    for key, base in bases.items():
        records.keep(wanted[key], {}, base=base)
    told = records.unpaired(list(wanted.values()))
    assert told.startswith("The runs of seeds 1, 2 began with several baselines, trained again"), (
        "what is not known may be another"
    )
    assert told.endswith("the differences of b, c contain those of the baselines.")
    assert records.unpaired(list(wanted.values()), to="b").endswith("the differences of a, c contain those of the "
                                                                    "baselines.")  # fmt: skip
    assert "discriminators" not in told
    assert records.unpaired([one for one in wanted.values() if one.seed == 0]) == ""


def test_runs_of_a_seed_that_took_several_discriminators_are_told(tmp_path):
    records = Records(tmp_path)
    wanted = {(name, seed): Wanted(name, seed, (f"seed={seed}",), dict) for name in "abc" for seed in (0, 1)}
    judges = {("a", 0): "one", ("b", 0): "one", ("c", 0): None, ("a", 1): "two", ("b", 1): "another", ("c", 1): None}
    for key, judge in judges.items():
        records.keep(wanted[key], {}, base="same", judge=judge)
    told = records.unpaired(list(wanted.values()))
    assert told.startswith("The runs of seed 1 began with several discriminators"), "c takes none"
    assert "baselines" not in told


def test_a_run_whose_page_has_changed_since_is_told(tmp_path):
    records = Records(tmp_path)
    overrides = ("+experiment=mle", "seed=3", "data=flickr8k", "data.root=/home/me/flickr8k")
    one, old = Wanted("one", 3, overrides, dict), Wanted("old", 3, overrides, dict)
    elsewhere = composed(*overrides[:-1], "data.root=/data/flickr8k", "pretrained=/a/b", "threads=1", "tracker=local")
    records.keep(one, {}, settings=settings_in(elsewhere))
    records.keep(old, {})  # kept before records told
    assert records.doubts([one, old]) == ""
    changed = composed(*overrides, "phases.mle.clip=2.5")
    records.keep(one, {}, settings=settings_in(changed))
    assert records.doubts([one, old]).endswith("since these were run, and mean other settings now: one.")


def test_a_run_has_the_digest_of_its_own_baseline_or_of_none(tmp_path):
    assert base_of(tmp_path) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best_mle.safetensors").write_bytes(b"abc")
    assert base_of(tmp_path) == "ba7816bf8f01cfea"  # FIPS 180-4's example


def test_a_run_has_the_digest_of_the_discriminator_that_it_took(configured, tmp_path):
    taken, alone = tmp_path / "taken", tmp_path / "alone"
    for folder, given in ((taken, tmp_path / "judge"), (alone, None)):
        folder.mkdir()
        told = configured() | {"pretrained": str(tmp_path), "pretrained_discriminator": given and str(given)}
        (folder / "config.json").write_text(json.dumps(told))
    assert judge_of(taken) is judge_of(alone) is None, "that run is not here any more"
    (tmp_path / "judge" / "checkpoints").mkdir(parents=True)
    (tmp_path / "judge" / "checkpoints" / "last.pt").write_bytes(b"abc")
    assert judge_of(taken) == "ba7816bf8f01cfea"
    assert judge_of(alone) is None


def test_overrides_without_places():
    asked = ["pretrained=/a/b", "pretrained_discriminator=/a/c", "data.root=/home/me/flickr8k", "seed=0", "a=b=/c/d"]
    assert without_places(asked) == ["data.root=flickr8k", "seed=0", "a=d"]


def test_options_of_a_command():
    given = ["data=flickr8k", "workers=3", "records=a/b", "seeds=0,3"]
    assert options(given) == Options(3, Path("a/b"), [0, 3], ["data=flickr8k"])
    assert options([]) == Options(2, None, None, [])
    for wrong in ("seeds=0,", "seeds=a", "workers=two"):
        with pytest.raises(SystemExit, match="take numbers"):
            options([wrong])


@pytest.mark.parametrize("judged", [True, False])
def test_a_discriminator_is_taught_where_something_that_is_missing_takes_it(tmp_path, monkeypatch, judged):
    """Where records of all that take it are kept it would be taught for nothing."""
    trained = []

    def train_all(runs, *, outputs, workers):
        trained.extend(runs)
        return [outputs / "-".join(run) for run in runs]

    monkeypatch.setattr("experiments.ratio.train_all", train_all)
    prepare = begun_with(
        lambda seed: ("base", str(seed)), lambda seed, base: ("judge", base.name), outputs=tmp_path, workers=1
    )
    taking = ("+experiment=kl_ratio", "pretrained_discriminator=x")
    missing = {
        0: [Wanted("ddo", 0, ("+experiment=ddo",), dict)],
        1: [Wanted("ddo", 1, ("+experiment=ddo",), dict), *([Wanted("kl", 1, taking, dict)] if judged else [])],
    }
    judges = [NOWHERE, tmp_path / "judge-base-1" if judged else NOWHERE]
    assert prepare(missing) == [(tmp_path / f"base-{seed}", judges[seed]) for seed in (0, 1)]
    assert trained == [("base", "0"), ("base", "1"), *([("judge", "base-1")] if judged else [])]


@pytest.mark.slow
def test_a_run_that_judges_another_one_is_paired_by_that_ones_baseline(outputs, tmp_path):
    judged = tmp_path / "judged"
    (judged / "checkpoints").mkdir(parents=True)
    (judged / "checkpoints" / "best_mle.safetensors").write_bytes(b"abc")
    records = Records(tmp_path / "records")
    own, other = (Wanted(name, 0, OVERRIDES, measure, paired_by=by) for name, by in (("own", None), ("other", judged)))
    records.make([own, other], outputs=outputs, workers=1)
    kept = [json.loads((records.folder / f"{name}-0.json").read_text())["base"] for name in ("own", "other")]
    assert kept[1] == "ba7816bf8f01cfea" != kept[0], "FIPS 180-4's example"


@pytest.mark.slow
def test_each_run_is_measured_once_and_what_is_missing_is_made(outputs, tmp_path):
    records = Records(tmp_path / "records")
    one, two = (Wanted(name, 0, OVERRIDES, measure) for name in ("one", "two"))
    before = measured(outputs)
    records.make([one, two], outputs=outputs, workers=2)
    assert measured(outputs) == before + 2
    assert records.found(one) == records.found(two) == {"run": next(outputs.glob("*/*/results.json")).parent.name,
                                                        "images": 8}  # fmt: skip
    records.make([one, two], outputs=outputs, workers=2)
    assert measured(outputs) == before + 2, "what is kept is not measured again"
    (records.folder / "two-0.json").unlink()
    records.make([one, two], outputs=outputs, workers=1)
    assert measured(outputs) == before + 3
    assert sorted(path.name for path in records.folder.iterdir()) == ["one-0.json", "two-0.json"]
    assert len(list(outputs.glob("*"))) == 1, "one training, by which both are measured"


def test_settings_are_looked_up_by_several_threads_at_once():
    overrides = [("+experiment=mle", f"seed={seed}") for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert len({*pool.map(settings_by, overrides)}) == 6


@pytest.mark.slow
def test_a_run_of_before_its_page_changed_is_no_finished_one(outputs, tmp_path):
    run = train(*OVERRIDES, "threads=1", outputs=outputs)
    again = Path(shutil.copytree(outputs, tmp_path / "outputs"))
    (path,) = again.glob("*/*/config.json")
    assert finished(*OVERRIDES, "threads=1", outputs=again) == path.parent
    assert path.parent.name == run.name
    config = json.loads(path.read_text())
    config["phases"]["mle"]["clip"] *= 2
    path.write_text(json.dumps(config))
    assert finished(*OVERRIDES, "threads=1", outputs=again) is None


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "error"), [(fails, ArithmeticError), (unkeepable, TypeError)])
def test_a_measurement_that_fails_leaves_no_record(outputs, tmp_path, broken, error):
    records = Records(tmp_path / "records")
    with pytest.raises(error):
        records.make([Wanted("one", 0, OVERRIDES, broken)], outputs=outputs, workers=1)
    assert list(tmp_path.glob("records/*")) == []
    records.make([Wanted("one", 0, OVERRIDES, measure)], outputs=outputs, workers=1)
    assert records.missing([Wanted("one", 0, OVERRIDES, measure)]) == []


@pytest.mark.slow
def test_a_study_prepares_only_seeds_that_miss_something(outputs, tmp_path):
    records, prepared = Records(tmp_path / "records"), []

    def wanted(seed: int, base: Path = NOWHERE) -> list[Wanted]:
        begun = (f"pretrained={base}",) if base != NOWHERE else ()
        return [Wanted(name, seed, (*OVERRIDES, *begun[1:]), measure) for name in ("one", "two")]

    def prepare(seeds):
        prepared.append(list(seeds))
        return [(outputs,) for _ in seeds]

    for name in ("one", "two"):
        records.keep(Wanted(name, 1, OVERRIDES, measure), {"kept": name})
    records.keep(Wanted("one", 2, OVERRIDES, measure), {"kept": "one"})
    told = records.known(wanted, [0, 1, 2, 3], prepare, outputs=outputs, workers=0)
    assert prepared == []
    assert told == {"one": {1: {"kept": "one"}, 2: {"kept": "one"}}, "two": {1: {"kept": "two"}}}

    records.known(wanted, [0, 1, 2, 3], prepare, outputs=outputs, workers=2, only=[1])
    assert prepared == [], "of the seed that is asked for all is known"
    told = records.known(wanted, [0, 1, 2, 3], prepare, outputs=outputs, workers=2, only=[1, 3])
    assert prepared == [[3]]
    assert {name: sorted(own) for name, own in told.items()} == {"one": [1, 2, 3], "two": [1, 3]}, "all that is known"
    for name in ("one", "two"):
        (tmp_path / "records" / f"{name}-3.json").unlink()
    prepared.clear()

    told = records.known(wanted, [0, 1, 2, 3], prepare, outputs=outputs, workers=2)
    assert prepared == [[0, 2], [3]], "as many at a time as there are workers, and not the seed that is known"
    assert {name: sorted(own) for name, own in told.items()} == {"one": [0, 1, 2, 3], "two": [0, 1, 2, 3]}
    assert told["one"][2] == {"kept": "one"}, "what was kept is not made again"


def test_a_start_that_was_killed_with_its_study_counts_to_the_last_line_that_it_printed(tmp_path):
    place = tmp_path / "one"
    place.mkdir()
    (place / "cost.json").write_text(json.dumps({"minutes": 2.0, "gigabytes": 1.5, "begun": 1000.0}))
    (place / "log.txt").touch()
    os.utime(place / "log.txt", (1180, 1180))
    assert (cost_of(place / "run"), gigabytes_of(place / "run")) == (5.0, 1.5)
    assert cost(tmp_path).startswith("1 runs, 5.0 to 5.0 minutes each")


def test_what_a_finished_run_took_is_kept(outputs):
    (kept,) = outputs.glob("*/cost.json")
    told = json.loads(kept.read_text())
    assert told.keys() == {"minutes", "gigabytes"}
    assert 0 < told["minutes"] < 10
    assert 0.1 < told["gigabytes"] < 10
