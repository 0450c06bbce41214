"""senet-edu: Squeeze-and-Excitation, from equation to evidence.

The notebooks say ``import senet_edu as se``; the names below are the ones they use most. The modules have the rest.
"""

from senet_edu import blocks, cost, data, excitations, models, placement, results, selective, training
from senet_edu.blocks import SEBlock, excite, scale, squeeze
from senet_edu.data import hue_xor, load_cifar10, load_mnist, shapes
from senet_edu.excitations import override_gates, record_attention, record_excitations
from senet_edu.models import create_model, list_models
from senet_edu.placement import add_se
from senet_edu.selective import SKConv
from senet_edu.training import Recipe, evaluate, fit

__all__ = [
    "Recipe",
    "SEBlock",
    "SKConv",
    "add_se",
    "blocks",
    "cost",
    "create_model",
    "data",
    "evaluate",
    "excitations",
    "excite",
    "fit",
    "hue_xor",
    "list_models",
    "load_cifar10",
    "load_mnist",
    "models",
    "override_gates",
    "placement",
    "record_attention",
    "record_excitations",
    "results",
    "scale",
    "selective",
    "shapes",
    "squeeze",
    "training",
]
