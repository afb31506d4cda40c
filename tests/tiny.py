"""The world that experiments/estimators enumerates: `<eos>` and two words, captions of at most three tokens."""

from experiments.estimators.world import (
    LENGTH,
    VOCABULARY,
    Pay,
    TokenPay,
    all_captions,
    captions_of,
    exact_gradient,
    features,
    generators,
    gradient,
    pay_of,
    stepwise_log_probs,
    token_pay_of,
)

__all__ = [
    "LENGTH",
    "VOCABULARY",
    "Pay",
    "TokenPay",
    "all_captions",
    "captions_of",
    "exact_gradient",
    "features",
    "generators",
    "gradient",
    "pay_of",
    "stepwise_log_probs",
    "token_pay_of",
]
