"""What readers write in appendix A: adds its exercises to the tables of `wrong_answers`."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from wrong_answers import RIGHT, STUBS, WRONG

# -------------------------------------------------------------------------------------------- A.1 map_sizes

KERNELS = [(7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 2, 1), (3, 2, 1)]


def map_sizes_formula(side):
    found = []
    for k, s, p in KERNELS:
        side = (side + 2 * p - k) // s + 1
        found.append(side)
    return found


def map_sizes_by_running(side):
    x, found = torch.zeros(1, 1, side, side), []
    for k, s, p in KERNELS:
        x = nn.Conv2d(1, 1, k, s, p)(x)
        found.append(x.shape[-1])
    return found


def map_sizes_halved_up(side):
    a = math.ceil(side / 2)
    b = math.ceil(a / 2)
    c = -(-b // 2)
    d = -(-c // 2)
    return a, b, b, c, d, (d + 1) // 2


def map_sizes_with(**changed):
    """As the formula, with one thing wrong."""

    def answer(side):
        found = []
        for i, (k, s, p) in enumerate(KERNELS):
            s = changed.get("strides", [2, 2, 1, 2, 2, 2])[i]
            p = changed.get("padding", lambda p: p)(p)
            side = changed.get("size", lambda n, k, s, p: (n + 2 * p - k) // s + 1)(side, k, s, p)
            found.append(side)
        return found

    return answer


def map_sizes_without_return(side):
    print(map_sizes_formula(side), end="")


RIGHT["map_sizes"] = {
    "formula": map_sizes_formula,
    "by running": map_sizes_by_running,
    "halved up": map_sizes_halved_up,
    "tensor": lambda side: torch.tensor(map_sizes_formula(side)),
    "numpy": lambda side: np.ceil(side / np.array([2, 4, 4, 8, 16, 32])),
}
WRONG["map_sizes"] = [
    (lambda side: [side // 2, side // 4, side // 4, side // 8, side // 16, side // 32], "7 becomes 4, not 3"),
    (lambda side: [side / 2, side / 4, side / 4, side / 8, side / 16, side / 32], "sides are not rounded"),
    (map_sizes_with(size=lambda n, k, s, p: (n + 2 * p - k) / s + 1), "before 1 is added"),
    (map_sizes_with(size=lambda n, k, s, p: (n + 2 * p - k) // s), "the + 1 is missing"),
    (map_sizes_with(padding=lambda p: 0), "the padding is missing"),
    (map_sizes_with(size=lambda n, k, s, p: (n + p - k) // s + 1), "there is a border on both sides"),
    (map_sizes_with(size=lambda n, k, s, p: math.ceil((n + 2 * p - k) / s) + 1), "rounded up"),
    (map_sizes_with(strides=[2] * 6), "stage 2 halves too"),
    (map_sizes_with(strides=[2, 1, 1, 2, 2, 2]), "the max pooling keeps the size here"),
    (map_sizes_with(strides=[1, 2, 1, 2, 2, 2]), "the first convolution keeps the size here"),
    (map_sizes_with(strides=[1, 1, 1, 2, 2, 2]), "the stem for CIFAR-10"),
    (map_sizes_with(strides=[2, 2, 1, 2, 2, 1]), "stage 5 keeps the size here"),
    (map_sizes_with(strides=[2, 2, 1, 1, 1, 1]), "no stage halves here"),
    (lambda side: [side, *map_sizes_formula(side)], "the image itself is listed too"),
    (lambda side: map_sizes_formula(side)[:5], "stage 5 is missing"),
    (lambda side: map_sizes_formula(side)[-1], "return all six"),
    (lambda side: list(reversed(map_sizes_formula(side))), "runs backwards"),
    (lambda side: [14, 7, 7, 4, 2, 1], "It is right for side = 28"),
    (lambda side: [(n, n) for n in map_sizes_formula(side)], "should have the shape [6] and has [6, 2]"),
    (lambda side: str(map_sizes_formula(side)), "a str that cannot be read"),
    (lambda: [14, 7, 7, 4, 2, 1], "stopped with TypeError"),
]
STUBS["map_sizes"] = [map_sizes_without_return]

# -------------------------------------------------------------------------------------------- A.2 confusion


def confusion_loop(labels, predictions, classes):
    m = torch.zeros(classes, classes, dtype=torch.int64)
    for i, j in zip(labels, predictions, strict=True):
        m[i, j] += 1
    return m


def confusion_one_hot(labels, predictions, classes):
    one_hot = nn.functional.one_hot
    return one_hot(labels, classes).T @ one_hot(predictions, classes)


def confusion_put(labels, predictions, classes):
    m = torch.zeros(classes, classes)
    return m.index_put_((labels, predictions), torch.ones(len(labels)), accumulate=True)


def confusion_numpy(labels, predictions, classes):
    m = np.zeros((classes, classes), dtype=int)
    np.add.at(m, (labels.numpy(), predictions.numpy()), 1)
    return m


def confusion_fancy(labels, predictions, classes):
    m = torch.zeros(classes, classes)
    m[labels, predictions] += 1
    return m


def confusion_mistakes_only(labels, predictions, classes):
    m = torch.zeros(classes, classes)
    for i, j in zip(labels.tolist(), predictions.tolist(), strict=True):
        if i != j:
            m[i, j] += 1
    return m


def confusion_both_ways(labels, predictions, classes):
    m = torch.zeros(classes, classes)
    for i, j in zip(labels.tolist(), predictions.tolist(), strict=True):
        m[i, j] += 1
        m[j, i] += 1
    return m


def confusion_sized_by_labels(labels, predictions, classes):
    k = int(max(labels.max(), predictions.max())) + 1
    return confusion_loop(labels, predictions, k)


def confusion_without_return(labels, predictions, classes):
    m = torch.zeros(classes, classes)
    for i, j in zip(labels, predictions, strict=True):
        m[i, j] += 1


RIGHT["confusion"] = {
    "loop": confusion_loop,
    "one-hot": confusion_one_hot,
    "index_put_": confusion_put,
    "numpy": confusion_numpy,
    "bincount": lambda y, p, k: torch.bincount(k * y + p, minlength=k * k).view(k, k),
    "sparse": lambda y, p, k: torch.sparse_coo_tensor(torch.stack([y, p]), torch.ones(len(y)), (k, k)),
    "masks": lambda y, p, k: [[int(((y == i) & (p == j)).sum()) for j in range(k)] for i in range(k)],
}
WRONG["confusion"] = [
    (confusion_fancy, "repeated pairs are counted once"),
    (lambda y, p, k: confusion_loop(p, y, k), "changed places"),
    (lambda y, p, k: confusion_loop(y, p, k) / y.bincount(minlength=k)[:, None], "shares in place of counts"),
    (lambda y, p, k: confusion_loop(y, p, k) / y.bincount(minlength=k)[:, None].clamp(min=1), "leave the rows"),
    (lambda y, p, k: confusion_loop(y, p, k) / len(y), "shares of all images"),
    (lambda y, p, k: confusion_loop(y, p, k) / p.bincount(minlength=k), "shares of a column"),
    (confusion_mistakes_only, "only mistakes are counted"),
    (lambda y, p, k: torch.diag(y[y == p].bincount(minlength=k)), "only the recognised images"),
    (lambda y, p, k: y[y == p].bincount(minlength=k), "only the diagonal is returned"),
    (lambda y, p, k: y.bincount(minlength=k), "they divide by what they are taken for"),
    (lambda y, p, k: torch.bincount(k * y + p, minlength=k * k), "the table is flat"),
    (lambda y, p, k: torch.ones(k, k) + confusion_loop(y, p, k), "counting starts at 1"),
    (confusion_both_ways, "the sum with its mirror image"),
    (confusion_sized_by_labels, "has no row"),
    (lambda y, p, k: confusion_loop(p, p, k), "instead of"),
    (lambda y, p, k: torch.nested.nested_tensor(list(confusion_loop(y, p, k)), layout=torch.jagged), "nested tensor"),
    (lambda y, p, k: (y == p).float().mean(), "should have the shape [4, 4] and has []"),
    (lambda y, p, k: torch.zeros(k, k).scatter_add(1, y, p), "stopped with"),
    (lambda y, p: confusion_loop(y, p, 10), "stopped with TypeError"),
]
STUBS["confusion"] = [confusion_without_return]
