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
# # 02 · Build the block: squeeze, excite, scale

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/02_squeeze_excite_scale.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/02_squeeze_excite_scale.py) [slides](https://senet-edu.github.io/senet-edu/slides/02_squeeze_excite_scale.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** turn the block's three equations into code with the shape of every tensor, write the block in ten lines, and derive and check its gradient.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 01](01_why_channels.ipynb): a convolution sums over its input channels and sees a small patch, and a gate is a number between 0 and 1 for each channel.

# %% [markdown]
# | | two CPU cores | a Colab T4 |
# |---|---|---|
# | time to run | 6 s<!-- record: chapter-times.02_squeeze_excite_scale.seconds --> | the same: nothing is trained (estimated) |
# | download | CIFAR-10, once: 170 MB | the same |

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper is Hu et al., *Squeeze-and-Excitation Networks*, [arXiv 1709.01507](https://arxiv.org/abs/1709.01507). Equation and table numbers here are the paper's. The course grew out of a handful of notes on SE found on the web; where one has an error, we show it.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% [markdown] slideshow={"slide_type": "notes"}
# We start with images and a small trained network, and ask what one of its layers sees. The network is an SE-ResNet-18 with a quarter of the usual channels, trained on CIFAR-10 in [chapter 05](05_train_se_resnet18.ipynb). (A ResNet is a chain of *residual blocks*: two or three convolutions whose result, the *branch*, is added to the block's input, the *skip*. CIFAR-10: 60,000 photographs of 32×32 pixels in ten classes.)

# %% tags=["nbval-ignore-output"]
import torch

import senet_edu as se
from senet_edu import checks, figures

torch.manual_seed(0)
dataset = se.data.load_course_data("test")
network = se.results.load_network("se_resnet18-quarter").eval()
print(dataset.about)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## What a convolution hands over
#
# Eq. 1 from [chapter 01](01_why_channels.ipynb): a convolution turns $C'$ maps $X = [x^1, \dots, x^{C'}]$ into $C$ maps $U = [u_1, \dots, u_C]$,
#
# $$u_c = v_c * X = \sum_{s=1}^{C'} v_c^s * x^s,$$
#
# with fixed weights, and each number in $u_c$ has seen only the patch under the kernel.

# %% [markdown] slideshow={"slide_type": "notes"}
# (Here $s$ counts input channels; in the rest of the chapter it is the gates.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# What does such a $U$ look like in our network, the small SE-ResNet-18?

# %% [markdown] slideshow={"slide_type": "notes"}
# A *stage* is a run of residual blocks with the same resolution, and SE blocks are named after it: SE_4_2 sits in the second block of stage 4. (In a ResNet a normalisation stands between the convolution and the SE block; it shifts and rescales each channel. No ReLU does, so numbers may be negative.)

# %% [markdown] slideshow={"slide_type": "-"}
# In its block SE_4_2, $U$ has $C = 64$ channels of $H \times W = 8 \times 8$ numbers ($H$ rows, $W$ columns; with $N$ images, `[N, C, H, W]` in the code): `U_first` for a hundred images of one class (frogs, if the images are CIFAR-10), `U_second` for a hundred of another (trucks). `block` is the SE block. The figure shows eight maps of one image of each.

# %% [markdown]
# To see $U$ we use a *hook*: a function that PyTorch calls when a layer runs, here with what enters the block.

# %% tags=["nbval-ignore-output"]
block = se.models.se_blocks(network)["SE_4_2"]
first, second = dataset.classes[6], dataset.classes[9]  # in CIFAR-10: frog and truck


@torch.no_grad()
def maps_before(block, images):
    """What the SE block gets when the network sees the images: U [N, C, H, W]."""
    caught = []
    hook = block.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    network(se.training.normalise(images))
    hook.remove()
    return caught[0]


U_first = maps_before(block, dataset.images[dataset.labels == 6][:100])  # [100, 64, 8, 8]
U_second = maps_before(block, dataset.images[dataset.labels == 9][:100])  # [100, 64, 8, 8]
print(tuple(U_first.shape), tuple(U_second.shape))

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.feature_maps({first: U_first[0, :8], second: U_second[0, :8]}, [f"u_{c}" for c in range(8)]),
    alt=f"Eight of the 64 maps of one {first} and of one {second}, 8×8 numbers each. Bright is high, dark is low; "
    "the maps differ from channel to channel and from image to image.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Squeeze: one number a channel
#
# A convolution gives each number of $U$ a patch of its input and no more. (Deep in a network the patches have grown to the size of the image; early ones are small.) No number sums up its whole map. We want, for each channel, one that does. The plainest choice is the mean over all $H \times W$ positions (eq. 2; $sq$ for squeeze):
#
# $$z_c = F_{sq}(u_c) = \frac{1}{H \times W} \sum_{i=1}^{H} \sum_{j=1}^{W} u_c(i, j)$$

# %% [markdown] slideshow={"slide_type": "notes"}
# In code this is one line. It is also called *global average pooling*.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment"}
z = U_first.mean(dim=(2, 3))  # [100, 64]

assert torch.equal(z, se.squeeze(U_first))
print(f"{U_first[0].numel():,} numbers became {z[0].numel()}")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Two things should hold.

# %% [markdown] slideshow={"slide_type": "-"}
# A constant map must squeeze to its constant, and shuffling the positions must change nothing: the mean forgets *where*.

# %% [markdown] slideshow={"slide_type": "notes"}
# The positions of all maps are shuffled alike; it would not matter to the mean if they were not.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
constant = torch.full((1, 64, 8, 8), 3.0)  # [1, C, H, W]
mixed = torch.randperm(8 * 8)  # the positions
shuffled = U_first.flatten(2)[:, :, mixed].view_as(U_first)

assert torch.equal(se.squeeze(constant), torch.full((1, 64), 3.0))
assert torch.allclose(se.squeeze(shuffled), se.squeeze(U_first), atol=1e-5)
print("a constant stays: yes; position forgotten: yes")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# One of the notes this course grew out of divides by $H \times C$.

# %% [markdown] slideshow={"slide_type": "notes"}
# With $C = W$ nobody would notice; here is what it does elsewhere. Another pools with `F.avg_pool2d(u, u.size(2))`, a square window of side $H$, which is right for square maps only.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
tall = torch.ones(1, 16, 8, 4)  # [1, C, H, W], all ones: every mean must be 1
wrong = tall.sum(dim=(2, 3)) / (8 * 16)  # divided by H·C
print("mean:", se.squeeze(tall)[0, 0].item(), " with 1/(H·C):", wrong[0, 0].item())
try:
    torch.nn.functional.avg_pool2d(tall, tall.size(2))
except RuntimeError:
    print("avg_pool2d with a window of H × H: no window fits a map of 8 × 4")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** $z$ of a hundred images of one class and of a hundred of another, drawn over the 64 channels, with one standard deviation shaded. In how many channels will the two bands not touch: none, some, most?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What to look at</summary>
#
# In some channels the bands do not touch: one such channel alone would sort most images right. In most channels they overlap. The cell counts. Keep this in mind: the next step computes the gates from $z$ and from nothing else, so they can tell two images apart only if $z$ does.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
z_first, z_second = se.squeeze(U_first), se.squeeze(U_second)  # [100, 64] each
gap = (z_first.mean(0) - z_second.mean(0)).abs()  # [64]
apart = (gap > z_first.std(0) + z_second.std(0)).sum().item()
print(f"the bands do not touch in {apart} of 64 channels")
figures.show(
    figures.class_curves({first: z_first, second: z_second}, "z"),
    alt=f"The squeezed channels of a hundred images of {first} and of {second}, mean and one standard deviation, over "
    f"64 channels. The two bands do not touch in {apart} channels.",
)

# %% [markdown]
# ### Exercise 2.1: squeeze without `mean` · easy · 3 minutes
#
# Write `my_squeeze(u)` with `sum` and the shape only. It must work for maps that are not square.


# %%
def my_squeeze(u): ...


checks.squeeze(my_squeeze)  # "not tried yet", or right, or what is probably wrong

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_squeeze(u):
#     height, width = u.shape[-2:]
#     return u.sum(dim=(-2, -1)) / (height * width)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Excite: from what is there to what matters
#
# $z$ says how active each channel is. Now we want a gate for each channel: a number that says how much of it to let through, *for this image*. The paper asks two things of the function from $z$ to the gates $s$:
#
# - it must be able to learn how channels depend on each other, not only linearly;
# - it must let several channels be open at once.

# %% [markdown] slideshow={"slide_type": "notes"}
# (A softmax would not: its outputs share a sum of one, so a channel opens only if others close.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# Two small layers do it (eq. 3; $ex$ for excitation, $\delta$ is the ReLU, $\sigma$ the sigmoid $\sigma(a) = 1/(1 + e^{-a})$):
#
# $$s = F_{ex}(z, W) = \sigma(W_2\, \delta(W_1 z)), \qquad W_1 \in \mathbb{R}^{\frac{C}{r} \times C},\quad W_2 \in \mathbb{R}^{C \times \frac{C}{r}}$$

# %% [markdown] slideshow={"slide_type": "notes"}
# ($W$ stands for the two matrices together.) The first layer narrows $C$ channels to $C/r$ hidden units, the second widens them again. $r$ is the *reduction ratio*, 16 in the paper. One full layer would cost $C^2$ weights; the two cost $2C^2/r$. The two layers may have biases $b_1$ and $b_2$, as in the paper's released models; its *ablations* (experiments that change one part at a time) leave them out. The package has it as an argument, `bias=True`.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment"}
w1, b1 = block.fc1.weight, block.fc1.bias  # W₁ [hidden, C] and a bias [hidden]
w2, b2 = block.fc2.weight, block.fc2.bias  # W₂ [C, hidden] and a bias [C]
channels, hidden = w2.shape
print(f"C = {channels}, r = {block.reduction}, hidden = {hidden}")
print(f"weights: {w1.numel() + w2.numel()} in two layers, {channels**2:,} in one")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# In code each image is a *row* of `z`, so $W_1 z$ is written `z @ w1.T`.

# %% [markdown] slideshow={"slide_type": "notes"}
# Step by step for the first class, and with `se.excite` for the second:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
with torch.no_grad():
    h = torch.relu(z_first @ w1.T + b1)  # [100, hidden]
    s_first = torch.sigmoid(h @ w2.T + b2)  # [100, 64]
    s_second = se.excite(z_second, w1, w2, b1, b2)  # [100, 64]
    assert torch.allclose(s_first, se.excite(z_first, w1, w2, b1, b2), atol=1e-6)

assert s_first.min() > 0 and s_first.max() < 1
print("every gate lies between 0 and 1:", tuple(s_first.shape))

# %% [markdown] slideshow={"slide_type": "notes"}
# (One note writes `F.sigmoid`. It is an old spelling of `torch.sigmoid`: the same function.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** a gate of 0.5 is σ(0): what the block gives when $W_2$ and $b_2$ are zero. Will the gates of this trained block stay at 0.5, go to 1, or spread?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# They spread around 0.5, differently for the two classes. One gate of this block moves over the 10,000 test images with a standard deviation of 0.14<!-- record: se_resnet18-quarter-gates.SE_4_2.movement -->, on average over its channels. That is not a matter of course: with weight decay (a pull of all weights towards zero during training) on the SE layers they shrink towards 0.5. [Chapter 05](05_train_se_resnet18.ipynb) shows it, [chapter 07](07_what_the_gates_learned.ipynb) looks at what the gates learn.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.class_curves({first: s_first, second: s_second}, "gate s"),
    alt=f"The gates of a hundred images of {first} and of {second} over 64 channels, mean and one standard deviation. "
    f"Means run from {min(s_first.mean(0).min(), s_second.mean(0).min()):.2f} to "
    f"{max(s_first.mean(0).max(), s_second.mean(0).max()):.2f}.",
)

# %% [markdown]
# ### Exercise 2.2: excite · easy · 5 minutes
#
# Write `my_excite(z, w1, w2, b1, b2)` with `@`, `torch.relu` and `torch.sigmoid`. `z` is `[N, C]`, `w1` is `[hidden, C]`, `w2` is `[C, hidden]`, `b1` is `[hidden]`, `b2` is `[C]`.


# %%
def my_excite(z, w1, w2, b1, b2): ...


checks.excite(my_excite)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_excite(z, w1, w2, b1, b2):
#     hidden = torch.relu(z @ w1.T + b1)
#     return torch.sigmoid(hidden @ w2.T + b2)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## Scale: every map times its gate
#
# The gates go back to the maps (eq. 4): the whole map $u_c$ is multiplied by the one number $s_c$.
#
# $$\tilde{x}_c = F_{scale}(u_c, s_c) = s_c\, u_c$$

# %% [markdown] slideshow={"slide_type": "notes"}
# The only thing to take care of is the shape: `[N, C]` becomes `[N, C, 1, 1]`, and PyTorch repeats it over the positions.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment"}
s4 = s_first[:, :, None, None]  # [100, 64, 1, 1]
x_tilde = s4 * U_first  # [100, 64, 8, 8]

assert torch.equal(x_tilde, se.scale(U_first, s_first))
assert torch.equal(se.scale(U_first, torch.ones(100, 64)), U_first)
print("gates of one give the maps back: yes")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Eight maps of one image, before and after.

# %% [markdown] slideshow={"slide_type": "notes"}
# The number above each is its gate; the four most closed channels stand on the left, the four most open on the right.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
shown = s_first[0].argsort()[[0, 1, 2, 3, -4, -3, -2, -1]]  # the four most closed and the four most open
figures.show(
    figures.feature_maps(
        {"U": U_first[0, shown], "scaled": x_tilde[0, shown]}, [f"s = {g:.2f}" for g in s_first[0, shown]]
    ),
    alt=f"Eight maps of one {first} before and after scaling, the four most closed channels on the left, the four most "
    f"open on the right. Gates run from {s_first[0].min():.2f} to {s_first[0].max():.2f}; the closed ones fade.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The block in ten lines

# %% [markdown] slideshow={"slide_type": "notes"}
# That is all of it, as a module:


# %% slideshow={"slide_type": "-"}
class TenLineSE(torch.nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.fc1 = torch.nn.Linear(channels, channels // reduction)  # W₁ and b₁
        self.fc2 = torch.nn.Linear(channels // reduction, channels)  # W₂ and b₂

    def forward(self, u):  # [N, C, H, W]
        z = u.mean(dim=(2, 3))  # [N, C]
        s = torch.sigmoid(self.fc2(torch.relu(self.fc1(z))))  # [N, C]
        return u * s[:, :, None, None]  # [N, C, H, W]


# %% [markdown] slideshow={"slide_type": "notes"}
# `se.SEBlock` is the same with its options (bias, squeeze, gate, a floor for the hidden width). With the same weights it gives the same output:

# %% tags=["nbval-check-output"]
ours = TenLineSE(64)
ours.fc1.load_state_dict(block.fc1.state_dict())
ours.fc2.load_state_dict(block.fc2.state_dict())
assert torch.allclose(ours(U_first), block(U_first), atol=1e-6)
print("our ten lines equal se.SEBlock")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# What if $r$ is larger than $C$, or zero?

# %% [markdown] slideshow={"slide_type": "notes"}
# `TenLineSE(64, 128)` would have no hidden unit at all. `se.SEBlock` keeps at least `min_hidden=1`, and refuses what makes no sense:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
print("C = 64, r = 128: hidden width", se.SEBlock(64, 128).fc1.out_features)
try:
    se.SEBlock(64, 0)
except ValueError as error:
    print(error)

# %% [markdown]
# ### Exercise 2.3: the block · medium · 10 minutes
#
# Without looking at `TenLineSE`, write it yourself: a module `MySE` with `__init__(self, channels, reduction)` and `forward(self, u)`. The checker puts its own weights into your two layers.


# %%
class MySE(torch.nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()

    def forward(self, u): ...


checks.se_block(MySE)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# class MySE(torch.nn.Module):
#     def __init__(self, channels, reduction):
#         super().__init__()
#         self.fc1 = torch.nn.Linear(channels, channels // reduction)
#         self.fc2 = torch.nn.Linear(channels // reduction, channels)
#
#     def forward(self, u):
#         z = u.mean(dim=(2, 3))
#         s = torch.sigmoid(self.fc2(torch.relu(self.fc1(z))))
#         return u * s[:, :, None, None]
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Move one channel and watch the gates
#
# Four networks were trained with $r$ = 2, 4, 8 and 16 (quarter width, one seed each), and here are their real weights, from C = 16 to C = 128; $z$ starts at the mean over a class's test images: choose C and $r$, then move one channel of $z$. (These networks keep at least 4 hidden units, so $r$ changes their number only where $C/r$ is more than 4.)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
from senet_edu import widgets

widgets.BlockExplorer()

# %% [markdown] slideshow={"slide_type": "notes"}
# The picture reads from top to bottom: $z$, the rows of $W_1$, the columns of $W_2$ (as $W_2^\top$, so that a row is a hidden unit in both), the gates. A bar beside $W_1$ is what a hidden unit gets before the ReLU; hollow bars are negative, so the unit is off. (For a block of your own: `widgets.BlockExplorer(block, z)`.)
#
# > **Try it:** take C = 64 and $r$ = 16, and move a channel of $z$ as far as it goes. Which gates answer, and is the channel's own gate among those that move most? Then start from the $z$ of *cat* and find a channel that switches a hidden unit off: what does moving it further still change?
#
# <details><summary>What to see</summary>
#
# Nearly every gate moves a little. Channel $c$ of $z$ has no wire of its own to gate $c$: all go through the few hidden units, and column $c$ of $W_1$ says into which, the rows of $W_2^\top$ say where to. For hardly any channel is it its own gate that moves most. Past the point where a unit goes off, nothing comes through it any more, neither a value nor a slope: "steepest now" jumps there. When all hidden units are off, no gate hears $z$ at all.
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## One function, many spellings
#
# You will meet the block in other clothes. They all compute eqs 2 to 4 once their weights and biases agree.
#
# **1×1 convolutions.** A 1×1 convolution on `[N, C, 1, 1]` multiplies by a matrix and adds a bias: it is a linear layer with two extra axes.

# %% [markdown] slideshow={"slide_type": "notes"}
# torchvision writes the block this way.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
from torchvision.ops import SqueezeExcitation

theirs = SqueezeExcitation(64, hidden)
with torch.no_grad():
    theirs.fc1.weight.copy_(w1[:, :, None, None])  # [hidden, C] to [hidden, C, 1, 1]
    theirs.fc2.weight.copy_(w2[:, :, None, None])
    theirs.fc1.bias.copy_(b1)
    theirs.fc2.bias.copy_(b2)

assert torch.allclose(theirs(U_first), block(U_first), atol=1e-6)
print("torchvision.ops.SqueezeExcitation agrees")


# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# **Our notes.** Two of them have linear layers without biases, a third 1×1 convolutions with biases and a square pooling window.

# %% [markdown] slideshow={"slide_type": "notes"}
# First the two ways of writing:


# %%
class NoteWithLinear(torch.nn.Module):
    """As two of the notes write it: nn.AdaptiveAvgPool2d, linear layers, no bias."""

    def __init__(self, w1, w2):
        super().__init__()
        self.w1, self.w2 = w1, w2

    def forward(self, x):
        y = torch.nn.AdaptiveAvgPool2d(1)(x).view(x.shape[0], x.shape[1])  # [N, C]
        y = torch.sigmoid(torch.relu(y @ self.w1.T) @ self.w2.T)  # [N, C]
        return x * y.view(x.shape[0], x.shape[1], 1, 1).expand_as(x)


def note_with_convolutions(x, w1, w2, b1, b2):
    """As the Colab note writes it inside its BasicBlock: a pooling window of side H, 1×1 convolutions, biases."""
    w = torch.nn.functional.avg_pool2d(x, x.size(2))  # [N, C, 1, 1] for square maps
    w = torch.relu(torch.nn.functional.conv2d(w, w1[:, :, None, None], b1))  # [N, hidden, 1, 1]
    w = torch.sigmoid(torch.nn.functional.conv2d(w, w2[:, :, None, None], b2))  # [N, C, 1, 1]
    return x * w


# %% [markdown] slideshow={"slide_type": "-"}
# Without biases they are one function; with the biases of our block, the third is our block:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
with torch.no_grad():
    linear = NoteWithLinear(w1, w2)(U_first)
    convolutions = note_with_convolutions(U_first, w1, w2, b1=None, b2=None)
    with_biases = note_with_convolutions(U_first, w1, w2, b1, b2)
assert torch.allclose(linear, convolutions, atol=1e-6)
assert torch.allclose(with_biases, block(U_first), atol=1e-6)
print("the notes agree with each other without biases, and with our block when given its biases")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 1}
# One of the two prints its version with the commas missing.

# %% [markdown] slideshow={"slide_type": "notes"}
# Python says so at once:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
note = """
fc = nn.Sequential(
    nn.Linear(channel, channel // reduction, bias=False)
    nn.ReLU(inplace=True)
)
"""
try:
    compile(note, "the note", "exec")
except SyntaxError:
    print("does not parse")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The gradient has two paths
#
# What does the block do in the backward pass? Let $L$ be the loss and $g_c(i,j) = \partial L / \partial \tilde{x}_c(i,j)$ the gradient that arrives. From $\tilde{x}_c = s_c u_c$, the product rule gives two things. First, what arrives at a gate: all positions of its map add up,
#
# $$\frac{\partial L}{\partial s_c} = \sum_{i,j} g_c(i,j)\, u_c(i,j).$$

# %% [markdown] slideshow={"slide_type": "notes"}
# Gradient descent moves the gate against this sum: up where the sum is negative.

# %% [markdown]
# ### Exercise 2.4: the gradient of the gates · medium · 8 minutes
#
# Write `my_gate_gradient(u, g)`: from `u` and `g` $= \partial L/\partial\tilde{x}$, both `[N, C, H, W]`, the gradient $\partial L/\partial s$, `[N, C]`.


# %%
def my_gate_gradient(u, g): ...


checks.gate_gradient(my_gate_gradient)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_gate_gradient(u, g):
#     return (g * u).sum(dim=(2, 3))
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# Second, each $u_c(i,j)$ matters in two ways: directly, and through $z_c$, which moved *all* gates:
#
# $$\frac{\partial L}{\partial u_c(i,j)} = \underbrace{s_c\, g_c(i,j)}_{\text{direct}} + \underbrace{\frac{1}{HW}\,\frac{\partial L}{\partial z_c}}_{\text{through the gates}}$$

# %% [markdown] slideshow={"slide_type": "notes"}
# (The factor $1/HW$ is $\partial z_c / \partial u_c(i,j)$: $z_c$ is a mean of $HW$ numbers.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# For $\partial L/\partial z$, go backward through eq. 3 one step at a time. Name what enters each non-linearity: $a_1 = W_1 z + b_1$, $h = \delta(a_1)$, $a_2 = W_2 h + b_2$, $s = \sigma(a_2)$.

# %% [markdown] slideshow={"slide_type": "notes"}
# The symbol $\odot$ multiplies element by element.

# %% [markdown] slideshow={"slide_type": "-"}
# - The sigmoid's derivative is $s(1-s)$, so $\partial L/\partial a_2 = s \odot (1-s) \odot \partial L/\partial s$.
# - A linear layer sends the gradient back through its transpose: $\partial L/\partial h = W_2^\top\, \partial L/\partial a_2$. (With images as rows, the code says `dL_da2 @ w2` for it.)
# - The ReLU lets it pass where $a_1 > 0$: $\partial L/\partial a_1 = [a_1 > 0] \odot \partial L/\partial h$ (the bracket is 1 where true, else 0).
# - And $W_1^\top$ brings it to $z$: $\partial L/\partial z = W_1^\top\, \partial L/\partial a_1$.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# A plain convolution has no second path: its gradient at a position comes from the neighbourhood alone. Here it comes from every position of every channel, through one number a channel.

# %% [markdown] slideshow={"slide_type": "notes"}
# Note also the factor $s(1-s)$: a gate near 0 or near 1 hardly learns (it is *saturated*).

# %% slideshow={"slide_type": "-"}
u = torch.randn(2, 64, 8, 8, dtype=torch.float64, requires_grad=True)  # [N, C, H, W]
g = torch.randn(2, 64, 8, 8, dtype=torch.float64)  # ∂L/∂x̃, as if it came from the layers above
double = se.SEBlock(64, 16).double()
double(u).backward(g)  # autograd's answer is now in u.grad

with torch.no_grad():
    z = se.squeeze(u)  # [N, C]
    a1 = double.fc1(z)  # [N, hidden]
    s = torch.sigmoid(double.fc2(torch.relu(a1)))  # [N, C]
    dL_ds = (g * u).sum(dim=(2, 3))  # [N, C]
    dL_da2 = s * (1 - s) * dL_ds  # [N, C]
    dL_da1 = (a1 > 0) * (dL_da2 @ double.fc2.weight)  # [N, hidden]
    dL_dz = dL_da1 @ double.fc1.weight  # [N, C]
    direct = s[:, :, None, None] * g  # [N, C, H, W]
    through_gates = dL_dz[:, :, None, None] / (8 * 8)  # [N, C, 1, 1]

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
assert torch.allclose(u.grad, direct + through_gates)
print("the derived gradient equals autograd's")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along

# %% [markdown] slideshow={"slide_type": "notes"}
# | symbol | meaning | shape | in code |
# |---|---|---|---|
# | $U$, $u_c$ | maps after a convolution, one of them | `[N, C, H, W]` | `u` |
# | $z$ | squeezed channels, eq. 2 | `[N, C]` | `se.squeeze(u)` |
# | $W_1, W_2$ | the two layers | `[C/r, C]`, `[C, C/r]` | `block.fc1.weight`, `block.fc2.weight` |
# | $s$ | gates, eq. 3 | `[N, C]` | `se.excite(z, w1, w2, b1, b2)` |
# | $\tilde{X}$ | scaled maps, eq. 4 | `[N, C, H, W]` | `se.scale(u, s)` |
# | $r$ | reduction ratio | a number | `reduction=16` |

# %% [markdown] slideshow={"slide_type": "-"}
# - **The paper says:** squeeze by the mean, excite by two layers and a sigmoid, multiply. Its ablations try the maximum (a little worse), tanh (worse) and ReLU (worse than no block) instead.
# - **We showed:** the equations as code, the same function in four spellings, the gradient by hand. Nothing yet about whether it helps.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **Next:** [chapter 03](03_what_attention_costs.ipynb) counts what this costs.
# - **To read:** sections 3 and 6 of the paper.
