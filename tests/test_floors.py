"""The house holds: imports point downwards, a file is read in a sitting, a name means one thing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "gan_caption").rglob("*.py"))


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def test_imports_point_downwards():
    told = lint(ROOT)
    assert told.returncode == 0, told.stdout


def test_an_import_upwards_is_found_also_inside_a_function(tmp_path):
    for path in FILES:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    upwards = "\n\ndef up():\n    from gan_caption.evaluation.evaluator import Evaluator\n\n    return Evaluator\n"
    with (tmp_path / "gan_caption/training/loop.py").open("a", encoding="utf-8") as file:
        file.write(upwards)
    with (tmp_path / "gan_caption/metrics/rouge.py").open("a", encoding="utf-8") as file:
        file.write("\n\nimport torch\n")
    told = lint(tmp_path)
    assert told.returncode == 1
    assert "gan_caption.training is not allowed to import gan_caption.evaluation" in told.stdout
    assert "gan_caption.metrics is not allowed to import torch" in told.stdout


def test_no_file_is_longer_than_four_hundred_lines():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert lengths
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_no_two_public_classes_have_one_name():
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 100
    assert {name: own for name, own in places.items() if len(own) > 1} == {}
