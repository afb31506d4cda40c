"""What is compared: ways to go on from maximum likelihood, and their budgets."""

from __future__ import annotations

from dataclasses import dataclass

SEEDS = (0, 1, 2)
ONE = SEEDS[:1]
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
    updates: int = 150
    seeds: tuple[int, ...] = SEEDS


_REWARD = "phases.policy_gradient.objective.reward"
_BATCH_MEAN = (*BUDGET, "adversarial.baseline._target_=gan_caption.objectives.baselines.BatchMean")
_BETA_MAX = "phases.adversarial.objective.beta_max"
ARMS = (
    Arm("constant reward", "control_constant"),
    Arm("uniform random reward", "control_constant", (f"reward@{_REWARD}=random", f"~{_REWARD}.value")),
    Arm("seqgan", "seqgan", BUDGET),
    Arm("seqgan, D shown shuffled labels, 75 updates", "control_shuffled_labels", BUDGET, updates=75),
    Arm("seqgan, four times D's steps", "seqgan", LONGER, seeds=ONE),
    Arm("seqgan, batch-mean baseline, 75 updates", "seqgan", _BATCH_MEAN, updates=75, seeds=ONE),
    # other papers' methods
    Arm("relgan, beta_max 1", "relgan", (f"{_BETA_MAX}=1",), seeds=ONE),
    Arm("relgan, beta_max 100", "relgan", seeds=ONE),
    Arm("relgan, beta_max 1000", "relgan", (f"{_BETA_MAX}=1000",), seeds=ONE),
    Arm("scratchgan", "scratchgan", ("discriminator_training.steps=1000",), seeds=ONE),
    Arm("maligan, 75 updates", "maligan", BUDGET, updates=75, seeds=ONE),
    Arm("rankgan, 75 updates", "rankgan", BUDGET, updates=75, seeds=ONE),
    Arm("leakgan, 75 updates", "leakgan", (*BUDGET, "phases.mle.epochs=20"), "leakgan", updates=75, seeds=ONE),
)
QUICK_ARMS = tuple(arm for arm in ARMS if arm.name in ("constant reward", "seqgan", "relgan, beta_max 100")
                   or arm.generator != "lstm")  # fmt: skip
