"""The world that experiments/estimators enumerates: `<eos>` and two words, captions of at most three tokens."""

from experiments.estimators.world import (
    LENGTH,
    VOCABULARY,
    CaptionReward,
    TokenReward,
    all_captions,
    captions_of,
    exact_gradient,
    features,
    generators,
    gradient,
    reward_of,
    stepwise_log_probs,
    token_rewards_of,
)

__all__ = [
    "LENGTH",
    "VOCABULARY",
    "CaptionReward",
    "TokenReward",
    "all_captions",
    "captions_of",
    "exact_gradient",
    "features",
    "generators",
    "gradient",
    "reward_of",
    "stepwise_log_probs",
    "token_rewards_of",
]
