"""Fuzz one target in this process, until libFuzzer ends it: `python -m experiments.fuzzing.one <target> [options]`."""

from __future__ import annotations

import sys

import atheris

from experiments.fuzzing.corpus_files import target

FOLLOWED = ["gan_caption", "PIL", "zipfile", "pickletools", "pycocotools"]
"""Packages whose branches guide the fuzzer; to follow torch and numpy as well would make their import take minutes."""


def main(name: str, *options: str) -> None:
    with atheris.instrument_imports(include=FOLLOWED):
        fuzzed = target(name)

    def one_input(data: bytes) -> None:
        fuzzed.one_input(data)

    atheris.Setup([sys.argv[0], *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
