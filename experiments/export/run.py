"""What an export says of itself, in float32 and in int8: see README.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
KINDS = {"float32": [], "int8": ["int8=true"], "safetensors": ["format=safetensors"]}


def main(runs: list[str]) -> None:
    parts = []
    for run in runs:
        for kind, overrides in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "gan_caption.export", f"run={run}", f"out={folder}/out", *overrides]
                told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            lines = [line for line in told.splitlines() if line.strip() and not line.startswith("Everything is in")]
            parts.append("\n".join([f"**{lines[0]} ({kind})**", "", *(f"- {line}" for line in lines[1:])]))
            print(parts[-1], flush=True)
            (HERE / "table.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("say which runs: python -m experiments.export.run outputs/mle-flickr8k-... outputs/seqgan-...")
    main(sys.argv[1:])
