"""The networks of a run, held together for checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from gan_caption.discriminators.base import Discriminator
from gan_caption.encoders.base import Encoder
from gan_caption.errors import UserError
from gan_caption.generators.base import Generator


class EncoderDecoder(nn.Module):
    """What writes captions: the generator, and the encoder where it learns with it.

    A frozen encoder is a published network; it stays outside, named by the run's configuration.
    """

    def __init__(self, generator: Generator, encoder: Encoder | None) -> None:
        """Hold the parts; `encoder` is None where features come from a frozen one."""
        super().__init__()
        self.generator = generator
        self.encoder = encoder


class Networks(nn.Module):
    """The captioner and the discriminator that judges it (None in a run without one)."""

    def __init__(self, captioner: EncoderDecoder, discriminator: Discriminator | None) -> None:
        """Hold the parts."""
        super().__init__()
        self.captioner = captioner
        self.discriminator = discriminator


def take_discriminator(discriminator: Discriminator, networks: Mapping[str, Tensor], *, asked: str) -> None:
    """Give a discriminator the weights that a checkpoint of `Networks` holds of one.

    Args:
        discriminator: gets them.
        networks: of the checkpoint.
        asked: the setting that names the run, for the message.

    Raises:
        UserError: they are of another kind.
    """
    prefix = "discriminator."
    try:
        discriminator.load_state_dict(
            {name.removeprefix(prefix): own for name, own in networks.items() if name.startswith(prefix)}
        )
    except RuntimeError as error:
        raise UserError(
            f"{asked}: its discriminator does not fit this run's; give the same discriminator=..., whose class has not "
            "changed since"
        ) from error


@contextmanager
def weights_of(module: nn.Module, other: nn.Module) -> Iterator[None]:
    """Lend `module` the weights of `other` (an average, say), and give it back its own."""
    own = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.load_state_dict(other.state_dict())
    try:
        yield
    finally:
        module.load_state_dict(own)
