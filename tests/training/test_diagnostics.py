"""Each way to fail is recognised, said once, and forgotten when it has passed."""

from __future__ import annotations

import pytest

from gan_caption.training.diagnostics import Diagnostics


def watch() -> Diagnostics:
    return Diagnostics(
        strongest=0.95, least_knowledge=0.55, least_entropy=0.5, least_spread=0.01, shortest=0.75, decay=0.9
    )


HEALTHY = {
    "policy/entropy": 2.0, "policy/length": 10.0, "reward/mean": 0.4, "reward/std": 0.2, "discriminator/accuracy": 0.8,
    "discriminator_auc": 0.7,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"discriminator/accuracy": 0.99}, "D is right about 9"),
        ({"discriminator_auc": 0.52}, "D hardly knows more than chance: on unseen images its AUC is 0.520"),
        ({"policy/entropy": 0.5}, "the policy's entropy fell from 2.00 to"),
        ({"reward/std": 0.0}, "all samples have the same reward"),
        ({"policy/length": 5.0}, "samples shrank from 10.0 to"),
    ],
)
def test_each_ailment_gives_one_line_that_says_what_to_change(change, said):
    diagnostics = watch()
    assert [diagnostics.follow(HEALTHY) for _ in range(5)] == [[]] * 5
    lines = [line for _ in range(60) for line in diagnostics.follow({**HEALTHY, **change})]
    assert len(lines) == 1
    assert lines[0].startswith(said)
    assert any(word in lines[0] for word in ("Lower", "Raise", "Weaken", "Mix", "Train it longer"))
    resumed = watch()
    resumed.load_state_dict(diagnostics.state_dict())
    assert resumed.follow({**HEALTHY, **change}) == []
    for _ in range(60):
        assert resumed.follow(HEALTHY) == []
    assert len([line for _ in range(60) for line in resumed.follow({**HEALTHY, **change})]) == 1


def test_methods_without_some_of_the_numbers_are_followed_by_the_rest():
    diagnostics = watch()
    assert diagnostics.follow({"policy/entropy": 1.0}) == []
    assert diagnostics.entropy_share() == 1.0
