"""The device that is not there tells what a GPU's host waits for; no step of ours waits at every word."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import experiments.gpu.steps
import experiments.speed.rollouts.run
import experiments.speed.workload
from experiments.gpu.compiled import words
from experiments.gpu.elsewhere import DEVICE
from experiments.gpu.pages import check_resumed, run_page
from experiments.gpu.run import MOST, Study, counts, look, main
from experiments.gpu.steps import FAMILIES, SMALL, Step, steps
from experiments.gpu.waits import watched
from gan_caption.decoding.diverse_beam import diverse_beam_search
from gan_caption.decoding.gumbel import STRAIGHT_THROUGH, soft_sample
from gan_caption.decoding.rollouts import complete_prefixes
from gan_caption.decoding.sampling import sample
from gan_caption.kernels.dropout import Dropout
from gan_caption.kernels.recurrent import read
from tests.tiny import features, leakgan, lstm, transformer, updown

SLOW = pytest.mark.slow
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def few_numbers(monkeypatch):
    """Layers of 32 numbers: how often a host waits depends on no width, and photographs' are sixteen times as wide."""
    for module in (experiments.gpu.steps, experiments.speed.workload, experiments.speed.rollouts.run):
        monkeypatch.setattr(module, "SIZE", 32)
        monkeypatch.setattr(module, "CHANNELS", 32)


WAITS = {
    "a number": (lambda numbers: numbers.sum().item(), 1),
    "a truth": (lambda numbers: bool((numbers > 0).all()), 1),
    "a list": (lambda numbers: numbers.tolist(), 1),
    "a copy": (lambda numbers: numbers.cpu(), 1),
    "a mask": (lambda numbers: numbers[numbers > 0], 1),
    "places": (lambda numbers: (numbers > 0).nonzero(), 1),
    "different ones": (lambda numbers: numbers.unique(), 1),
    "as many as": (lambda numbers: numbers.repeat_interleave(numbers), 1),
    "numbers sent": (lambda numbers: torch.arange(3).to(numbers.device), 1),
    "numbers made of a list": (lambda numbers: torch.tensor([1, 2], device=numbers.device), 1),
    "numbers sent on the way": (lambda numbers: torch.arange(3).to(numbers.device, non_blocking=True), 0),
    "arithmetic": (lambda numbers: (numbers + 1).softmax(0, dtype=torch.float32), 0),
    "chosen places": (lambda numbers: numbers[numbers.argsort()], 0),
    "numbers made there": (lambda numbers: torch.arange(3, device=numbers.device) + numbers, 0),
}


@pytest.mark.parametrize("what", WAITS)
def test_the_host_waits_for_what_depends_on_values(what):
    call, expected = WAITS[what]
    with watched(DEVICE) as found:
        numbers = torch.arange(3).to(DEVICE)
        found.clear()
        call(numbers)
        assert found.total() == expected


def test_tensors_of_two_places_do_not_meet():
    with watched(DEVICE), pytest.raises(RuntimeError, match="on the host"):
        torch.arange(3).to(DEVICE) + torch.arange(3)


@pytest.mark.parametrize("family", ["lstm", pytest.param("attention_lstm", marks=SLOW)])
def test_a_step_there_is_the_step_here(family):
    """Losses after two steps, and captions: what is computed on the other way is the same."""
    here = {name: (step(), step())[1] for name, step in undisturbed(family, CPU).items()}
    with watched(DEVICE):
        there = {name: (step(), step())[1] for name, step in undisturbed(family, DEVICE).items()}
        told = {name: own.cpu() if isinstance(own, torch.Tensor) else own for name, own in there.items()}
    for name, own in here.items():
        if isinstance(own, torch.Tensor):
            assert torch.equal(own, told[name]), name
        else:
            assert own == pytest.approx(told[name], rel=1e-4, abs=1e-5), name


def undisturbed(family: str, device: torch.device) -> dict[str, Step]:
    """Return the steps, without dropout, which each kind of device draws for itself."""
    made = steps(family, SMALL, device)
    generator = made["maximum likelihood"].__self__.generator
    for part in generator.modules():
        if isinstance(part, Dropout):
            part.p = 0.0
    return made


@pytest.mark.parametrize("family", [FAMILIES[0], *(pytest.param(family, marks=SLOW) for family in FAMILIES[1:])])
def test_no_step_waits_at_every_word(family):
    short, long = (counts(family, replace(SMALL, length=length), DEVICE) for length in (3, 6))
    assert short == long
    assert max(short.values()) <= MOST
    assert {name: count for name, count in short.items() if name in ("greedy", "sampling", "beam 5")} == {
        "greedy": 1, "sampling": 1, "beam 5": 1,  # how long the longest caption is
    }  # fmt: skip


