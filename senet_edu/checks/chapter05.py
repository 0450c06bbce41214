"""Exercises of chapter 05: weight decay, learning rate, the difference over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from senet_edu.blocks import SEBlock
from senet_edu.checks.verdicts import (
    Case,
    Finding,
    Mistake,
    NotTried,
    Verdict,
    diagnose,
    normal,
    own_random_numbers,
    seeded,
    whole,
)
from senet_edu.models import create_model

# 5.2


@dataclass(frozen=True)
class Weight:
    """What a rule may ask about a parameter."""

    name: str
    in_se: bool
    in_bn: bool


Rule = Callable[[Weight], bool]


def parameter_groups(my_parameter_groups: Any) -> Verdict:
    """Exercise 5.2: groups for torch.optim.SGD: parameters of SEBlocks with decay 0, all others with λ."""
    with own_random_numbers():
        model = create_model("se_resnet18", width=1 / 16)
    kinds = weights_of(model)
    cases = [Case({"model": model, "weight_decay": rate}, f"weight_decay = {rate}") for rate in (0.01, 0.3)]
    in_se = sum(kind.in_se for kind in kinds)
    return diagnose(
        "5.2",
        my_parameter_groups,
        cases,
        two_groups,
        group_mistakes(),
        f"Each of the {len(kinds)} parameters is in one group, and the {in_se} of SE blocks have no decay.",
        read=count_and_decay,
        difference=partial(first_wrong_parameter, kinds),
    )


def group_mistakes() -> list[Mistake]:
    def free(says: str, rule: Rule) -> Mistake:
        return Mistake(says, partial(two_groups, free=rule))

    def kept(says: str, rule: Rule) -> Mistake:
        return Mistake(says, partial(two_groups, kept=rule))

    return [
        kept("the SE parameters are in no group, so they are never trained", lambda w: not w.in_se),
        kept("only the SE parameters are in a group; the others are never trained", lambda w: w.in_se),
        Mistake("the SE parameters are in both groups; take them out of the first", overlapping),
        free("the decay is reversed: SE blocks have it, and the rest has none", lambda w: not w.in_se),
        free("every parameter has weight decay, those of SE blocks too", lambda w: False),
        free("no parameter has weight decay", lambda w: True),
        free("the biases of SE blocks still have weight decay", lambda w: w.in_se and "weight" in w.name),
        free("the weights of SE blocks still have weight decay", lambda w: w.in_se and "bias" in w.name),
        free(
            "only fc1 of each SE block is without decay; fc2 belongs to it too",
            lambda w: w.in_se and ".fc1." in w.name,
        ),
        free(
            "only fc2 of each SE block is without decay; fc1 belongs to it too",
            lambda w: w.in_se and ".fc2." in w.name,
        ),
        free("the classifier, model.fc, lost its decay; its name has fc in it too", lambda w: "fc" in w.name),
        free("batch normalisation lost its decay too; only SE blocks should", lambda w: w.in_se or w.in_bn),
        free("batch normalisation is without decay in place of the SE blocks", lambda w: w.in_bn),
        free(
            "biases and BN lost their decay too; only SE blocks should",
            lambda w: w.in_se or w.in_bn or "bias" in w.name,
        ),
        free("biases outside SE blocks lost their decay too", lambda w: w.in_se or w.name == "fc.bias"),
        free("all biases are without decay, in place of the SE blocks", lambda w: "bias" in w.name),
        kept(
            "the parameters of batch normalisation are in no group, so they are never trained",
            lambda w: not w.in_bn,
        ),
        kept("the biases are in no group, so they are never trained", lambda w: "bias" not in w.name),
        kept(
            "the classifier is in no group, so it is never trained",
            lambda w: w.in_se or "fc" not in w.name,
        ),
    ]


def two_groups(
    model: nn.Module, weight_decay: float, free: Rule = lambda w: w.in_se, kept: Rule = lambda w: True
) -> list[dict[str, Any]]:
    """The parameters that a rule keeps, those that another frees from decay apart."""
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": weight_decay},
        {"params": [], "weight_decay": 0.0},
    ]
    for kind, parameter in zip(weights_of(model), model.parameters(), strict=True):
        if kept(kind):
            groups[free(kind)]["params"].append(parameter)
    return groups


def overlapping(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    everything = {"params": list(model.parameters()), "weight_decay": weight_decay}
    return [everything, two_groups(model, weight_decay)[1]]


def weights_of(model: nn.Module) -> list[Weight]:
    """What kind each parameter is, in the model's order."""

    def inside(kind: type[nn.Module]) -> set[int]:
        return {id(p) for m in model.modules() if isinstance(m, kind) for p in m.parameters()}

    se, bn = inside(SEBlock), inside(nn.BatchNorm2d)
    return [Weight(name, id(p) in se, id(p) in bn) for name, p in model.named_parameters()]


