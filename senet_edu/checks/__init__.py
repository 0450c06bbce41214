"""Exercise checkers: each takes what the reader wrote and says that it is right, or what is probably wrong.

`verdicts` has the machinery, the other modules the exercises of one chapter or appendix each.
"""

from senet_edu.checks.appendix_a import confusion, map_sizes
from senet_edu.checks.chapter01 import colour_gates, convolution, receptive_field
from senet_edu.checks.chapter02 import excite, gate_gradient, squeeze
from senet_edu.checks.chapter02_block import se_block
from senet_edu.checks.chapter03 import added_weights, multiply_adds, se_bytes, se_weights
from senet_edu.checks.chapter04 import placement_weights, residual_unit
from senet_edu.checks.chapter05 import paired_difference, parameter_groups, triangle
from senet_edu.checks.chapter07 import class_means, openers, specificity
from senet_edu.checks.chapter10 import closer, select, sk_weights, whole_kernel
from senet_edu.checks.verdicts import Verdict

__all__ = [
    "Verdict",
    "added_weights",
    "class_means",
    "closer",
    "colour_gates",
    "confusion",
    "convolution",
    "excite",
    "gate_gradient",
    "map_sizes",
    "multiply_adds",
    "openers",
    "paired_difference",
    "parameter_groups",
    "placement_weights",
    "receptive_field",
    "residual_unit",
    "se_block",
    "se_bytes",
    "se_weights",
    "select",
    "sk_weights",
    "specificity",
    "squeeze",
    "triangle",
    "whole_kernel",
]
