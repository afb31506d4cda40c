"""Which weights of a pretrained language model learn beside the mapper's: none, all, or low-rank ones put into it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from gan_caption.errors import UserError, above, at_least
from gan_caption.extras import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Tuning(Protocol):
    """Chooses the weights of a language model that learn."""

    pretrained: ClassVar[bool]
    """Whether what learns came pretrained, and has the learning rate of that."""

    def __call__(self, model: PreTrainedModel) -> frozenset[str]:
        """Return the names of the parameters that learn, put into the model where they are new.

        Raises:
            UserError: they cannot be put into a model of this kind.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """None: the language model stays as it came."""

    pretrained: ClassVar[bool] = True

    def __call__(self, model: PreTrainedModel) -> frozenset[str]:
        """Return no names; see `Tuning`."""
        return frozenset()


@dataclass(frozen=True, kw_only=True)
class Whole:
    """All of them."""

    pretrained: ClassVar[bool] = True

    def __call__(self, model: PreTrainedModel) -> frozenset[str]:
        """Return all names; see `Tuning`."""
        return frozenset(name for name, _ in model.named_parameters())


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """W x + (alpha / rank) B A x in some layers, where A and B learn (LoRA: Hu et al. 2021, arXiv 2106.09685, 4.1).

    A begins at random and B at 0, so that the model begins as it came. Where a kind of model has one product for
    queries, keys and values, as GPT-2 has, it is added to all three; the paper adds to queries and values alone.
    """

    pretrained: ClassVar[bool] = False
    rank: int
    """Rows of A, at least 1."""
    alpha: float
    """Above 0."""
    layers: list[str] | None
    """Ends of the layers' names; None: those of queries and values, by the kind of model as `peft` knows them."""

    def __post_init__(self) -> None:
        at_least(1, rank=self.rank)
        above(0, alpha=self.alpha)

    def __call__(self, model: PreTrainedModel) -> frozenset[str]:
        """Put A and B into the layers; see `Tuning`."""
        require("peft", extra="lm", what="generators of tuning=lora")
        from peft import LoraConfig, inject_adapter_in_model

        products = sorted({name.split(".")[-2] for name, own in model.named_parameters() if own.dim() == 2})
        asked = LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=self.layers)  # type: ignore[arg-type]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "fan_in_fan_out")  # it finds out by itself how a layer's weights lie
                inject_adapter_in_model(asked, model)
        except ValueError as error:  # no layer has such a name, or the kind is not known
            raise UserError(
                f"tuning.layers={self.layers}: {str(error).partition('. ')[0]}; a {type(model).__name__} has "
                f"{', '.join(products)}"
            ) from error
        model.eval()
        return frozenset(name for name, own in model.named_parameters() if own.requires_grad)
