"""Chapter 10's part of the corpus in `wrong_answers`: importing it adds them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from wrong_answers import RIGHT, STUBS, WRONG

# --------------------------------------------------------------------------------------- 10.1 whole_kernel


def kernel_loops(weight, dilation):
    c_out, c_in, k, _ = weight.shape
    K = dilation * (k - 1) + 1
    whole = torch.zeros(c_out, c_in, K, K)
    for i in range(k):
        for j in range(k):
            whole[:, :, i * dilation, j * dilation] = weight[:, :, i, j]
    return whole


def kernel_kron(weight, dilation):
    one = torch.zeros(dilation, dilation)
    one[0, 0] = 1
    K = dilation * (weight.shape[-1] - 1) + 1
    return torch.kron(weight, one[None, None])[:, :, :K, :K]


def kernel_transposed(weight, dilation):
    """Every weight set down on a map, D apart: a transposed convolution with stride D."""
    c_out, c_in, k, _ = weight.shape
    maps = weight.reshape(c_out * c_in, 1, k, k)
    return F.conv_transpose2d(maps, torch.ones(1, 1, 1, 1), stride=dilation).reshape(
        c_out, c_in, -1, dilation * (k - 1) + 1
    )


def kernel_numpy(weight, dilation):
    w = weight.numpy()
    K = dilation * (w.shape[2] - 1) + 1
    whole = np.zeros((*w.shape[:2], K, K))
    whole[..., ::dilation, ::dilation] = w
    return whole


def kernel_of_side(side):
    """Zeros of a side, and the weights D apart in them as far as they go."""

    def my_whole_kernel(weight, dilation):
        whole = torch.zeros(*weight.shape[:2], side(weight.shape[-1], dilation), side(weight.shape[-1], dilation))
        whole[:, :, ::dilation, ::dilation] = weight
        return whole

    return my_whole_kernel


def kernel_d_zeros(weight, dilation):
    step = dilation + 1
    K = step * (weight.shape[-1] - 1) + 1
    whole = torch.zeros(*weight.shape[:2], K, K)
    whole[:, :, ::step, ::step] = weight
    return whole


def kernel_padded(weight, dilation):
    extra = (dilation - 1) * (weight.shape[-1] - 1) // 2
    return F.pad(weight, (extra, extra, extra, extra))


def kernel_corner(weight, dilation):
    c_out, c_in, k, _ = weight.shape
    K = dilation * (k - 1) + 1
    whole = torch.zeros(c_out, c_in, K, K)
    whole[:, :, :k, :k] = weight
    return whole


def kernel_rows(weight, dilation):
    c_out, c_in, k, _ = weight.shape
    whole = torch.zeros(c_out, c_in, dilation * (k - 1) + 1, k)
    whole[:, :, ::dilation] = weight
    return whole


def kernel_columns(weight, dilation):
    c_out, c_in, k, _ = weight.shape
    whole = torch.zeros(c_out, c_in, k, dilation * (k - 1) + 1)
    whole[..., ::dilation] = weight
    return whole


def kernel_in_place(weight, dilation):
    weight *= 2
    return kernel_loops(weight / 2, dilation)


RIGHT["whole_kernel"] = {
    "loops": kernel_loops,
    "kron": kernel_kron,
    "transposed convolution": kernel_transposed,
    "numpy": kernel_numpy,
}
WRONG["whole_kernel"] = [
    (kernel_of_side(lambda k, D: D * k), "zeros follow the last weight too"),
    (kernel_of_side(lambda k, D: 2 * D + 1), "2D + 1 is right for a 3×3 only"),
    (kernel_of_side(lambda k, D: k + D - 1), "the side is not D(k - 1) + 1"),
    (kernel_d_zeros, "D zeros stand between neighbours"),
    (kernel_padded, "the zeros stand around the weights"),
    (kernel_corner, "together in a corner"),
    (kernel_rows, "zeros between the rows only"),
    (kernel_columns, "zeros between the columns only"),
    (lambda w, D: w.repeat_interleave(D, 2).repeat_interleave(D, 3), "each weight is repeated"),
    (lambda w, D: F.interpolate(w, scale_factor=D), "each weight is repeated"),
    (lambda w, D: F.interpolate(w, D * (w.shape[-1] - 1) + 1), "the kernel is resized"),
    (lambda w, D: F.interpolate(w, D * (w.shape[-1] - 1) + 1, mode="bilinear"), "the kernel is interpolated"),
    (lambda w, D: w, "the dilation is not used"),
    (lambda w, D: kernel_loops(w, D).flip((2, 3)), "turned round"),
    (lambda w, D: kernel_loops(w, D).transpose(2, 3), "rows and columns are swapped"),
    (lambda w, D: kernel_loops(w, D).transpose(0, 1), "the two channel axes are swapped"),
    (lambda w, D: kernel_loops(0 * w, D), "the weights are missing"),
    (kernel_in_place, "changes its argument weight in place"),
    (lambda w, D: 2 * kernel_loops(w, D), "the largest difference is at"),
]
STUBS["whole_kernel"] = []

# --------------------------------------------------------------------------------------------- 10.2 select


def select_loop(maps, logits):
    a = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
    V = torch.zeros_like(maps[:, 0])
    for m in range(maps.shape[1]):
        V += a[:, m, :, None, None] * maps[:, m]
    return V


def select_loops(maps, logits):
    N, M, C, H, W = maps.shape
    V = torch.zeros(N, C, H, W)
    for n in range(N):
        for c in range(C):
            weights = torch.softmax(logits[n, :, c], 0)
            for m in range(M):
                V[n, c] = V[n, c] + weights[m] * maps[n, m, c]
    return V


def select_with(weights, axis=1):
    """Maps weighed by what `weights` makes of the logits, added up over an axis."""
    return lambda maps, logits: (weights(logits).unsqueeze(-1).unsqueeze(-1) * maps).sum(axis)


def select_two(maps, logits):
    """For two branches only."""
    a = torch.sigmoid(logits[:, 0] - logits[:, 1])[:, :, None, None]
    return a * maps[:, 0] + (1 - a) * maps[:, 1]


def select_flat_weights(maps, logits):
    return (logits.softmax(1) * maps).sum(1)


def select_in_place(maps, logits):
    maps *= logits.softmax(1)[..., None, None]
    return maps.sum(1)


softmax = torch.nn.Softmax(dim=1)
RIGHT["select"] = {
    "loop over branches": select_loop,
    "loops": select_loops,
    "einsum": lambda maps, logits: torch.einsum("nmc,nmchw->nchw", logits.softmax(1), maps),
    "module": select_with(softmax),
}
WRONG["select"] = [
    (select_with(lambda x: x.softmax(-1)), "the softmax runs over the channels"),
    (select_with(lambda x: x.softmax(0)), "the softmax runs over the images"),
    (select_with(torch.sigmoid), "a sigmoid for each branch"),
    (select_with(lambda x: x), "the softmax is missing"),
    (select_with(lambda x: x.exp()), "without dividing"),
    (select_with(lambda x: softmax(softmax(x))), "a softmax of the softmax"),
    (select_with(lambda x: softmax(-x)), "minus the logits"),
    (select_with(lambda x: softmax(x).flip(1)), "in reverse order"),
    (select_with(lambda x: (x == x.amax(1, keepdim=True)).float()), "argmax"),
    (select_with(lambda x: x / x.sum(1, keepdim=True)), "divided by their sum"),
    (select_with(softmax, axis=2), "the sum runs over the channels"),
    (lambda maps, logits: maps.sum(1), "the plain sum of the maps"),
    (lambda maps, logits: maps.mean(1), "the plain mean of the maps"),
    (lambda maps, logits: (softmax(logits)[..., None, None] * maps).mean(1), "the mean over branches in place"),
    (lambda maps, logits: (softmax(logits)[..., None, None] * maps).max(1).values, "the maximum over branches"),
    (lambda maps, logits: softmax(logits)[:, 0, :, None, None] * maps[:, 0], "only the first branch"),
    (lambda maps, logits: softmax(logits)[..., None, None] * maps, "returned one by one"),
    (lambda maps, logits: softmax(logits), "the attention is returned without the maps"),
    (select_two, "For 3 branches"),
    (select_flat_weights, "it stopped with RuntimeError"),
    (select_in_place, "changes its argument maps in place"),
]
STUBS["select"] = []

# ----------------------------------------------------------------------------------------- 10.3 sk_weights


def weights_line(channels, branches, groups, reduction, min_width):
    d = max(channels // reduction, min_width)
    return 9 * branches * channels**2 // groups + (branches + 1) * channels * d


def weights_layers(channels, branches, groups, reduction, min_width):
    """Layers made and counted."""
    d = max(int(channels / reduction), min_width)
    convs = [torch.nn.Conv2d(channels, channels, 3, groups=groups, bias=False) for _ in range(branches)]
    linear = torch.nn.Linear(channels, d, bias=False), torch.nn.Linear(d, branches * channels, bias=False)
    return sum(p.numel() for layer in (*convs, *linear) for p in layer.parameters())


def weights_numpy(channels, branches, groups, reduction, min_width):
    d = np.maximum(channels // reduction, min_width)
    filters = np.full((branches, channels), channels // groups * 9)
    return filters.sum() + channels * d + branches * channels * d


def weights_of(d=lambda c, r, L: max(c // r, L), kernels=lambda c, m, g: 9 * m * c * c / g, w=1, a=None, more=None):
    """Another d, other kernels, another number of W or of A, or something more."""

    def my_sk_weights(channels, branches, groups, reduction, min_width):
        width = d(channels, reduction, min_width)
        matrices = w + (branches if a is None else a)
        extra = more(channels, branches, width) if more else 0
        return kernels(channels, branches, groups) + matrices * channels * width + extra

    return my_sk_weights


RIGHT["sk_weights"] = {"a line": weights_line, "layers": weights_layers, "numpy": weights_numpy}
WRONG["sk_weights"] = [
    (weights_of(d=lambda c, r, L: c // r), "it is at least L"),
    (weights_of(d=lambda c, r, L: min(c // r, L)), "the smaller of C/r and L"),
    (weights_of(d=lambda c, r, L: L), "d is L; it is C/r where that is larger"),
    (weights_of(d=lambda c, r, L: max(c / r, L)), "C/r is not rounded down"),
    (weights_of(kernels=lambda c, m, g: 9 * m * c * c), "the groups are not used"),
    (weights_of(kernels=lambda c, m, g: 9 * m * (c // g) ** 2), "the groups count twice"),
    (weights_of(kernels=lambda c, m, g: 9 * m * c * c * g), "multiplied by G"),
    (weights_of(kernels=lambda c, m, g: 9 * c * c // g), "the kernel of one branch only"),
    (weights_of(kernels=lambda c, m, g: sum(k * k for k in (3, 5, 7, 9)[:m]) * c * c // g), "at any D"),
    (weights_of(kernels=lambda c, m, g: 3 * m * c * c // g), "3×3 is 9"),
    (weights_of(kernels=lambda c, m, g: 0), "the kernels are missing"),
    (weights_of(w=0), "W is missing"),
    (weights_of(a=0), "A, B and so on are missing"),
    (weights_of(w=0, a=0), "W, A, B and so on are missing"),
    (weights_of(a=1), "A is counted once"),
    (weights_of(more=lambda c, m, d: 2 * m * c + 2 * d), "BN is counted"),
    (weights_of(more=lambda c, m, d: 2 * m * c + d), "biases are counted"),
    (weights_of(more=lambda c, m, d: m * c + d), "biases are counted"),
    (weights_of(more=lambda c, m, d: m * c), "biases are counted"),
    (weights_of(more=lambda c, m, d: 100), "For C = 128, SK[2, 32, 16], L = 32 it gives 21,604 instead of 21,504"),
]
STUBS["sk_weights"] = []

# --------------------------------------------------------------------------------------------- 10.4 closer


def closer_index(images, factor):
    """Each row and column of the result asks where it comes from."""
    H, W = images.shape[-2:]
    rows = torch.arange(H) // factor + (H - H // factor) // 2
    columns = torch.arange(W) // factor + (W - W // factor) // 2
    return images[:, :, rows][:, :, :, columns]


def closer_interpolate(images, factor):
    H, W = images.shape[2], images.shape[3]
    top, left = (H - H // factor) // 2, (W - W // factor) // 2
    middle = images[:, :, top : H - top, left : W - left]
    return F.interpolate(middle.float(), scale_factor=factor, mode="nearest")


def closer_numpy(images, factor):
    a = images.numpy()
    H, W = a.shape[2:]
    t, l = (H - H // factor) // 2, (W - W // factor) // 2  # noqa: E741
    return np.repeat(np.repeat(a[:, :, t : H - t, l : W - l], factor, 2), factor, 3)


def cut(images, factor):
    H, W = images.shape[-2:]
    t, left = (H - H // factor) // 2, (W - W // factor) // 2
    return images[..., t : t + H // factor, left : left + W // factor]


def repeated(images, factor):
    return images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def closer_corner(images, factor):
    return repeated(images[:, :, : images.shape[2] // factor, : images.shape[3] // factor], factor)


def closer_square(images, factor):
    """The same rows and columns, as if images were square."""
    h = images.shape[-2] // factor
    t = (images.shape[-2] - h) // 2
    return repeated(images[:, :, t : t + h, t : t + h], factor)


def closer_black(images, factor):
    kept = torch.zeros_like(images)
    cut(kept, factor)[:] = cut(images, factor)
    return kept


def closer_rows(images, factor):
    h = images.shape[2] // factor
    t = (images.shape[2] - h) // 2
    return images[:, :, t : t + h].repeat_interleave(factor, 2)


def closer_in_place(images, factor):
    out = closer_index(images, factor)
    images[:] = out
    return images


RIGHT["closer"] = {"index": closer_index, "interpolate": closer_interpolate, "numpy": closer_numpy}
WRONG["closer"] = [
    (cut, "cut out and not enlarged"),
    (repeated, "the whole image is enlarged"),
    (closer_corner, "the top left corner"),
    (lambda x, f: cut(x, f).tile(1, 1, f, f), "the middle is laid side by side"),
    (lambda x, f: F.interpolate(cut(x, f).float(), scale_factor=f, mode="bilinear"), "interpolated between"),
    (lambda x, f: x[..., ::f, ::f], "every factor-th pixel is kept"),
    (lambda x, f: repeated(x[..., ::f, ::f], f), "made coarser"),
    (closer_rows, "only the rows are treated"),
    (lambda x, f: cut(x, f).repeat_interleave(f, 2), "repeated down only"),
    (lambda x, f: cut(x, f).repeat_interleave(f, 3), "repeated across only"),
    (closer_black, "made black"),
    (lambda x, f: closer_index(x, f).mT, "rows and columns are swapped"),
    (lambda x, f: x, "come back as they were"),
    (closer_square, "the result should have the shape"),
    (closer_in_place, "changes its argument images in place"),
    (lambda x, f: closer_index(x, f).roll(1, 2), "the largest difference is at"),
]
STUBS["closer"] = []
