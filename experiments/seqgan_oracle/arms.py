"""What is compared: ways to go on from maximum likelihood, and their budgets."""

from __future__ import annotations

from dataclasses import dataclass

SEEDS = (0, 1, 2)
UPDATES = 150
EPOCH = 312
"""Steps in which D sees 10,000 sequences and as many samples."""
BUDGET = (f"discriminator_training.steps={15 * EPOCH}", f"discriminator_training.steps_per_update={EPOCH // 4}")
"""Of D: 15 epochs before, a quarter of one after each update; the authors have 150, and 15 after each."""
LONGER = (BUDGET[0], f"discriminator_training.steps_per_update={EPOCH}")


@dataclass(frozen=True)
class Arm:
    """A way to go on from the baseline."""

    name: str
    page: str
    overrides: tuple[str, ...] = ()
    generator: str = "lstm"
    """Any other than the baseline's learns by maximum likelihood for itself."""


_REWARD = "phases.policy_gradient.objective.reward"
_BATCH_MEAN = (*BUDGET, "baseline@adversarial.baseline=batch_mean")
_BETA_MAX = "phases.adversarial.objective.beta_max"
ARMS = (
    Arm("constant reward", "control_constant"),
    Arm("uniform random reward", "control_constant", (f"reward@{_REWARD}=random", f"~{_REWARD}.value")),
    Arm("seqgan", "seqgan", BUDGET),
    Arm("seqgan, D shown shuffled labels", "control_shuffled_labels", BUDGET),
    Arm("seqgan, batch-mean baseline", "seqgan", _BATCH_MEAN),
    Arm("seqgan, four times D's steps", "seqgan", LONGER),
    # other papers' methods
    Arm("maligan", "maligan", BUDGET),
    Arm("rankgan", "rankgan", BUDGET),
    Arm("leakgan", "leakgan", (*BUDGET, "phases.mle.epochs=20"), generator="leakgan"),
    Arm("relgan, beta_max 1", "relgan", (f"{_BETA_MAX}=1",)),
    Arm("relgan, beta_max 100", "relgan"),
    Arm("relgan, beta_max 1000", "relgan", (f"{_BETA_MAX}=1000",)),
    Arm("scratchgan", "scratchgan", ("discriminator_training.steps=1000",)),
)
