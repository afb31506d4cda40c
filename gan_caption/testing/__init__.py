"""The contracts as tests that anyone can call, of this project's own parts and of your own.

Each raises an AssertionError that says which promise is broken and by how much. They need no pytest.
"""

from gan_caption.testing.discriminators import check_discriminator
from gan_caption.testing.encoders import check_encoder
from gan_caption.testing.generators import check_generator
from gan_caption.testing.rewards import check_reward

__all__ = ["check_discriminator", "check_encoder", "check_generator", "check_reward"]
