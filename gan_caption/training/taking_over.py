"""What a run takes over from other runs: a baseline, a discriminator, what to begin with; and what forbids it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path

import torch

from gan_caption.configuration.building import Part
from gan_caption.configuration.settings import Settings
from gan_caption.decoding.decoders import Decoder
from gan_caption.discriminators.base import Discriminator
from gan_caption.distributed import world
from gan_caption.distributed.world import say
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator
from gan_caption.training.checkpoint import load_state, load_weights, save_weights
from gan_caption.training.folders import BASELINE, best_weights, has_learned, inside, read_settings
from gan_caption.training.identity import read_data
from gan_caption.training.networks import take_discriminator
from gan_caption.training.phases.base import Phase
from gan_caption.training.run import Run
from gan_caption.training.setup import OF_THE_PARTS, Data, check_encoder


def _others_of(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield the runs that a run takes something from: the setting that names each, and its folder."""
    for key in ("pretrained", "pretrained_discriminator", "begin_from"):
        if getattr(settings, key) is not None:
            yield key, getattr(settings, key)


def check_others(settings: Settings, data: Data) -> None:
    """Look whether these runs are there, have what is asked of them, and have learned from no image held out here.

    Raises:
        UserError: one is no run, or has not come as far; it may have learned from such an image.
    """
    for key, folder in _others_of(settings):
        with _named_by(key, folder):
            theirs = read_settings(folder, allow=settings.allow)
            if key != "begin_from" and not has_learned(folder):
                raise UserError(f"run={folder}: it has learned nothing yet; resume it first")
            if key == "pretrained" and not inside(folder, best_weights(Path(), BASELINE)).exists():
                raise UserError(f"run={folder}: that run has not finished the phase {BASELINE}; resume it first")
            held_out = settings.holdout.check or settings.holdout.discriminator
            if not held_out or theirs.holdout == settings.holdout:
                continue
            if has_other_images(folder, data):
                say(f"{key}={folder}: it has learned from other data, and nobody knows whether images that are held "
                    "out here were among them")  # fmt: skip
            else:
                raise UserError(
                    f"run={folder}: it has learned from images that this run holds out (there {theirs.holdout}, here "
                    f"{settings.holdout}): train it with the same holdout"
                )


def check_their_encoders(settings: Settings, encoder: Encoder) -> None:
    """Look whether these runs have learned from what this encoder makes of an image.

    Raises:
        UserError: one has not; see `check_encoder`.
    """
    for key, folder in _others_of(settings):
        with _named_by(key, folder):
            check_encoder(encoder, folder)


def check_schedule(settings: Settings) -> None:
    """Look whether the schedule has the phase that another run's captioner stands for, and one after it.

    Raises:
        UserError: it has not.
    """
    pretrained, names = settings.pretrained, list(settings.phases)
    if pretrained is None:
        return
    if BASELINE not in names:
        raise UserError(
            f"pretrained={pretrained}: its captioner stands for the phase {BASELINE}, and the schedule has none: leave "
            f"phases.{BASELINE} as it was, nothing of it is trained again"
        )
    if names[-1] == BASELINE:
        raise UserError(f"pretrained={pretrained}: nothing would be left to train after {BASELINE}, phases are {names}")


def check_discriminator_learns(settings: Settings) -> None:
    """Look whether the run's discriminator has learned before its word counts, and say where nothing teaches it.

    Raises:
        UserError: the run's way of decoding asks it, which is how weights are chosen from the first phase on.
    """
    if settings.discriminator is None or settings.pretrained_discriminator is not None:
        return
    if _asks_the_discriminator(settings.decoding):
        raise UserError(
            f"decoding: {settings.decoding.name} asks the run's discriminator, which has learned nothing when the "
            "first phase is validated: train with another way of decoding, and choose this one in evaluate, compare or "
            "caption, or for a phase after D has learned, as +experiment=residual_ebm does"
        )
    if not any("trainer" in part.node for part in settings.phases.values()):
        say(f"note: no phase of this run teaches its discriminator, {settings.discriminator.name}: it stays as it is")


