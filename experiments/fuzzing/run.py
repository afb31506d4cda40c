"""A coverage-guided fuzzer over every reader: see README.md."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.fuzzing.corpus_files import inputs, target_names
from gan_caption.extras import require
from gan_caption.reporting.table import markdown

HERE = Path(__file__).parent
LONGEST = 20_000
"""Bytes of an input; the tests feed the larger seeds."""
MOST_RESTARTS = 20
LIMITS = ("-timeout=30", "-rss_limit_mb=3000", f"-max_len={LONGEST}", "-print_final_stats=1")


def main() -> None:
    require("atheris", extra="fuzz", what="fuzzing runs")
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--seconds", type=int, default=60, help="of each target (60)")
    told.add_argument("--findings", type=Path, default=Path("outputs/fuzzing"), help="where inputs go that were found")
    told.add_argument("targets", nargs="*", default=target_names(), help="all of them, if none is named")
    given = told.parse_args()
    rows = [
        ["target", "executions", "a second", "seeds", "inputs at the end", "branches of the seeds", "at the end",
         "slowest, s", "peak MB", "findings"]
    ]  # fmt: skip
    for name in given.targets:
        rows.append([name, *fuzz(name, given.seconds, given.findings / name)])
        text = f"{given.seconds} seconds a target, one core.\n\n{markdown(rows)}"
        (HERE / "table.md").write_text(f"{text}\n")
    print(text)


def fuzz(name: str, seconds: int, findings: Path) -> list[str]:
    """Fuzz a target, from its seeds on; after a finding, go on with what was learned until then."""
    findings.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as home:
        corpus = Path(home, "corpus")
        corpus.mkdir()
        seeds = {label: data for label, data in inputs(name).items() if len(data) <= LONGEST}
        for label, data in seeds.items():
            (corpus / label).write_bytes(data)
        logs: list[str] = []
        end = time.monotonic() + seconds
        while (left := round(end - time.monotonic())) > 0 and len(logs) < MOST_RESTARTS:
            logs.append(run(name, left, corpus, findings, Path(home)))
        executed = sum(last("stat::number_of_executed_units:", log) for log in logs)
        return [
            f"{executed:,}",
            f"{executed / seconds:.0f}",
            str(len(seeds)),
            str(len(list(corpus.iterdir()))),
            f"{last('INITED cov: ', logs[0]):,}",
            f"{last(' cov: ', logs[-1]):,}",
            str(max(last("stat::slowest_unit_time_sec:", log) for log in logs)),
            str(max(last("stat::peak_rss_mb:", log) for log in logs)),
            str(sum(1 for _ in findings.iterdir())),
        ]


def run(name: str, seconds: int, corpus: Path, findings: Path, home: Path) -> str:
    """Run libFuzzer until it has found something or its time is up, and return what it printed."""
    command = [sys.executable, "-m", "experiments.fuzzing.one", name, f"-max_total_time={seconds}", *LIMITS]
    environment = {**os.environ, "TMPDIR": str(home), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*command, f"-artifact_prefix={findings}/", str(corpus)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    (findings.parent / f"{name}.txt").write_text(result.stdout)
    return result.stdout


def last(label: str, log: str) -> int:
    """Return the last number behind a label; 0 where there is none."""
    found = re.findall(rf"{label}\s*(\d+)", log)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    main()
