"""From a name in the task file to a network: torchvision's classifiers, a small `cnn`, tables'.

torchvision is imported when one of its networks is asked for, because that takes two seconds; of
the residual ones the two small ones stand here.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from fedcore.config.model import TABLE_MODELS, ModelSection
from fedcore.errors import ModelError, nearest, problem
from fedcore.models.cnn import cnn
from fedcore.models.crossmodal import join, see_as
from fedcore.models.modalities import ENCODER
from fedcore.models.resnet import DEPTHS, resnet
from fedcore.models.tabular import tabular

SMALL = "cnn"
SIDES = (32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 299, 320, 384, 448, 512)
TASK_FILE = "the task file"
_MISFITS = (RuntimeError, ValueError, AssertionError, IndexError, ZeroDivisionError)


def model_names() -> list[str]:
    """Every name that `build` knows, sorted."""
    import torchvision.models as catalogue  # noqa: PLC0415

    return sorted([SMALL, *catalogue.list_models(module=catalogue)])


def build(
    section: ModelSection,
    seed: int,
    where: object = TASK_FILE,
    modality: str | None = None,
    *,
    inputs: int | None = None,
) -> nn.Module:
    """The network with fresh weights, on the CPU: the same seed gives the same bits.

    With modalities it has an encoder for each (`crossmodal`), and the one of `modality` is in use.
    `inputs` is how many numbers a table's row has; image networks do without. The caller's random
    state stays as it is. Networks that torchvision trains with auxiliary heads (inception_v3,
    googlenet) are built without them. Raises `ModelError`, naming `where`, for an unknown name and
    for an input size that the network cannot take.
    """
    if section.name in TABLE_MODELS and inputs is not None:
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(seed)
            return tabular(section, inputs)
    _require_known(section, where)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        if section.modalities is None:
            return _checked(section, where)
        networks = {
            name: _checked(_alone(section, name), where) for name in sorted(section.modalities)
        }
    try:
        return see_as(join(networks), modality)
    except ValueError:
        remedy = "it cannot be divided between modalities: take cnn or a resnet"
        raise ModelError(problem(where, "model.name", section.name, remedy)) from None


def _checked(section: ModelSection, where: object) -> nn.Module:
    try:
        network = _construct(section)
        if section.name not in DEPTHS:  # these take every size, and trying loads torch's compiler
            _dry_forward(network, section)
    except _MISFITS as misfit:
        raise ModelError(_wrong_size(section, where)) from misfit
    return network


def _alone(section: ModelSection, modality: str) -> ModelSection:
    """The section as if there were that modality alone."""
    return section.model_copy(update={"modalities": None, "input_size": section.size_of(modality)})


def _require_known(section: ModelSection, where: object) -> None:
    own = section.name == SMALL or section.name in DEPTHS
    names = () if own else model_names()
    if not own and section.name not in names:
        raise ModelError(
            problem(
                where, "model.name", section.name, f"no such model; {nearest(section.name, names)}"
            )
        )


def _construct(section: ModelSection) -> nn.Module:
    channels = section.input_size[0]
    if section.name == SMALL:
        return cnn(channels, section.num_classes)
    own = section.name in DEPTHS
    network = resnet(section.name, section.num_classes) if own else _of_torchvision(section)
    if channels != 3:
        _take_channels(network, channels)
    return network


def _of_torchvision(section: ModelSection) -> nn.Module:
    import torchvision.models as catalogue  # noqa: PLC0415

    return cast(
        nn.Module,
        catalogue.get_model(
            section.name, weights=None, num_classes=section.num_classes, **_options(section)
        ),
    )


def _options(section: ModelSection) -> dict[str, Any]:
    """What some of the catalogue's builders need besides the number of classes."""
    name, (_, height, width) = section.name, section.input_size
    if name.startswith("vit_"):
        if height != width:
            raise ValueError("vision transformers take square images")
        return {"image_size": height}
    if name.startswith("maxvit"):
        return {"input_size": (height, width)}
    if name in ("inception_v3", "googlenet"):
        return {"aux_logits": False, "init_weights": True}
    return {}


def _take_channels(network: nn.Module, channels: int) -> None:
    """Replace the first convolution by one for `channels`, its kernels summed over the colours.

    A grey image then gives what three equal channels would have given.
    """
    name, old = first_convolution(network)
    new = nn.Conv2d(
        channels,
        old.out_channels,
        cast(tuple[int, int], old.kernel_size),
        stride=cast(tuple[int, int], old.stride),
        padding=cast(tuple[int, int], old.padding),
        bias=old.bias is not None,
    )
    with torch.no_grad():
        new.weight.copy_(old.weight.sum(dim=1, keepdim=True).expand_as(new.weight) / channels)
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, new)


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d]:
    """Name and module of the convolution that sees the image."""
    found = ((name, one) for name, one in network.named_modules() if isinstance(one, nn.Conv2d))
    return next(found)


def first_convolutions(network: nn.Module) -> list[str]:
    """The names of the convolutions that see an image: one, or one in each modality's encoder.

    None where the network takes rows of a table.
    """
    if not any(isinstance(one, nn.Conv2d) for one in network.modules()):
        return []
    encoders = [
        (f"{name}.", one) for name, one in network.named_children() if name.startswith(ENCODER)
    ]
    parts = encoders or [("", network)]
    return [prefix + first_convolution(part)[0] for prefix, part in parts]


def _dry_forward(network: nn.Module, section: ModelSection) -> None:
    """One image through the network without computing anything: only shapes are followed."""
    state = {name: tensor.to("meta") for name, tensor in network.state_dict().items()}
    image = torch.empty(1, *section.input_size, device="meta")
    network.eval()
    with torch.no_grad():
        torch.func.functional_call(network, state, (image,))
    network.train()


def _wrong_size(section: ModelSection, where: object) -> str:
    channels, height, width = section.input_size
    larger = (side for side in SIDES if side >= max(height, width) and _fits(section, side))
    side = next(larger, 224)
    remedy = f"{section.name} cannot take this size; [{channels}, {side}, {side}] works"
    return problem(where, "model.input_size", list(section.input_size), remedy)


def _fits(section: ModelSection, side: int) -> bool:
    """Whether a square image of `side` pixels passes; tried on shapes alone."""
    trial = section.model_copy(update={"input_size": (section.input_size[0], side, side)})
    try:
        with torch.device("meta"):
            _dry_forward(_construct(trial), trial)
    except (*_MISFITS, NotImplementedError):
        return False
    return True
