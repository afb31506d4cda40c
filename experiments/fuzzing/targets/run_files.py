"""The small files of a run's folder: its configuration, vocabulary, records, curve and other JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from experiments.composing import composed
from experiments.fuzzing.refusals import reading
from gan_caption.configuration.settings import settings_from
from gan_caption.evaluation.curve_files import read_curve
from gan_caption.reporting.results import metrics_of
from gan_caption.text.words import WordTokenizer
from gan_caption.training.folders import read_config, read_json, read_settings
from gan_caption.training.identity import configuration_hash, read_data
from gan_caption.training.records import read_records
from gan_caption.training.resuming import choose_folder

READERS = {
    "read_config", "read_settings", "choose_folder", "Vocabulary", "read_json", "read_records", "read_curve",
    "format.json", "data.json", "metrics_of",
}  # fmt: skip
HOME = Path(tempfile.mkdtemp())
RESUMED = settings_from(composed(f"resume={HOME}"))


def seeds() -> dict[str, bytes]:
    curve = [{"temperature": 0.5, "top_p": 1.0, "values": {"cider_d": [0.5, 1.0]}, "samples": [["a"], ["b"]]}]
    return {
        "configuration": b'{"phases": {"mle": null}, "name": "mle", "seed": 0, "resume": null}',
        "whole_configuration": json.dumps(composed()).encode(),
        "nothing": b"{}",
        "format": b'{"format": 1, "gan_caption": "0.1.0"}',
        "data": b'{"splits": {"train": "0a", "val": "1b"}, "locations": ["root"]}',
        "results": b'{"metrics": [{"name": "cider_d", "label": "CIDEr-D x 100", "factor": 100, "decimals": 1, '
        b'"better": "higher", "of": "captions"}]}',
        "vocabulary": b'["a", "dog", "runs"]',
        "records": b'{"step": 1, "phase": "mle", "loss": 0.5}\n{"step": 2, "phase": "mle", "loss": NaN}\n{"st',
        "curve": json.dumps(curve).encode(),
        "deep_list": b"[" * 100_000,
        "deep_list_closed": b"[" * 100_000 + b"]" * 100_000,
        "deep_format": b'{"format":' * 100_000,
        "many_digits": b'{"format": ' + b"9" * 10_000 + b"}",
        "one_long_word": json.dumps(["x" * 3_000_000]).encode(),
        "one_long_line": b"x" * 3_000_000,
    }


def one_input(data: bytes) -> set[str]:
    taken: set[str] = set()
    path = HOME / "config.json"
    path.write_bytes(data)
    with reading("read_config", taken):
        configuration_hash(read_config(HOME))
    with reading("read_settings", taken):
        assert read_settings(HOME).phases
    with reading("choose_folder", taken):
        choose_folder(RESUMED, None, data="scenes")
    with reading("Vocabulary", taken):
        vocabulary = WordTokenizer(min_count=1).load(path)
        ids = vocabulary.encode(" ".join(vocabulary.tokens[4:]), max_length=len(vocabulary))
        assert ids[:-1] == list(range(4, len(vocabulary)))
        assert len(vocabulary.fingerprint) == 16
    with reading("read_json", taken):
        assert isinstance(read_json(path), dict)
    with reading("metrics_of", taken):
        assert all(metric.between((0.0, 1.0)) for metric in metrics_of(read_json(path)).values())
    with reading("read_records", taken):
        assert all(isinstance(record, dict) for record in read_records(path))
    with reading("read_curve", taken):
        assert all(point.temperature > 0 for point in read_curve(path))
    (HOME / "format.json").write_bytes(data)
    path.write_text('{"phases": {}}')
    with reading("format.json", taken):
        read_config(HOME)
    (HOME / "format.json").unlink()
    (HOME / "data.json").write_bytes(data)
    with reading("data.json", taken):
        assert read_data(HOME) is not None
    (HOME / "data.json").unlink()
    return taken
