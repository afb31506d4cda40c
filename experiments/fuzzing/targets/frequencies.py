"""Document frequencies, as `score --frequencies` takes them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from experiments.fuzzing.refusals import reading
from gan_caption.metrics.cider import CiderD
from gan_caption.metrics.document_frequencies import DocumentFrequencies

READERS = {"DocumentFrequencies"}
PATH = Path(tempfile.mkdtemp()) / "frequencies.json"
REFERENCES = [["a dog runs in the snow", "a dog"], ["two girls swim"]]


def seeds() -> dict[str, bytes]:
    DocumentFrequencies.of([*REFERENCES, ["a dog runs in the water"]]).save(PATH)
    return {
        "saved": PATH.read_bytes(),
        "deep_object": b'{"counts":' * 100_000,
        "many_digits": b'{"images": ' + b"9" * 10_000 + b', "counts": {}}',
        "one_long_word": b'{"images": 3, "counts": {"' + b"x" * 3_000_000 + b'": 2}}',
        "many_words": b'{"images": 3, "counts": {"' + b"x " * 1_000_000 + b'": 2}}',
    }


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    PATH.write_bytes(data)
    with reading("DocumentFrequencies", taken):
        frequencies = DocumentFrequencies.load(PATH)
        scores = CiderD(REFERENCES, frequencies).score([0, 1], ["a dog swims", "two girls swim"])
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()
    return taken
