"""Which parameters are shared by which parties: one notion with several settings.

All of them; all but BatchNorm's statistics; all but the norms (FedBN, Li et al. 2021); all but the
head (FedPer, Arivazhagan et al. 2019, and FedRep, Collins et al. 2021); and, across modalities, not
the encoders of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from torch import nn

from fedcore.config.federation import FederationSection, Part
from fedcore.models.layers import head_names
from fedcore.models.modalities import is_foreign

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def shared_names(
    module: nn.Module, federation: FederationSection, modality: str | None = None
) -> tuple[str, ...]:
    """The names that travel from a party of that modality, in the order of the state."""
    home = home_names(module, federation)
    return tuple(
        name for name in module.state_dict() if name not in home and not is_foreign(name, modality)
    )


def home_names(module: nn.Module, federation: FederationSection) -> frozenset[str]:
    """The names that never leave any party; the same at all of them, whatever their modality."""
    return frozenset(name for part in federation.kept_home for name in PARTS[part](module))


def _norms(module: nn.Module) -> Iterator[str]:
    """Weights and statistics of every BatchNorm, as in FedBN.

    LayerNorm and GroupNorm travel: they normalise each image by itself and hold no statistics of
    a hospital's images, which is what FedBN keeps apart.
    """
    return _inside(module, _batch_norms(module))


def _statistics(module: nn.Module) -> Iterator[str]:
    """BatchNorm's running statistics and counters: the smaller half of FedBN."""
    buffers = {name for name, _ in module.named_buffers()}
    return (name for name in _norms(module) if name in buffers)


def _batch_norms(module: nn.Module) -> list[str]:
    return [name for name, one in module.named_modules() if isinstance(one, BATCH_NORMS)]


def _inside(module: nn.Module, layers: list[str]) -> Iterator[str]:
    """The names in the state that belong to these layers themselves."""
    return (name for name in module.state_dict() if name.rpartition(".")[0] in layers)


PARTS: Mapping[Part, Callable[[nn.Module], Iterable[str]]] = {
    "norms": _norms,
    "statistics": _statistics,
    "head": head_names,
}