def count_and_decay(function: Callable[..., Any], model: nn.Module, weight_decay: float) -> Tensor:
    """[P, 2]: how many times each parameter is in a group, and the sum of its decays there."""
    try:
        groups = function(model, weight_decay)
    except RuntimeError as error:
        if "size of tensor" not in str(error) and "Boolean value" not in str(error):
            raise
        raise Finding(
            "`in` and `==` compare tensors number by number, which fails here: tell parameters apart by id(p)"
        ) from None
    if groups is None or groups is Ellipsis:
        raise NotTried
    if isinstance(groups, dict | Tensor):
        raise Finding(f"It returns a {type(groups).__name__}; SGD takes a list of dicts")
    row = {id(p): i for i, p in enumerate(model.parameters())}
    table = torch.zeros(len(row), 2, dtype=torch.float64)
    for group in groups:
        for parameter in members(group):
            if id(parameter) not in row:
                raise Finding("A group holds tensors that are not the model's own parameters, perhaps copies")
            table[row[id(parameter)]] += torch.tensor([1.0, float(group["weight_decay"])])
    return table


def members(group: Any) -> list[Tensor]:
    """The parameters of a group, which may come as (name, parameter), as SGD allows."""
    if not isinstance(group, dict) or not {"params", "weight_decay"} <= group.keys():
        raise Finding('Each group is a dict with "params" and "weight_decay"')
    found = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
    if not found and isinstance(group["params"], Iterator):
        raise Finding("A group is empty: its generator was read before, which works once; make it a list")
    found = [p[1] if isinstance(p, tuple) else p for p in found]
    if not all(isinstance(p, Tensor) for p in found):
        raise Finding(f"A group holds a {type(found[0]).__name__} where a parameter is wanted")
    return found


def first_wrong_parameter(kinds: list[Weight], case: Case, got: Tensor, expected: Tensor) -> str:
    """The first parameter that is missing, in two groups, or has the wrong decay."""
    row = int((got - expected).abs().gt(1e-9).any(dim=1).int().argmax())
    count, decay = got[row].tolist()
    name, wanted = kinds[row].name, expected[row, 1].item()
    if count == 0:
        return f"{name} is in no group"
    if count > 1:
        return f"{name} is in the groups {int(count)} times"
    return f"{name} has weight decay {decay:g} instead of {wanted:g}"


# 5.1

STEPS = [i / 20 for i in range(21)]


def triangle(my_learning_rate: Any) -> Verdict:
    """Exercise 5.1: the rate at `progress` (0 to 1): lines from 0 to `peak` at `warmup`, and to 0 at 1."""
    generator = seeded(52)
    cases = [
        triangle_case(peak=whole(generator, 2, 9) / 10, warmup=whole(generator, 4, 8) / 20),
        triangle_case(peak=whole(generator, 11, 19) / 10, warmup=whole(generator, 12, 16) / 20),
        triangle_case(peak=0.05, warmup=0.1),
    ]
    return diagnose(
        "5.1",
        my_learning_rate,
        cases,
        line,
        triangle_mistakes(),
        "0 at the start, the peak at `warmup`, 0 at the end, and straight lines between.",
        read=along_the_run,
        difference=off_the_triangle,
    )


def triangle_case(peak: float, warmup: float) -> Case:
    return Case({"progress": STEPS, "peak": peak, "warmup": warmup}, f"peak = {peak}, warmup = {warmup}")


def along_the_run(rate: Callable[..., Any], progress: list[float], peak: float, warmup: float) -> list[Any]:
    rates = [rate(p, peak, warmup) for p in progress]
    nothing = [p for p, r in zip(progress, rates, strict=True) if r is None]
    if 0 < len(nothing) < len(rates):
        raise Finding(f"It returns nothing at progress = {nothing[0]}, peak = {peak}, warmup = {warmup}")
    return rates


def line(p: float, peak: float, warmup: float) -> float:
    return peak * (p / warmup if p < warmup else (1 - p) / (1 - warmup))


