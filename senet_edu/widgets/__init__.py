"""Explorers: what a chapter says, to be moved by hand.

An explorer carries its data and computes in the page, so it answers in JupyterLab, in Colab and on a page without a
kernel. The modules of its JavaScript lie beside the Python that fills them.
"""

from senet_edu.widgets.block import BlockExplorer
from senet_edu.widgets.gates import ExcitationExplorer
from senet_edu.widgets.model_table import ModelTable
from senet_edu.widgets.price import PriceExplorer
from senet_edu.widgets.reduction import ReductionExplorer, reduction_sliders
from senet_edu.widgets.what_if import WhatIfExplorer

__all__ = [
    "BlockExplorer",
    "ExcitationExplorer",
    "ModelTable",
    "PriceExplorer",
    "ReductionExplorer",
    "WhatIfExplorer",
    "reduction_sliders",
]
