"""Training: the recipe, the loop, checkpoints, evaluation, and what this machine can do."""

from senet_edu.training import processes
from senet_edu.training.checkpoint import CheckpointError
from senet_edu.training.evaluation import Evaluation, evaluate, predict
from senet_edu.training.loop import fit
from senet_edu.training.machine import best_device, best_precision, describe, speed
from senet_edu.training.recipe import EpochPlan, Recipe, learning_rate, move, normalise, parameter_groups
from senet_edu.training.session import Run, TrainingError

__all__ = [
    "CheckpointError",
    "EpochPlan",
    "Evaluation",
    "Recipe",
    "Run",
    "TrainingError",
    "best_device",
    "best_precision",
    "describe",
    "evaluate",
    "fit",
    "learning_rate",
    "move",
    "normalise",
    "parameter_groups",
    "predict",
    "processes",
    "speed",
]