def triangle_mistakes() -> list[Mistake]:
    return [
        Mistake(
            "it never falls: after the warm-up it stays at the peak",
            lambda p, top, w: top * min(p / w, 1),
        ),
        Mistake("it rises on past the peak and never falls", lambda p, top, w: top * p / w),
        Mistake(
            "half cosines; asked are straight lines",
            lambda p, top, w: top * (1 - math.cos(math.pi * line(p, 1, w))) / 2,
        ),
        Mistake("half a cosine on the way down; asked is a straight line", cosine_down),
        Mistake("the peak is at the middle, whatever `warmup` is", lambda p, top, w: line(p, top, 0.5)),
        Mistake(
            "the peak is at 1 − warmup, so rise and fall have changed places",
            lambda p, top, w: line(p, top, 1 - w),
        ),
        Mistake("it starts at the peak: the rise from 0 is missing", lambda p, top, w: top * (1 - p)),
        Mistake(
            "it starts at the peak: the rise from 0 is missing",
            lambda p, top, w: top * min(1, (1 - p) / (1 - w)),
        ),
        Mistake(
            "it starts at the peak and falls during the warm-up",
            lambda p, top, w: top - line(p, top, w),
        ),
        Mistake(
            "it rises to the very end: `warmup` is a share of the run, not a number of steps or epochs",
            lambda p, top, w: top * p,
        ),
        Mistake(
            "on the way up progress is multiplied by `warmup`; it is divided by it",
            lambda p, top, w: top * p * w if p < w else line(p, top, w),
        ),
        Mistake(
            "it does not end at 0: on the way down, 1 − progress + warmup is still `warmup` at the end; "
            "divide what is left, 1 − progress, by 1 − warmup",
            lambda p, top, w: line(p, top, w) if p < w else top * (1 - (p - w)),
        ),
        Mistake(
            "it jumps down at the peak: divide 1 − progress by 1 − warmup",
            lambda p, top, w: line(p, top, w) if p < w else top * (1 - p),
        ),
        Mistake("it falls as fast as it rose, below 0; the fall takes all the rest of the run", as_fast),
        Mistake(
            "it falls as fast as it rose; the fall takes all the rest of the run",
            lambda p, top, w: max(as_fast(p, top, w), 0),
        ),
        Mistake("it starts at a tenth of the peak; here it starts at 0", partial(above_zero, start=0.1)),
        Mistake("it does not end at 0 but at a tenth of the peak", partial(above_zero, end=0.1)),
        Mistake("it does not end at 0 but at a hundredth of the peak", partial(above_zero, end=0.01)),
        Mistake("`peak` is not used: it gives shares from 0 to 1", lambda p, top, w: line(p, 1, w)),
    ]


def cosine_down(p: float, peak: float, warmup: float) -> float:
    share = line(p, 1, warmup)
    return peak * (share if p < warmup else (1 - math.cos(math.pi * share)) / 2)


def as_fast(p: float, peak: float, warmup: float) -> float:
    return peak * min(p / warmup, 2 - p / warmup)


def above_zero(p: float, peak: float, warmup: float, start: float = 0.0, end: float = 0.0) -> float:
    share, floor = line(p, 1, warmup), start if p < warmup else end
    return peak * (floor + (1 - floor) * share)


def off_the_triangle(case: Case, got: Tensor, expected: Tensor) -> str:
    """The first property of the triangle that does not hold, else the largest difference."""
    peak = case.arguments["peak"]
    if abs(got[0]) > 1e-6:
        return f"it starts at {got[0]:.4g}, not at 0"
    if abs(got[-1]) > 1e-6:
        return f"it does not end at 0: at progress = 1 it is {got[-1]:.4g}"
    if got.max() > peak + 1e-6:
        return f"it exceeds the peak: {got.max():.4g}"
    at = int((got - expected).abs().argmax())
    return f"at progress = {STEPS[at]:g} it is {got[at]:.4g} instead of {expected[at]:.4g}"


# 5.3

Numbers = Sequence[float]


def paired_difference(my_paired_difference: Any) -> Verdict:
    """Exercise 5.3: d_i = se_i − plain_i of the same seeds: their mean, and its standard error sd(d)/√n."""
    generator = seeded(53)
    cases = [accuracies(generator, n) for n in (3, 5, 8)]
    right = "The mean difference, and the standard error of the differences seed by seed."
    return diagnose(
        "5.3",
        my_paired_difference,
        cases,
        paired,
        paired_mistakes(),
        right,
        read=in_any_form,
        difference=wrong_half,
    )


def accuracies(generator: torch.Generator, n: int) -> Case:
    """Accuracies in per cent of n seeds; a good seed is good for both networks."""
    seed = normal(generator, n)
    plain = 93 + seed + 0.2 * normal(generator, n)
    se = 93.4 + seed + 0.2 * normal(generator, n)
    se[0] = plain[0] - 0.3  # one seed where SE loses, so that absolute differences differ
    rounded = [[round(x, 2) for x in values.tolist()] for values in (se, plain)]
    return Case({"se": rounded[0], "plain": rounded[1]}, f"{n} seeds")


def in_any_form(function: Callable[..., Any], se: list[float], plain: list[float]) -> Any:
    """A sequence may be a list, a tensor or an array: the first form that the function can read decides."""
    try:
        return function(se, plain)
    except (TypeError, AttributeError) as error:
        if "ellipsis" in str(error):
            raise
        first = error
    one, other = (torch.tensor(values, dtype=torch.float64) for values in (se, plain))
    for form in ((one, other), (one.numpy(), other.numpy())):
        try:
            return function(*form)
        except (TypeError, AttributeError):
            continue
    raise first


