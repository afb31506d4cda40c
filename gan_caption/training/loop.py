"""The training loop, top to bottom: phases, steps, logging, validation, checkpoints, resuming."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from signal import Signals

import torch

from gan_caption.distributed import world
from gan_caption.errors import Interrupted, NoReference, UserError
from gan_caption.training.checkpoint import TrainState, load_state, load_weights, save_state, save_weights
from gan_caption.training.folders import BASELINE
from gan_caption.training.interruption import Asked, asked_to_stop
from gan_caption.training.phases.base import Diverged, Phase
from gan_caption.training.phases.discriminator import Left
from gan_caption.training.progress import Progress
from gan_caption.training.run import Run
from gan_caption.training.seeding import random_states, restore_random_states
from gan_caption.training.threads import Threads
from gan_caption.training.tracking import Sample, Tracker, finishing
from gan_caption.training.validation import Evaluation, Validator


class Loop:
    """Runs the phases of a schedule, one after the other, and can take up where it was stopped."""

    def __init__(
        self,
        run: Run,
        phases: Mapping[str, Phase],
        *,
        threads: Threads,
        track: Callable[[str], Tracker],
        rewind: Callable[[int], None],
        log_every: int,
        save_every: int,
        report: Callable[[str], None],
    ) -> None:
        """Hold what the loop needs.

        Args:
            run: data and networks.
            phases: by name, in order.
            threads: of training, which are set already, and of validations.
            track: makes the tracker of a phase, by its name; of several processes, the main one's writes.
            rewind: forgets the records after a step, when a run is taken up at it.
            log_every: steps between records.
            save_every: steps between checkpoints; a validation is always followed by one.
            report: prints a line.
        """
        self.run = run
        self.phases = dict(phases)
        self.threads = threads
        self.track = track
        self.rewind = rewind
        self.log_every = log_every
        self.save_every = save_every
        self.report = report
        self.step = 0
        self.best: dict[str, float] = {}
        self.since_best = 0
        self.asked = Asked()

    def train(self, *, resume: bool) -> None:
        """Run all phases.

        Args:
            resume: take up `checkpoints/last.pt`; the result is bitwise that of a run that never stopped.

        Raises:
            UserError: a loss is not a number, the checkpoint does not fit, or the disk is full. The last good
                checkpoint is kept.
            Interrupted: the process was asked to stop (SIGINT, SIGTERM); the step under way was ended and saved.
        """
        state = self._load() if resume else None
        if state is None:
            if world.is_main():
                self.rewind(0)  # what was noted before the first checkpoint is noted again
        elif state.finished:
            self._take_weights(state)  # what is measured next knows what was learned
            return
        names = list(self.phases)
        with asked_to_stop() as self.asked:
            for name in names[names.index(state.phase) if state else 0 :]:
                with finishing(self.track(name)) as tracker:
                    self._run_phase(name, state, tracker)
                state = None
            self._save(names[-1], self.phases[names[-1]].total, finished=True)
            if asked := self._agreed():
                world.everyone(None)
                kept = self.run.checkpoints / "last.pt"
                raise Interrupted(f"all phases are over, and what they left is saved in {kept}", signal=asked)

    def _turn(self, name: str) -> int:
        """Return how many phases of a phase's class, or of one above or below it, come before."""
        names, phase = list(self.phases), self.phases[name]
        before = [self.phases[other] for other in names[: names.index(name)]]
        return sum(isinstance(one, type(phase)) or isinstance(phase, type(one)) for one in before)

    def _run_phase(self, name: str, state: TrainState | None, tracker: Tracker) -> None:
        phase, run = self.phases[name], self.run
        run.discriminator_left, run.discriminator_trainer = run.left_of_discriminator(), None
        run.turn = self._turn(name)
        phase.begin(run)
        first, self.best, self.since_best = 0, {}, 0
        if state is not None:
            first = state.phase_step
            self._restore(phase, state)
        with Progress(phase=name, total=phase.total, start=first) as progress:
            for index in range(first, phase.total):
                if phase.is_done():
                    break
                if phase.patience and self.since_best >= phase.patience:
                    run.stopped[name] = index
                    self.report(f"phase {name} stops early, after {index} of {phase.total} steps")
                    break
                values = self._advance(phase, name, index)
                done = index + 1
                progress.update(done, {key: values[key] for key in list(values)[:3]})
                if done % self.log_every == 0 or done == phase.total:
                    tracker.log(values, step=self.step)
                validates = bool(phase.validate_every) and (done % phase.validate_every == 0 or done == phase.total)
                asked = self._asked(done)
                saves = validates or done % self.save_every == 0 or bool(asked)
                if saves or done == phase.total:
                    self._check_weights(name, index)
                if validates:
                    self._validate(phase, name, tracker)
                if saves:
                    self._save(name, done)
                if asked:
                    world.everyone(None)  # the step is written: who ends first has torchrun end the others
                    kept = run.checkpoints / "last.pt"
                    raise Interrupted(f"phase {name}, step {done}, is saved in {kept}", signal=asked)
        self._end_phase(phase, name)

    def _advance(self, phase: Phase, name: str, index: int) -> dict[str, float]:
        try:
            values = phase.step(index)
        except Diverged as error:
            raise UserError(
                f"phase {name}, step {index}: {error}. The update was not made; {self._kept()}. "
                f"Lower the phase's learning_rate or clip and start again"
            ) from error
        except NoReference as error:
            raise UserError(
                f"phase {name}: {error}. Leave phases.{BASELINE} as it was, or give pretrained=..."
            ) from error
        self.step += 1
        for line in phase.warnings():
            self.report(f"warning: phase {name}, step {index + 1}: {line}")
        return values

    def _check_weights(self, name: str, index: int) -> None:
        """Look at the weights before they are decoded or saved: an update may overflow though its gradient did not.

        Raises:
            UserError: one is not finite.
        """
        weights = self.run.networks.state_dict()
        faulty = [key for key, tensor in weights.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
        if faulty:
            raise UserError(
                f"phase {name}, step {index}: weights are NaN or infinite after the update, {faulty[0]} first. They "
                f"are not saved; {self._kept()}. Lower the phase's learning_rate and start again"
            )

    def _kept(self) -> str:
        """Say which checkpoint there is."""
        kept = self.run.checkpoints / "last.pt"
        return f"the last good checkpoint is {kept}" if kept.exists() else "there is no checkpoint yet"

    def _asked(self, done: int) -> Signals | None:
        """Return the signal that has asked the run to stop. Several processes agree on it now and then: it costs."""
        return self._agreed() if world.size() == 1 or done % self.log_every == 0 else None

    def _agreed(self) -> Signals | None:
        """Return the signal that has asked any of the processes to stop."""
        return next((signal for signal in world.everyone(self.asked.signal) if signal), None)

    def _validate(self, phase: Phase, name: str, tracker: Tracker) -> None:
        run = self.run
        with phase.weights(), self.threads.evaluating():
            evaluation = run.evaluator.evaluate(run.captioner, phase=name)
            if run.discriminator_has_learned:
                evaluation.metrics.update(run.evaluator.knowledge(run.discriminator, evaluation.samples))
            for line in phase.heed(evaluation.metrics):
                self.report(f"warning: phase {name}, step {self.step}: {line}")
            if phase.is_better(evaluation.metrics, self.best):
                self.best, self.since_best = evaluation.metrics, 0
                if world.is_main():
                    path = run.best_weights(name)
                    save_weights(run.captioner, path, vocabulary=run.tokenizer.fingerprint)
            else:
                self.since_best += 1
        tracker.log({f"val/{key}": value for key, value in evaluation.metrics.items()}, step=self.step)
        if world.is_main():
            tracker.samples(sample_rows(run.evaluator, evaluation), step=self.step)

    def _end_phase(self, phase: Phase, name: str) -> None:
        run = self.run
        if not phase.validate_every:
            return
        world.everyone(None)  # the weights are written
        if self.best:
            load_weights(run.captioner, run.best_weights(name), vocabulary=run.tokenizer.fingerprint)
            run.selected[name] = self.best
        else:
            kept = "those from before it are kept" if run.selected else "none are there from before it"
            self.report(f"phase {name} left no healthy weights: {kept}")
            if run.selected:
                path = run.best_weights(list(run.selected)[-1])
                load_weights(run.captioner, path, vocabulary=run.tokenizer.fingerprint)

    def _save(self, name: str, done: int, *, finished: bool = False) -> None:
        run = self.run
        random = random_states(run.rng)
        self._check_alike()
        if not world.is_main():
            return
        left = run.discriminator_left if run.discriminator_trainer is None else None  # else it is the phase's own state
        state = TrainState(
            phase=name, phase_step=done, step=self.step, networks=run.networks.state_dict(),
            phase_state=self.phases[name].state_dict(), random=random,
            vocabulary=run.tokenizer.fingerprint, best=self.best, validations_since_best=self.since_best,
            selected=run.selected, stopped=run.stopped, finished=finished,
            discriminator_has_learned=run.discriminator_has_learned, discriminator_left=vars(left) if left else {},
        )  # fmt: skip
        save_state(state, run.checkpoints / "last.pt")

    def _check_alike(self) -> None:
        """Check that all processes have the same weights: nothing that they share is right otherwise."""
        if world.size() == 1:
            return
        told = [float(tensor.double().sum()) for tensor in self.run.networks.state_dict().values()]
        if any(other != told for other in world.everyone(told)):
            raise RuntimeError(f"step {self.step}: the processes have different weights; the last checkpoint is whole")

    def _load(self) -> TrainState:
        state = load_state(self.run.checkpoints / "last.pt", vocabulary=self.run.tokenizer.fingerprint)
        if state.phase not in self.phases:
            raise UserError(f"the checkpoint stopped in phase {state.phase}, this schedule has {list(self.phases)}")
        self.step = state.step
        if world.is_main():
            self.rewind(state.step)
        self.run.selected, self.run.stopped = state.selected, state.stopped
        self.run.discriminator_has_learned = state.discriminator_has_learned
        self.run.discriminator_left = Left(**state.discriminator_left) if state.discriminator_left else None
        return state

    def _take_weights(self, state: TrainState) -> None:
        try:
            self.run.networks.load_state_dict(state.networks)
        except RuntimeError as error:
            *_, told = str(error).splitlines()
            raise UserError(
                f"{self.run.checkpoints / 'last.pt'} has other weights than these networks ({told.strip()}): a class "
                "has changed since; take that back, or begin another run, without resume=auto"
            ) from error

    def _restore(self, phase: Phase, state: TrainState) -> None:
        self._take_weights(state)
        phase.load_state_dict(state.phase_state)
        restore_random_states(state.random, self.run.rng)
        self.best, self.since_best = state.best, state.validations_since_best


def sample_rows(evaluator: Validator, evaluation: Evaluation, *, rows: int = 8) -> list[Sample]:
    """Return the first images of a split with their captions."""
    split = evaluator.source.split
    return [
        Sample(
            image=split.image(row),
            image_id=split.items[row].image_id,
            captions={"decoded": evaluation.captions[row], "sampled": evaluation.samples[row][0]},
            references=tuple(evaluator.references[row]),
        )
        for row in range(min(rows, len(split)))
    ]


def preflight(run: Run, phases: Mapping[str, Phase], evaluator: Validator) -> None:
    """Go once through everything that a validation and the phases will need, on a few images.

    A missing package, an unreadable photograph, a full disk or parts that do not fit show now and not hours later.

    Raises:
        UserError: the parts of a phase do not fit together, or the phase that it is compared with is no earlier one.
    """
    for place, (name, phase) in enumerate(phases.items()):
        earlier = list(phases)[:place]
        absent = {BASELINE} - phases.keys()  # without maximum likelihood there may be no baseline
        if phase.pretraining not in (None, *earlier, *absent):
            allowed = ", ".join(earlier) or BASELINE
            raise UserError(f"phases.{name}.pretraining={phase.pretraining}: name an earlier phase: {allowed}")
    for own in evaluator.decoders:
        evaluator.evaluate(run.captioner, phase=own)
    evaluation = evaluator.evaluate(run.captioner)
    sample_rows(evaluator, evaluation, rows=2)
    if run.networks.discriminator is not None:
        batch = run.batches(run.encoded, images=2, per_image=1, stream=0).at(0)
        with torch.no_grad():
            features = run.features(batch.rows, grid=True)
            try:
                run.networks.discriminator(features, batch.captions.to(run.device))
            except ValueError as error:
                raise UserError(f"discriminator: {error}") from error
    for name, phase in phases.items():
        try:
            phase.rehearse(run)
        except ValueError as error:
            raise UserError(f"phases.{name}: {error}") from error
