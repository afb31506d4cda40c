"""What three processes tell each other. Every check runs in real ones, which are started once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.multiprocessing
from PIL import Image
from torch import nn

from gan_caption.data.batches import CaptionBatches
from gan_caption.data.captions import captions_from_ids
from gan_caption.data.corpus import CaptionedImage, Split
from gan_caption.data.edits import edited
from gan_caption.data.feature_cache import cached_features
from gan_caption.data.features import ImageFeatures
from gan_caption.distributed import world
from gan_caption.errors import UserError
from gan_caption.experiment import check_alike
from gan_caption.objectives.discriminator import ShuffledLabels, mismatch, words_of
from gan_caption.training.identity import KnownData
from gan_caption.training.loop import Loop
from gan_caption.training.phases.base import descend
from gan_caption.training.seeding import random_states, restore_random_states, seed_everything, shared_generator
from tests.distributed.launching import in_processes

RANKS = 3


@pytest.mark.slow
def test_what_processes_share(tmp_path):
    in_processes(_checks, tmp_path)


def _checks(folder: Path) -> None:
    for check in (
        parts_cover_everything_once, rows_of_all_in_order, gradients_pass_to_own_rows, the_mean_is_that_of_all_elements,
        numbers_are_those_of_one_process, a_step_is_that_of_one_process, batches_are_shared_out,
        captions_go_to_the_next_rank, a_word_is_replaced_by_one_of_any_rank, what_the_main_one_cannot_make_stops_all,
        labels_are_dealt_alike, dropout_differs_and_is_resumed, copies_of_the_data_that_differ_stop_all,
        weights_that_differ_stop_all,
    ):  # fmt: skip
        check()
    features_are_extracted_by_all_and_faults_are_told_to_all(folder)


def copies_of_the_data_that_differ_stop_all():
    check_alike(None)
    same = Split("train", (CaptionedImage("a", ("a dog",)),)).fingerprint
    other = Split("train", (CaptionedImage("a", ("a cat",)),)).fingerprint
    check_alike(KnownData({"train": same}, ("root",)))
    with pytest.raises(UserError, match=r"the processes \[2\] read other images or captions than process 0"):
        check_alike(KnownData({"train": other if world.rank() == 2 else same}, ("root",)))


def weights_that_differ_stop_all():
    torch.manual_seed(0)
    networks = nn.Linear(2, 1)
    loop = SimpleNamespace(run=SimpleNamespace(networks=networks), step=3)
    Loop._check_alike(loop)
    if world.rank() == 2:
        networks.weight.data[0, 1] += 1e-3
    with pytest.raises(RuntimeError, match="step 3: the processes have different weights"):
        Loop._check_alike(loop)


def parts_cover_everything_once():
    for count in (0, 1, 2, 3, 7):
        parts = world.everyone(list(world.part(count)))
        assert [one for part in parts for one in part] == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert world.own_of("abcd") == ("a", "b", "cd")[world.rank()]


def rows_of_all_in_order():
    rank = world.rank()  # which gives as many rows; rank 0 none
    rows = torch.full((rank, 1 + rank), float(rank))
    assert world.gather(rows).tolist() == [[1, 1, 0], [2, 2, 2], [2, 2, 2]]
    assert torch.equal(world.own(world.gather(rows), len(rows))[:, : 1 + rank], rows)
    assert world.gather(torch.tensor([rank == 1])).tolist() == [False, True, False]
    assert world.to_main(rank) == ([0, 1, 2] if rank == 0 else [])


def gradients_pass_to_own_rows():
    own = torch.ones(2, requires_grad=True)
    (world.gather(own) * torch.arange(6.0)).sum().backward()
    assert own.grad.tolist() == [2.0 * world.rank(), 2.0 * world.rank() + 1]


def the_mean_is_that_of_all_elements():
    own = torch.tensor([[], [1.0], [2.0, 6.0]][world.rank()], requires_grad=True)
    mean = world.mean(own.mean(), len(own))
    assert mean.item() == pytest.approx(3)
    if len(own):
        mean.backward()
        assert own.grad.tolist() == pytest.approx([1 / 3] * len(own))


def numbers_are_those_of_one_process():
    rows = [0, 3, 2][world.rank()]
    rng, alone = shared_generator(7), torch.Generator()
    alone.set_state(rng.get_state())
    whole = torch.rand(5, 4, generator=alone)
    assert torch.equal(world.draw(torch.rand, rows, 4, rng=rng), world.own(whole, rows))
    assert torch.equal(rng.get_state(), alone.get_state())


def a_step_is_that_of_one_process():
    """Of a loss that is no sum over rows, where a rank has none, and with a parameter that nobody uses."""
    data = torch.randn(5, 4, 1, 1, generator=torch.Generator().manual_seed(1))
    own = data[[slice(0, 0), slice(0, 2), slice(2, 5)][world.rank()]]
    made = []
    for rows in (data, own):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = nn.ModuleDict({"used": nn.Conv2d(4, 2, 3, padding=1), "unused": nn.Linear(2, 2)})
        module.to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, fused=True)
        told = module["used"](rows).flatten(1) if len(rows) else torch.zeros(0, 2)
        if rows is data:  # the truth: no other process takes part
            told.logsumexp(0).square().sum().backward()
            optimizer.step()
        else:
            descend(optimizer, [world.gather(told).logsumexp(0).square().sum()], module, clip=1e9)
            assert module["unused"].weight.grad is None
        made.append(module["used"].weight.detach())
    torch.testing.assert_close(made[1], made[0])
    assert len(set(world.everyone(made[1].sum().item()))) == 1


def batches_are_shared_out():
    captions = [[[4 + row, 3]] * (1 + row % 2) for row in range(7)]
    batches = CaptionBatches(captions, images=4, captions_per_image=2, seed=0)
    for step in range(4):
        own = batches.at(step)
        told = [(own.rows[image], tokens[0] - 4) for image, tokens in zip(
            own.captions.images.tolist(), own.captions.tokens.tolist(), strict=True)]  # fmt: skip
        assert all(row == word for row, word in told)  # a caption's image is its own
        everybody = [row for rows in world.everyone(own.rows) for row in rows]
        assert len(everybody) == (4, 3)[step % 2]
        assert sorted(everybody) == sorted(set(everybody))


def captions_go_to_the_next_rank():
    batches = CaptionBatches([[[4 + row, 3]] for row in range(2)], images=2, captions_per_image=1, seed=0)
    own = batches.at(0)  # two images, three ranks
    given = mismatch(own.captions, images=len(own.rows))
    assert len(given) == len(own.rows)
    assert all(tokens[0] - 4 != row for row, tokens in zip(own.rows, given.tokens.tolist(), strict=True))


def what_the_main_one_cannot_make_stops_all():
    def make():
        raise UserError("no room")

    with pytest.raises(UserError, match="no room"):
        world.from_main(make)


def dropout_differs_and_is_resumed():
    seed_everything(0, deterministic=True)
    rng = shared_generator(0)
    states = random_states(rng)
    drawn = torch.rand(())
    assert len(set(world.everyone(drawn.item()))) == RANKS
    restore_random_states(states, rng)
    assert torch.rand(()) == drawn
    restore_random_states({name: states[name] for name in ("cpu", "sampling")}, rng)  # of one process
    assert len(set(world.everyone(torch.rand(()).item()))) == RANKS


def features_are_extracted_by_all_and_faults_are_told_to_all(folder: Path) -> None:
    encoded = []

    def encode(pixels: torch.Tensor) -> ImageFeatures:
        encoded.extend(pixels[:, 0, 0, 0].tolist())
        return ImageFeatures(pixels.float().mean((2, 3)), pixels.float().flatten(2).transpose(1, 2))

    def make() -> None:
        for row in range(40):
            Image.new("RGB", (2, 2), (row, 0, 0)).save(folder / f"{row}.png")
        (folder / "7.png").write_bytes(b"no image")

    world.from_main(make)
    split = Split("train", tuple(CaptionedImage(f"{row}", ("a",), folder / f"{row}.png") for row in range(40)))

    def features(skip: bool):
        return cached_features(
            split, cache=folder / "cache", fingerprint="f", description="d", pooled_size=3, grid_shape=(4, 3),
            prepare=lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1), encode=encode,
            skip_unreadable=skip, progress=lambda done, total: None,
        )  # fmt: skip

    with pytest.raises(UserError, match=r"7\.png cannot be read"):
        features(skip=False)
    assert len(encoded) in (12, 13, 14)
    assert sorted(row for own in world.everyone(encoded) for row in own) == [row for row in range(40) if row != 7]
    source = features(skip=True)  # nothing is encoded again
    assert sum(map(len, world.everyone(encoded))) == 39
    told = source.features(range(39), grid=False, device=torch.device("cpu"))
    assert told.pooled[:, 0].tolist() == [row for row in range(40) if row != 7]


@pytest.mark.slow
def test_a_process_that_has_fallen_silent_ends_the_others(tmp_path):
    started = in_processes(_stop, tmp_path, ranks=2, join=False, silence=4)
    started.processes[0].join(60)
    assert started.processes[0].exitcode == 2
    os.kill(started.processes[1].pid, signal.SIGKILL)
    started.processes[1].join(60)


def _stop(folder: Path) -> None:
    world.everyone(None)
    if world.rank() == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)  # and does not listen


def labels_are_dealt_alike():
    torch.manual_seed(world.rank())
    loss = ShuffledLabels(
        generated=1.0, mismatched=0.0, edited=0.0, real=1.0, label_smoothing=0.0, output_l2=0.0
    ).compare(torch.arange(20.0), -torch.arange(20.0))  # fmt: skip
    assert len(set(world.everyone(loss.item()))) == 1


def a_word_is_replaced_by_one_of_any_rank():
    own = captions_from_ids([[4 + world.rank(), 4 + world.rank(), 3]] * 40, [0] * 40)
    words = words_of(own)
    assert sorted(words.tolist()) == [4] * 80 + [5] * 80 + [6] * 80
    found, places = edited(own, words=words, rng=torch.default_generator)
    assert set(found.tokens[torch.arange(40), places].tolist()) == {4, 5, 6} - {4 + world.rank()}
