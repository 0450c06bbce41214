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

# %% [markdown]
# # C · Look up words and symbols
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/C_words_and_symbols.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/C_words_and_symbols.py)
#
# The symbols of the paper beside the names in the code, the words of the course, and the errors in the notes that it grew out of, each with the chapter where it comes up.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% [markdown]
# ## Notation
#
# $N$ is the number of images in a batch, $C$ of channels, $H \times W$ the size of a map. Equation numbers are the paper's.
#
# | paper | in words | in the code | shape |
# |---|---|---|---|
# | $X = [x^1, \dots, x^{C'}]$ | what a convolution gets | `x` | `[N, C', H, W]` |
# | $v_c$, $v_c^s$ | filter of output channel $c$, its kernel for input channel $s$ | `conv.weight[c]`, `conv.weight[c, s]` | `[C', k, k]`, `[k, k]` |
# | $F_{tr}$, $U = [u_1, \dots, u_C]$ | the convolutions before the block, what they put out (eq. 1) | `u` | `[N, C, H, W]` |
# | $F_{sq}$, $z$ | squeeze: the mean of each map (eq. 2) | `z = se.squeeze(u)` | `[N, C]` |
# | $r$ | reduction ratio | `reduction=16` | a number |
# | $W_1$ | narrows $C$ channels to $C/r$ hidden units | `block.fc1.weight` | `[C/r, C]` |
# | $W_2$ | widens them again | `block.fc2.weight` | `[C, C/r]` |
# | $b_1$, $b_2$ | biases, not in the paper's equations | `block.fc1.bias`, `block.fc2.bias` | `[C/r]`, `[C]` |
# | $\delta$ | ReLU, $\max(0, a)$ | `torch.relu` | as its input |
# | $\sigma$ | sigmoid, $1/(1 + e^{-a})$ | `torch.sigmoid`, `block.gate` | as its input |
# | $F_{ex}$, $s$ | excitation: the gates (eq. 3) | `s = se.excite(z, w1, w2, b1, b2)` | `[N, C]` |
# | $F_{scale}$, $\tilde{X}$ | each map times its gate (eq. 4) | `se.scale(u, s)` | `[N, C, H, W]` |
# | $S$, $N_s$, $C_s$ | stages, blocks in stage $s$, their output channels (eq. 5) | `se.cost.added_weights({C_s: N_s}, r)` | numbers |
# | SE_4_2 | the SE block in the second block of stage 4 | `se.models.se_blocks(model)["SE_4_2"]` | |
#
# The paper of [chapter 10](10_selective_kernels.ipynb), on selective kernels (SK), has letters of its own, and two of them are taken: its $s$ is our $z$, its $z$ our hidden units. Equation numbers are that paper's:
#
# | SK paper | in words | in the code | shape |
# |---|---|---|---|
# | $M$, $G$, $D$ | branches, groups of a convolution, dilation (distance of neighbouring weights) | `branches`, `groups`, `dilations` | numbers |
# | $\tilde U$, $\hat U$ | maps of the 3×3 and of the 5×5 branch | `se.selective.split(x, branches)` | `[N, C, H, W]` |
# | $s$ | squeezed sum of the branches (eq. 2) | `se.squeeze(u)` | `[N, C]` |
# | $W$, $\mathcal{B}$, $z$ | narrows it to $d$ numbers, with BN and ReLU (eq. 3) | `se.selective.fuse(maps, sk.fc1.weight, sk.norm)` | $z$: `[N, d]` |
# | $d$, $L$ | length of $z$, $\max(C/r, L)$, and its least value (eq. 4) | `min_width=32` | numbers |
# | $A$, $B$ | a matrix a branch | `sk.fc2.weight`, one below the other | `[C, d]` each |
# | $a$, $b$ | attention: softmax over branches (eq. 5) | `sk.attention` | `[N, M, C]` together |
# | $V$ | the branches mixed by it (eq. 6) | `se.selective.select(maps, a)` | `[N, C, H, W]` |
# | SK_4_2 | the SK convolution in the second block of stage 4 | `se.selective.sk_blocks(model)["SK_4_2"]` | |
#
# (The letter $s$ has three uses in the SE paper: the gates, an input channel in eq. 1, a stage in eq. 5.) In code an image is a row, so $W_1 z$ is `z @ w1.T`. The cell below reads the shapes off a block of the shipped network, which must agree with the table:

# %% tags=["nbval-check-output"]
import torch

import senet_edu as se

network = se.results.load_network("se_resnet18-quarter").eval()
block = se.models.se_blocks(network)["SE_4_2"]
C, hidden = block.channels, block.fc1.out_features

u = torch.randn(2, C, 8, 8)  # [N, C, H, W]
z = se.squeeze(u)
s = se.excite(z, block.fc1.weight, block.fc2.weight, block.fc1.bias, block.fc2.bias)
x_tilde = se.scale(u, s)

shapes = {"u": u, "z": z, "W1": block.fc1.weight, "W2": block.fc2.weight, "s": s, "x_tilde": x_tilde}
for name, tensor in shapes.items():
    print(f"{name:8} {list(tensor.shape)}")
assert z.shape == s.shape == (2, C) and x_tilde.shape == u.shape
assert block.fc1.weight.shape == (hidden, C) and block.fc2.weight.shape == (C, hidden)
assert torch.equal(x_tilde, block(u))

# %% [markdown]
# ## Glossary
#
# **Ablation.** An experiment that changes or takes away one part and leaves all else.
#
# **Accuracy, single view.** The share of test images answered correctly, from one look at each. *Flipped* adds the answer to the mirror image; we report it apart.
#
# **Attention.** Weighting parts of the input by how much they matter for this input. In an SE block the parts are channels.
#
# **Augmentation.** Showing training images moved, mirrored or otherwise changed, so that the network cannot rely on such details.
#
# **Batch normalisation (BN).** Brings each channel to mean 0 and variance 1 over the batch, then scales it by a learned $\gamma$ and shifts it by a learned $\beta$. [Chapter 05](05_train_se_resnet18.ipynb).
#
# **Branch and skip.** In a residual block, the path with the convolutions, and the one around them. [Chapter 05](05_train_se_resnet18.ipynb).
#
# **Channel.** One of the maps that a layer puts out: an answer to "how much of feature $c$ is here?" at each place.
#
# **Class specificity.** The share of a gate's variance over images that lies between classes: 0 if all classes have the same mean gate, 1 if the class decides the gate. [Chapter 07](07_what_the_gates_learned.ipynb).
#
# **Dead gate.** A gate that is the same for every image, as a rule near $\sigma(0) = 0.5$. [Chapter 05](05_train_se_resnet18.ipynb).
#
# **Dilation.** Spreading a kernel's weights so that neighbours meet pixels $D$ apart: nine weights of a 3×3 then span $2D + 1$ pixels each way. [Chapter 10](10_selective_kernels.ipynb).
#
# **Excitation.** The step from $z$ to the gates, and the gates themselves: "the excitations of SE_4_2". [Chapter 02](02_squeeze_excite_scale.ipynb).
#
# **Gate.** The number between 0 and 1 by which a channel is multiplied. One for each channel and image.
#
# **Global average pooling.** The mean over all positions of a map; the squeeze of eq. 2.
#
# **Groups.** A convolution in $G$ groups deals its channels into $G$ bundles; a filter sees only those of its own. [Chapter 10](10_selective_kernels.ipynb).
#
# **Hidden width.** The number of units between $W_1$ and $W_2$: $\max(\lfloor C/r \rfloor, \texttt{min\_hidden})$.
#
# **Label smoothing.** Training towards, say, 0.95 for the right class and a little for the others, in place of 1 and 0.
#
# **Logits.** What a softmax turns into shares of one: the scores of the classes or, in chapter 10, of a channel's branches.
#
# **Movement.** The standard deviation of a gate over images. Zero: it is the same for every image. [Chapter 07](07_what_the_gates_learned.ipynb).
#
# **Multiply-add.** One multiplication and one addition, as in a dot product; the paper's "FLOPs" are these. [Chapter 03](03_what_attention_costs.ipynb).
#
# **NoSqueeze.** The block without pooling: two 1×1 convolutions that give every position a gate of its own. It sees no more than the convolutions before it. [Chapter 01](01_why_channels.ipynb).
#
# **Plain twin.** The same network without SE, trained in the same way.
#
# **Receptive field.** The part of the image that can change a given number inside the network. [Chapter 01](01_why_channels.ipynb).
#
# **Recipe.** All settings of training: learning rate, batch size, augmentation and so on. `se.Recipe`.
#
# **Record.** A file about one run: what was trained, how, where, when, and what came out. Numbers on these pages about our own runs come from records. `se.results.load_record`.
#
# **Reduction ratio $r$.** How many times narrower the block's hidden layer is than its $C$ channels. [Chapter 03](03_what_attention_costs.ipynb).
#
# **Saturated.** A gate so near 0 or 1 that it hardly reacts: the sigmoid's slope $s(1-s)$ is nearly zero. [Chapter 02](02_squeeze_excite_scale.ipynb).
#
# **Seed.** The number that fixes everything random in a run.
#
# **Selective kernel (SK).** Convolutions of several sizes side by side, mixed channel by channel with weights that the image decides. [Chapter 10](10_selective_kernels.ipynb).
#
# **Squeeze.** The step from maps to one number a channel. [Chapter 02](02_squeeze_excite_scale.ipynb).
#
# **Stage.** A run of blocks with the same resolution and width. Stage 1 is the first convolution, stages 2 to 5 hold the residual blocks.
#
# **Weight decay.** Pulling every weight a little towards zero at each step. [Chapter 05](05_train_se_resnet18.ipynb).
#
# ## Errors in the notes
#
# The course grew out of five notes on SE found on the web. They are mostly right and worth reading; where they err, we say so, since others will copy it.
#
# | a note says | what holds | shown in |
# |---|---|---|
# | the paper is of CVPR 2017 | the contest was in 2017, the paper came to CVPR in 2018 | [chapter 01](01_why_channels.ipynb) |
# | a convolution adds its channels up with weight 1, so all count alike | how much a channel counts is in its kernel; but it counts the same in every image | [chapter 01](01_why_channels.ipynb) |
# | a map of $U$ cannot use what the other maps hold | the next convolution mixes them; what lies outside its patch it cannot use | [chapter 01](01_why_channels.ipynb) |
# | the squeeze finds how the channels relate | each mean is of one channel; the two layers after it relate them | [chapter 01](01_why_channels.ipynb) |
# | $z_c = \frac{1}{H \cdot C} \sum u_c(i,j)$ | the mean over positions, $\frac{1}{H \cdot W}$ | [chapter 02](02_squeeze_excite_scale.ipynb) |
# | `F.avg_pool2d(out, out.size(2))` pools globally | for square maps only; `out.mean(dim=(2, 3))` always | [chapter 02](02_squeeze_excite_scale.ipynb) |
# | `F.sigmoid` | an old spelling of `torch.sigmoid` | [chapter 02](02_squeeze_excite_scale.ipynb) |
# | a `SELayer` without commas between its layers | it does not parse | [chapter 02](02_squeeze_excite_scale.ipynb) |
# | "$r = 16$ is best" | in table 10, $r = 4$ has the lowest error, by a hair; 16 is the authors' trade-off | [chapter 03](03_what_attention_costs.ipynb) |
# | "the last stage saturates, all gates near 1" | the paper says so of SE_5_2 only | [chapter 07](07_what_the_gates_learned.ipynb) |
# | an SK unit with ungrouped 1, 3, 5 and 7 kernels and no BN or ReLU after the reduction | the paper's unit has grouped, dilated 3×3 kernels, and both | [chapter 10](10_selective_kernels.ipynb) |
# | "epoch > 80: 1e-1, epoch > 120: 1e-2 …" as learning rates | multipliers of the initial rate, as in the Keras example they come from | chapter 06, to come |
# | a validation share of 0.5 | it halves the training set | chapter 06, to come |
