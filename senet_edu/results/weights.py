"""Shipped weights and statistics of gates: files of the package; weights are held to the checksum in their record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from senet_edu.data import CIFAR10_CLASSES
from senet_edu.excitations import Excitations
from senet_edu.files import write_atomically
from senet_edu.models import NamedNetwork, create_model, usual_arguments
from senet_edu.results import records
from senet_edu.results.records import AssetError, load_record


def list_weights() -> list[str]:
    """Names of the weights that the package ships; each has a record of the same name."""
    return sorted(path.stem for path in records.WEIGHTS.glob("*.safetensors"))


def load_network(name: str) -> NamedNetwork:
    """The network that the shipped weights `name` belong to, with those weights, as its record describes it.

    Raises:
        AssetError: there are none of that name, or they are damaged.
    """
    if name not in (shipped := list_weights()):
        raise AssetError(f"no shipped weights {name!r}; there are {', '.join(shipped) or 'none'}")
    return restore(load_record(name), records.WEIGHTS / f"{name}.safetensors")


def load_pretrained(model: nn.Module, config: dict[str, Any], wanted: bool | str) -> None:
    """Put shipped weights into a network.

    Args:
        model: the network.
        config: the arguments of `create_model` it was built with.
        wanted: a name of shipped weights, or True for those of this very network.

    Raises:
        ValueError: no shipped weights have that name, or fit this network.
        AssetError: the file's checksum is not the one in its record.
    """
    shipped = {name: load_record(name) for name in list_weights()}
    for name, record in shipped.items():
        if wanted in (True, name) and not differing(record["model"], config):
            return load_weights(model, records.WEIGHTS / f"{name}.safetensors", record["weights_sha256"])
    if wanted in shipped:
        pairs = differing(shipped[wanted]["model"], config).items()
        other = ", ".join(f"{key} = {theirs!r}, not {ours!r}" for key, (theirs, ours) in pairs)
        raise ValueError(f"the weights {wanted!r} are of {other}: results.load_network({wanted!r}) gives that network")
    own = {name: record["model"] for name, record in shipped.items() if record["model"]["name"] == config["name"]}
    have = "; ".join(f"{name}: {settings_in_words(model)}" for name, model in own.items())
    raise ValueError(
        f"no shipped weights{f' {wanted!r}' if wanted is not True else ''} for {settings_in_words(config)}. "
        + (f"Of {config['name']} there are {have}" if have else f"There are {', '.join(shipped) or 'none'}")
    )


def differing(recorded: dict[str, Any], config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Arguments that a record and a network have different, both values; one younger than the record has its default.

    None stands for one that is not there.
    """
    usual = usual_arguments()
    theirs = {key: recorded.get(key, usual.get(key)) for key in config} | recorded
    return {key: (value, config.get(key)) for key, value in theirs.items() if key not in config or config[key] != value}


def restore(record: dict[str, Any], path: Path) -> NamedNetwork:
    """Build a record's network and put in its weights, whose checksum the record knows."""
    model = create_model(**record["model"])
    load_weights(model, path, record["weights_sha256"])
    return model


def load_weights(model: nn.Module, path: Path, checksum: str) -> None:
    """Put a weights file into a network; an AssetError if it is missing, not of this network, or not of `checksum`."""
    from safetensors.torch import load_file

    if not path.exists():
        raise AssetError(f"{path} is missing")
    if sha256(path) != checksum:
        raise AssetError(f"{path} is damaged: its checksum is not the one in its record. Fetch or train it again.")
    weights = {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise AssetError(f"{path} holds the weights of another network: {error}") from error


def save_weights(model: nn.Module, path: str | Path, about: dict[str, Any]) -> str:
    """Write a network's weights as float16 safetensors (see `half`), with `about` in the header.

    Returns:
        The file's SHA-256.
    """
    from safetensors.torch import save_file

    tensors = {k: half(v).contiguous().cpu() for k, v in model.state_dict().items()}
    header = {"about": json.dumps(about)}
    write_atomically(Path(path), lambda temporary: save_file(tensors, temporary, metadata=header))
    return sha256(Path(path))


def half(value: Tensor) -> Tensor:
    """In float16, but for integers, and for a tensor with a number that float16 does not reach (65,504)."""
    narrow = value.half() if value.is_floating_point() else value
    return narrow if torch.equal(narrow.isfinite(), value.isfinite()) else value


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_excitations(name: str) -> Excitations:
    """Shipped statistics of the gates of the network `name` over the test images.

    Raises:
        AssetError: there are none of that name, or the file is damaged.
    """
    path = records.EXCITATIONS / f"{name}.safetensors"
    if not path.exists():
        raise AssetError(f"no recorded excitations {name!r} in {records.EXCITATIONS}")
    try:
        return Excitations.load(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise AssetError(f"{path} is damaged ({error}): install the package again") from error


def model_card(name: str) -> str:
    """What a reader of shipped weights should know, in Markdown, from their record."""
    record = load_record(name)
    machine, model, recipe = record["machine"], record["model"], record["recipe"]
    image = "the mirror image's logits added"
    classes = record.get("classes", CIFAR10_CLASSES)
    count, size = record.get("test_images", 10_000), record.get("image_size", 32)
    per_class = zip(classes, record["accuracy_per_class"], strict=True)
    begun = f" It began with {record['started_from']}." if record.get("started_from") else ""
    if (earlier := f"{name}-first") in records.list_records():
        first = load_record(earlier)
        begun += (
            f" That run: {settings_in_words(first['recipe'])}; {first['seconds'] / 60:.0f} minutes. It was scored on "
            f"the same test images, {first['accuracy']:.2%}, before it was decided to go on."
        )
    scored, images = "test images", "The images are CIFAR-10 (Krizhevsky, 2009)."
    if "Tiny-ImageNet" in record["data"]:
        scored = "validation images of Tiny-ImageNet (its test images have no labels)"
        images = "The images it learned from are ImageNet's, whose terms allow non-commercial research only."
    computed = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}[record["precision"]]
    several = f"{record['processes']} processes, " if record["processes"] > 1 else ""
    return f"""# {name}

- **To load:** `se.results.load_network("{name}")`
- **Network:** {settings_in_words(model)}
- **Weights:** float16 safetensors, SHA-256 `{record["weights_sha256"]}`
- **Trained and scored on:** {record["data"]}
- **Accuracy on the {count:,} {scored}:** {record["accuracy"]:.2%} single view, {record["accuracy_flipped"]:.2%} \
with {image}. By class: {", ".join(f"{k} {a:.1%}" for k, a in per_class)}.
- **Recipe:** {settings_in_words(recipe)}; SGD with Nesterov momentum. Seed {record["seed"]}.{begun}
- **Hardware:** {machine["processor"]}, {machine["cores"]} cores, accelerator: {machine["accelerator"]}; \
{record["device"]}, {computed}, {several}{record["seconds"] / 60:.0f} minutes; torch {machine["torch"]}
- **Run:** {record["started"]} to {record["finished"]}, commit `{record["commit"]}`
- **Licence:** CC BY 4.0, as all weights and records here. {images}
- **Limits:** made to study SE blocks and to teach with. It knows {len(classes)} classes at {size}×{size} pixels, says \
one of them of any picture, and its logits are not calibrated. One seed: another gives another network.
"""


def settings_in_words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
