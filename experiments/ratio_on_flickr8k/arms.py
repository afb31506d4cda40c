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
BESIDE = (
    Arm("EBM, D without the image", "residual_ebm", "resampling", blind=True, learns=False),
    Arm("EBM, random logits", "control_logits", "resampling", learns=False),
    Arm("the most probable of 20", "control_powers", "resampling", (f"{DECODING}.own_weight=1000",), learns=False),
    Arm("residual EBM, 5 candidates", "residual_ebm", "resampling", (f"{DECODING}.candidates=5",), True, False),
    Arm("residual EBM, 50 candidates", "residual_ebm", "resampling", (f"{DECODING}.candidates=50",), True, False),
)
"""What differs from the residual EBM in one thing: it is asked where that is best, and compared with it."""
QUICK_ARMS = ARMS[:3]
QUICK_BESIDE = tuple(arm for arm in BESIDE if arm.name == "EBM, random logits")
RATES = ("3e-5", "1e-4", "3e-4")
"""Tried for each arm that learns, on the tuning seed."""
