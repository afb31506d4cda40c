"""SPICE 1.0 (Anderson et al. 2016, arXiv 1607.08822) as coco-caption calls it: F1 over scene graphs.

Not verified: its parser needs models of 385 MB that this project's tests do not have.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gan_caption.errors import UserError
from gan_caption.evaluation.java.machine import SETTINGS, enough_memory, find_java, folder_of
from gan_caption.metrics.ngrams import Score, check_pairs

_JAR = "spice-1.0.jar"
_GIGABYTES = 8
_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
_ARCHIVE = "https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip"


def check_spice() -> tuple[str, str]:
    """Return the paths of Java and of the jar.

    Raises:
        UserError: something is missing; the message says what to do.
    """
    folder = folder_of("spice", what="SPICE")
    jar = folder / _JAR
    if not jar.exists():
        raise UserError(f"SPICE: {jar} is missing: pip install --force-reinstall pycocoevalcap==1.2")
    missing = [name for name in _MODELS if not (folder / "lib" / name).exists()]
    if missing:
        raise UserError(
            f"SPICE needs {' and '.join(missing)} in {folder / 'lib'}: unpack them from {_ARCHIVE} (385 MB)"
        )
    java = find_java(lowest=8, highest=15, what="SPICE")  # later ones forbid the reflection that its cache uses
    enough_memory(_GIGABYTES, what="SPICE")
    return java, str(jar)


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]], *, seconds: float | None = None) -> Score:
    """Return SPICE of one candidate an image.

    Args:
        candidates: N tokenized captions.
        references: of each image its tokenized references, at least one.
        seconds: after which the program is stopped; by default ten minutes and 1 a caption and reference.

    Returns:
        F1 of each image, 0 to 1, and their mean; where the program gives no number, neither side says anything, 0.

    Raises:
        UserError: something is missing, the numbers differ, or the program failed or took too long.
    """
    check_pairs(candidates, references)
    java, jar = check_spice()
    limit = 600 + sum(1 + len(own) for own in references) if seconds is None else seconds
    asked = [
        {"image_id": index, "test": " ".join(candidate.split()), "refs": [" ".join(text.split()) for text in own]}
        for index, (candidate, own) in enumerate(zip(candidates, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "captions.json", Path(folder) / "scores.json"
        given.write_text(json.dumps(asked), encoding="utf-8")
        command = [java, f"-Xmx{_GIGABYTES}G", *SETTINGS, "-jar", jar, str(given), "-out", str(answer), "-silent"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"SPICE was stopped after {limit:g} s: {len(candidates)} images") from error
        if done.returncode != 0 or not answer.exists():
            raise UserError(f"SPICE failed; Java said: {done.stderr.decode(errors='replace').strip()[-1000:]}")
        told = {row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(answer.read_text(encoding="utf-8"))}
    values = np.nan_to_num(np.array([float("nan" if told[row] is None else told[row]) for row in range(len(asked))]))
    return Score(float(values.mean()), values)
