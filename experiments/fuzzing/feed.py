"""Feed a target its corpus, its memory being limited: `python -m experiments.fuzzing.feed <target> [input ...]`."""

from __future__ import annotations

import resource
import sys
import traceback
from pathlib import Path

import torch  # noqa: F401 - before memory is limited: its libraries alone map gigabytes where it is built for a GPU

from experiments.fuzzing.corpus_files import inputs, target

MORE = 2**29
"""Bytes of address space beside what Python, torch and the corpus itself take."""


def main(name: str, *chosen: str) -> None:
    fuzzed = target(name)
    corpus = {label: data for label, data in inputs(name).items() if not chosen or label in chosen}
    limit_memory()
    taken: set[str] = set()
    failed = 0
    for label, data in corpus.items():
        print(f"{label}: {len(data)} bytes", flush=True)  # so that the last line names what hung or was killed
        try:
            taken |= fuzzed.one_input(data)
        except Exception:
            failed += 1
            print(f"FINDING in {label}\n{traceback.format_exc()[-3000:]}", flush=True)
    print(f"{len(corpus)} inputs, {failed} findings")
    if not chosen and taken != fuzzed.READERS:
        sys.exit(f"no input is well-formed for {fuzzed.READERS - taken}: what refuses everything is not tested")
    sys.exit(failed > 0)


def limit_memory() -> None:
    """Let this process take no more than `MORE` from now on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(*sys.argv[1:])
