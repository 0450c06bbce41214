"""A run from its network to its record: trained, its weights written, scored as written."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor

from senet_edu.data import Images
from senet_edu.models import NamedNetwork
from senet_edu.results.records import AssetError, circumstances, read_record, write_record
from senet_edu.results.weights import load_weights, restore, save_weights
from senet_edu.training import Evaluation, Recipe, Run, evaluate, fit, processes
from senet_edu.training.machine import Precision
from senet_edu.training.session import checksum as image_checksum


def train_recorded(
    folder: str | Path,
    model: NamedNetwork,
    train: tuple[Images, Tensor],
    test: tuple[Images, Tensor],
    recipe: Recipe,
    *,
    data: str,
    seed: int = 0,
    precision: Precision | None = None,
    cpu: bool = False,
    compiled: bool = False,
    started_from: str = "",
) -> dict[str, Any]:
    """Train `model` in place, write its float16 weights and its record into `folder`, and return the record.

    What is scored is what is written: weights rounded to float16, computed in float32. Under a launcher every process
    calls this; the first one writes. A run that had ended keeps its record, if the test images are the same.

    Args:
        folder: its name is the record's. A run there that was stopped goes on.
        model: the network; its `config` goes into the record. Its seed is that of `seed`, see `training.fit`.
        train, test: uint8 images [n, C, H, W], or those of a folder, and labels [n].
        recipe, seed, precision, cpu, compiled, started_from: as in `training.fit`.
        data: see `make_record`.
    """
    folder = Path(folder)
    run = fit(
        model,
        *train,
        recipe,
        seed=seed,
        folder=folder,
        precision=precision,
        cpu=cpu,
        compiled=compiled,
        started_from=started_from,
    )
    name = folder.resolve().name
    checksum = ""
    if processes.is_main():
        weights = folder / "weights.safetensors"
        checksum = save_weights(model, weights, {"record": name})
        load_weights(model, weights, checksum)
    model.load_state_dict(processes.from_main(model.state_dict(), cpu))
    scored_on = image_checksum(*test)
    if earlier := processes.from_main(ended(folder, checksum, scored_on), cpu):
        return earlier
    evaluation = evaluate(model, *test, precision="no", cpu=cpu)
    record = make_record(name, model.config, run, evaluation, data) | {"weights_sha256": checksum}
    record |= {"test_images": len(test[0]), "image_size": test[0].shape[-1], "scored_on": scored_on}
    if processes.is_main():
        write_record(record, folder / "record.json")
    return processes.from_main(record, cpu)


def ended(folder: Path, checksum: str, scored_on: str) -> dict[str, Any] | None:
    """The record of a run in `folder` with weights of this checksum and a score on these images, if there is one."""
    path = folder / "record.json"
    if not processes.is_main() or not path.exists():
        return None
    record = read_record(path)
    younger = {"scored_on": scored_on}  # a record from before this was kept is taken at its word
    now = {"weights_sha256": checksum, "scored_on": scored_on}
    return record if now.items() <= (younger | record).items() else None


def make_record(name: str, config: dict[str, Any], run: Run, evaluation: Evaluation, data: str) -> dict[str, Any]:
    """All that is needed to understand a run and to repeat it.

    Args:
        name: of the record, and of its file.
        config: of the network: the arguments of `create_model`.
        run: as `fit` returned it.
        evaluation: on the test images.
        data: what the images were, in a sentence.
    """
    return {
        "name": name,
        "model": config,
        "recipe": dataclasses.asdict(run.recipe),
        "seed": run.seed,
        "data": data,
        "accuracy": evaluation.accuracy,
        "accuracy_flipped": evaluation.flipped,
        "accuracy_per_class": evaluation.per_class,
        "history": run.history,
        "seconds": run.seconds,
        "precision": run.precision,
        "compiled": run.compiled,
        "started_from": run.started_from,
        "processes": run.processes,
        "device": run.device,
        **circumstances(run.started),
    }


def load_run(folder: str | Path) -> NamedNetwork:
    """The network that `senet-edu train FOLDER` trained.

    Raises:
        AssetError: the folder holds no finished run, or its weights are damaged.
    """
    path = Path(folder) / "record.json"
    if not path.exists():
        raise AssetError(
            f"no finished run in {folder}: {path.name} is missing. `senet-edu train {folder}` goes on with it."
        )
    return restore(read_record(path), path.with_name("weights.safetensors"))
