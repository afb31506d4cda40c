"""A policy of subwords, and a discriminator that reads its captions as words, in whole runs and after them."""

from __future__ import annotations

import json

import pytest

from gan_caption.data.captions import UNK
from gan_caption.errors import UserError
from gan_caption.experiment import run_experiment
from gan_caption.inference.captioner import Captioner
from gan_caption.metrics import ptb_tokenize
from gan_caption.training.checkpoint import load_state
from gan_caption.training.loop import preflight
from gan_caption.training.phases.adversarial import AdversarialPhase
from gan_caption.training.phases.discriminator import DiscriminatorPhase
from tests import tiny_lm
from tests.tiny_runs import TINY, TINY_SEQGAN, composed, part
from tests.training.test_discriminator_trainer import same_state
from tests.training.test_experiment import interrupted
from tests.training.test_matching import prepared

WORDS = "discriminator_vocabulary.json"
SMALL = ["discriminator.discriminator.embedding=8", "discriminator.discriminator.filters=4"]
SEQGAN = [one for one in TINY_SEQGAN if not one.startswith(("discriminator.", "max_length"))]


@pytest.fixture
def asked(tmp_path):
    """A page with a tiny language model for its policy, and a discriminator of words."""
    model = tiny_lm.write_model(tmp_path / "lm", "gpt2", positions=80)

    def of(*overrides, base=(*SEQGAN, *SMALL), discriminator="retokenized"):
        given = [
            "generator=pretrained_lm", "generator.prefix=3", "mapper@generator.mapper=mlp", f"lm.model={model}",
            "max_length=20", f"discriminator={discriminator}", f"outputs={tmp_path}/outputs",
            f"cache={tmp_path}/cache",
        ]  # fmt: skip
        return composed(*given, *base, *overrides)

    return of


@pytest.mark.slow
def test_it_learns_from_text_and_goes_on_bitwise_after_it_was_stopped(asked, tmp_path, monkeypatch):
    whole, stopped = (asked("resume=auto", f"outputs={tmp_path / name}") for name in ("whole", "stopped"))
    systems = run_experiment(whole, data="scenes").systems
    for phase in (DiscriminatorPhase, AdversarialPhase):
        interrupted(stopped, monkeypatch, phase, after=1)
    assert repr(run_experiment(stopped, data="scenes").systems) == repr(systems)
    folders = [next((tmp_path / name).iterdir()) for name in ("whole", "stopped")]
    assert same_state(*(vars(load_state(folder / "checkpoints" / "last.pt")) for folder in folders))
    words, again = ((folder / WORDS).read_text() for folder in folders)
    assert words == again
    split = part("data/scenes", train=40, val=8, test=8).split("train")
    said = {word for item in split.items for text in ptb_tokenize(list(item.captions)) for word in text.split()}
    assert set(json.loads(words)) == said

    told = Captioner.load(folders[0]).caption(part("data/scenes", test=8).split("test").image(0)).best
    row = json.loads((folders[0] / "captions_adversarial.json").read_text())[0]
    assert told.text == row["caption"]
    assert told.discriminator == pytest.approx(row["discriminator"], abs=1e-4)

    (folders[0] / WORDS).write_text(json.dumps(json.loads(words)[::-1]))
    (folders[0] / "results.json").unlink()
    with pytest.raises(UserError, match="learned with another vocabulary"):
        run_experiment(whole, data="scenes")
    with pytest.raises(UserError, match="learned with other tokens"):
        Captioner.load(folders[0])


def test_people_are_read_as_the_metrics_read_them(asked, tmp_path):
    run, _ = prepared(asked("max_length=70"), tmp_path)  # which cuts none
    discriminator = run.discriminator
    assert discriminator.vocabulary_size == len(run.tokenizer) == 303
    assert discriminator.discriminator.vocabulary_size == len(discriminator.tokenizer) < 100
    people = run.batches(run.encoded, images=20, per_image=2, stream=0).at(0).captions
    read = discriminator.reading(people)
    assert read.lengths.float().mean() < people.lengths.float().mean() / 1.5
    assert not (read.tokens == UNK).any()
    texts = [run.tokenizer.decode(row) for row in people.tokens.tolist()]
    assert [discriminator.tokenizer.decode(row) for row in read.tokens.tolist()] == ptb_tokenize(texts)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["discriminator@discriminator.discriminator=dense"], "one logit a caption, such as cnn"),
        (["+experiment=relgan"], "relaxed captions do not have"),
        (["phases.discriminator.initial_weights=generator"], "phases.discriminator: .* give initial_weights=random"),
    ],
)
def test_what_cannot_be_is_said_before_training(asked, tmp_path, overrides, message):
    base = [one for one in TINY if not one.startswith("max_length")]
    base += [] if "+experiment=relgan" in overrides else ["+experiment=seqgan"]
    run, phases = prepared(asked(*overrides, base=base), tmp_path)
    with pytest.raises(UserError, match=message):
        preflight(run, phases, run.evaluator)


@pytest.mark.slow
def test_another_run_takes_it_over_where_it_reads_the_same_words(asked, tmp_path):
    first = run_experiment(asked(), data="scenes").folder
    taken = [f"pretrained={first}", f"pretrained_discriminator={first}", f"outputs={tmp_path}/next"]
    assert run_experiment(asked(*taken), data="scenes").systems.keys() == {"mle", "adversarial"}
    with pytest.raises(UserError, match="learned with other tokens"):
        run_experiment(asked(*taken, "vocabulary.min_count=20"), data="scenes")


@pytest.mark.slow
def test_a_ratio_of_texts_is_calibrated_and_captions_resampled_by_it(asked):
    base = [one for one in TINY if not one.startswith("max_length")]
    config = asked(
        "discriminator@discriminator.discriminator=retokenized", "holdout.check=0.25", "phases.ratio.steps=4",
        "phases.ratio.check_every=2", "discriminator_trainer.images_per_batch=8",
        base=[*base, "+experiment=residual_ebm"], discriminator="calibrated",
    )  # fmt: skip
    finished = run_experiment(config, data="scenes")
    assert finished.systems.keys() == {"mle", "resampling"}
    assert (finished.folder / WORDS).exists()
    networks = load_state(finished.folder / "checkpoints" / "last.pt").networks
    assert networks["discriminator.scale"] != 1
    assert "discriminator.discriminator.discriminator.words.weight" in networks
