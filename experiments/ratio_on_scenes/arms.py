"""What is compared: ways to use the ratio, rivals, controls; and the ladder's discriminators."""

from __future__ import annotations

from experiments.ratio import DECODING, DEMONSTRATED, ROUNDS, Arm, Rung, inner, wrapped

_EYES = (*inner("own_eyes"), "discriminator@discriminator.discriminator.discriminator=coattention")
_AVERAGED = (*inner("likelihood_ratio"), "phases.ratio.averaging=0.98")
_WHOLE = (*inner("likelihood_ratio_own_eyes"), "phases.ratio.averaging=0.98")
RUNGS = (
    Rung("lstm", inner("lstm")),
    Rung("lstm, matching first", inner("lstm"), matching=600),
    Rung("co-attention", inner("coattention")),
    Rung("co-attention, matching first", inner("coattention"), matching=600),
    Rung("each word (dense)", inner("dense")),
    Rung("log p - log p_ref", inner("likelihood_ratio")),
    Rung("log p - log p_ref, matching first", inner("likelihood_ratio"), matching=600),
    Rung("log p - log p_ref, matching first, averaged", _AVERAGED, matching=600),
    Rung("log p - log p_ref, own eyes, matching first, averaged", _WHOLE, matching=600),
    Rung("own eyes, co-attention, matching first", _EYES, matching=600),
    Rung("lstm, no image", wrapped(inner("lstm"), "blind")),
)
LONGER_RUNGS = (
    *RUNGS[7:9],
    Rung(f"{RUNGS[7].name}, 6,000 steps", (*_AVERAGED, "discriminator_training.steps=6000"), matching=600),
)
"""From the converged baseline: the chosen kind, the same with eyes of its own, and for three times as many steps."""
QUICK_RUNGS = RUNGS[5:6]
CHOSEN = "log p - log p_ref, matching first, averaged"
"""The rung whose discriminator the arms are given: that with the lowest log-loss on the tuning seed."""

OTHERS = {
    "of another seed": (),
    "of another seed, twice as long": ("phases.mle.epochs=8",),
    "of another seed, four times as many scenes": ("data.train=80000",),
}
"""Captioners that judge the samples of one, by what their baseline is told besides; their seed is the next one."""

_KL = "phases.policy_gradient.objective.kl_weight"
_ANOTHER_IMAGE = (
    "reward@phases.resampling.decoding.judge=other_image",
    "reward@phases.resampling.decoding.judge.reward=discriminator_logit",
)
_REWARD = "phases.policy_gradient.objective.reward"
_BEST = (f"reward@{_REWARD}=best_discriminator", f"{_KL}=0", "phases.resampling=null")
MLE, LONG = "maximum likelihood", "maximum likelihood, 18 epochs"
LONGER = ("phases.mle.epochs=18",)
"""What `LONG` is told besides: with it maximum likelihood computes as much as the baseline and the discriminator do.

In passes of a caption forward (one back counts as two) a step of maximum likelihood has 3 x 160; of matching 4 x 480,
of people's, other images' and edited captions, forward and back and once through p_ref; of the ratio 4 x 320 + 160, of
people's captions and samples, which are drawn. So 600 steps of matching and 2,000 of the ratio are 8,400 of maximum
likelihood, 14.1 epochs beside the baseline's 4.
"""
MORE = Arm("more maximum likelihood", "control_more_mle", overrides=DEMONSTRATED)
ARMS = (
    MORE,
    Arm("residual EBM, 20 candidates", "residual_ebm", "resampling", judged=True, learns=False),
    Arm("residual EBM, 50 candidates", "residual_ebm", "resampling", (f"{DECODING}.candidates=50",), True, False),
    Arm("KL policy gradient, beta .5", "kl_ratio", overrides=(f"{_KL}=0.5",), judged=True),
    Arm("KL policy gradient, beta 1", "kl_ratio", judged=True),
    Arm("KL policy gradient, beta 2", "kl_ratio", overrides=(f"{_KL}=2",), judged=True),
    Arm("KL policy gradient, D learns on", "kl_ratio_on_policy", judged=True),
    Arm("distilled, two rounds", "distilled", "round_2", ("adversarial.steps=150",), judged=True),
    Arm("DDO, two rounds", "ddo", "round_2", ROUNDS),
    Arm("GOLD", "gold", overrides=DEMONSTRATED),
    Arm("TaiLr", "tailr", overrides=DEMONSTRATED),
    Arm("precision-recall", "precision_recall", overrides=DEMONSTRATED),
    Arm("unlikelihood", "unlikelihood", overrides=DEMONSTRATED),
    Arm("EBM, D without the image", "residual_ebm", "resampling", around="blind", learns=False),
    Arm("EBM, D shown another image", "residual_ebm", "resampling", _ANOTHER_IMAGE, True, False),
    Arm("EBM, random logits", "control_logits", "resampling", (f"{DECODING}.judge.std=0.5",), learns=False),
    Arm("EBM, p^.2 and no D", "control_powers", "resampling", learns=False),
    Arm("the most probable of 20", "control_powers", "resampling", (f"{DECODING}.own_weight=1000",), learns=False),
    Arm("exact ratio: policy gradient", "control_oracle_ratio"),
    Arm("exact ratio: EBM, 20 candidates", "control_oracle_ratio", "resampling", ("phases.policy_gradient=null",),
        learns=False),
    Arm("best D: -log(1 - D)", "control_oracle_ratio", overrides=(*_BEST, f"transform@{_REWARD}.transform=saturating")),
    Arm("best D: D", "control_oracle_ratio", overrides=_BEST),
)  # fmt: skip
QUICK_ARMS = tuple(arm for arm in ARMS if arm.name in (
    MORE.name, "residual EBM, 20 candidates", "KL policy gradient, beta 1", "exact ratio: EBM, 20 candidates",
))  # fmt: skip
RATES = ("3e-5", "1e-4", "3e-4")
"""Tried for each arm that learns, on the tuning seed."""