def mean(x: Numbers) -> float:
    return sum(x) / len(x)


def variance(x: Numbers, ddof: int = 1) -> float:
    return sum((v - mean(x)) ** 2 for v in x) / (len(x) - ddof)


def differences(se: Numbers, plain: Numbers) -> list[float]:
    return [a - b for a, b in zip(se, plain, strict=True)]


def standard_error(x: Numbers) -> float:
    return math.sqrt(variance(x) / len(x))


def paired(se: Numbers, plain: Numbers) -> tuple[float, float]:
    d = differences(se, plain)
    return mean(d), standard_error(d)


def paired_mistakes() -> list[Mistake]:
    def spread(says: str, of: Callable[[list[float]], float]) -> Mistake:
        """The mean is right, and the standard error is another number made of the differences."""
        return Mistake(says, lambda se, plain: (mean(differences(se, plain)), of(differences(se, plain))))

    return [
        Mistake(
            "the standard error is the unpaired one; take the differences seed by seed first, and what a "
            "seed does to both networks drops out",
            unpaired,
        ),
        Mistake("the standard error is the unpaired one, with n for n − 1", partial(unpaired, ddof=0)),
        spread("the standard deviation divides by n; of a sample it divides by n − 1 (ddof=1)", without_ddof),
        spread("the standard deviation is not yet divided by √n", lambda d: math.sqrt(variance(d))),
        spread(
            "the standard deviation (with n for n − 1) is not divided by √n",
            lambda d: math.sqrt(variance(d, 0)),
        ),
        spread(
            "the standard deviation is divided by n, not by √n",
            lambda d: math.sqrt(variance(d)) / len(d),
        ),
        spread("the variance stands for the standard deviation: the square root is missing", variance),
        spread(
            "the variance is divided by n, and the square root is missing",
            lambda d: variance(d) / len(d),
        ),
        spread("the variance stands for the standard deviation", lambda d: variance(d) / math.sqrt(len(d))),
        Mistake("the standard error is that of se alone; asked is that of the differences", first_alone),
        spread("√(2n) stands for √n: a pair counts once", lambda d: math.sqrt(variance(d) / len(d) / 2)),
        spread(
            "half the width of a 95 % interval; asked is one standard error",
            lambda d: 1.96 * standard_error(d),
        ),
        spread("two standard errors; asked is one", lambda d: 2 * standard_error(d)),
        Mistake(
            "the sign is reversed: it is se − plain, above 0 where SE is better",
            lambda se, plain: paired(plain, se),
        ),
        Mistake("absolute differences: a seed where SE loses must count against it", absolute),
        Mistake(
            "the two numbers have changed places: the mean comes first",
            lambda se, plain: paired(se, plain)[::-1],
        ),
        Mistake(
            "only the mean comes back; asked is (mean, standard error)",
            lambda se, plain: paired(se, plain)[0],
        ),
        Mistake(
            "only the standard error comes back; asked is (mean, standard error)",
            lambda se, plain: paired(se, plain)[1],
        ),
        Mistake("the sum of the differences stands for their mean", summed),
        Mistake("differences relative to the plain network; asked are plain differences", relative),
    ]


def unpaired(se: Numbers, plain: Numbers, ddof: int = 1) -> tuple[float, float]:
    return mean(se) - mean(plain), math.sqrt((variance(se, ddof) + variance(plain, ddof)) / len(se))


def without_ddof(d: Numbers) -> float:
    return math.sqrt(variance(d, ddof=0) / len(d))


def first_alone(se: Numbers, plain: Numbers) -> tuple[float, float]:
    return mean(se) - mean(plain), standard_error(se)


def absolute(se: Numbers, plain: Numbers) -> tuple[float, float]:
    d = [abs(x) for x in differences(se, plain)]
    return mean(d), standard_error(d)


def summed(se: Numbers, plain: Numbers) -> tuple[float, float]:
    d = differences(se, plain)
    return sum(d), standard_error(d)


def relative(se: Numbers, plain: Numbers) -> tuple[float, float]:
    d = [(a - b) / b for a, b in zip(se, plain, strict=True)]
    return mean(d), standard_error(d)


def wrong_half(case: Case, got: Tensor, expected: Tensor) -> str:
    """Which of the two numbers is wrong."""
    names = ("mean difference", "standard error")
    wrong = [i for i in range(2) if not torch.isclose(got[i], expected[i], rtol=1e-4)]
    return " and ".join(f"the {names[i]} is {got[i]:.4g} instead of {expected[i]:.4g}" for i in wrong)
