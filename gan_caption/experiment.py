"""One experiment from its configuration to its table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from gan_caption.configuration.settings import Settings
from gan_caption.data.batches import without_unknown
from gan_caption.data.compact import Groups, Numbers, TextSet
from gan_caption.data.features import FeatureSource, FirstImages
from gan_caption.data.holdout import learners
from gan_caption.data.scenes.corpus import Scenes
from gan_caption.distributed import processes, world
from gan_caption.distributed.world import say
from gan_caption.encoders.base import Encoder
from gan_caption.encoders.scene_cnn import SceneCNN
from gan_caption.errors import UserError
from gan_caption.evaluation.evaluator import Evaluator, build_evaluator
from gan_caption.evaluation.results import decoder_name, measure_weights
from gan_caption.reporting.results import tell, tell_again
from gan_caption.reporting.sweep import metrics_sought
from gan_caption.rewards.references import References
from gan_caption.text.base import Tokenizer
from gan_caption.training.beginning import beginning_of
from gan_caption.training.folders import (
    COMMAND,
    alone_in,
    has_finished,
    read_id,
    write_text,
)
from gan_caption.training.identity import add_split, read_data
from gan_caption.training.loop import Loop, preflight
from gan_caption.training.networks import Networks
from gan_caption.training.phases.base import Phase
from gan_caption.training.records import LocalTracker
from gan_caption.training.resuming import choose_folder, gone_unless_begun, keep_location
from gan_caption.training.run import Run
from gan_caption.training.seeding import seed_everything, shared_generator
from gan_caption.training.setup import (
    Data,
    build_captioner,
    build_discriminator,
    build_encoder,
    build_phases,
    check_configuration,
    choose_device,
    keep_encoder,
    keep_language_model,
    load_tested,
    open_features,
    open_language_model,
    own_decoding,
    training_captions,
)
from gan_caption.training.taking_over import (
    adopt,
    adopt_discriminator,
    check_discriminator_learns,
    check_others,
    check_schedule,
    check_their_encoders,
    follow_alike,
)
from gan_caption.training.threads import Neighbours, lent_threads, threads_of
from gan_caption.training.tokenizers import file_of, keep_tokenizer, learned_tokenizer
from gan_caption.training.tracking import Tracker, Trackers
from gan_caption.training.unreadable import keep_left_out, left_out


@dataclass(frozen=True)
class Finished:
    """A run that has made its final table."""

    folder: Path
    """Where everything is."""
    systems: dict[str, dict[str, float]]
    """Metrics by system: by the phase that left the weights."""


def run_experiment(config: Mapping[str, Any], *, data: str, command: str | None = None) -> Finished:
    """Train, evaluate what each phase left, and print the table; with `resume=auto` only what is left to do of that.

    Args:
        config: resolved, as `conf/config.yaml` lays it out.
        data: the name of the data set, for the folder's name.
        command: what the user typed; the folder keeps it for whoever wants to do the same.
    """
    settings = check_configuration(config)
    if settings.shards.folder is not None:
        raise UserError("shards.folder: python -m gan_caption.prepare writes shards, and train does not: leave it out")
    opened = Data(settings, say)
    known = opened.known()
    check_alike(known)
    folder = world.from_main(lambda: choose_folder(settings, known, data=data, again=processes.restarted()))
    check_seen(folder)
    never_begun = nullcontext() if isinstance(settings.resume, Path) else gone_unless_begun(folder)
    with alone_in(folder, say) if world.is_main() else nullcontext(), never_begun:
        if world.is_main():
            keep_location(folder, settings)
        if settings.resume == "auto" and world.from_main(lambda: has_finished(folder) and is_told(folder, opened)):
            return Finished(folder, tell_again(folder))
        check_asked(settings, opened)
        with lent_threads(settings.threads), _told_how_to_go_on(folder):
            return Finished(folder, _run_in(folder, settings, opened, data=data, command=command))


@contextmanager
def _told_how_to_go_on(folder: Path) -> Iterator[None]:
    """Say of a training that a fault breaks off, in a part of one's own perhaps, that nothing is lost."""
    try:
        yield
    except UserError:
        raise
    except Exception:
        if (folder / "checkpoints" / "last.pt").exists():
            how = "the same command with resume=auto goes on from there when the fault is mended"
            say(f"a fault broke the run off; it is saved in {folder}, and {how}")
        raise


def check_asked(settings: Settings, data: Data) -> None:
    """Look at what can be known of a run before anything is built.

    Raises:
        UserError: something of it is not so.
    """
    choose_device(settings.device)
    check_others(settings, data)
    check_schedule(settings)
    check_discriminator_learns(settings)


def is_told(folder: Path, data: Data) -> bool:
    """Tell whether the table of a finished run is of the test images and captions that there are now."""
    known = read_data(folder)
    if known is None:
        return True
    try:
        same = data.corpus.split("test").fingerprint == known.splits.get("test")
    except UserError:  # they are gone, or validation's stood in for them; the table stands
        return True
    if not same:
        say("this run was evaluated on other images or captions than those of the test split: it is evaluated anew")
    return same