def test_relaxed_words_are_drawn_without_waiting():
    with watched(DEVICE) as found:
        generator, shown = lstm().to(DEVICE).eval(), features(2).map(lambda tensor: tensor.to(DEVICE))
        counted = []
        for length in (3, 6):
            found.clear()
            soft_sample(
                generator, shown, samples=2, max_length=length, rng=torch.Generator().manual_seed(0), temperature=1.0,
                sharpness=1.0, relaxation=STRAIGHT_THROUGH,
            )  # fmt: skip
            counted.append(found.total())
    assert counted[0] == counted[1]


@pytest.mark.parametrize("make", [leakgan, updown, transformer])
def test_other_ways_to_write_wait_as_often_for_long_captions(make):
    """LeakGAN, which reads D's features of the words so far, and diverse beam search."""
    torch.manual_seed(0)
    with watched(DEVICE) as found:
        generator, shown = make().to(DEVICE).eval(), features(3).map(lambda tensor: tensor.to(DEVICE))
        counted = []
        for length in (3, 6):
            found.clear()
            rng = torch.Generator().manual_seed(0)
            captions = sample(generator, shown, samples=2, max_length=length, rng=rng).captions
            complete_prefixes(generator, shown, captions, rollouts=2, max_length=length, rng=rng)
            diverse_beam_search(
                generator, shown, groups=2, beam_size=2, diversity=0.5, max_length=length, length_penalty=0.0,
                no_repeated_trigram=False,
            )  # fmt: skip
            counted.append(found.total())
    assert counted[0] == counted[1]


def test_a_lstm_reads_there_what_it_reads_here():
    """By PyTorch's own kernel, over the same packed rows."""
    torch.manual_seed(0)
    layer, inputs, lengths = torch.nn.LSTM(3, 4, batch_first=True), torch.randn(9, 3), torch.tensor([2, 4, 3])
    here = read(layer, inputs, lengths)
    with watched(DEVICE):
        there = read(layer.to(DEVICE), inputs.to(DEVICE), lengths.to(DEVICE)).cpu()
    assert torch.allclose(here, there, atol=1e-6)


@pytest.mark.parametrize("trains", [True, False])
def test_a_lstm_learns_there_in_either_mode(trains):
    """cuDNN gives no gradient to a module in eval mode, and policies learn in it."""
    torch.manual_seed(0)
    layer, inputs, lengths = torch.nn.LSTM(3, 4, batch_first=True), torch.randn(9, 3), torch.tensor([2, 4, 3])
    with watched(DEVICE):
        there = layer.to(DEVICE).train(trains)
        read(there, inputs.to(DEVICE), lengths.to(DEVICE)).sum().backward()
        assert there.weight_hh_l0.grad is not None
        if not trains:
            with pytest.raises(RuntimeError, match="cuDNN"):
                there(inputs.to(DEVICE))[0].sum().backward()


@pytest.mark.parametrize("family", ["lstm", pytest.param("transformer", marks=SLOW)])
def test_a_word_can_be_compiled_as_a_whole(family):
    written = [call() for call in words(family, SMALL, CPU).values()]
    assert torch.equal(written[0][0], written[1][0])
    for name, tensor in written[0][1].items():
        assert torch.allclose(tensor, written[1][1][name], atol=1e-6), name


@SLOW
@pytest.mark.parametrize("page", ["seqgan", "shetty", "leakgan"])
def test_a_page_keeps_its_tensors_in_one_place(page, tmp_path):
    with watched(DEVICE):
        run_page(page, DEVICE, tmp_path)
    assert list(tmp_path.glob("outputs/*/results.json"))


@SLOW
def test_a_run_that_is_stopped_after_two_steps_of_four_is_taken_up_bitwise(tmp_path):
    check_resumed("scst", CPU, tmp_path)


def test_a_section_that_fails_takes_no_other_with_it(tmp_path):
    def fails(study):
        raise RuntimeError("no deterministic implementation")

    study = Study(device=CPU, beside=CPU, sizes=SMALL, families=(), pages=(), repeats=1)
    text, complaints = look(study, {"One": fails, "Two": lambda study: ("fine", [])}, table=tmp_path / "table.md")
    assert "## One\n\nIt did not end.\n\n## Two\n\nfine" in text
    assert complaints == ["One: RuntimeError: no deterministic implementation"]
    assert (tmp_path / "table.md").read_text() == f"{text}\n"


def test_without_a_device_the_study_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # as on a machine that has none
    main()
    assert capsys.readouterr().out == "no device\n"


def test_the_study_refuses_what_it_does_not_know():
    with pytest.raises(SystemExit, match="allowed are device=cpu, quick"):
        main("device=tpu")
