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
# # 10 · Let each image choose its kernels

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/10_selective_kernels.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/10_selective_kernels.py) [slides](https://senet-edu.github.io/senet-edu/slides/10_selective_kernels.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** derive split, fuse and select, the three steps of a selective kernel, and check each against the unit of the paper; count what SK[M, G, r] costs and find what a version from the web leaves out; enlarge the objects in the images and watch whether attention moves to the larger kernel.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 02](02_squeeze_excite_scale.ipynb): squeeze, excite, scale. It helps to have met receptive fields ([chapter 01](01_why_channels.ipynb)) and counting ([chapter 03](03_what_attention_costs.ipynb)); two measures come from chapters 05 and 07 and are explained again. Batch normalisation (BN) is in the [glossary](C_words_and_symbols.ipynb#glossary).

# %% [markdown]
# | | two CPU cores | a Colab T4 |
# |---|---|---|
# | time to run | 9 s<!-- record: chapter-times.10_selective_kernels.seconds --> | the same: nothing is trained (estimated) |
# | download | CIFAR-10, once: 170 MB | the same |

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper is Li and others, *Selective Kernel Networks*, [arXiv 1903.06586](https://arxiv.org/abs/1903.06586); equation numbers here are that paper's, and errors in % are its errors on ImageNet's validation images, unless we say that they are ours. Nothing is trained on this page: our networks were trained before, and each has a record.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% tags=["nbval-ignore-output"]
import torch
import torch.nn.functional as F

import senet_edu as se
from senet_edu import checks, cost, diagrams, figures

torch.manual_seed(0)
dataset = se.data.load_course_data("test")
have_images = dataset.name == "CIFAR-10"
print(dataset.about)
if not have_images:
    print(
        "Our network knows CIFAR-10, not drawn shapes: the equations below hold all the same, the attention says little."
    )

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## One size of kernel, objects of every size
#
# A 3×3 kernel looks at nine positions, whether the dog fills the picture or sits in a corner of it.
#
# - **Inception** runs kernels of several sizes side by side and keeps all their maps, for every image alike.
# - **SE** ([chapter 02](02_squeeze_excite_scale.ipynb)) lets the image decide how much of each channel passes.
# - **SK**, *selective kernels*, does both: kernels side by side, and for each channel the image decides how much to take from which.

# %% [markdown] slideshow={"slide_type": "notes"}
# The authors start from the visual cortex: how large a patch a neuron responds to is not fixed there, it changes with what is seen. In a network that size is the *receptive field* ([chapter 01](01_why_channels.ipynb)), and it is fixed when the network is built.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Three steps: *split* the way in two, *fuse* what both saw into one vector, *select* by it.

# %% [markdown] slideshow={"slide_type": "notes"}
# The drawing has two branches; there may be more. Every symbol is explained below, where it is used. Compare it with the drawing of SE: the way through the middle is squeeze and excite, almost as they were.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    diagrams.selective(),
    alt="Drawing of an SK convolution. Split: X goes through a 3×3 convolution and through a 3×3 convolution with "
    "dilation 2, each with BN and ReLU, to Ũ and Û. Fuse: their sum U is averaged over positions to s [C], and W, BN and "
    "ReLU make z [d] of it. Select: A and B make two logits a channel, a softmax over the two branches gives a and b, "
    "which multiply Ũ and Û; the sum is V.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Split: nine weights that span more
#
# A 5×5 kernel has 25 weights where a 3×3 has nine. The paper takes nine for the larger kernel too: in a convolution with *dilation* $D$ neighbouring weights meet pixels $D$ apart.

# %% [markdown] slideshow={"slide_type": "notes"}
# The image below has one bright pixel in the middle, all else is black. A convolution whose weights are all one then answers wherever one of its nine weights, its *taps*, meets that pixel, so that the picture of the answer is a picture of the taps.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** how long is the side of the square that nine weights span with $D = 2$, and with $D = 3$? How many of its pixels do they read?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# Sides of 5 and 7, in general $2D + 1$; and nine pixels in each, with holes between them. So "the 5×5 branch" has nine weights. With a padding of $D$ zeros on each side the map keeps its size.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
pixel = torch.zeros(1, 1, 9, 9)  # [N, C, H, W]
pixel[0, 0, 4, 4] = 1
nine = torch.ones(1, 1, 3, 3)  # the weights, [C, C', 3, 3]
answers = [F.conv2d(pixel, nine, padding=D, dilation=D)[0, 0] for D in (1, 2, 3)]  # three of [9, 9]
for D, answer in zip((1, 2, 3), answers, strict=True):
    rows = answer.sum(dim=1).nonzero()  # the rows with an answer
    assert answer.sum() == 9 and rows.max() - rows.min() + 1 == 2 * D + 1
figures.show(
    figures.feature_maps({"answer": torch.stack(answers)}, ["D = 1", "D = 2", "D = 3"]),
    alt="Answers of three convolutions to one bright pixel, 9×9 each, bright where a weight meets the pixel. D = 1: a "
    "square of three by three. D = 2: nine separate pixels that span five by five. D = 3: nine that span seven by seven.",
)

# %% [markdown]
# ### Exercise 10.1: the holes filled with zeros · easy · 5 minutes
#
# A dilated convolution is an ordinary one whose kernel has zeros between its weights. Write `my_whole_kernel(weight, dilation)`: from weights `[C, C', k, k]` the kernel `[C, C', K, K]` that does the same without dilation. (Work out $K$ first.)


# %%
def my_whole_kernel(weight, dilation): ...


checks.whole_kernel(my_whole_kernel)  # "not tried yet", or right, or what is probably wrong

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_whole_kernel(weight, dilation):
#     c_out, c_in, k, _ = weight.shape
#     K = dilation * (k - 1) + 1
#     whole = torch.zeros(c_out, c_in, K, K, dtype=weight.dtype)
#     whole[:, :, ::dilation, ::dilation] = weight
#     return whole
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# **Groups.** With $G$ groups the channels are dealt into $G$ bundles, and each filter sees the $C/G$ channels of its own bundle only: a $G$-th of the weights and of the multiply-adds.

# %% [markdown] slideshow={"slide_type": "notes"}
# ResNeXt, from which SKNet starts, has 32 groups. The paper's unit has $G = 32$ in each of its $M = 2$ branches; that is why two kernels cost so little there.

# %% tags=["nbval-check-output"]
C = 128  # as in the first stage of SKNet-50
for G in (1, 2, 32):
    conv = torch.nn.Conv2d(C, C, 3, padding=2, dilation=2, groups=G, bias=False)
    print(f"G = {G:2}: each of {C} filters is {list(conv.weight[0].shape)}, together {conv.weight.numel():7,} weights")
    assert conv.weight.numel() == 9 * C * C // G

# %% [markdown] slideshow={"slide_type": "-"}
# A branch is such a convolution, BN and ReLU. Two of them make $\tilde U$ (3×3) and $\hat U$ (3×3 with $D = 2$) of the same $X$.

# %% [markdown] slideshow={"slide_type": "notes"}
# We take a trained unit: SK_4_2, the second of stage 4 in an SK-ResNet-18 with a quarter of the usual channels, trained on CIFAR-10. It has $G = 2$, so that its two branches together have as many weights as one ordinary 3×3 convolution. `X` is what the unit gets for a hundred images each of two classes, caught by a hook as in chapter 02:

# %% tags=["nbval-ignore-output"]
NAME = "sk_resnet18-quarter"
network = se.results.load_network(NAME).eval()
sk = se.selective.sk_blocks(network)["SK_4_2"]
first, second = dataset.classes[6], dataset.classes[9]  # in CIFAR-10: frog and truck
images = torch.cat([dataset.images[dataset.labels == k][:100] for k in (6, 9)])  # [200, 3, 32, 32]

caught = []
hook = sk.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
with torch.no_grad():
    network(se.training.normalise(images))
hook.remove()
(X,) = caught  # [200, 64, 8, 8]
G = sk.groups[0]
print("X:", tuple(X.shape), " G =", G, " D =", sk.dilations)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
(conv3, bn3, _), (conv5, bn5, _) = sk.branches  # convolution, BN, ReLU
with torch.no_grad():
    U3 = torch.relu(bn3(F.conv2d(X, conv3.weight, padding=1, groups=G)))  # Ũ [200, 64, 8, 8]
    U5 = torch.relu(bn5(F.conv2d(X, conv5.weight, padding=2, dilation=2, groups=G)))  # Û [200, 64, 8, 8]
    for ours, theirs in zip((U3, U5), se.selective.split(X, sk.branches), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
print("two maps of one shape:", tuple(U3.shape), tuple(U5.shape))

# %% [markdown]
# What the two kernels make of one image, in eight of the 64 channels.

# %% [markdown]
# They are not two views of one feature: each branch has weights of its own, so channel $c$ of $\tilde U$ and channel $c$ of $\hat U$ need not be alike. What ties them together is that their mixture is one channel of the output.

# %% tags=["nbval-ignore-output"]
eight = (U3[0] + U5[0]).mean(dim=(1, 2)).argsort(descending=True)[:8]  # the most active channels
figures.show(
    figures.feature_maps({"3×3": U3[0, eight], "5×5": U5[0, eight]}, [f"c = {c}" for c in eight.tolist()]),
    alt=f"Eight channels of one {first}, 8×8 numbers each, after the 3×3 branch above and after the 5×5 branch below, on "
    "one scale of colour. In none of the channels do the two maps look alike.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Fuse: one vector from what both saw
#
# Which kernel suits this image? To say so, the unit looks at what both saw. It adds the branches up (eq. 1) and squeezes the sum (eq. 2):
#
# $$U = \tilde U + \hat U, \qquad s_c = \frac{1}{H \times W} \sum_{i=1}^{H} \sum_{j=1}^{W} U_c(i, j)$$

# %% [markdown] slideshow={"slide_type": "notes"}
# A warning about letters. This $s$ is what the SE paper calls $z$, and the SK paper's $z$, just below, is what we called the hidden units $h$. We keep each paper's own.

# %% [markdown] slideshow={"slide_type": "-"}
# Then one layer narrows it to $d$ numbers (eq. 3), with BN ($\mathcal B$) and ReLU ($\delta$):
#
# $$z = \delta(\mathcal{B}(W s)), \qquad W \in \mathbb{R}^{d \times C}, \qquad d = \max(C/r,\; L) \quad\text{(eq. 4)}$$

# %% [markdown] slideshow={"slide_type": "-"}
# $r$ is the reduction ratio, 16, as in SE. $L = 32$ is a floor: $z$ is never shorter.

# %% tags=["nbval-check-output"]
with torch.no_grad():
    U = U3 + U5  # eq. 1: [200, 64, 8, 8]
    s = U.mean(dim=(2, 3))  # eq. 2: [200, 64]
    z = torch.relu(sk.norm(s @ sk.fc1.weight.T))  # eq. 3: [200, d]
    assert torch.allclose(z, se.selective.fuse([U3, U5], sk.fc1.weight, sk.norm), atol=1e-5)

for channels in (16, 32, 64, 128, 256, 512, 1024):
    print(f"C = {channels:4}: C/r = {channels // 16:2}, d = {max(channels // 16, 32)}")
assert z.shape[1] == max(64 // 16, 32)

# %% [markdown] slideshow={"slide_type": "notes"}
# In SKNet-50, with 128 to 1024 channels, $d$ is 32 in all stages but the last. In our narrow network it is 32 everywhere, and in stage 2 with its 16 channels $z$ is even longer than $s$.
#
# Why a sum, and not the branches' two vectors end to end? Then $W$ would need $M C$ columns; for a sum it needs $C$, whatever the number of branches. What BN does here will show in the section on the notes' version.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## Select: a softmax over the branches
#
# Each branch has a matrix of its own, $A$ and $B \in \mathbb{R}^{C \times d}$, that turns $z$ into one number a channel, the *logit*; $A_c$ is row $c$. The two logits of a channel compete (eq. 5):
#
# $$a_c = \frac{e^{A_c z}}{e^{A_c z} + e^{B_c z}}, \qquad b_c = \frac{e^{B_c z}}{e^{A_c z} + e^{B_c z}}, \qquad a_c + b_c = 1$$

# %% [markdown] slideshow={"slide_type": "-"}
# and the output takes that much of each (eq. 6):
#
# $$V_c = a_c\, \tilde U_c + b_c\, \hat U_c$$

# %% [markdown] slideshow={"slide_type": "notes"}
# The softmax runs over branches, for each channel by itself. That is not what SE's authors warned of (a softmax over channels, where one channel opens only if others close). Here a channel chooses between two sources; it need not compete with other channels.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# In code, the two matrices stand one below the other in `sk.fc2`.

# %% [markdown] slideshow={"slide_type": "notes"}
# And that is all: these few lines give what the package's unit gives.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
A, B = sk.fc2.weight.split(64)  # [C, d] each
with torch.no_grad():
    logits = torch.stack([z @ A.T, z @ B.T], dim=1)  # [200, M, C]
    a, b = logits.softmax(dim=1).unbind(1)  # eq. 5: [200, C] each
    V = a[:, :, None, None] * U3 + b[:, :, None, None] * U5  # eq. 6: [200, C, 8, 8]
    assert torch.allclose(a + b, torch.ones(200, 64))
    assert torch.allclose(V, sk(X), atol=1e-5)
print("split, fuse, select equal se.SKConv: yes")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# With two branches a softmax is a sigmoid. Divide above and below by $e^{A_c z}$:
#
# $$a_c = \frac{1}{1 + e^{-(A_c - B_c) z}} = \sigma\big((A_c - B_c)\, z\big)$$

# %% [markdown] slideshow={"slide_type": "-"}
# So $a_c$ is an SE gate whose $W_2$ is $A - B$, and $V = \hat U + a\,(\tilde U - \hat U)$ slides from one map to the other. **SE, but for the BN before its ReLU (and the floor $L$), is the case where the other branch is empty:** $\hat U = 0$ and $B = 0$ give $V = \sigma(A z)\, \tilde U$.

# %% [markdown] slideshow={"slide_type": "notes"}
# Two things follow. What $A$ and $B$ have in common does nothing: add the same matrix to both, and the attention stays. (The same holds for a bias that both share; the released model has none at all.) And $V$ lies between the two maps at each position: attention of one half is the plain sum, halved. The layer after it can undo a factor of two, so the plain sum is the right control for asking what attention is worth.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment"}
with torch.no_grad():
    assert torch.allclose(a, torch.sigmoid(z @ (A - B).T), atol=1e-5)
    common = torch.randn_like(A)
    shifted = torch.stack([z @ (A + common).T, z @ (B + common).T], dim=1)
    assert torch.allclose(shifted.softmax(dim=1), logits.softmax(dim=1), atol=1e-4)
    gate = torch.stack([z @ A.T, torch.zeros(200, 64)], dim=1).softmax(dim=1)[:, 0]  # the other logit is 0
    assert torch.allclose(gate, torch.sigmoid(z @ A.T), atol=1e-5)
    half = se.selective.select([U3, U5], torch.full((200, 2, 64), 0.5))
    assert torch.allclose(2 * half, U, atol=1e-5)
print("a = σ((A - B) z): yes; a common part cancels: yes; one half is half the sum: yes")

# %% [markdown]
# ### Exercise 10.2: select, for any number of branches · medium · 8 minutes
#
# Write `my_select(maps, logits)`: `maps` is `[N, M, C, H, W]`, one map for each of $M$ branches, `logits` is `[N, M, C]`. Return $V$, `[N, C, H, W]`. (With $M$ branches, eq. 5 divides by the sum of all $M$ exponentials.)


# %%
def my_select(maps, logits): ...


checks.select(my_select)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_select(maps, logits):
#     a = logits.softmax(dim=1)
#     return (a[..., None, None] * maps).sum(dim=1)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** the attention of the 5×5 branch, $b$, in the 64 channels, for a hundred images each of two classes. Will it be one half everywhere, differ from channel to channel, differ from class to class?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What to look at</summary>
#
# Three things can be told apart in this picture. Both lines on one side of 0.5: a channel that prefers one kernel on average, whatever the class. How wide its band is: how much images differ. How far the two lines lie apart: how much the class matters. Only the second and third are *selection*; a preference that is the same for all images could as well be part of the weights. The line above the figure gives three numbers, means over channels; the first is how far the mean over both classes is from 0.5.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
b_first, b_second = b[:100], b[100:]  # [100, 64] each
preference = (b.mean(dim=0) - 0.5).abs().mean()
within = (b_first.std(dim=0) + b_second.std(dim=0)).mean() / 2
apart = (b_first.mean(dim=0) - b_second.mean(dim=0)).abs().mean()
print("on average over channels:", end=" ")
print(f"{preference:.2f} from one half; images of a class differ by {within:.2f}, the two classes by {apart:.2f}")
figures.show(
    figures.class_curves({first: b_first, second: b_second}, "attention of the 5×5, b"),
    alt=f"Attention of the 5×5 branch in 64 channels for a hundred images of {first} and of {second}, mean and one "
    f"standard deviation. On average over channels, one standard deviation is {within:.2f}, and the two means lie "
    f"{apart:.2f} apart.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What SK[M, G, r] costs
#
# The paper writes a unit as SK[$M$, $G$, $r$]: branches, groups, reduction. SKNet-50 has SK[2, 32, 16] in place of each 3×3 convolution of a ResNeXt-50.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** in a unit with $C = 128$, which has more weights: the two kernels, or $W$, $A$ and $B$ together? And which has more multiply-adds, on maps of 56×56?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# $W$, $A$ and $B$ have more weights than the two kernels, since groups made these so light. But the kernels are used at each of the 3,136 positions, the three matrices once an image: in multiply-adds the attention is next to nothing. It is the story of [chapter 03](03_what_attention_costs.ipynb) again. Beside one ordinary 5×5 convolution the whole unit is small in both.
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
C, H = 128, 56
with torch.device("meta"):  # shapes without numbers: counting needs no more
    unit = se.SKConv(C)  # SK[2, 32, 16]
    whole = {f"one {k}×{k}, 1 group": torch.nn.Conv2d(C, C, k, padding=k // 2, bias=False) for k in (3, 5)}
kernels = cost.parameters(unit.branches[0][0]) + cost.parameters(unit.branches[1][0])
attention = cost.parameters(unit.fc1) + cost.parameters(unit.fc2)
print(f"{'':17} {'weights':>8} {'multiply-adds':>14}")
print(f"{'two kernels':17} {kernels:8,} {kernels * H * H:14,}")
print(f"{'W, A, B':17} {attention:8,} {attention:14,}")
for name, conv in whole.items():
    print(f"{name:17} {cost.parameters(conv):8,} {cost.multiply_adds(conv, (C, H, H)):14,}")
assert cost.multiply_adds(unit, (C, H, H)) == kernels * H * H + attention
assert kernels < attention < kernels * H * H / 1000

# %% [markdown]
# ### Exercise 10.3: weigh a unit · medium · 8 minutes
#
# Write `my_sk_weights(channels, branches, groups, reduction, min_width)`: the weights of a unit with as many channels in as out. Every branch is a 3×3 convolution in `groups` groups. Count kernels and the attention's layers; leave BN out. There are no biases, and two branches or more. $C/r$ is rounded down, and `min_width` is $L$.


# %%
def my_sk_weights(channels, branches, groups, reduction, min_width): ...


checks.sk_weights(my_sk_weights)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_sk_weights(channels, branches, groups, reduction, min_width):
#     d = max(channels // reduction, min_width)
#     kernels = branches * 9 * channels * channels // groups
#     W = d * channels
#     A_and_B = branches * channels * d
#     return kernels + W + A_and_B
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "notes"}
# The whole network, counted: the paper prints 27.5 million weights and 4.47 billion multiply-adds for SKNet-50, 25.0 and 4.24 for ResNeXt-50. (Ours come out lower by one in the last digit of the multiply-adds, for both.)

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper's "GFLOPs" are multiply-adds. It has 48.9 and 8.46 for SKNet-101, and for comparison SENet-50 with 27.7 and 4.25. (SKNet-101 comes out 0.2 million weights lower here. The released network is lower still, by 49,280: it has $d = 16$ in stage 3, where eq. 4 gives 32.)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "notes"}
printed = {"resnext50": (25.0, 4.24), "sknet50": (27.5, 4.47), "sknet101": (48.9, 8.46)}
for name, (millions, billions) in printed.items():
    with torch.device("meta"):
        model = se.create_model(name, **se.models.find(name)[0].counted, num_classes=1000)
    weights, products = cost.parameters(model), cost.multiply_adds(model, (3, 224, 224))
    print(f"{name:9} {weights / 1e6:.1f} million weights, {products / 1e9:.2f} billion multiply-adds")
    assert abs(weights / millions / 1e6 - 1) < 0.005 and abs(products / billions / 1e9 - 1) < 0.005

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The version in the notes
#
# One of the notes that this course grew out of quotes the equations right, and prints code that computes something else. What differs:
#
# | | the paper's unit, and its released model | the note's code |
# |---|---|---|
# | kernels | two: 3×3, and 3×3 with $D = 2$ | four whole ones: 1×1, 3×3, 5×5, 7×7 |
# | groups | 32 | 1 |
# | biases of the convolutions and of $W$, $A$, $B$ | none | everywhere |
# | after $W$ | BN and ReLU (eq. 3) | nothing |

# %% [markdown] slideshow={"slide_type": "notes"}
# (Kernels and groups are arguments of the note's code, dilation is not.) Here is what it computes, in our words:


# %% tags=["nbval-ignore-output"]
class NoteSK(torch.nn.Module):
    """The note's unit: whole kernels, one group, biases, and z = W s + w as it is."""

    def __init__(self, channels, kernels=(1, 3, 5, 7), reduction=16, min_width=32):
        super().__init__()
        d = max(min_width, channels // reduction)
        self.branches = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Conv2d(channels, channels, k, padding=k // 2), torch.nn.BatchNorm2d(channels), torch.nn.ReLU()
            )
            for k in kernels
        )
        self.fc = torch.nn.Linear(channels, d)  # W, w
        self.fcs = torch.nn.ModuleList(torch.nn.Linear(d, channels) for _ in kernels)  # A, B, … with biases

    def attention(self, s):  # [N, C]
        z = self.fc(s)  # [N, d]: no BN, no ReLU
        return torch.stack([fc(z) for fc in self.fcs], dim=1).softmax(dim=1)  # [N, M, C]

    def forward(self, x):  # [N, C, H, W]
        maps = torch.stack([branch(x) for branch in self.branches], dim=1)  # [N, M, C, H, W]
        a = self.attention(maps.sum(dim=1).mean(dim=(2, 3)))  # [N, M, C]
        return (a[..., None, None] * maps).sum(dim=1)  # [N, C, H, W]


# %% tags=["nbval-check-output"] slideshow={"slide_type": "notes"}
with torch.device("meta"):
    paper, note = se.SKConv(128), NoteSK(128)
for name, module in {"SK[2, 32, 16]": paper, "the note's": note}.items():
    weights, products = cost.parameters(module), cost.multiply_adds(module, (128, 56, 56))
    print(f"{name:14} {weights:9,} weights, {products / 1e6:7,.0f} million multiply-adds")
ratio = cost.multiply_adds(note, (128, 56, 56)) / cost.multiply_adds(paper, (128, 56, 56))
print(f"{ratio:.0f} times the arithmetic")
assert NoteSK(32)(torch.randn(2, 32, 8, 8)).shape == (2, 32, 8, 8)
assert 100 < ratio < 200

# %% [markdown] slideshow={"slide_type": "notes"}
# For $C = 128$ and maps of 56×56; the weights of BN are counted too. The ratio is that of the kernels: $(1 + 9 + 25 + 49)\,C^2$ against $2 \cdot 9\,C^2/32$. None of this is *wrong*, a unit may have such kernels; but who takes it for the paper's unit pays for another one.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# **No ReLU: two layers that are one.** Without $\delta$ the logits are $A(W s) = (A W)\, s$: a single linear layer of rank at most $d$. Such logits cannot say that two channels matter only together.

# %% [markdown] slideshow={"slide_type": "notes"}
# That was the first of the two things that SE's authors asked of the function from $z$ to the gates. The check: what two inputs do together is the sum of what each does. (With biases this holds for differences from the answer to zero.)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
torch.manual_seed(0)
note, paper = NoteSK(64).double(), se.SKConv(64, groups=2).double().eval()  # new, random weights
s1, s2 = torch.randn(2, 100, 64, dtype=torch.float64)  # two batches [100, C]
none = torch.zeros_like(s1)


def together_minus_each(logits):
    return (logits(s1 + s2) - logits(s1) - logits(s2) + logits(none)).abs().max().item()


rank = torch.linalg.matrix_rank(note.fcs[0].weight @ note.fc.weight).item()  # of A W [C, C]
without = together_minus_each(lambda s: note.fcs[0](note.fc(s)))
with_relu = together_minus_each(lambda s: paper.fc2(torch.relu(paper.norm(paper.fc1(s)))))
assert rank == 32 and without < 1e-12 and with_relu > 1
print("rank of A W:", rank, "of 64; without ReLU the parts add up:", without < 1e-12, " with:", with_relu < 1e-12)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# **No BN: the attention depends on the scale of the maps.** Let $s$ be 1, 10 or 100 times as large, and see how large the larger attention of a channel is, on average.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** two branches, random weights. Where does the average start, and where will it go?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# Without BN the softmax saturates: the larger the maps, the nearer the choice comes to all or nothing, and a saturated softmax has hardly a gradient. How large do maps get? The BN of each branch holds them at first, but its learned factors may grow in training. BN after $W$ divides by the spread of the batch, so a common factor cancels. (In training, where it takes the spread of the batch at hand; a trained network has learned the scale of its maps.)
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
torch.manual_seed(0)
note, paper = NoteSK(64, kernels=(3, 5)), se.SKConv(64, groups=2).train()
s = torch.randn(200, 64)  # [N, C]


def of_paper(s):  # [N, C]
    z = torch.relu(paper.norm(paper.fc1(s)))  # [N, d]
    return paper.fc2(z).unflatten(1, (2, 64)).softmax(dim=1)  # [N, M, C]


with torch.no_grad():
    for factor in (1, 10, 100):
        larger = [attention(factor * s).amax(dim=1).mean().item() for attention in (note.attention, of_paper)]
        print(f"s times {factor:3}: the note's {larger[0]:.2f}, the paper's {larger[1]:.2f}")
    assert torch.allclose(of_paper(100 * s), of_paper(s), atol=1e-3)
assert larger[0] > 0.95

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Does it pay?
#
# A small network was trained with one thing changed at a time: number and size of the kernels, attention or plain sum, dilation and groups of the second branch. (Three seeds each.)

# %% [markdown] slideshow={"slide_type": "notes"}
# SK-ResNet-18 at a quarter of the usual width, on all 50,000 training images of CIFAR-10 for 6 epochs, scored on the 10,000 test images. (The later sections, with images of several sizes, score on 2,000 of them, the same from each class.) The unit stands where ResNet-18 has the first 3×3 of a residual block; every branch has 2 groups. 3×3, 5×5 and 7×7 are 3×3 kernels with $D$ = 1, 2 and 3. It is our network, not the paper's, and a short training.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next two cells:** in the paper one 3×3 errs on 22.23 %, one 5×5 on 25.14 %, both with attention on 20.79 %. On 32×32 pixels, will a 5×5 be worse than a 3×3? Will both help? The attention?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Alone, the larger the kernel the worse, here too: the 3×3 is right on 82.7 %<!-- record: sk-trials.trials.k3.accuracy -->, the 5×5 on 81.7 %<!-- record: sk-trials.trials.k5.accuracy -->, the 7×7 on 80.9 %<!-- record: sk-trials.trials.k7.accuracy -->, and no run of a larger kernel reaches one of the next smaller. Two kernels with attention reach 82.9 %<!-- record: sk-trials.trials.m2.accuracy -->, as a plain sum 83.2 %<!-- record: sk-trials.trials.m2-sum.accuracy -->; three 83.1 %<!-- record: sk-trials.trials.m3.accuracy --> and 83.1 %<!-- record: sk-trials.trials.m3-sum.accuracy -->. The best in the table has no larger kernel at all: a second 3×3, with attention between the two, 83.4 %<!-- record: sk-trials.trials.d1.accuracy -->, 0.50<!-- record: sk-trials.trials.d1.difference_points --> points (standard error 0.09<!-- record: sk-trials.trials.d1.standard_error_points -->) more than with a 5×5. By the rule of the next cells that is more than luck, though it was picked as the best of ten. The attention wins nothing: the plain sum of the same two branches is ahead by 0.30<!-- record: sk-trials.trials.m2-sum.difference_points --> points (0.10<!-- record: sk-trials.trials.m2-sum.standard_error_points -->), which three pairs leave to luck. So on these small images a second branch may help; a larger kernel in it, or attention in place of the sum, did not.
#
# </details>

# %%
trials = se.results.load_record("sk-trials")["trials"]
names = {
    "k3": "3×3 alone",
    "k5": "5×5 alone",
    "k7": "7×7 alone",
    "m2": "3×3 and 5×5",
    "m3": "3×3, 5×5 and 7×7",
    "m2-sum": "3×3 + 5×5, plain sum",
    "m3-sum": "all three, plain sum",
    "d1": "3×3 twice (D = 1)",
    "d3": "3×3 and 7×7 (D = 3)",
    "g1": "5×5 in 1 group",
    "g8": "5×5 in 8 groups",
}

# %% [markdown]
# A dot for each run: one kernel, then attention beside the plain sum of the same branches.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
columns = {"k3": "3×3", "k5": "5×5", "m2": "both,\nattention", "m2-sum": "both,\nsum"}
columns |= {"m3": "three,\nattention", "m3-sum": "three,\nsum"}
runs = {t: [se.results.load_record(f"sk-trials/{t}-seed{seed}") for seed in trials[t]["seeds"]] for t in columns}
errors = {t: [100 * (1 - run["accuracy"]) for run in of_trial] for t, of_trial in runs.items()}
figures.show(
    figures.dots({columns[t]: errors[t] for t in columns}, "our test error, %", {}),
    alt="Test error of each run of the small network, a column a trial: "
    + "; ".join(f"{names[t]} {', '.join(f'{e:.2f}' for e in errors[t])} %" for t in columns),
)

# %% [markdown] slideshow={"slide_type": "notes"}
# Where a column has several dots, look at them first: how far they lie apart is what a seed does. Then compare columns. The plain sum is the control for the attention: it has the same branches, and (since attention of one half is half the sum) is what attention could always fall back to. The paper reports that attention beats the plain sum with two branches and with three, and that the third branch adds next to nothing (20.76 % error, after 20.79).

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# All trials, beside the one with 3×3 and 5×5: is a difference more than luck?

# %% [markdown] slideshow={"slide_type": "notes"}
# As in [chapter 05](05_train_se_resnet18.ipynb): runs with the same seed are compared in pairs, and a difference counts once it exceeds so many of its standard errors that luck would do this in at most one case of twenty. With three seeds that takes 4.3; how far seeds alone move such a network shows in the last line. And mind the number of comparisons: with ten of them, each wrong once in twenty times, one of the ten will often be "more than luck" by luck.

# %%
in_paper = {"k3": 22.23, "k5": 25.14, "k7": 25.51, "m2": 20.79, "m3": 20.76}  # top-1 error on ImageNet, %


def luck(trial):
    """The error beside that of m2, seed by seed: points, standard error, and what that says."""
    points, error = trials[trial]["difference_points"], trials[trial]["standard_error_points"]
    sure = abs(points) > 4.3 * error  # three pairs
    return f"{-points:+.2f} ± {error:.2f}, {'more than luck' if sure else 'may be luck'}"


# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
print(f"{'':21} seeds  our error  weights  paper  difference of errors")
for trial, what in names.items():
    row = trials[trial]
    line = f"{what:21} {len(row['seeds']):5}  {1 - row['accuracy']:9.2%}  {row['parameters']:7,}"
    paper = f"{in_paper[trial]:5.2f}" if trial in in_paper else " " * 5
    print(f"{line}  {paper}  {'' if trial == 'm2' else luck(trial)}".rstrip())
pairs = se.results.load_record("quarter-pairs")
print(
    f"plain ResNet-18, 8 epochs, {len(pairs['baseline'])} seeds:", ", ".join(f"{1 - a:.2%}" for a in pairs["baseline"])
)

# %% [markdown] slideshow={"slide_type": "notes"}
# Mind what else changes with a trial. A second branch brings weights and arithmetic with it, and attention brings $W$, $A$ and $B$: the column of weights says how much. Of dilation and groups, the paper tried several pairs for the second branch and kept $D = 2$, $G = 32$.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## 3×3 or 5×5, by depth
#
# With CIFAR-10's images a map of stage 2 has 32×32 positions, one of stage 5 has 4×4; with Tiny-ImageNet's, twice as many each way. Which kernel do the units of each stage take more from?

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next two cells:** where will the larger kernel get more than half of the attention: in the early units, in the late ones, everywhere, nowhere?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# On CIFAR-10 the larger kernel gets less than half in stage 2 and in the first unit of every stage, least in SK_2_1 with 0.43<!-- record: sk-trials.trials.m2.attention.SK_2_1.1 -->; and a little more than half in the second units of stages 3 to 5, 0.52<!-- record: sk-trials.trials.m2.attention.SK_5_2.1 --> at SK_5_2, although much of what it reads there is padding (the cell after the figure). On Tiny-ImageNet it gets more than half in the second unit of each stage, by a hair, and the first unit is the one that stands out, with 0.44<!-- record: sk-sizes.networks.Tiny-ImageNet.enlarged.SK_2_1.0 -->. None of these means is far from one half. What is larger is the movement: over images a channel's attention on CIFAR-10 moves by 0.15<!-- record: sk-trials.trials.m2.movement.SK_2_1.1 --> at SK_2_1 and by 0.20<!-- record: sk-trials.trials.m2.movement.SK_5_2.1 --> at SK_5_2. So images do choose.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
sizes = se.results.load_record("sk-sizes")
blocks = list(trials["m2"]["attention"])  # SK_2_1 … SK_5_2
by_depth = {data: [found["enlarged"][n][0] for n in blocks] for data, found in sizes["networks"].items()}
curves = {data: (blocks, values) for data, values in by_depth.items()}
figures.show(
    figures.lines(curves | {"one half": (blocks, [0.5] * len(blocks))}, "", "attention of the 5×5"),
    alt="Mean attention of the 5×5 branch over test images and channels, from the first unit to the last. "
    + "; ".join(f"{data}: " + ", ".join(f"{v:.2f}" for v in values) for data, values in by_depth.items()),
)

# %% [markdown] slideshow={"slide_type": "notes"}
# A kernel that spans 5×5 hangs over the edge of a small map, where it reads zeros. How many of its nine taps meet the map, on average over positions? On 4×4, the maps of SK_5_2, it is four with $D = 2$, wherever the kernel stands:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "notes"}
for side in (32, 16, 8, 4):
    of_ones = torch.ones(1, 1, side, side)  # [N, C, H, W]
    taps = [F.conv2d(of_ones, nine, padding=D, dilation=D) for D in (1, 2, 3)]  # how many meet it, at each position
    print(f"{side:2}×{side:<2}", ", ".join(f"D = {D}: {t.mean():.2f}" for D, t in zip((1, 2, 3), taps, strict=True)))
assert (taps[1] == 4).all()

# %% [markdown] slideshow={"slide_type": "notes"}
# A mean near one half can hide two things: channels that prefer different kernels, and images that do. *Movement* is the standard deviation over images, *specificity* the share of the variance that lies between classes ([chapter 07](07_what_the_gates_learned.ipynb)).

# %% [markdown] slideshow={"slide_type": "notes"}
# Both are of the 5×5 branch, averaged over channels (and over seeds, where there are several). With two branches the 3×3's are the same: $a = 1 - b$.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "notes"}
m2 = trials["m2"]
print(f"seeds: {len(m2['seeds'])}\nunit    attention of 5×5  movement  specificity")
for name in blocks:
    small, large = m2["attention"][name]
    print(f"{name} {large:17.3f} {m2['movement'][name][1]:9.3f} {m2['specificity'][name][1]:12.2f}")
    assert abs(small + large - 1) < 1e-3

# %% [markdown]
# And attention is not yet *use*. The BN of a branch can make its map large or small before attention weighs it. How much of $V$ comes from the 5×5?

# %% [markdown]
# The cell compares $b$ with the share of the 5×5 in the output, $\sum b_c \hat U_c / \sum V_c$, where nothing is negative after the ReLU. Where the two columns differ, the scale of the maps does a part of the choosing, and a mean attention above one half need not mean that the larger kernel matters more.

# %% tags=["nbval-ignore-output"]
seen, hooks = {}, []
for name, unit in se.selective.sk_blocks(network).items():
    for what, module in {"Û": unit.branches[1], "a": unit.attention, "V": unit}.items():
        key = f"{name} {what}"
        hooks.append(module.register_forward_hook(lambda module, inputs, out, key=key: seen.update({key: out})))
with torch.no_grad():
    network(se.training.normalise(images))  # 200 images
for hook in hooks:
    hook.remove()
print("unit    attention  share of V")
for name in blocks:
    weight = seen[f"{name} a"][:, 1]  # b [N, C]
    share = (weight[:, :, None, None] * seen[f"{name} Û"]).sum() / seen[f"{name} V"].sum()
    print(f"{name} {weight.mean():10.2f} {share:11.2f}")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## Enlarge the object
#
# Now the paper's central claim. If the object is larger, a larger kernel should suit it better. The paper enlarges what stands in the middle of each image and finds that the attention of the 5×5 rises with it, in early and middle units (SK_2_3 and SK_3_4 of SKNet-50), and in the last, SK_5_3, no longer.

# %% [markdown] slideshow={"slide_type": "notes"}
# `se.data.enlarge` shows the middle $1/f$ of each side on the whole image, so what stands there looks $f$ times as large.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# Look closely at one image, 1.0 to 2.0 times as large.

# %% [markdown] slideshow={"slide_type": "notes"}
# Enlarging does three things at once. The object is larger; its surroundings are cut off; and since no detail is gained, the picture is blurred. Blur alone might move attention: fine detail may be what a small kernel is for. So there is a control, the lower row: `se.data.soften` makes the image smaller by $f$ and as large as before again, by the same step as in enlarging. It is blurred about as much, and nothing in it is larger. What the enlarged images do beyond the blurred ones is due to size, to the lost surroundings, or to what the two differ in blur: the table below has the *sharpness* of both (squared differences of neighbouring pixels over twice the variance: 0 for a flat picture, 1 for noise).

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
factors = sizes["factors"]  # 1.0 to 2.0
one = images[16:17]  # [1, 3, 32, 32]
rows = [change(one, f) for change in (se.data.enlarge, se.data.soften) for f in factors]
titles = [f"{what} {f:g}×" for what in ("enlarged", "blurred") for f in factors]
assert torch.equal(rows[0], one) and torch.equal(rows[len(factors)], one)  # 1.0× changes nothing
figures.show(
    figures.image_grid(torch.cat(rows), titles, columns=len(factors), size=1.5),
    alt=f"One picture of the class {first} in two rows, from 1.0 to 2.0 times. Above it is enlarged from its middle, its "
    "border is lost step by step. Below it keeps its size and is blurred as much.",
)

# %% [markdown]
# ### Exercise 10.4: closer by a whole number · easy · 6 minutes
#
# Write `my_closer(images, factor)` for whole factors, without interpolation: from `images` `[n, 3, H, W]` take the middle `H/factor` rows and `W/factor` columns, and repeat each pixel `factor` times in both directions. (`factor` divides H and W, and what is cut off is the same on both sides.)


# %%
def my_closer(images, factor): ...


checks.closer(my_closer)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_closer(images, factor):
#     height, width = images.shape[-2:]
#     h, w = height // factor, width // factor
#     top, left = (height - h) // 2, (width - w) // 2
#     middle = images[:, :, top : top + h, left : left + w]
#     return middle.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next two cells:** the change of the 5×5's mean attention since 1.0×, in the last unit of each stage. Where will the line of the enlarged images rise? Where will it leave that of the blurred ones?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# The two lines go together: where attention moves, it moves nearly as far by blur alone. And where it moves is a matter of the seed. The last table below has each network's own changes at 2.0×: in SK_3_1 one network takes nearly a tenth away from the 5×5 and another gives it a hundredth; in SK_4_2 two give and one takes; only in SK_2_1, SK_4_1 and SK_5_1 do all three go one way, down. But in almost every unit of every network the enlarged images go the same way as the blurred ones. So attention answers mostly to sharpness, and each network in its own way. Without the control, and with one network, one would have read the panels as an answer to size. What is left over is about a hundredth or less, and has one sign in all three networks in few units: down in SK_2_1 and SK_4_1. The paper has a rise, in early and middle units.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
LAST = ["SK_2_2", "SK_3_2", "SK_4_2", "SK_5_2"]  # of each stage


def change_since_first(data, change, name):
    attention = sizes["networks"][data][change][name]  # one number a factor
    return [value - attention[0] for value in attention]


def size_figure(data):
    moves = {n: {c: change_since_first(data, c, n) for c in ("enlarged", "blurred")} for n in LAST}
    figures.show(
        figures.line_panels(
            {n: {c: (factors, y) for c, y in lines.items()} for n, lines in moves.items()},
            "factor",
            "change of the 5×5's attention",
            shared=True,
            width=2.3,
        ),
        alt=f"{data}: change of the mean attention of the 5×5 branch from 1.0 to 2.0 times, for enlarged and for only "
        "blurred images, a panel a unit. At 2.0 times: "
        + "; ".join(f"{n} {m['enlarged'][-1]:+.3f} and {m['blurred'][-1]:+.3f}" for n, m in moves.items()),
    )


size_figure("CIFAR-10")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The same on Tiny-ImageNet: twenty of ImageNet's classes at 64×64 pixels.

# %% [markdown] slideshow={"slide_type": "notes"}
# Another network of the same kind, trained on these images (10,000, and 1,000 to test). At 64×64 there is more detail to lose and there are more positions in every map, so this is nearer to the paper's setting, though still far from it.
#
# <details><summary>What we found</summary>
#
# In the first unit, SK_2_1, the 5×5's share falls from 0.44<!-- record: sk-sizes.networks.Tiny-ImageNet.enlarged.SK_2_1.0 --> to 0.41<!-- record: sk-sizes.networks.Tiny-ImageNet.enlarged.SK_2_1.5 --> when objects are twice as large, and to 0.40<!-- record: sk-sizes.networks.Tiny-ImageNet.blurred.SK_2_1.5 --> by blur alone. In the later units changes are small, and the two lines part: what is left over is again a hundredth or less, down in SK_4_1, as in all three networks above, and up in SK_5_2. The control is blurrier here than the enlarged images; and the paper has a rise in early and middle units, and none in the last.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
size_figure("Tiny-ImageNet")

# %% [markdown] slideshow={"slide_type": "notes"}
# All units as numbers, near the paper's 1.5 and at 2.0: the change by enlarging, by blur alone, and their difference, which is left over.

# %% [markdown] slideshow={"slide_type": "notes"}
# These are means over the networks, whose number stands above each table; the paper gives no spread. The accuracy tells how foreign the changed images are to a network that never saw such. And compare the changes with the movement in the table of the last section: how much attention differs from one image to the next.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "notes"}
for data, found in sizes["networks"].items():
    print(f"{data}, networks: {len(found['runs'])}")
    for i in (2, 5):
        larger, blurred = (found[change] for change in ("enlarged", "blurred"))
        print(f"  at {factors[i]}×, enlarged and blurred:", end=" ")
        print(
            f"right {larger['accuracy'][i]:.0%}, {blurred['accuracy'][i]:.0%} (at 1× {larger['accuracy'][0]:.0%});",
            end=" ",
        )
        print(f"sharpness {larger['sharpness'][i]:.2f}, {blurred['sharpness'][i]:.2f}")
    print(f"  {'':6}   " + "   ".join(["larger   blur   left"] * 2))
    for name in blocks:
        by_size, by_blur = (change_since_first(data, change, name) for change in ("enlarged", "blurred"))
        row = "   ".join(f"{by_size[i]:+.3f} {by_blur[i]:+.3f} {by_size[i] - by_blur[i]:+.3f}" for i in (2, 5))
        print(f"  {name}   {row}")

# %% [markdown] slideshow={"slide_type": "notes"}
# And each network by itself, on CIFAR-10 at 2.0×:

# %% tags=["nbval-check-output"]
each = sizes["networks"]["CIFAR-10"]["each"]
print("changes by enlarging, then what is left over when that by blur is taken off; a column a network")
for name in blocks:
    moves = [
        [run[change][name][5] - run[change][name][0] for change in ("enlarged", "blurred")] for run in each.values()
    ]
    print(f"{name}  ", *(f"{larger:+.3f}" for larger, _ in moves), "  ", *(f"{a - b:+.3f}" for a, b in moves))

# %% [markdown]
# And now live, on 300 test images, with the shipped network.

# %% [markdown]
# `se.record_attention` runs images through a network and keeps the attention of every unit and branch: "SK_4_2 2" is the second branch of SK_4_2, the 5×5. These are 300 images and one network, so expect the numbers to differ from the record's.

# %% tags=["nbval-ignore-output"]
if have_images:
    some = dataset.images[:300]  # [300, 3, 32, 32]
    plain = se.record_attention(network, some, precision="no")
    for what, changed in {"enlarged": se.data.enlarge(some, 1.4), "blurred": se.data.soften(some, 1.4)}.items():
        attention = se.record_attention(network, changed, precision="no")
        moved = {n: (attention[f"{n} 2"].total_mean - plain[f"{n} 2"].total_mean).mean().item() for n in LAST}
        print(f"{what} 1.4×:", "  ".join(f"{n} {m:+.4f}" for n, m in moved.items()))
else:
    print("No CIFAR-10 here, and drawn shapes mean nothing to this network: the records above are all there is to see.")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## What to take along

# %% [markdown] slideshow={"slide_type": "notes"}
# | symbol | meaning | shape | in code |
# |---|---|---|---|
# | $M$, $G$, $r$, $L$ | branches, groups, reduction, least width | numbers | `branches`, `groups`, `reduction`, `min_width` |
# | $D$ | dilation: distance of neighbouring weights | a number a branch | `dilations` |
# | $\tilde U$, $\hat U$ | maps of the branches | `[N, C, H, W]` | `se.selective.split(x, branches)` |
# | $s$ | squeezed sum of the branches (SE's $z$) | `[N, C]` | `se.squeeze(u)` |
# | $z$ | what the attention is made from (SE's hidden units) | `[N, d]` | `se.selective.fuse(maps, w, norm)` |
# | $W$, $\mathcal B$ | the layer from $s$ to $z$, and its BN; $d = \max(C/r, L)$ | $W$: `[d, C]` | `sk.fc1.weight`, `sk.norm` |
# | $A$, $B$ | a matrix a branch | `[C, d]` each | `sk.fc2.weight` |
# | $a$, $b$ | attention, eq. 5 | `[N, C]` each | `sk.attention` |
# | $V$ | selected maps, eq. 6 | `[N, C, H, W]` | `se.selective.select(maps, a)` |

# %% [markdown] slideshow={"slide_type": "-"}
# - **The unit:** kernels side by side, one vector from their sum, a softmax over branches for each channel. With two branches it is a sigmoid of a difference; SE, but for a BN and the floor $L$, is the case with an empty second branch.
# - **The paper says:** two kernels with attention beat either alone and their plain sum (20.79 % error, 22.23 with the 3×3 alone), a third adds nothing; larger objects draw attention to the larger kernel, except in the last units.

# %% [markdown] slideshow={"slide_type": "-"}
# - **We measured,** on a small network, after few epochs and with three seeds: the table under *Does it pay?*, and attention against size with a control for blur, which the paper does not report.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **Where they differ:** we do not see attention follow size as the paper does. On CIFAR-10 most of what looks like it is blur, which way it goes depends on the seed, and what is left is a hundredth or less. Possible reasons: our images are small, so "larger" soon means "blurred", where the paper's have pixels to spare; our networks are narrow and were trained for minutes; and on CIFAR-10's maps of 4×4 most taps of the 5×5 read padding.
# - **A mean of one half says little:** look at movement over images, and at how much of the output a branch makes up.
# - **Next:** [words and symbols](C_words_and_symbols.ipynb) has both papers' letters side by side.
# - **To read:** sections 3.1 (the unit), 4.3 (ablations) and 4.4 (attention and object size) of the SK paper; Szegedy and others, *Going deeper with convolutions*, [arXiv 1409.4842](https://arxiv.org/abs/1409.4842), for kernels side by side; Zhang and others, *ResNeSt*, [arXiv 2004.08955](https://arxiv.org/abs/2004.08955), for what came after.
