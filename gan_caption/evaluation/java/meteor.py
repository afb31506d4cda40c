"""METEOR 1.5 (Denkowski and Lavie 2014) as coco-caption calls it: for English, with `-norm`."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

from gan_caption.errors import UserError
from gan_caption.evaluation.java.machine import SETTINGS, enough_memory, find_java, folder_of
from gan_caption.metrics.ngrams import Score, check_pairs

_JAR = "meteor-1.5.jar"
_GIGABYTES = 2
_SEPARATOR = "|||"


_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_MODULES = np.array([1.0, 0.6, 0.8, 0.6])
"""Weights of exact, stem, synonym and paraphrase matches: the parameters for English, as the program has them."""


@dataclass(frozen=True)
class MeteorScore(Score):
    """METEOR: the corpus value is not the mean over images, it comes from the summed statistics."""

    statistics: np.ndarray
    """(N, 23) float64, as the program prints them: words and function words of both sides, matches by module of content
    and function words of both sides, chunks, matched words of both sides."""

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """Return METEOR of other corpora made of the same images, (B,) float64; see `Score.resampled`."""
        summed = self.statistics.copy()
        words, matches = summed[:, :2], summed[:, 4:20].reshape(-1, 4, 4).sum(1)
        whole = (matches[:, [0, 2]].sum(1) == words[:, 0]) & (matches[:, [1, 3]].sum(1) == words[:, 1])
        summed[whole & (summed[:, 20] == 1), 20] = 0  # a caption equal to its reference is not fragmented
        return _from_statistics(weights @ summed)


def _from_statistics(sums: np.ndarray) -> np.ndarray:
    """Return F_mean (1 - penalty) of summed statistics (B, 23); Denkowski and Lavie 2014, section 2."""
    words, function, matches = sums[:, :2], sums[:, 2:4], sums[:, 4:20].reshape(-1, 4, 4)
    content, other = np.tensordot(matches[..., :2], _MODULES, (1, 0)), np.tensordot(matches[..., 2:], _MODULES, (1, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (_DELTA * content + (1 - _DELTA) * other) / (_DELTA * (words - function) + (1 - _DELTA) * function)
        mean = 1 / ((1 - _ALPHA) / shares[:, 0] + _ALPHA / shares[:, 1])
        penalty = _GAMMA * (sums[:, 20] / sums[:, 21:].mean(1)) ** _BETA
        return np.nan_to_num(mean * (1 - penalty))


def check_meteor() -> tuple[str, str]:
    """Return the paths of Java and of the jar.

    Raises:
        UserError: something is missing; the message says what to do.
    """
    jar = folder_of("meteor", what="METEOR") / _JAR
    if not jar.exists():
        raise UserError(f"METEOR: {jar} is missing: pip install --force-reinstall pycocoevalcap==1.2")
    java = find_java(lowest=6, highest=None, what="METEOR")
    enough_memory(_GIGABYTES, what="METEOR")
    return java, str(jar)


def meteor(
    candidates: Sequence[str], references: Sequence[Sequence[str]], *, seconds: float | None = None
) -> MeteorScore:
    """Return METEOR of one candidate an image.

    The program answers line by line. It is asked for the statistics of every pair, then for the scores of all of them;
    a line that it does not give in time ends it.

    Args:
        candidates: N tokenized captions; one without a word scores 0.
        references: of each image its tokenized references, at least one.
        seconds: after which the program is stopped; by default two minutes and .1 a caption and reference.

    Returns:
        the corpus value, which the program computes from the summed statistics, and one value an image; 0 to 1.

    Raises:
        UserError: something is missing, the numbers differ, or the program failed or took too long.
    """
    check_pairs(candidates, references)
    java, jar = check_meteor()
    limit = 120 + 0.1 * sum(1 + len(own) for own in references) if seconds is None else seconds
    command = [java, f"-Xmx{_GIGABYTES}G", *SETTINGS, "-jar", jar, "-", "-", "-stdio", "-l", "en", "-norm"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, encoding="utf-8"
        ) as program,
    ):
        late = threading.Event()

        def stop() -> None:
            late.set()
            program.kill()

        watch = threading.Timer(limit, stop)
        watch.start()
        try:
            return _ask(program, candidates, references)
        except (OSError, ValueError) as error:
            program.kill()
            if late.is_set():
                raise UserError(f"METEOR was stopped after {limit:g} s: {len(candidates)} images") from error
            program.wait()
            said.seek(0)
            told = said.read().decode(errors="replace").strip()[-1000:]
            raise UserError(f"METEOR failed: {error}; Java said: {told or 'nothing'}") from error
        finally:
            watch.cancel()
            program.kill()
            with contextlib.suppress(BrokenPipeError):  # what it did not read
                assert program.stdin is not None
                program.stdin.close()


def _ask(program: subprocess.Popen[str], candidates: Sequence[str], references: Sequence[Sequence[str]]) -> MeteorScore:
    asked, answers = program.stdin, program.stdout
    assert asked is not None
    assert answers is not None
    statistics = []
    for candidate, own in zip(candidates, references, strict=True):
        asked.write(f"SCORE {_SEPARATOR} {_joined([*own, candidate])}\n")
        asked.flush()
        statistics.append(_line(answers))
    asked.write(f"EVAL {_SEPARATOR} {f' {_SEPARATOR} '.join(statistics)}\n")
    asked.flush()
    scores = np.array([float(_line(answers)) for _ in candidates])
    corpus = float(_line(answers))
    return MeteorScore(corpus, scores, np.array([line.split() for line in statistics], dtype=np.float64))


def _joined(texts: Sequence[str]) -> str:
    """Return the texts as the program reads them: no line break of any kind, and separators only between them."""
    return f" {_SEPARATOR} ".join(" ".join(text.replace(_SEPARATOR, " ").split()) for text in texts)


def _line(answers: IO[str]) -> str:
    line = answers.readline()
    if not line:
        raise OSError("it ended before it had answered")
    return line.strip()
