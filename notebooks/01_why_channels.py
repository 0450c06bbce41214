# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,slideshow,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: jupytext,kernelspec,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 1}
# # 01 · Why channels? What a convolution mixes, and what it cannot see

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/01_why_channels.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/01_why_channels.py) [slides](https://senet-edu.github.io/senet-edu/slides/01_why_channels.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** say what a convolution mixes and what it cannot see, prove that a small plain network must fail at a certain task, and watch one Squeeze-and-Excitation (SE) block solve it.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** convolution, backpropagation and a little PyTorch: you have called `nn.Conv2d` and `loss.backward()` before. Nothing about attention. Words and symbols are explained where they first appear; the [glossary](C_words_and_symbols.ipynb) has them all.

# %% [markdown]
# | | two CPU cores | a Colab T4 |
# |---|---|---|
# | time to run | 48 s<!-- record: chapter-times.01_why_channels.seconds --> | about the same: fifteen tiny networks train on its CPU (estimated, nobody here has measured it) |
# | download | none: the photograph comes with matplotlib, all else is drawn | the same |

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper is Hu et al., *Squeeze-and-Excitation Networks*, [arXiv 1709.01507](https://arxiv.org/abs/1709.01507). Equation and table numbers here are the paper's. The course grew out of five notes on SE found on the web; where one has an error, we say so.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Attention: spend on what matters
#
# You see sharply only where you look: fine detail fits into about the width of your thumb at arm's length. So the eye and the brain choose, all the time.

# %% [markdown] slideshow={"slide_type": "notes"}
# They choose *where* to look next, and they choose *what* to look for: somebody who searches for a red coat sees red things first, wherever they are.

# %% [markdown] slideshow={"slide_type": "-"}
# This is *selective attention*: a limited resource goes to what matters now, and the rest is set back.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Computers took the idea up more than once.
#
# - Models of human vision computed a map of what stands out, and looked there (Itti, Koch and Niebur, 1998).
# - In machine translation, a network weighs the words of the source sentence anew for each word that it writes ([Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473)). This worked so well that whole networks are now made of attention ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)).
# - Vision networks learned to look at a few patches one after the other ([Mnih et al., 2014](https://arxiv.org/abs/1406.6247)), to weigh places for each word of a caption ([Xu et al., 2015](https://arxiv.org/abs/1502.03044)), or to cut out and straighten the interesting part (spatial transformers, [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025)).

# %% [markdown] slideshow={"slide_type": "notes"}
# These vision networks choose mostly *where*. Other designs of the time worked on space too: Inception, for one, lets kernels of several sizes work side by side.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# SE asks the other question: *which channel?* In a layer's output the positions say where something is, and the channels say what it is, because each channel is the map of one learned feature. An SE block looks at the whole image, computes a number between 0 and 1 for each channel, its *gate*, and multiplies the channel by it.

# %% [markdown] slideshow={"slide_type": "notes"}
# The word is an old one: LSTM, a network for sequences (1997), has gates too, numbers that say how much to let through.
#
# The idea went far at once. Networks with SE blocks won the ImageNet classification contest of 2017 with 2.251 % top-5 error on the test set; the year before it was 2.991 %. (*Top-5 error*: the share of images whose class is not among the network's five first guesses.) One note dates the paper to CVPR 2017; the contest was in 2017, the paper came to CVPR in 2018. Later networks, such as MobileNetV3, have SE blocks built in.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Here is the difference as a picture.

# %% [markdown] slideshow={"slide_type": "notes"}
# The photograph shows Grace Hopper, who wrote one of the first compilers (official US Navy portrait, 1984, public domain; it comes with matplotlib). It has three channels: red, green and blue.

# %% tags=["nbval-check-output"]
import numpy as np
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image

import senet_edu as se
from senet_edu import checks, figures

torch.manual_seed(0)
with Image.open(get_sample_data("grace_hopper.jpg")) as file:
    picture = file.crop((0, 0, 512, 512)).resize((128, 128), Image.Resampling.BOX)
photo = torch.from_numpy(np.array(picture)).permute(2, 0, 1)  # uint8 [3, 128, 128]
x = photo[None] / 255  # [1, 3, 128, 128]: one image, three channels; numbers from 0 to 1
print(tuple(x.shape))

# %% [markdown] slideshow={"slide_type": "notes"}
# *Where*-attention has a weight for each position, shared by all channels; here the weights fade with the distance from the face. *Which*-attention has a weight for each channel, shared by all positions; here it prefers red. (We chose both by hand. A network computes them from the image.)

# %% tags=["nbval-check-output"]
row, column = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")  # [128, 128] each
where = torch.exp(-((row - 54) ** 2 + (column - 66) ** 2) / (2 * 24**2))  # [128, 128], highest on the face
which = torch.tensor([1.0, 0.4, 0.1])  # [3], for red, green and blue

assert (x[0] * where).shape == (x[0] * which[:, None, None]).shape == x[0].shape
print(f"where: {where.numel():,} weights; which: {which.numel()}")

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.where_and_which(x[0], where, which),
    alt="Three rows. First the photograph and its red, green and blue channels. Second, each channel times one map of "
    "weights, a bright disc on the face: the picture fades away from the face in all channels. Third, each channel times "
    "a weight of its own, 1 for red, 0.4 for green, 0.1 for blue: every place is still there, and the picture is red.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What a convolution mixes
#
# A convolution turns $C'$ maps $X = [x^1, \dots, x^{C'}]$ into $C$ maps $U = [u_1, \dots, u_C]$. Each $u_c$ has a filter $v_c$ of its own, made of one small kernel $v_c^s$ for each input channel $s$ (eq. 1, without a bias):
#
# $$u_c = v_c * X = \sum_{s=1}^{C'} v_c^s * x^s$$
#
# The star slides the kernel over the map, multiplies and sums. For a 3×3 kernel, with $a$ and $b$ running over $-1, 0, 1$:
#
# $$(v_c^s * x^s)(i, j) = \sum_{a, b} v_c^s(a, b)\; x^s(i + a,\, j + b)$$

# %% [markdown] slideshow={"slide_type": "notes"}
# (Textbooks turn the kernel round before they slide it. Networks do not; since the kernels are learned, it makes no difference.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# We make four filters by hand: a blur, edges that run upright or across, and a difference of colours.

# %%
edge = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 12  # [3, 3]: right minus left
V = torch.zeros(4, 3, 3, 3)  # [C, C', 3, 3]
V[0] = 1 / 27  # blur: all nine places of all three channels alike
V[1] = edge  # upright edges, in every channel
V[2] = edge.T  # edges across
V[3, 0, 1, 1], V[3, 2, 1, 1] = 1, -1  # red minus blue, at the middle of the kernel
FILTERS = ("blur", "upright edges", "edges across", "red − blue")

# %% [markdown] slideshow={"slide_type": "notes"}
# For every filter we compute the three summands $v_c^s * x^s$, one input channel at a time, and compare their sum with PyTorch's convolution. In the figure yellow is above 0, blue below, grey about 0.

# %% tags=["nbval-check-output"]
from torch.nn import functional as F

u = F.conv2d(x, V, padding=1)  # [1, C, 128, 128]
parts = [F.conv2d(x[:, s : s + 1], V[:, s : s + 1], padding=1) for s in range(3)]  # three of [1, C, 128, 128]

assert torch.allclose(u, parts[0] + parts[1] + parts[2], atol=1e-5)
print("a convolution is a sum over input channels:", tuple(u.shape))

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
columns = torch.cat([*parts, u])  # [4, C, 128, 128]: red's part, green's, blue's, their sum
figures.show(
    figures.feature_maps(
        {name: columns[:, c] for c, name in enumerate(FILTERS)}, ["red's part", "green's part", "blue's part", "sum"]
    ),
    alt="Four filters in four rows; what each makes of the red, green and blue channel, and the sum of the three. Yellow "
    "is high, blue low, grey 0. The blur is soft; upright edges show the side of the flag and of the face, edges "
    "across the collar and the cap's rim, yellow or blue on grey. Red minus blue: red's part is yellow, green's all "
    "grey, blue's blue; the sum is yellowish on the red stripes and the skin, bluish on the background.",
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# So a convolution does relate channels to each other: red minus blue is such a relation, and a learned filter holds one for every $c$ and $s$. Two things about it matter here.

# %% [markdown] slideshow={"slide_type": "-"}
# **The weights are fixed.**

# %% [markdown] slideshow={"slide_type": "notes"}
# One note says that a convolution adds its channels up with weight 1, so that all count alike. The summands do enter with weight 1, but how much channel $s$ counts is in its kernel $v_c^s$, and kernels differ: in the last row green does not count at all.

# %% [markdown] slideshow={"slide_type": "-"}
# What is true: these weights are the same for every image and at every place. SE changes the first: with gates they differ from image to image, though not from place to place.

# %% [markdown] slideshow={"slide_type": "notes"}
# What the blue channel adds does not depend on what the others show.

# %% [markdown] slideshow={"slide_type": "-"}
# **The sum is local.** Relations between channels are mixed with the pattern in a small patch, and know nothing beyond it.

# %% [markdown] slideshow={"slide_type": "notes"}
# First the weights. We replace red and green by noise: blue must still add the same.

# %% tags=["nbval-check-output"]
no_blue = torch.tensor([1.0, 1.0, 0.0]).view(1, 3, 1, 1)  # [1, C', 1, 1]
other = torch.cat([torch.rand(1, 2, 128, 128), x[:, 2:]], dim=1)  # noise, noise, the same blue


def what_blue_adds(layer, picture):
    return layer(picture) - layer(picture * no_blue)


def convolution(picture):
    return F.conv2d(picture, V, padding=1)


assert torch.allclose(what_blue_adds(convolution, x), what_blue_adds(convolution, other), atol=1e-5)
print("blue adds the same, whatever red and green show: yes")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# With an SE block before the convolution this is no longer so.

# %% [markdown] slideshow={"slide_type": "notes"}
# The block (untrained here) computes a gate for each of the three channels from all of them:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
block = se.SEBlock(3, reduction=1)


def gated_convolution(picture):
    return convolution(block(picture))


with torch.no_grad():
    changed = what_blue_adds(gated_convolution, x) - what_blue_adds(gated_convolution, other)
assert changed.abs().max() > 0.01
print("with gates, what blue adds depends on the rest: yes")

# %% [markdown]
# ### Exercise 1.1: a convolution by hand · medium · 8 minutes
#
# Write `my_convolution(x, v)`: from a picture `x`, `[C', H, W]` ($H$ rows, $W$ columns), and one filter `v`, `[C', 3, 3]`, the map $u_c$ where the kernel fits into the picture, `[H - 2, W - 2]`. Use loops over the channels and the nine places of the kernel, and slices such as `x[s, a : a + height, b : b + width]`. (With no zeros put around the picture, count $a$ and $b$ from 0 to 2.)


# %%
def my_convolution(x, v): ...


checks.convolution(my_convolution)  # "not tried yet", or right, or what is probably wrong

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_convolution(x, v):
#     height, width = x.shape[1] - 2, x.shape[2] - 2
#     u = torch.zeros(height, width)
#     for s in range(len(x)):
#         for a in range(3):
#             for b in range(3):
#                 u += v[s, a, b] * x[s, a : a + height, b : b + width]
#     return u
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What it cannot see
#
# A number in $u_c$ has seen a patch of 3×3 pixels. Put a second 3×3 convolution on top, and each of its numbers has seen 3×3 numbers that have each seen 3×3 pixels: 5×5 in all. A third one makes it 7×7. The patch of the image that a number depends on is its *receptive field*.

# %% [markdown] slideshow={"slide_type": "notes"}
# Here are three convolutions with random weights, and a second picture: the 7×7 pixels around her left eye (on the right in the picture) are kept, all others are noise.

# %% tags=["nbval-check-output"]
three = torch.nn.Sequential(
    torch.nn.Conv2d(3, 16, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(16, 16, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(16, 16, 3, padding=1),
)
i, j = 46, 74  # her left eye
outside = torch.maximum((row - i).abs(), (column - j).abs()) > 3  # [128, 128], not in the 7×7 around it
noise = torch.where(outside, torch.rand(3, 128, 128), x[0])  # [3, 128, 128]
print(f"replaced: {outside.sum().item():,} of {outside.numel():,} pixels")

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.squares(
        torch.stack([photo, (255 * noise).byte()]),  # [2, 3, 128, 128]
        {f"{side}×{side}: layer {n}": (i, j, side) for n, side in ((1, 3), (2, 5), (3, 7))},
        ["the photograph", "noise outside the 7×7"],
        size=3.6,
    ),
    alt="The photograph and a picture of noise, with squares of 3, 5 and 7 pixels around her left eye: what a number "
    "of the first, second and third layer has seen. The 7×7 pixels in the largest square are the same in both.",
)

# %% [markdown] slideshow={"slide_type": "notes"}
# To the number at her left eye in the third layer the two pictures are one. Change a corner of the square, and it moves:

# %% tags=["nbval-check-output"]
corner = x[0].clone()
corner[:, i - 3, j - 3] = 1 - corner[:, i - 3, j - 3]
with torch.no_grad():
    at_photo, at_noise, at_corner = (three(p[None])[0, :, i, j] for p in (x[0], noise, corner))  # [16] each

assert torch.allclose(at_photo, at_noise, atol=1e-6)
assert (at_photo - at_corner).abs().max() > 1e-5
print("noise everywhere else: the same; one corner changed: another number")

# %% [markdown] slideshow={"slide_type": "notes"}
# One note has this the wrong way round: it says that a map of $U$ cannot use what the other maps hold. It can, the next convolution mixes all of them. What it cannot use lies outside its patch.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# A layer may also *step*: with a stride $t$ it keeps only every $t$-th position, and from there on neighbours are $t$ pixels apart. With kernels of size $k_l$ and strides $t_l$ in the layers $l = 1, \dots, L$, the receptive field has the side
#
# $$1 + \sum_{l=1}^{L} (k_l - 1) \prod_{i=1}^{l-1} t_i$$

# %% [markdown] slideshow={"slide_type": "notes"}
# A kernel spans $k_l - 1$ gaps, each as wide as all strides before it multiplied; for the first layer the empty product is 1.

# %% [markdown] slideshow={"slide_type": "-"}
# Deep networks with strides end up seeing everything. Their early layers do not. One SE block, wherever it stands, has seen the whole image.

# %% [markdown]
# ### Exercise 1.2: how much does it see? · easy · 5 minutes
#
# Write `my_receptive_field(kernels, strides)`: two lists with a number for each layer, the side of the receptive field as the result.


# %%
def my_receptive_field(kernels, strides): ...


checks.receptive_field(my_receptive_field)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_receptive_field(kernels, strides):
#     side, apart = 1, 1
#     for kernel, stride in zip(kernels, strides):
#         side += (kernel - 1) * apart
#         apart *= stride
#     return side
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## A task for somebody who sees it all
#
# `hue_xor` is a world drawn by the package. A picture has a frame, red or blue, and inside a motif of bars, horizontal or vertical. The class is the exclusive or (XOR) of the two:
#
# | | horizontal bars | vertical bars |
# |---|---|---|
# | **red frame** | class 0 | class 1 |
# | **blue frame** | class 1 | class 0 |
#
# Neither colour nor bars alone say anything about the class.

# %% [markdown] slideshow={"slide_type": "notes"}
# And they are far apart: from the frame to the motif it is at least 8 pixels, and two pixels in one 7×7 square are at most 6 apart.

# %% tags=["nbval-check-output"]
test_images, test_labels = se.hue_xor(1_000, seed=10_000)  # uint8 [1000, 3, 32, 32], int64 [1000]
is_blue = test_images[:, 2, 0].float().mean(1) > test_images[:, 0, 0].float().mean(1)  # [1000], from the top row
is_vertical = is_blue ^ test_labels.bool()  # [1000]: the label undoes the XOR
kinds = [(~is_blue) & (~is_vertical), (~is_blue) & is_vertical, is_blue & (~is_vertical), is_blue & is_vertical]
print("red horizontal, red vertical, blue horizontal, blue vertical:", [k.sum().item() for k in kinds])

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# One picture of each kind.

# %% [markdown] slideshow={"slide_type": "notes"}
# The squares are what numbers of the third convolution have seen: one touches the frame, one the motif, one neither; no square can touch both.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.squares(
        torch.stack([test_images[k][0] for k in kinds]),  # [4, 3, 32, 32]
        {"sees the motif": (17, 17, 7), "sees neither": (5, 6, 7), "sees the frame": (3, 25, 7)},
        ["class 0", "class 1", "class 1", "class 0"],
    ),
    alt="Four pictures: red frame with horizontal bars, class 0; red with vertical bars, class 1; blue with horizontal "
    "bars, class 1; blue with vertical bars, class 0. On each, three squares of 7×7 pixels, the receptive field of "
    "three 3×3 convolutions: one touches the frame, one the motif, one neither. No square can touch both.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## Three small networks

# %% [markdown] slideshow={"slide_type": "notes"}
# Each has three 3×3 convolutions of 16 channels (with ReLU and batch normalisation, which brings each channel to mean 0 and variance 1 over the pictures of a batch, then shifts and rescales it by learned numbers; after training it is a fixed shift and factor a channel), so its convolutions see 7×7 pixels. Then it averages each map over all positions and weighs the 16 means into one number, $d$: class 1 if $d > 0$, else class 0.

# %% [markdown] slideshow={"slide_type": "-"}
# The three differ in what stands after the second convolution. **Plain**: nothing. **SE**: an SE block.

# %% [markdown] slideshow={"slide_type": "notes"}
# It takes the mean of each map (the *squeeze*, $z$), sends the 16 means through two small linear layers with a ReLU between (8 numbers in the middle, the *hidden units*), and a sigmoid makes of them 16 gates $s$; $r$ says how many times narrower the middle is. [Chapter 02](02_squeeze_excite_scale.ipynb) builds it. Since the gates come from $z$, they have seen the whole picture. (In eq. 1 $s$ counted input channels; from here on it is the gates.)

# %% [markdown] slideshow={"slide_type": "-"}
# **NoSqueeze**, the paper's own control (its table 16): the same two layers and gates, but without the mean, so that each position computes gates from its own 16 numbers.

# %% [markdown] slideshow={"slide_type": "notes"}
# It has as many weights as SE, and sees no more than the plain network.


# %% slideshow={"slide_type": "subslide", "minutes": 2}
class SmallNetwork(torch.nn.Module):
    def __init__(self, middle):
        super().__init__()

        def convolution(channels):
            layer = torch.nn.Conv2d(channels, 16, 3, padding=1, bias=False)
            return torch.nn.Sequential(layer, torch.nn.BatchNorm2d(16), torch.nn.ReLU())

        self.before = torch.nn.Sequential(convolution(3), convolution(16))
        self.middle = middle
        self.after = convolution(16)
        self.weigh = torch.nn.Linear(16, 1)

    def forward(self, x):  # [N, 3, 32, 32], N images
        u = self.middle(self.before(x))  # [N, 16, 32, 32]
        pooled = self.after(u).mean(dim=(2, 3))  # [N, 16]
        return self.weigh(pooled).squeeze(1)  # d [N]


# %% [markdown] slideshow={"slide_type": "notes"}
# Networks of one seed start with the same convolutions. The SE block has eight hidden units ($r = 2$, as $16 / 2 = 8$).


# %%
def small_network(kind, seed):
    torch.manual_seed(seed)
    middles = {
        "plain": torch.nn.Identity(),
        "NoSqueeze": se.SEBlock(16, reduction=2, squeeze="none"),
        "SE": se.SEBlock(16, reduction=2),
    }
    return SmallNetwork(middles[kind]).to(memory_format=torch.channels_last)


# %%
def train(network, images, labels, epochs=3, rate=5e-3):
    x, y = se.training.normalise(images), labels.float()
    x = x.to(memory_format=torch.channels_last)  # the same numbers, in an order that is faster here
    batches = [b for _ in range(epochs) for b in torch.randperm(len(y)).split(32)]
    optimiser = torch.optim.AdamW(network.parameters(), rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, len(batches))  # the rate falls to 0
    for batch in batches:
        loss = F.binary_cross_entropy_with_logits(network(x[batch]), y[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


# %%
@torch.no_grad()
def in_parts(function, images):
    """function(x) of all images, a hundred at a time to spare memory."""
    return torch.cat([function(se.training.normalise(part)) for part in images.split(100)])


# %% tags=["nbval-check-output"]
KINDS, SEEDS = ("plain", "NoSqueeze", "SE"), range(5)
weights = {kind: sum(p.numel() for p in small_network(kind, seed=0).parameters()) for kind in KINDS}
assert weights["SE"] == weights["NoSqueeze"] == weights["plain"] + 280
print("weights:", weights)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Why the plain network must fail
#
# Before we train, an argument. The mean over positions and the weights after it are sums, so the plain network's $d$ is a sum over positions $p$, each term a function $f$ of the 7×7 patch around $p$:
#
# $$d = b + \frac{1}{HW} \sum_p f(\text{patch}_p)$$

# %% [markdown] slideshow={"slide_type": "notes"}
# ($b$ is the bias of the last layer. $H$ and $W$ are the rows and columns of a map. Near the rim each layer sees zeros around its input, so there $f$ depends on the place as well; such patches touch the frame.) What $f$ is does not matter; all three convolutions, their normalisation (once training is over) and the ReLUs are in it.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# No patch touches both frame and motif. So the patches fall into those that touch the frame, those that touch the motif, and the rest, and $d$ falls into three sums ($b$ goes into the rest):
#
# $$d(\text{frame}, \text{motif}) = \alpha(\text{frame}) + \beta(\text{motif}) + \text{rest}$$

# %% [markdown] slideshow={"slide_type": "fragment"}
# Now take two frames, two motifs and one background, and write $R$, $B$ for red and blue, $h$, $v$ for horizontal and vertical. Whatever $\alpha$ and $\beta$ are, both sides of this add up the same six terms:
#
# $$d(R, h) + d(B, v) = d(R, v) + d(B, h)$$

# %% [markdown] slideshow={"slide_type": "fragment"}
# To be right four times, the network needs both numbers on the left below 0 (class 0) and both on the right above 0 (class 1). A negative number would equal a positive one. So **at most three of the four can be right**: 75 %.

# %% [markdown] slideshow={"slide_type": "notes"}
# The four combinations are equally frequent, and the rest is drawn independently of them, so this is also the most it can reach on average over new pictures.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# And training does not even get there.

# %% [markdown] slideshow={"slide_type": "notes"}
# Read $1/(1 + e^{-d})$ as the probability of class 1. Minus the log of the right class's probability is $\ln(1 + e^{-m})$, where the margin $m$ is $d$ for class 1 and $-d$ for class 0. This is the loss that training lowers (`binary_cross_entropy_with_logits`). The four margins sum to 0, by the same equation, and the loss is convex (its curve bends upwards, so the mean of the heights of four points is never below the curve at their mean), so its mean over the four is at least its value at the mean margin, $\ln(1 + e^0) = \ln 2$. It is $\ln 2$ only where all four $d$ are 0.

# %% [markdown] slideshow={"slide_type": "-"}
# The best such a network can do for its loss is **to have no opinion**.

# %% [markdown] slideshow={"slide_type": "-"}
# For NoSqueeze the proof stays as it is.

# %% [markdown] slideshow={"slide_type": "notes"}
# Its gates at a position come from numbers that have seen 5×5 pixels there; gates and 1×1 layers widen no patch. They go into $f$.

# %% [markdown] slideshow={"slide_type": "-"}
# With SE it falls apart: the gates depend on frame *and* motif, so $f$ is another function for each pair.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** fifteen networks, five seeds of each kind, 2,000 pictures, three epochs. Guess the lowest and the highest accuracy of each kind on 1,000 new pictures.

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Plain 49.3 %<!-- record: hue_xor.plain.lowest --> to 51.4 %<!-- record: hue_xor.plain.highest -->, NoSqueeze 49.7 %<!-- record: hue_xor.NoSqueeze.lowest --> to 51.0 %<!-- record: hue_xor.NoSqueeze.highest -->, SE 100.0 %<!-- record: hue_xor.SE.lowest --> to 100.0 %<!-- record: hue_xor.SE.highest -->. The mean loss of the plain networks is 0.693<!-- record: hue_xor.plain.loss -->, of NoSqueeze 0.693<!-- record: hue_xor.NoSqueeze.loss -->, of SE 0.022<!-- record: hue_xor.SE.loss -->; $\ln 2$ is 0.693. (A recorded run of the very cells below. Yours may differ in the last digits, as processors round differently.)
#
# </details>

# %%
torch.set_num_threads(1)  # networks this small only lose by sharing their work
networks = {kind: [] for kind in KINDS}
for seed in SEEDS:
    images, labels = se.hue_xor(2_000, seed)  # uint8 [2000, 3, 32, 32], int64 [2000]
    for kind in KINDS:
        networks[kind].append(train(small_network(kind, seed), images, labels))

# %% tags=["nbval-ignore-output"]
accuracy, loss = {}, {}
for kind in KINDS:
    d = torch.stack([in_parts(network, test_images) for network in networks[kind]])  # [seeds, 1000]
    accuracy[kind] = [(found == test_labels).float().mean().item() for found in (d > 0).long()]
    loss[kind] = F.binary_cross_entropy_with_logits(d, test_labels.float().expand_as(d)).item()
    print(f"{kind:10}", *(f"{a:6.1%}" for a in accuracy[kind]), f"   mean loss {loss[kind]:.3f}")

assert min(accuracy["SE"]) > 0.95
assert max(accuracy["plain"] + accuracy["NoSqueeze"]) < 0.75 + 0.04  # 0.04: three standard errors of 1,000 pictures

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.dots(
        {kind: [100 * a for a in accuracy[kind]] for kind in KINDS},
        "right on new pictures, %",
        {"three of four": 75, "guessing": 50},
    ),
    alt="Accuracy of five seeds of each network on 1,000 new pictures: "
    + "; ".join(f"{kind} {min(accuracy[kind]):.0%} to {max(accuracy[kind]):.0%}" for kind in KINDS)
    + ". Lines mark guessing, 50 %, and the most that a network can reach that only adds, 75 %.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## The argument, tried
#
# Is the trained network's $d$ really a sum? We can try it on real pictures of the set: take the frame from one, the motif from another, the rest from a third.

# %% tags=["nbval-check-output"]
line = torch.arange(32)
at_rim, inside = torch.minimum(line, 31 - line) < 2, (line >= 9) & (line <= 22)  # [32] each
is_frame, is_motif = at_rim[:, None] | at_rim, inside[:, None] & inside  # [32, 32] each


def compose(frame, motif, rest):
    return torch.where(is_frame, frame, torch.where(is_motif, motif, rest))  # [N, 3, 32, 32]


frames = {"red": test_images[~is_blue][:200], "blue": test_images[is_blue][:200]}
motifs = {"horizontal": test_images[~is_vertical][:200], "vertical": test_images[is_vertical][:200]}
rest = test_images[-200:]
four = {(f, m): compose(frames[f], motifs[m], rest) for f in frames for m in motifs}
print(len(four), "combinations of", len(rest), "pictures each")

# %% [markdown] slideshow={"slide_type": "notes"}
# In each group of four the margins of a network that only adds must sum to 0, so at most three of the four can be positive, that is right, and the mean loss cannot fall below $\ln 2$. For the first seed of each kind:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-", "show": "output"}
signs = torch.tensor([-1, 1, 1, -1])[:, None]  # [4, 1]: class 0, 1, 1, 0, in the order of `four`
for kind in KINDS:
    d = torch.stack([in_parts(networks[kind][0], images) for images in four.values()])  # [4, 200]
    margins = signs * d  # [4, 200]
    total, right = margins.sum(0).abs().max().item(), (margins > 1e-5).sum(0).max().item()
    lowest = F.softplus(-margins).mean(0).min().item()  # softplus(-m) is ln(1 + e^-m)
    if kind != "SE":
        assert total < 1e-4 and right <= 3 and lowest > 0.69314  # ln 2 is 0.693147…
    print(f"{kind:10} margins sum to {total:.6f} at most, right at most {right} of 4, lowest loss {lowest:.4f}")
assert total > 1 and right == 4  # SE, the last

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# The same as a picture. We colour the frame ourselves, from red over purple to blue, and draw the mean of $d$ for pictures with horizontal and with vertical bars.
#
# > **Before you run the next cell:** how do the two curves of the plain network lie to each other? And those of SE?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Plain and NoSqueeze: parallel. The frame moves both curves by the same $\alpha$; they differ by $\beta(h) - \beta(v)$, whatever the frame. And both stay close to 0 (each panel has a scale of its own). SE: they cross. Under a blue frame horizontal bars speak for class 1, under a red frame vertical ones.
#
# </details>

# %%
shares = torch.linspace(0, 1, 11)  # of blue in the frame
hues = [torch.stack([215 * (1 - t), torch.tensor(0.0), 215 * t]).byte() for t in shares]  # eleven colours [3]


def with_frame(hue, motif):
    return compose(hue[:, None, None], motifs[motif], rest)  # [200, 3, 32, 32]


sweep = {
    kind: {m: torch.stack([in_parts(networks[kind][0], with_frame(hue, m)).mean() for hue in hues]) for m in motifs}
    for kind in KINDS
}  # [11] for each kind and motif
for kind in ("plain", "NoSqueeze"):
    between = sweep[kind]["horizontal"] - sweep[kind]["vertical"]  # [11]
    assert between.max() - between.min() < 1e-4
h, v = sweep["SE"]["horizontal"], sweep["SE"]["vertical"]
assert h[0] < 0 < h[-1] and v[-1] < 0 < v[0]

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.line_panels(
        {kind: {f"{m} bars": (shares.tolist(), sweep[kind][m].tolist()) for m in motifs} for kind in KINDS},
        "share of blue in the frame",
        "mean of d",
    ),
    alt="Three panels: mean of d against the share of blue in the frame, a curve for each motif. In the plain network "
    "and in NoSqueeze the two curves are parallel; "
    f"with SE they cross: horizontal bars go from {h[0]:.1f} to {h[-1]:.1f}, vertical ones from {v[0]:.1f} to {v[-1]:.1f}.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## What the gates did

# %% [markdown] slideshow={"slide_type": "notes"}
# The SE block's 16 gates are computed from $z$, the means of its 16 maps, and a mean is over the whole picture. (One note says that the squeeze finds how the channels relate. It does not: each mean is of one channel. The two layers after it relate them.)

# %% [markdown] slideshow={"slide_type": "-"}
# First, are they a function of the frame's colour?

# %% [markdown] slideshow={"slide_type": "notes"}
# We keep the bars and the rest of the pictures, colour the frame as before, and draw the four gates that move most.


# %%
def gates(network, images):
    block = network.middle
    return in_parts(lambda x: block.gates(block.pool(network.before(x))), images)  # s [N, 16]


first = networks["SE"][0]
along = torch.stack([gates(first, with_frame(hue, "horizontal")).mean(0) for hue in hues])  # [11, 16]
swing = along.max(0).values - along.min(0).values  # [16]
most = swing.argsort(descending=True)[:4].tolist()
assert swing.max() > 0.1

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.lines(
        {f"channel {c}": (shares.tolist(), along[:, c].tolist()) for c in most}, "share of blue in the frame", "gate s"
    ),
    alt="Four gates of the SE network against the share of blue in the frame, all else unchanged: "
    + ", ".join(f"channel {c} goes from {along[0, c]:.2f} to {along[-1, c]:.2f}" for c in most)
    + ".",
)

# %% [markdown] slideshow={"slide_type": "notes"}
# So they are. But bars change the means of the maps as well: $z$ holds them too, and the block is free to use them. Here are all 16 gates for the four combinations, on the test pictures:

# %% tags=["nbval-ignore-output"]
s = gates(first, test_images)  # [1000, 16]
groups = ("red, horizontal", "red, vertical", "blue, horizontal", "blue, vertical")
lowest, highest = (torch.stack([s[k].mean(0) for k in kinds]).aminmax(dim=0)[i] for i in (0, 1))  # [16] each
figures.show(
    figures.class_curves({name: s[k] for name, k in zip(groups, kinds, strict=True)}, "gate s"),
    alt="Mean gate of 16 channels for the four combinations of frame and bars, one standard deviation shaded: narrow "
    f"bands, in most channels apart, by {(highest - lowest).max():.2f} in the channel where they lie farthest apart.",
)

# %% [markdown] slideshow={"slide_type": "notes"}
# The bands are narrow: the combination fixes the gates, and nearly nothing else counts. How much of it is the frame, how much the bars? A gate that knew only the frame would be one number under all red frames and one under all blue ones; none of its movement would go with the bars. In numbers: split the variance of the gates over pictures into the part that goes with the frame, the part that goes with the bars, what only the two together explain, and the rest (place, brightness, noise).


# %%
def combinations(s, is_blue, is_vertical):
    """Mean gates of the four combinations: [frame, bars, 16]."""
    rows = [[s[(is_blue == b) & (is_vertical == v)].mean(0) for v in (False, True)] for b in (False, True)]
    return torch.stack([torch.stack(row) for row in rows])


def parts_of_variance(s, is_blue, is_vertical):
    """Shares of the gates' variance, all channels together: frame, bars, both together, rest."""
    m = combinations(s, is_blue, is_vertical)  # [2, 2, 16]
    middle, total = m.mean((0, 1)), s.var(0, correction=0).sum()
    frame = (m.mean(1) - middle).square().mean(0).sum() / total
    bars = (m.mean(0) - middle).square().mean(0).sum() / total
    four = (m - middle).square().mean((0, 1)).sum() / total
    return [part.item() for part in (frame, bars, four - frame - bars, 1 - four)]


# %% tags=["nbval-ignore-output"]
print("seed   frame   bars   both   rest")
for seed, network in enumerate(networks["SE"]):
    parts = parts_of_variance(gates(network, test_images), is_blue, is_vertical)
    print(f"{seed:4}", *(f"{part:6.0%}" for part in parts))
    assert parts[0] > 0.05 and parts[3] < 0.1

# %% [markdown]
# The shares say what the gates know, not what the network does with it. To find that out, we change the gates and see what breaks.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# > **Before you run the next cell:** XOR can be read in two ways: the frame says how the bars count, or the bars say how the frame counts. We take away from the gates what they know about the bars (each picture gets the mean gates of its frame's colour), or what they know about the frame. With which of the two does the SE network still get its pictures right?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Over the five recorded seeds the frame holds 34 %<!-- record: hue_xor.SE.frame_share --> of the gates' variance and the bars 46 %<!-- record: hue_xor.SE.bars_share -->, the two together 18 %<!-- record: hue_xor.SE.both_share -->; the rest is 1 %<!-- record: hue_xor.SE.rest_share -->. With gates that know only the frame, accuracy falls to 64 %<!-- record: hue_xor.SE.frame_gates_accuracy --> on average; with gates that know only the bars it is 94 %<!-- record: hue_xor.SE.bars_gates_accuracy -->. We had expected the frame to steer how the bars count. Mostly the networks learned the other reading: the bars seem to open and close the channels that carry the colour. Both solve the task; only an intervention tells them apart. (Mean gates are gates that the network never had. In the first seed neither part alone is enough, and in another the bars alone lose some points.)
#
# </details>


# %%
@torch.no_grad()
def accuracy_with(network, s, images, labels):
    """Accuracy when the SE block's gates are replaced by s [N, 16]."""
    u = in_parts(network.before, images)  # [N, 16, 32, 32]
    parts = zip(u.split(100), s.split(100), strict=True)
    pooled = torch.cat([network.after(se.scale(*part)).mean(dim=(2, 3)) for part in parts])  # [N, 16]
    return ((network.weigh(pooled).squeeze(1) > 0) == labels.bool()).float().mean().item()


def know_one_thing(s, is_blue, is_vertical):
    """Gates that know only the frame's colour, and gates that know only the bars: [N, 16] each."""
    m = combinations(s, is_blue, is_vertical)  # [2, 2, 16]
    return m.mean(1)[is_blue.long()], m.mean(0)[is_vertical.long()]


# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
print("seed   own gates   frame only   bars only")
for seed, network in enumerate(networks["SE"]):
    s = gates(network, test_images)
    found = [accuracy_with(network, g, test_images, test_labels) for g in (s, *know_one_thing(s, is_blue, is_vertical))]
    assert abs(found[0] - accuracy["SE"][seed]) < 0.01  # nothing replaced, nothing changed
    print(f"{seed:4}", *(f"{a:11.0%}" for a in found))

# %% [markdown]
# ### Exercise 1.3: gates by hand · medium · 8 minutes
#
# Now solve the task in the first reading yourself. Suppose two channels: one answers to horizontal bars, the other to vertical ones; $\bar u_1$ and $\bar u_2$ are their means ($\bar u_1$ is large with horizontal bars and about 0 with vertical ones; $\bar u_2$ the other way round). And suppose $z$ holds the amounts of red and blue in the frame; the colour of the frame is the larger of the two. The last layer computes (with a second pair of channels that hold the same maps and whose gates stay at ½, to be subtracted)
#
# $$d = \left(s_1 - \tfrac12\right) \bar u_1 + \left(s_2 - \tfrac12\right) \bar u_2$$
#
# Write `my_gates(z)`: from `z`, `[N, 2]`, red in column 0 and blue in column 1, the gates `[N, 2]`, between 0 and 1, with which $d$ is above 0 for class 1 (blue with horizontal, red with vertical bars) and below 0 for class 0.


# %%
def my_gates(z): ...


checks.colour_gates(my_gates)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_gates(z):
#     blue = torch.sigmoid(20 * (z[:, 1] - z[:, 0]))
#     return torch.stack([blue, 1 - blue], dim=1)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along

# %% [markdown] slideshow={"slide_type": "-"}
# - **The paper says:** a convolution's relations between channels are implicit in its filters and local; it cannot use context outside its receptive field, least of all in early layers. A block that has seen the whole image can give each channel the weight that this image calls for.

# %% [markdown] slideshow={"slide_type": "notes"}
# In its table 16, NoSqueeze makes less of an improvement than SE on ImageNet (22.93 against 22.28 % top-1 error; 23.30 without either).

# %% [markdown] slideshow={"slide_type": "-"}
# - **We showed:** what a convolution adds up at a place depends on its patch and on nothing else in the image, exactly. On `hue_xor` no network of receptive field 7 that ends in a mean and one linear layer can be right more than three times in four on average, and training takes it to 50.1 %<!-- record: hue_xor.plain.mean -->. SE reached 100.0 %<!-- record: hue_xor.SE.mean -->, NoSqueeze 50.2 %<!-- record: hue_xor.NoSqueeze.mean -->: gates and their weights do not suffice, they must have seen the whole picture.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **Where they differ:** on ImageNet NoSqueeze still helps, and plain networks do well, because deep networks see far in the end. `hue_xor` was made so that only global context helps. On photographs the gain can be small: in [chapter 05](05_train_se_resnet18.ipynb) a few seeds cannot tell a narrow network's gain from luck. A larger receptive field should solve `hue_xor` as well, or a hidden layer after the mean (we tried neither); SE does it with 280 weights.
# - **Next:** [chapter 02](02_squeeze_excite_scale.ipynb) derives the block and builds it.
# - **To read:** sections 1 to 3 of the paper, and 7.1 (the role of squeeze).
