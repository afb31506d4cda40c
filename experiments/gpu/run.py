"""What the program does on a GPU: see README.md."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experiments.gpu.compiled import words
from experiments.gpu.elsewhere import DEVICE
from experiments.gpu.pages import PAGES, check_resumed, run_page
from experiments.gpu.steps import FAMILIES, PHOTOGRAPHS, SMALL, Sizes, Step, steps
from experiments.gpu.waits import watched
from experiments.ranks.run import compared, overrides, train
from experiments.speed.timing import interleaved
from gan_caption.errors import UserError
from gan_caption.reporting.table import markdown
from gan_caption.training.folders import write_text
from gan_caption.training.phases.base import Precision

HERE = Path(__file__).parent
MOST = 30
"""Waits of a step, at most; none of them may come again with each word."""
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True)
class Study:
    """What is looked at, and where."""

    device: torch.device
    """Where times are taken, and runs resumed."""
    beside: torch.device
    """Where pages run and waits are counted: the same GPU, or one that is not there."""
    sizes: Sizes
    families: Sequence[str]
    pages: Sequence[str]
    repeats: int


def main(*asked: str) -> None:
    """Look at what there is; `device=cpu` at what a CPU can show, `quick` at a little of everything."""
    unknown = set(asked) - {"device=cpu", "quick"}
    if unknown:
        raise SystemExit(f"{' '.join(sorted(unknown))}: allowed are device=cpu, quick")
    there = torch.cuda.is_available()
    if not there and "device=cpu" not in asked:
        print("no device")
        return
    on_cpu = "device=cpu" in asked
    device = torch.device("cpu" if on_cpu else "cuda")
    few = "quick" in asked
    study = Study(
        device=device, beside=DEVICE if on_cpu else device, sizes=SMALL if on_cpu else PHOTOGRAPHS,
        families=FAMILIES[:2] if few else FAMILIES, pages=("scst",) if few else PAGES, repeats=1 if on_cpu else 9,
    )  # fmt: skip
    text, complaints = look(study, sections(few), table=None if on_cpu or few else HERE / "table.md")
    print(text)
    if complaints:
        raise SystemExit("\n".join(complaints))


Section = Callable[[Study], tuple[str, list[str]]]
"""Returns a table, and what is wrong."""


def sections(few: bool) -> dict[str, Section]:
    found: dict[str, Section] = {
        "Times": times, "Compiled": compiled, "Waits": waits, "Pages": pages, "Resumed": resumed,
    }  # fmt: skip
    return found if few else {**found, "Two processes": ranks}


def look(study: Study, parts: dict[str, Section], *, table: Path | None) -> tuple[str, list[str]]:
    """Return all tables under what they were made on, and what is wrong; `table` is written after each of them."""
    name = "a CPU" if study.device.type == "cpu" else torch.cuda.get_device_name()
    told, wrong = [f"On {name}, PyTorch {torch.__version__}, {torch.cuda.device_count()} devices."], []
    for title, part in parts.items():
        print(f"{title} ...", file=sys.stderr, flush=True)
        try:
            with redirect_stdout(sys.stderr):
                found, complaints = part(study)
        except Exception as error:  # whatever a device has of its own; the other sections are wanted all the same
            found, complaints = "It did not end.", [f"{title}: {type(error).__name__}: {error}"]
        told.append(f"## {title}\n\n{found}")
        wrong += complaints
        if table is not None:
            write_text(table, "\n\n".join(told) + "\n")
    return "\n\n".join(told), wrong


def pages(study: Study) -> tuple[str, list[str]]:
    """Run every page for two steps of each phase."""
    complaints = []
    for page in study.pages:
        with tempfile.TemporaryDirectory() as folder, watched(study.beside):
            try:
                run_page(page, study.beside, Path(folder))
            except (RuntimeError, UserError) as error:
                complaints.append(f"{page}: {error}")
    ran = len(study.pages) - len(complaints)
    return f"{ran} of {len(study.pages)} trained for two steps of each phase and were evaluated.", complaints


def waits(study: Study) -> tuple[str, list[str]]:
    """Count what the host waits for in a step, with short captions and with long ones."""
    short, long = (replace(SMALL, length=length) for length in (6, 12))
    rows, complaints = [["policy", "step", f"{short.length} words", f"{long.length} words"]], []
    for family in study.families:
        one, other = (counts(family, sizes, study.beside) for sizes in (short, long))
        for name in one:
            rows.append([family, name, str(one[name]), str(other[name])])
            if other[name] > min(one[name], MOST):
                complaints.append(f"{family}, {name}: {one[name]} waits in {short.length} words, {other[name]} in more")
    return markdown(rows), complaints


def counts(family: str, sizes: Sizes, device: torch.device) -> dict[str, int]:
    """Return how often the host waits in each step, once it was done before."""
    found = {}
    with watched(device) as waited:
        for name, step in steps(family, sizes, device).items():
            step()
            waited.clear()
            step()
            found[name] = waited.total()
    return found


def times(study: Study) -> tuple[str, list[str]]:
    """Time every step in both precisions."""
    rows = [["policy", "step", *(f"{precision}, ms" for precision in PRECISIONS), "times"]]
    for family in study.families:
        made = [steps(family, study.sizes, study.device, precision) for precision in PRECISIONS]
        for name in made[0]:
            calls: dict[str, Callable[[], object]] = {
                precision: ended(own[name], study) for precision, own in zip(PRECISIONS, made, strict=True)
            }
            seconds = interleaved(calls, repeats=study.repeats)
            one, other = seconds.values()
            rows.append([family, name, *(f"{1000 * own:.1f}" for own in (one, other)), f"{one / other:.2f}"])
    if study.device.type == "cpu":
        return f"All {len(rows) - 1} ran in both precisions; what a CPU takes for tiny sizes says nothing.", []
    told = ", ".join(f"{name} {value}" for name, value in vars(study.sizes).items())
    return f"Sizes: {told}.\n\n{markdown(rows)}", []


def compiled(study: Study) -> tuple[str, list[str]]:
    """Time a word of each image as it is and compiled, and compare the words."""
    rows, complaints = [["policy", "as it is, ms", "compiled, ms", "times"]], []
    for family in study.families:
        calls = words(family, study.sizes, study.device)
        written = [call()[0].clone() for call in calls.values()]
        if not torch.equal(*written):
            complaints.append(f"{family}: other words when compiled")
        one, other = interleaved(
            {name: ended(call, study) for name, call in calls.items()}, repeats=study.repeats
        ).values()
        rows.append([family, *(f"{1000 * own:.2f}" for own in (one, other)), f"{one / other:.2f}"])
    if study.device.type == "cpu":
        return f"Of {len(rows) - 1} policies a word was traced as a whole, and nothing compiled.", complaints
    return markdown(rows), complaints


def ended(step: Step, study: Study) -> Step:
    """Return a call that ends when the device has done what it was asked for."""

    def call() -> None:
        step()
        if study.device.type == "cuda":
            torch.cuda.synchronize()

    return call


def resumed(study: Study) -> tuple[str, list[str]]:
    """Compare a run that was stopped and taken up again with one that was not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            check_resumed("seqgan", study.device, Path(folder))
        except AssertionError as error:
            return "Not the same.", [f"resumed: {error}"]
    return "Bitwise the same: `seqgan`, four steps at once and two with two after them.", []


def ranks(study: Study) -> tuple[str, list[str]]:
    """Compare a run of two processes with one of a single process."""
    if study.device.type == "cuda" and torch.cuda.device_count() < 2:
        return "One device.", []
    settings = [*overrides("seqgan"), f"device={study.device}"]
    with tempfile.TemporaryDirectory() as folder:
        alone, both = (train(count, "seqgan", *settings, place=Path(folder, str(count))) for count in (1, 2))
        told = compared(alone, both)
    return markdown([["losses and the like", "final metrics", "captions that differ"], told]), []


if __name__ == "__main__":
    main(*sys.argv[1:])