def _asks_the_discriminator(decoding: Part) -> bool:
    """Tell whether a way of decoding, which is known to be faultless, cannot do without a run's discriminator."""
    try:
        decoding.check(Decoder, OF_THE_PARTS[decoding.path] - {"discriminator"})
    except UserError:
        return True
    return False


def has_other_images(folder: Path, data: Data) -> bool:
    """Tell whether a run is known to have learned from other images, or other captions of the same, than these."""
    theirs, own = read_data(folder), data.known()
    return theirs is not None and own is not None and "train" in theirs.others(own)


@contextmanager
def _named_by(key: str, folder: Path) -> Iterator[None]:
    """Give what is wrong with a run's folder under the setting that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(f"run={folder}", f"{key}={folder}", 1)) from error


def follow_alike(generator: Generator, discriminator: Discriminator, *, asked: str) -> None:
    """Have a policy that comes from another run read this run's discriminator from now on.

    Args:
        generator: the policy.
        discriminator: of this run.
        asked: the setting by which the policy comes from there, and its value.

    Raises:
        UserError: it has learned to read another one, as LeakGAN's of another seed.
    """
    before = {name: weight.clone() for name, weight in generator.state_dict().items()}
    generator.follow(discriminator)
    moved = [name for name, weight in generator.state_dict().items() if not torch.equal(weight, before[name])]
    if moved:
        raise UserError(
            f"{asked}: its policy has learned to read what its own discriminator makes of a caption ({moved[0]}), and "
            "this run's begins as another one: only pretrained= with that run's seed and sizes can take it over"
        )


def adopt(run: Run, phases: dict[str, Phase], pretrained: Path) -> dict[str, Phase]:
    """Take the baseline from another run, and return the phases that come after it.

    Raises:
        UserError: that run has not finished its maximum-likelihood phase, its vocabulary is another, its weights do not
            fit, or its policy reads another discriminator.
    """
    state = load_state(inside(pretrained, "checkpoints/last.pt"), vocabulary=run.tokenizer.fingerprint)
    if BASELINE not in state.selected:
        raise UserError(f"pretrained={pretrained}: that run has not finished the phase {BASELINE}; resume it first")
    load_weights(run.captioner, best_weights(pretrained, BASELINE), vocabulary=state.vocabulary)
    if run.networks.discriminator is not None:
        follow_alike(run.generator, run.networks.discriminator, asked=f"pretrained={pretrained}")
    if world.is_main():
        save_weights(run.captioner, run.best_weights(BASELINE), vocabulary=state.vocabulary)
    world.everyone(None)
    run.selected[BASELINE] = run.evaluator.evaluate(run.captioner).metrics  # that run may have decoded otherwise
    names = list(phases)
    return {name: phases[name] for name in names[names.index(BASELINE) + 1 :]}


def adopt_discriminator(run: Run, phases: dict[str, Phase], pretrained: Path) -> dict[str, Phase]:
    """Take the discriminator from another run, and return the phases that are left to do.

    Those that teach it alone are left out, until something else learns: what comes after, of a second round say, tells
    it of a policy that the other run's discriminator has never seen.

    Raises:
        UserError: that run is not finished, its vocabulary is another, it has no discriminator, one that has learned
            nothing or another kind of one, or this run would have nothing left to do.
    """
    left = dict(dropwhile(lambda item: item[1].teaches_the_discriminator_alone, phases.items()))
    asked = f"pretrained_discriminator={pretrained}"
    if not left:
        raise UserError(f"{asked}: nothing would be left to do, phases are {list(phases)}")
    state = load_state(inside(pretrained, "checkpoints/last.pt"), vocabulary=run.tokenizer.fingerprint)
    if not state.finished:
        raise UserError(f"{asked}: that run is not finished; resume it first")
    if not state.discriminator_has_learned:
        raise UserError(f"{asked}: no discriminator has learned anything in that run")
    take_discriminator(run.discriminator, state.networks, asked=asked)
    run.discriminator_is_taken = run.discriminator_has_learned = True
    run.generator.follow(run.discriminator)
    return left
