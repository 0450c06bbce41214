"""Exercises of chapter 07: what gates do by class, and the images that open a channel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from senet_edu.checks.verdicts import Case, Mistake, Verdict, diagnose, normal, seeded, whole


def class_means(my_class_means: Any) -> Verdict:
    """Exercise 7.1: m_k = 1/n_k Σ_{i of class k} g_i, from gates [n, C] and labels [n] to [classes, C]."""
    cases = labelled_gates(seeded(71))
    right = "The mean gate of each class, for classes of different sizes."
    return diagnose("7.1", my_class_means, cases, means, class_means_mistakes(), right)


def class_means_mistakes() -> list[Mistake]:
    return [
        Mistake(
            "the sums are not divided by the number of images of the class",
            lambda g, y, k: sums(g, y, k),
        ),
        Mistake(
            "divided by the number of all images, n; each class has a count of its own",
            lambda g, y, k: sums(g, y, k) / len(g),
        ),
        Mistake(
            "divided by the mean class size, n / classes; the classes differ in size",
            lambda g, y, k: sums(g, y, k) * k / len(g),
        ),
        Mistake("divided by the number of classes", lambda g, y, k: sums(g, y, k) / k),
        Mistake("divided by the number of channels, C", lambda g, y, k: sums(g, y, k) / g.shape[1]),
        Mistake(
            "averaged over the channels too; asked is [classes, C]",
            lambda g, y, k: means(g, y, k).mean(dim=1),
        ),
        Mistake("transposed; asked is [classes, C]", lambda g, y, k: means(g, y, k).T),
        Mistake(
            "the classes are in order of appearance; row k belongs to class k",
            lambda g, y, k: means(g, y, k)[in_order_of_appearance(y)],
        ),
        Mistake(
            "the rows are shifted by one: labels count from 0",
            lambda g, y, k: means(g, y, k).roll(1, dims=0),
        ),
        Mistake(
            "the rows are shifted by one: labels count from 0",
            lambda g, y, k: means(g, y, k).roll(-1, dims=0),
        ),
        Mistake(
            "the labels are not used: every row is the mean over all",
            lambda g, y, k: g.mean(dim=0).expand(k, -1),
        ),
        Mistake("a row for each image; asked is one for each class", lambda g, y, k: means(g, y, k)[y]),
        Mistake(
            "out[labels] += gates adds only one image of each class; index_add_ adds them all",
            lambda g, y, k: last_of_class(g, y, k),
        ),
        Mistake(
            "out[labels] += gates adds only one image of each class; index_add_ adds them all",
            lambda g, y, k: last_of_class(g, y, k) / counts(y, k),
        ),
        Mistake(
            "the median of each class; asked is the mean",
            lambda g, y, k: torch.stack([g[y == c].median(dim=0).values for c in range(k)]),
        ),
        Mistake(
            "the largest gate of each class; asked is the mean",
            lambda g, y, k: torch.stack([g[y == c].amax(dim=0) for c in range(k)]),
        ),
    ]


def specificity(my_specificity: Any) -> Verdict:
    """Exercise 7.2: Σ_k n_k (m_k − m)² / Σ_i (g_i − m)² [C], the share of variance between classes."""
    cases = labelled_gates(seeded(72))
    right = "Each channel's share of variance between classes, each class with its size."
    return diagnose("7.2", my_specificity, cases, share_between, specificity_mistakes(), right)


class Squares(NamedTuple):
    """Sums of squares of each channel [C]; `rows` are (m_k − m)² [classes, C]."""

    between: Tensor
    within: Tensor
    total: Tensor
    rows: Tensor
    n: int
    classes: int


def squares(gates: Tensor, labels: Tensor, classes: int) -> Squares:
    m_k, m = means(gates, labels, classes), gates.mean(dim=0)
    rows = (m_k - m) ** 2
    between = (counts(labels, classes) * rows).sum(dim=0)
    within = ((gates - m_k[labels]) ** 2).sum(dim=0)
    return Squares(between, within, ((gates - m) ** 2).sum(dim=0), rows, len(gates), classes)


def share_between(gates: Tensor, labels: Tensor, classes: int) -> Tensor:
    s = squares(gates, labels, classes)
    return s.between / s.total


def specificity_mistakes() -> list[Mistake]:
    def of(says: str, ratio: Callable[[Squares], Tensor]) -> Mistake:
        return Mistake(says, lambda g, y, k: ratio(squares(g, y, k)))

    unweighted = "every class counts alike; weight (m_k − m)² by the class's number of images, n_k"
    return [
        of(unweighted, lambda s: s.rows.mean(dim=0) / (s.total / s.n)),
        of(unweighted, lambda s: s.rows.mean(dim=0) / (s.total / (s.n - 1))),
        of(unweighted, lambda s: s.rows.sum(dim=0) / s.total),
        Mistake(unweighted, partial(share_of_means, ddof=1, ddof_of_gates=1)),
        Mistake(unweighted, partial(share_of_means, ddof=0, ddof_of_gates=0)),
        Mistake(unweighted, partial(share_of_means, ddof=0, ddof_of_gates=1)),
        of(
            "the share within the classes; asked is the share between them, 1 minus this",
            lambda s: s.within / s.total,
        ),
        of("not divided by the total, Σ_i (g_i − m)²", lambda s: s.between),
        of("divided by n; the share divides by the total, Σ_i (g_i − m)²", lambda s: s.between / s.n),
        Mistake(
            "the variance of the class means, not divided by the total variance",
            partial(variance_of_means, ddof=1),
        ),
        Mistake(
            "the variance of the class means, not divided by the total variance",
            partial(variance_of_means, ddof=0),
        ),
        of("not divided by the total variance, and every class counts alike", lambda s: s.rows.mean(dim=0)),
        of(
            "standard deviations; the share is one of variances, without the square root",
            lambda s: (s.between / s.total).sqrt(),
        ),
        Mistake(
            "standard deviations, and every class counts alike; the share is one of variances",
            lambda g, y, k: share_of_means(g, y, k, ddof=1, ddof_of_gates=1).sqrt(),
        ),
        Mistake(
            "the standard deviation of the class means; the share divides variances",
            lambda g, y, k: variance_of_means(g, y, k, ddof=1).sqrt(),
        ),
        of(
            "divided by the variance within the classes (an F ratio); the share divides by the total",
            lambda s: s.between / s.within,
        ),
        of(
            "this is the F statistic, with its degrees of freedom; the share divides by the total",
            f_statistic,
        ),
        of(
            "n in one variance and n − 1 in the other; use sums, or the same for both",
            lambda s: s.between / s.total * (s.n - 1) / s.n,
        ),
        Mistake(
            "averaged over the channels first; the share is asked for each channel",
            lambda g, y, k: share_between(g.mean(dim=1, keepdim=True), y, k),
        ),
        of(
            "averaged over the channels; the share is asked for each channel",
            lambda s: (s.between / s.total).mean(),
        ),
        of(
            "summed over the channels; the share is asked for each channel",
            lambda s: s.between.sum() / s.total.sum(),
        ),
        Mistake(
            "m is the mean of the class means; it is the mean of all gates, and classes differ in size",
            partial(around_mean_of_means, total_too=True),
        ),
        Mistake(
            "m is the mean of the class means above, and of all gates below; take all gates in both",
            partial(around_mean_of_means, total_too=False),
        ),
        of("the ratio is upside down: total over between", lambda s: s.total / s.between),
    ]


def variance_of_means(gates: Tensor, labels: Tensor, classes: int, ddof: int) -> Tensor:
    return means(gates, labels, classes).var(dim=0, correction=ddof)


def share_of_means(gates: Tensor, labels: Tensor, classes: int, ddof: int, ddof_of_gates: int) -> Tensor:
    return variance_of_means(gates, labels, classes, ddof) / gates.var(dim=0, correction=ddof_of_gates)


def around_mean_of_means(gates: Tensor, labels: Tensor, classes: int, total_too: bool) -> Tensor:
    m_k = means(gates, labels, classes)
    m = m_k.mean(dim=0)
    between = (counts(labels, classes) * (m_k - m) ** 2).sum(dim=0)
    return between / ((gates - (m if total_too else gates.mean(dim=0))) ** 2).sum(dim=0)


def f_statistic(s: Squares) -> Tensor:
    return (s.between / (s.classes - 1)) / (s.within / (s.n - s.classes))


def openers(my_openers: Any) -> Verdict:
    """Exercise 7.3: numbers of the k images with the largest gates of a channel, largest first, [k]."""
    generator = seeded(73)
    sizes = ((20, 9, 4), (14, 7, 5), (30, 12, 3))  # n, C, k
    cases = [openers_case(generator, n, channels, k) for n, channels, k in sizes]
    right = "The numbers of the images, the one with the largest gate first."
    return diagnose("7.3", my_openers, cases, top, openers_mistakes(), right)


def openers_case(generator: torch.Generator, n: int, channels: int, k: int) -> Case:
    gates = torch.sigmoid(normal(generator, n, channels))
    return Case({"gates": gates, "channel": whole(generator, 1, channels - 2), "k": k})


def top(gates: Tensor, channel: int, k: int) -> Tensor:
    return gates[:, channel].topk(k).indices


def openers_mistakes() -> list[Mistake]:
    return [
        Mistake("the images with the smallest gates", lambda g, c, k: g[:, c].topk(k, largest=False).indices),
        Mistake(
            "the images with the smallest gates, the largest of them first",
            lambda g, c, k: g[:, c].argsort(descending=True)[-k:],
        ),
        Mistake(
            "the gates themselves; asked are the numbers of the images, .indices",
            lambda g, c, k: g[:, c].topk(k).values,
        ),
        Mistake(
            "topk gives values and indices; asked are only the .indices",
            lambda g, c, k: tuple(g[:, c].topk(k)),
        ),
        Mistake(
            "a row for a column: gates[channel] is one image; a channel is gates[:, channel]",
            lambda g, c, k: g[c].topk(k).indices,
        ),
        Mistake(
            "the right images in ascending order; the largest gate comes first",
            lambda g, c, k: top(g, c, k).flip(0),
        ),
        Mistake(
            "the right images in order of their numbers, not of their gates",
            lambda g, c, k: top(g, c, k).sort().values,
        ),
        Mistake(
            "the channel is not used: these are places in all gates",
            lambda g, c, k: g.flatten().topk(k).indices,
        ),
        Mistake(
            "the channel is not used: the mean over all channels decides",
            lambda g, c, k: g.mean(dim=1).topk(k).indices,
        ),
        Mistake(
            "the channel is not used: the largest over all channels decides",
            lambda g, c, k: g.amax(dim=1).topk(k).indices,
        ),
        Mistake("the channel is not used: all channels are ranked", lambda g, c, k: g.topk(k, dim=0).indices),
        Mistake(
            "channels are ranked for each image; asked are images for one channel",
            lambda g, c, k: g.topk(k, dim=1).indices,
        ),
        Mistake("one image too many: k + 1", lambda g, c, k: top(g, c, k + 1)),
        Mistake("one image too few: k − 1", lambda g, c, k: top(g, c, k - 1)),
        Mistake("starts at the second image: counting begins at 0", lambda g, c, k: top(g, c, k + 1)[1:]),
        Mistake("all images are ranked; asked are the first k", lambda g, c, k: top(g, c, len(g))),
        Mistake("the channel before: channels count from 0", lambda g, c, k: top(g, c - 1, k)),
        Mistake("the channel after: channels count from 0", lambda g, c, k: top(g, c + 1, k)),
    ]


def labelled_gates(generator: torch.Generator) -> list[Case]:
    """Gates [n, C] of classes of different sizes, class 0 not first; n, C and classes vary."""
    cases = []
    for channels, classes in ((5, 4), (4, 3), (7, 5)):
        sizes = [3 + 2 * k + whole(generator, 0, 1) for k in range(classes)]
        labels = torch.tensor([k for k in range(classes) for _ in range(sizes[k])], device="cpu")
        labels = labels[torch.randperm(len(labels), generator=generator, device="cpu")]
        first = int((labels == classes - 1).int().argmax())
        labels = labels.roll(-first)  # the last class appears first
        level = normal(generator, classes, channels)
        gates = torch.sigmoid(level[labels] + normal(generator, len(labels), channels))
        cases.append(Case({"gates": gates, "labels": labels, "classes": classes}))
    return cases


def counts(labels: Tensor, classes: int) -> Tensor:
    """n_k [classes, 1]."""
    return labels.bincount(minlength=classes)[:, None]


def sums(gates: Tensor, labels: Tensor, classes: int) -> Tensor:
    return gates.new_zeros(classes, gates.shape[1]).index_add_(0, labels, gates)


def means(gates: Tensor, labels: Tensor, classes: int) -> Tensor:
    return sums(gates, labels, classes) / counts(labels, classes)


def last_of_class(gates: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.stack([gates[labels == k][-1] for k in range(classes)])


def in_order_of_appearance(labels: Tensor) -> list[int]:
    return list(dict.fromkeys(labels.tolist()))
