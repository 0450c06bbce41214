"""Record the gates of a network over many images, summarise them, and override them.

Gates are named as in the paper: SE_{stage}_{block}.
"""

from senet_edu.excitations.overriding import Override, override_gates
from senet_edu.excitations.recording import record_attention, record_controls, record_excitations
from senet_edu.excitations.statistics import Excitations, GateStatistics, statistics_of

__all__ = [
    "Excitations",
    "GateStatistics",
    "Override",
    "override_gates",
    "record_attention",
    "record_controls",
    "record_excitations",
    "statistics_of",
]