def set_up(settings: Settings, folder: Path, data: Data) -> tuple[Run, dict[str, Phase], Encoder]:
    """Build everything that a training run needs, and keep its tokenizer in its folder."""
    device = choose_device(settings.device)
    beginning = beginning_of(settings)
    seed_everything(settings.seed, deterministic=settings.deterministic)
    train, val = data.train, data.val
    encoder = build_encoder(settings, device=device)
    check_their_encoders(settings, encoder)
    if isinstance(encoder, SceneCNN) and not isinstance(data.corpus, Scenes):
        say(
            "note: encoder=scene_cnn, the default, is made for drawn scenes, which it reduces to 48 x 48 pixels: for "
            "photographs give encoder=efficientnet_lite0 (pip install 'gan_caption[timm]'), torchvision, timm or "
            "precomputed"
        )
    if world.is_main():
        keep_encoder(encoder, folder)
    tokenizer = settings.tokenizer.build(Tokenizer)
    language_model = open_language_model(settings.language_model, tokenizer, device=device)
    # What takes long on the first run; what can be known before it has been looked at.
    source = open_features(settings, encoder, train, device=device)
    val_source = open_features(settings, encoder, val, device=device)
    if settings.skip_unreadable:
        lost = {"train": left_out(train, source.split), "val": left_out(val, val_source.split)}
        world.from_main(partial(keep_left_out, folder, lost))
    if settings.validation.images:
        val_source = FirstImages(val_source, settings.validation.images)
    captions = training_captions(source.split, tokenizer)
    sizes = [len(own) for own in captions]
    tokenizer = tokenizer.learn(chain.from_iterable(captions))
    for note in tokenizer.notes:
        say(note)
    if beginning is not None:
        tokenizer = beginning.extended(tokenizer)
    read = learned_tokenizer(settings, captions)
    if world.is_main():
        keep_tokenizer(tokenizer, folder, file=tokenizer.file)
        if read is not None:
            keep_tokenizer(read, folder, file=file_of(read))

    captioner = build_captioner(settings, encoder, tokenizer, device=device)
    if beginning is not None:
        beginning.load(captioner, tokenizer, captions, max_length=settings.max_length)
    networks = Networks(captioner, build_discriminator(settings, encoder, tokenizer, read, device=device))
    if networks.discriminator is not None:
        if beginning is None:
            captioner.generator.follow(networks.discriminator)
        else:
            follow_alike(captioner.generator, networks.discriminator, asked=f"begin_from={settings.begin_from}")
    max_length = settings.max_length
    if language_model is not None:
        world.from_main(partial(keep_language_model, language_model, folder))
    known = TextSet(text for own in captions for text in tokenizer.tokenized(own))
    evaluator = build_evaluator(
        settings, val_source, tokenizer, known, device=device, discriminator=networks.discriminator,
        language_model=language_model,
    )  # fmt: skip
    metrics_sought((settings.search_metric, settings.diversity_metric), evaluator.metrics)
    encoded = (tokenizer.encode(caption, max_length=max_length) for own in captions for caption in own)
    learning = learners(source.split, settings.holdout)
    learned: Sequence[Sequence[list[int]]] = Groups(Numbers(encoded), sizes)
    if settings.skip_unknown:
        learned = _without_unknown(learned, learning.generator)
    run = Run(
        folder=folder, seed=settings.seed, device=device, tokenizer=tokenizer, max_length=max_length,
        networks=networks, source=source, evaluator=evaluator, rng=shared_generator(settings.seed),
        references=References(captions, tokenizer, max_length=max_length),
        encoded=learned,
        learners=learning, schedule=list(settings.phases),
        language_model=language_model,
    )  # fmt: skip
    return run, build_phases(settings, run, encoder), encoder


def _without_unknown(captions: Sequence[Sequence[list[int]]], rows: Iterable[int]) -> Sequence[Sequence[list[int]]]:
    """Return the captions without `<unk>`, and say how many these are.

    Args:
        captions: of every training image.
        rows: the images that the generator learns from.

    Raises:
        UserError: these have none.
    """
    kept = without_unknown(captions)
    before, after = (sum(map(len, one)) for one in (captions, kept))
    if not any(kept[row] for row in rows):
        raise UserError("skip_unknown=true leaves no caption to learn from: lower vocabulary.min_count")
    say(f"{after} of {before} training captions have no unknown word, and are learned from")
    return kept


