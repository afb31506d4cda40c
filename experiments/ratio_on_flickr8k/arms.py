"""What is compared on photographs: ways to use the ratio, a rival, controls; and the discriminators to choose from."""

from __future__ import annotations

from experiments.ratio import DECODING, DEMONSTRATED, ROUNDS, Arm, Rung, inner

DISCRIMINATORS = (
    Rung("lstm, matching first", inner("lstm"), matching=600),
    Rung("log p - log p_ref", inner("likelihood_ratio")),
)
"""The arms are given that with the lowest log-loss on the tuning seed."""
QUICK_DISCRIMINATORS = DISCRIMINATORS[1:]

MORE = Arm("more maximum likelihood", "control_more_mle", overrides=DEMONSTRATED)
EBM = Arm("residual EBM, 20 candidates", "residual_ebm", "resampling", judged=True, learns=False)
ARMS = (
    MORE,
    EBM,
    Arm("KL policy gradient, beta 1", "kl_ratio", judged=True),
    Arm("DDO, two rounds", "ddo", "round_2", ROUNDS),
    Arm("GOLD", "gold", overrides=DEMONSTRATED),
)
RIVAL = Arm(
    "more maximum likelihood, as long as D", "control_more_mle",
    overrides=(*DEMONSTRATED, "adversarial.steps=3000", "adversarial.validate_every=1500"),
)  # fmt: skip
"""A step of D has 100 captions of people and 100 samples: p_theta reads them and learns, which is 600 passes of a
caption forward (one back counts as two), p_ref reads them, and 100 are drawn: 900. An update of maximum likelihood on
100 captions has 300, so that D's 1,000 steps are 3,000 updates."""
BLINKS = Arm(
    "EBM, D that blinks, averaged", "residual_ebm", "resampling", around="blinking", learns=False,
    taught_by=("phases.ratio.averaging=0.98",),
)  # fmt: skip
"""It is not shown half of the images while it learns; the moving average of its weights is kept."""
BLIND = Arm("EBM, D without the image", "residual_ebm", "resampling", around="blind", learns=False)
MODELS = Arm(
    "EBM, two language models", "residual_ebm", "resampling", around="blind", kind="generative", learns=False,
    taught_by=("discriminator_trainer=generative",),
)  # fmt: skip
"""The ratio of a blind D, learned without telling captions apart: a model of people's, and one of samples."""
BESIDE = (
    RIVAL,
    BLIND,
    BLINKS,
    MODELS,
    Arm("EBM, random logits", "control_logits", "resampling", learns=False),
    Arm("the most probable of 20", "control_powers", "resampling", (f"{DECODING}.own_weight=1000",), learns=False),
    Arm("residual EBM, 5 candidates", "residual_ebm", "resampling", (f"{DECODING}.candidates=5",), True, False),
    Arm("residual EBM, 50 candidates", "residual_ebm", "resampling", (f"{DECODING}.candidates=50",), True, False),
)
"""What differs from the residual EBM in one thing, the rival at equal compute, and a D with two remedies, asked
where the residual EBM is best, and compared with it."""
ANOTHER = "EBM, another seed's captioner"
"""Its judge is log p_other - log p_ref, which has met no sample: what D costs buys another captioner as well."""
QUICK_ARMS = ARMS[:3]
QUICK_BESIDE = tuple(arm for arm in BESIDE if arm.name == "EBM, random logits")
RATES = ("3e-5", "1e-4", "3e-4")
"""Tried for each arm that learns, on the tuning seed."""
