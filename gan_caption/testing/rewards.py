"""The contract of a reward as a test. Shapes: B images, N captions, T steps."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gan_caption.data.captions import EOS, PAD, Captions
from gan_caption.data.features import ImageFeatures
from gan_caption.objectives.discriminator import spoken
from gan_caption.rewards.base import Reward, rewarded
from gan_caption.testing.comparing import check, check_equal, padded, refusals_told, reordered, untouched


def check_reward(reward: Reward, features: ImageFeatures, captions: Captions, *, tolerance: float = 1e-4) -> None:
    """Check that a reward keeps the contract of `gan_caption.rewards.base.Reward`.

    - it returns one finite number a caption (N,), or one a token (N, T), without gradients, and so does each part;
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
        given = _by_name(reward, features, captions)
    for name, rewards in given.items():
        _check_form(name, rewards, captions)
    again = _by_name(reward, features, captions)
    _check_equal(again, captions, given, captions, "the same captions must be rewarded the same again", tolerance)
    turned_features, turned, rows = reordered(features, captions)
    wanted = {name: rewards[rows] for name, rewards in given.items()}
    message = "the order of images and captions must not change it"
    _check_equal(_by_name(reward, turned_features, turned), turned, wanted, turned, message, tolerance)
    for token in (PAD, EOS + 1):
        more = padded(captions, by=3, with_token=token)
        message = f"padding must not change it (token {token} on it)"
        _check_equal(_by_name(reward, features, more), more, given, captions, message, tolerance)


def _by_name(reward: Reward, features: ImageFeatures, captions: Captions) -> dict[str, Tensor]:
    """Return the reward, and its parts where it has some."""
    with refusals_told():
        given = rewarded(reward, features, captions)
    return {"the reward": given.total} | {f"the reward's part {name}": part for name, part in given.parts.items()}


def _check_form(name: str, rewards: Tensor, captions: Captions) -> None:
    check(not rewards.requires_grad, f"{name} carries gradients: compute it under torch.no_grad")
    check(spoken(rewards, captions).isfinite().all(), f"{name} is NaN or infinite")


def _check_equal(
    found: Mapping[str, Tensor], of: Captions, wanted: Mapping[str, Tensor], by: Captions, message: str,
    tolerance: float,
) -> None:  # fmt: skip
    """Compare rewards of captions (`of`) with those that they must be (`by` other padding)."""
    check(found.keys() == wanted.keys(), f"a reward has the parts {sorted(wanted)} once, and {sorted(found)} then")
    for name, rewards in found.items():
        own, other = spoken(rewards, of), spoken(wanted[name], by)
        check_equal(own, other, f"{name}: {message}", tolerance=tolerance)
