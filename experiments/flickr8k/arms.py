"""What is compared on photographs: baselines to choose from, methods, and controls."""

from __future__ import annotations

from dataclasses import dataclass

import experiments.ratio

TUNING, SEEDS = 100, tuple(range(5))
PHOTOGRAPHS = ("generator=attention_lstm", "decoding=beam", "tracker=local")
SETTING = "holdout.check=0.05"
"""Images that no method's generator learns from, as the ratio's discriminators need them."""
CALIBRATED = (
    "phases.mle.objective.label_smoothing=0", "phases.mle.selected_by=nll_per_token", "phases.mle.patience=3",
)  # fmt: skip
BASELINES = {
    "as its page has it": ("encoder=efficientnet_lite0",),
    "no label smoothing": ("encoder=efficientnet_lite0", *CALIBRATED),
    "Lite2": ("encoder=efficientnet_lite2", *CALIBRATED),
    "Lite2, dropout .6": ("encoder=efficientnet_lite2", *CALIBRATED, "size.dropout=0.6"),
    "Lite2, half the rate": ("encoder=efficientnet_lite2", *CALIBRATED, "phases.mle.learning_rate=5e-4"),
    "Lite2, weight decay .05": (
        "encoder=efficientnet_lite2", *CALIBRATED, "phases.mle.optimizer.weight_decay=0.05",
    ),
}  # fmt: skip
"""Tried on the tuning seed; all arms begin with the one whose NLL of dev is lowest."""
CHOSEN = "Lite2, weight decay .05"


@dataclass(frozen=True)
class Arm(experiments.ratio.Arm):
    """A way to go on from the baseline; `learns` tells whether its rate is chosen among `RATES`."""

    follows: bool = True
    """Whether it begins with the baseline: a generator with noise learns by maximum likelihood for itself."""


UPDATES = (
    "adversarial.steps=300", "adversarial.images_per_batch=10", "adversarial.validate_every=100",
    "adversarial.quality_floor=0", "adversarial.entropy_floor=0", "validation.images=200",
)  # fmt: skip
"""Of every arm, the same: 10 images; methods with samples draw as many of each as their page says."""
RATES = ("5e-5", "2e-4")
"""Tried on the tuning seed for each arm that has no rate of its own."""
ARMS = (
    Arm("more maximum likelihood", "control_more_mle"),
    Arm("scst", "scst"),
    Arm("nsc", "nsc"),
    Arm("nsc, entropy held", "nsc", overrides=("+entropy@phases.policy_gradient.objective.entropy_weight=held",)),
    Arm("chen", "chen", "adversarial"),
    Arm("seqgan", "seqgan", "adversarial"),
    Arm("cgan", "cgan", "adversarial", follows=False, learns=False),
    Arm("shetty", "shetty", "adversarial", follows=False, learns=False),
    Arm("residual EBM", "residual_ebm", "resampling", learns=False),
    Arm("KL policy gradient", "kl_ratio"),
    Arm("seqgan, D shown another image", "control_shuffled_image", "adversarial"),
    Arm("constant reward", "control_constant"),
)