def _run_in(
    folder: Path, settings: Settings, opened: Data, *, data: str, command: str | None
) -> dict[str, dict[str, float]]:
    """Do what `run_experiment` says, in this folder."""
    neighbours = Neighbours()
    identity = read_id(folder) if settings.tracker is not None and world.is_main() else ""
    resumes = world.from_main(lambda: (folder / "checkpoints" / "last.pt").exists())
    if world.is_main() and command and not (folder / COMMAND).exists():
        write_text(folder / COMMAND, f"{command}\n")
    say(f"run folder: {folder}" + (" (taken up again)" if resumes else ""))
    tested = load_tested(opened.corpus, say)
    check_alike(tested.fingerprint)
    if world.is_main():
        for place in (folder, folder / "checkpoints"):
            for cut_short in place.glob(".*.tmp"):  # what a kill left of a file; a folder is of an export
                if cut_short.is_file():
                    cut_short.unlink(missing_ok=True)
    run, phases, encoder = set_up(settings, folder, opened)
    weights = sum(weight.numel() for weight in run.generator.weights())
    say(
        f"{len(run.source.split)} training images, {len(run.evaluator.source.split)} validation images, "
        f"{len(run.tokenizer)} tokens, generator of {weights:,} parameters"
    )
    if settings.holdout.check or settings.holdout.discriminator:
        own = run.learners
        say(f"of these the generator learns from {len(own.generator)}, the discriminator from "
            f"{len(own.discriminator)}, nobody from {len(own.nobody)}")  # fmt: skip
    threads = world.from_main(lambda: threads_of(folder, settings.threads, neighbours, weights=weights))
    torch.set_num_threads(threads.training)
    say(f"CPU threads: {threads.training} for training, {threads.evaluation} for evaluation")
    if not settings.pretrained and not any(phase.validate_every for phase in phases.values()):
        raise UserError(
            f"phases {', '.join(phases)}: none of them teaches the captioner, so that no weights would be left; leave "
            "phases.mle as it was (with pretrained=, another run's captioner stands for it)"
        )
    few = FirstImages(run.evaluator.source, 4)
    preflight(run, phases, run_evaluator(settings, run, few))

    local = world.from_main(lambda: LocalTracker(folder=folder))

    def track(phase: str) -> Tracker:
        if not world.is_main():
            return Trackers(trackers=[])
        local.job_type = phase
        trackers: list[Tracker] = [local]
        if settings.tracker is not None:
            trackers.append(
                settings.tracker.build(
                    Tracker,
                    folder=folder,
                    group=settings.title,
                    name=f"{settings.title}-{data}-seed{settings.seed}-{phase}",
                    job_type=phase,
                    configuration=settings.given,
                    run_id=f"{identity}-{phase}",
                )
            )
        return Trackers(trackers=trackers)

    source = open_features(settings, encoder, tested, device=run.device)
    if settings.pretrained:
        phases = adopt(run, phases, settings.pretrained)
    if settings.pretrained_discriminator:
        phases = adopt_discriminator(run, phases, settings.pretrained_discriminator)
    rehearsal = run_evaluator(settings, run, FirstImages(source, 4))  # all that the final table needs, before training
    world.from_main(partial(rehearsal.scores, rehearsal.evaluate(run.captioner)))
    seed_everything(settings.seed, deterministic=settings.deterministic)
    loop = Loop(
        run, phases, threads=threads, track=track, rewind=local.rewind,
        log_every=settings.log_every, save_every=settings.save_every, report=say,
    )  # fmt: skip
    loop.train(resume=resumes)
    with threads.evaluating():
        systems = finish(settings, run, source)
    if world.is_main():
        add_split(folder, tested)  # as it was read, unreadable images included
    return systems


def run_evaluator(settings: Settings, run: Run, source: FeatureSource) -> Evaluator:
    """Return the measure of a run's captioner on these images."""
    return build_evaluator(
        settings, source, run.tokenizer, run.evaluator.training_captions, device=run.device,
        discriminator=run.networks.discriminator, language_model=run.language_model,
    )  # fmt: skip


def check_alike(known: object) -> None:
    """Look whether every process has the same data.

    Args:
        known: what tells them from others.

    Raises:
        UserError: one has others; their machines have copies that differ.
    """
    first, *others = world.everyone(known)
    different = [rank for rank, other in enumerate(others, 1) if other != first]
    if different:
        raise UserError(
            f"the processes {different} read other images or captions than process 0: give data.root=... with the same "
            "content on every machine"
        )


def check_seen(folder: Path) -> None:
    """Look whether every process can read what the main one writes.

    Raises:
        UserError: one cannot; the machines share no disk.
    """
    blind = [rank for rank, seen in enumerate(world.everyone(folder.exists())) if not seen]
    if blind:
        raise UserError(f"{folder} is not seen by the processes {blind}: give outputs=... on a disk that all share")


def finish(settings: Settings, run: Run, source: FeatureSource) -> dict[str, dict[str, float]]:
    """Evaluate what each phase left; write and print.

    Raises:
        UserError: no phase left healthy weights.
    """
    if not run.selected:
        raise UserError(
            f"{run.folder}: none of its phases left healthy weights, and there is nothing to measure: a policy that "
            "has not learned by maximum likelihood first is seldom healthy; see `quality_floor` and `entropy_floor`"
        )
    split = source.split
    evaluator = run_evaluator(settings, run, source)
    weights = {phase: run.best_weights(phase) for phase in run.selected}
    decoding = decoder_name(settings.decoding, own_decoding(settings))
    title = f"{settings.title}, seed {settings.seed}: {len(source.split)} {split.name} images, {decoding}"
    discriminator = run.networks.discriminator if run.discriminator_has_learned else None
    return tell(
        measure_weights(run.captioner, weights, evaluator, folder=run.folder, title=title, discriminator=discriminator)
    )
