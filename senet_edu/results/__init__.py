"""Records of runs and shipped weights: package data, so that an installed course has them.

A number in a chapter about our own runs is read from a record.
"""

from senet_edu.results.claims import false_claims
from senet_edu.results.comparisons import compare, summarise_trials, unlike
from senet_edu.results.records import (
    EXCITATIONS,
    RECORDS,
    WEIGHTS,
    AssetError,
    circumstances,
    commit,
    list_records,
    load_record,
    look_up,
    now,
    read_record,
    write_record,
)
from senet_edu.results.runs import load_run, make_record, train_recorded
from senet_edu.results.weights import (
    list_weights,
    load_excitations,
    load_network,
    load_pretrained,
    model_card,
    save_weights,
    sha256,
)

__all__ = [
    "EXCITATIONS",
    "RECORDS",
    "WEIGHTS",
    "AssetError",
    "circumstances",
    "commit",
    "compare",
    "false_claims",
    "list_records",
    "list_weights",
    "load_excitations",
    "load_network",
    "load_pretrained",
    "load_record",
    "load_run",
    "look_up",
    "make_record",
    "model_card",
    "now",
    "read_record",
    "save_weights",
    "sha256",
    "summarise_trials",
    "train_recorded",
    "unlike",
    "write_record",
]
