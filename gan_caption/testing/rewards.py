"""The contract of a reward as a test. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from gan_caption.data.captions import EOS, PAD, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.rewards.base import Reward
from gan_caption.testing.comparing import check, check_equal, padded, reordered, untouched


def check_reward(reward: Reward, features: ImageFeatures, captions: Captions, *, tolerance: float = 1e-4) -> None:
    """Check that a reward keeps the contract of `gan_caption.rewards.base.Reward`.

    - it returns one finite number a caption (N,), or one a token (N, T), without gradients;
    - the order of images and captions, and padding, change nothing;
    - its arguments are left as they were.

    A reward that is random by intention does not keep it.

    Args:
        reward: of complete captions.
        features: of at least two images, as the reward needs them (their `rows` where it looks up references).
        captions: N complete captions of them, at least two an image, of different lengths.
        tolerance: the most that two ways to the same number may differ, in parts of it or absolutely.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    check(len(features) >= 2 and len(captions) >= 4, "check_reward needs at least two images with two captions each")
    with untouched("the reward", features=features, captions=captions):
        rewards = reward(features, captions)
    shapes = [tuple(captions.lengths.shape), tuple(captions.tokens.shape)]
    check(
        tuple(rewards.shape) in shapes,
        f"the rewards are {tuple(rewards.shape)}: one a caption, {shapes[0]}, or one a token, {shapes[1]}",
    )
    check(rewards.is_floating_point(), f"the rewards are {rewards.dtype}: floating-point numbers are wanted")
    check(not rewards.requires_grad, "the rewards carry gradients: compute them under torch.no_grad")
    by_token = rewards.dim() == 2
    own = rewards[captions.mask] if by_token else rewards
    check(own.isfinite().all(), "the rewards are NaN or infinite")
    again = reward(features, captions)
    message = "the same captions must be paid the same again"
    check_equal(again[captions.mask] if by_token else again, own, message, tolerance=tolerance)

    turned_features, turned, rows = reordered(features, captions)
    found, wanted = reward(turned_features, turned), rewards[rows]
    message = "the order of images and captions must not change a reward"
    if by_token:
        found, wanted = found[turned.mask], wanted[turned.mask]
    check_equal(found, wanted, message, tolerance=tolerance)
    for token in (PAD, EOS + 1):
        more = padded(captions, by=3, with_token=token)
        found = reward(features, more)
        message = f"padding must not change a reward (token {token} on it)"
        check_equal(found[more.mask] if by_token else found, own, message, tolerance=tolerance)
