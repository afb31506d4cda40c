"""What a study keeps of its runs: a small file each, so that it goes on, and its tables are made, without the runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.study import settings_by, settings_in, train
from gan_caption.files import write_atomically
from gan_caption.training.folders import BASELINE, digest_of, left_digest, read_config, read_settings

NOWHERE = Path()
"""Of a folder that a run begins with, where it is not known: records do not depend on it."""


@dataclass(frozen=True)
class Wanted:
    """A run of a study, and what is to be known of it."""

    name: str
    seed: int
    overrides: tuple[str, ...]
    measure: Callable[[Path], Mapping[str, Any]]
    """Of the run's folder, what is kept: what JSON can hold. It is called in a process of its own."""
    how: str = ""
    """Settings of the measure, in words, where it has some: by others a record is another one."""
    paired_by: Path | None = None
    """The run whose baseline it is compared by, where that is not what it begins with itself."""


Prepare = Callable[[Mapping[int, Sequence[Wanted]]], Sequence[tuple[Path, ...]]]
"""Returns, of each of these seeds, the folders that its runs begin with; it is told which of these are missing."""


@dataclass(frozen=True)
class Records:
    """The files of one study, JSON each: the overrides of a run, what was found of it, and digests of what it took."""

    folder: Path

    def found(self, wanted: Wanted) -> Mapping[str, Any] | None:
        """Return what is kept of a run; None where nothing is.

        Raises:
            SystemExit: what is kept was made by other overrides.
        """
        kept = self._kept(wanted)
        return None if kept is None else kept["found"]

    def _kept(self, wanted: Wanted) -> Mapping[str, Any] | None:
        path = self._path(wanted)
        if not path.exists():
            return None
        kept, asked = json.loads(path.read_text()), without_places(wanted.overrides)
        if kept["overrides"] != asked:
            told = f"{path} was made by {' '.join(kept['overrides'])}, not by {' '.join(asked)}"
            raise SystemExit(f"{told}: give records=FOLDER, another one, or delete it")
        if (how := kept.get("how", "")) != wanted.how:
            told = f"{path} was measured by {how or 'nothing that it tells'}, not by {wanted.how}"
            raise SystemExit(f"{told}: give records=FOLDER, another one, or delete it")
        return kept

    def keep(self, wanted: Wanted, found: Mapping[str, Any], *, base: str | None = None, judge: str | None = None,
             settings: str | None = None) -> None:  # fmt: skip
        """Keep what was found of a run, and of what it was made: see `base_of`, `judge_of`, `settings_of`."""
        made_of = {"overrides": without_places(wanted.overrides), "base": base, "judge": judge}
        made_of |= {"settings": settings} if settings else {}
        made_of |= {"how": wanted.how} if wanted.how else {}
        told = json.dumps({**made_of, "found": found}, indent=1)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(wanted), lambda file: file.write(f"{told}\n".encode()))

    def missing(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Return the runs that nothing is kept of."""
        return [one for one in wanted if self.found(one) is None]

    def doubts(self, wanted: Sequence[Wanted], *, to: str | None = None) -> str:
        """Say what stands against comparing runs; see `unpaired` and `outdated`."""
        return " ".join(filter(None, (self.unpaired(wanted, to=to), self.outdated(wanted))))

    def outdated(self, wanted: Sequence[Wanted]) -> str:
        """Say which runs were made by other settings than their overrides mean by today's pages; "" where none was.

        Of records that do not tell, which were kept before they did, nothing is said.
        """
        told = [(one, kept["settings"]) for one in wanted if "settings" in (kept := self._kept(one) or {})]
        others = dict.fromkeys(one.name for one, own in told if own != settings_by(one.overrides))
        if not others:
            return ""
        return f"Pages have changed since these were run, and mean other settings now: {', '.join(others)}."

    def unpaired(self, wanted: Sequence[Wanted], *, to: str | None = None) -> str:
        """Say of which seeds the runs do not all have the same baseline, or discriminator; "" where there are none.

        One that is trained again, once its folder is gone, is not quite the same: sums are made in other orders.

        Args:
            wanted: the runs that are compared.
            to: the name of those that all others are compared to; None: the first.
        """
        bases: dict[int, dict[str, list[str]]] = {}
        judges: dict[int, dict[str, list[str]]] = {}
        for one in sorted(wanted, key=lambda one: one.name != to):
            if (kept := self._kept(one)) is not None:
                bases.setdefault(one.seed, {}).setdefault(kept.get("base") or "unknown", []).append(one.name)
                if kept.get("judge"):
                    judges.setdefault(one.seed, {}).setdefault(kept["judge"], []).append(one.name)
        return " ".join(
            f"The runs of {seeds} began with several {what}, trained again where the first were gone and not quite the "
            f"same: the differences of {names} contain those of the {what}."
            for seeds, names, what in ((*_several(bases), "baselines"), (*_several(judges), "discriminators"))
            if seeds
        )

    def make(self, wanted: Sequence[Wanted], *, outputs: Path, workers: int) -> None:
        """Train and measure what nothing is kept of, so many runs at a time, each on one thread."""
        runs: dict[tuple[str, ...], list[Wanted]] = {}  # several may be measured in one
        for one in self.missing(wanted):
            runs.setdefault(one.overrides, []).append(one)
        print(f"{len(runs)} runs have no record in {self.folder}", flush=True)
        if not runs:
            return
        with ProcessPoolExecutor(workers, initializer=_one_thread) as measuring, ThreadPoolExecutor(workers) as pool:
            measuring.submit(len, "").result()  # its processes fork here, before there are threads

            def made(overrides: tuple[str, ...]) -> None:
                run = train(*overrides, "threads=1", outputs=outputs)
                for one in runs[overrides]:
                    found = measuring.submit(one.measure, run).result()
                    base = base_of(one.paired_by or run)
                    self.keep(one, found, base=base, judge=judge_of(run), settings=settings_of(run))

            list(pool.map(made, runs))

    def known(self, wanted: Callable[..., list[Wanted]], seeds: Sequence[int], prepare: Prepare, *, outputs: Path,
              workers: int,
              only: Collection[int] | None = None) -> dict[str, dict[int, Mapping[str, Any]]]:  # fmt: skip
        """Make what is missing, and return what is found of all runs, by name and seed.

        Seeds are gone through as many at a time as runs are, so that what others begin with is trained side by side.

        Args:
            wanted: the runs, of a seed, and of the folders that they begin with where these are known.
            seeds: of them.
            prepare: trains what the others begin with.
            outputs: where the runs go.
            workers: how many run at a time; 0: nothing is trained.
            only: the seeds of which runs are made; None: all.
        """
        made = [seed for seed in seeds if workers and (only is None or seed in only)]
        missing = {seed: lacking for seed in made if (lacking := self.missing(wanted(seed)))}
        begun = list(missing)
        for start in range(0, len(begun), max(workers, 1)):
            some = {seed: missing[seed] for seed in begun[start : start + workers]}
            own = [one for seed, folders in zip(some, prepare(some), strict=True) for one in wanted(seed, *folders)]
            self.make(own, outputs=outputs, workers=workers)
        told: dict[str, dict[int, Mapping[str, Any]]] = {}
        for one in (one for seed in seeds for one in wanted(seed)):
            if (kept := self.found(one)) is not None:
                told.setdefault(one.name, {})[one.seed] = kept
        return told

    def _path(self, wanted: Wanted) -> Path:
        return self.folder / f"{re.sub(r'[^a-z0-9.]+', '-', wanted.name.lower()).strip('-')}-{wanted.seed}.json"


def base_of(run: Path) -> str | None:
    """Return a digest of the maximum-likelihood weights that a run has, its own or those it began with; None: none."""
    return left_digest(run, BASELINE)


def settings_of(run: Path) -> str:
    """Return a digest of all settings that a run was started with."""
    return settings_in(read_config(run))


def judge_of(run: Path) -> str | None:
    """Return a digest of what the run was left in whose discriminator a run took; None: it took none."""
    taken = read_settings(run).pretrained_discriminator
    state = Path(taken, "checkpoints", "last.pt") if taken else None
    return digest_of(state) if state is not None and state.exists() else None


def _several(found: Mapping[int, Mapping[str, Sequence[str]]]) -> tuple[str, str]:
    """Name the seeds of which there are several, and the runs that have others than the first; "" where are none."""
    several = {seed: list(own.values()) for seed, own in found.items() if len(own) > 1}
    if not several:
        return "", ""
    others = dict.fromkeys(name for _, *rest in several.values() for own in rest for name in own)
    return f"{'seeds' if len(several) > 1 else 'seed'} {', '.join(map(str, several))}", ", ".join(others)


@dataclass(frozen=True)
class Options:
    """What a study's command was given."""

    workers: int
    """How many runs at a time."""
    records: Path | None
    """Where they are kept; None: beside the study."""
    seeds: list[int] | None
    """Those of which runs are made, here; None: all."""
    others: list[str]


def options(given: Sequence[str]) -> Options:
    """Read `workers=`, 2 where it is not given, `records=` and `seeds=`.

    Raises:
        SystemExit: they are no numbers.
    """
    named = dict(one.split("=", 1) for one in given if one.startswith(("workers=", "records=", "seeds=")))
    others = [one for one in given if one.partition("=")[0] not in named]
    try:
        seeds = [int(seed) for seed in named["seeds"].split(",")] if "seeds" in named else None
        workers = int(named.get("workers", "2"))
    except ValueError as error:
        raise SystemExit(f"workers=2 and seeds=0,1 take numbers: {error}") from None
    return Options(workers, Path(named["records"]) if "records" in named else None, seeds, others)


def _one_thread() -> None:
    """Let a process, and what it starts, have one thread: beside another of two each, both crawl."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def without_places(overrides: Sequence[str]) -> list[str]:
    """Return overrides that mean the same on another machine: no run folders, and of other paths the last name."""
    parts = [override.partition("=") for override in overrides if not override.startswith("pretrained")]
    return [f"{name}{sign}{value.rpartition('/')[2]}" for name, sign, value in parts]
