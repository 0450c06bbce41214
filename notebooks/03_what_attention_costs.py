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
# # 03 · Count what attention costs: weights, arithmetic, time

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/03_what_attention_costs.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/03_what_attention_costs.py) [slides](https://senet-edu.github.io/senet-edu/slides/03_what_attention_costs.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** derive how many weights SE adds to a network and check the formula against counts, measure why its time has little to do with its arithmetic, and choose a reduction ratio $r$ by what it costs and what it buys.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 02](02_squeeze_excite_scale.ipynb): $U$ with $C$ maps of $H \times W$ numbers, the squeezed $z$, the gates $s$, the two layers $W_1$ and $W_2$. (All symbols stand in the [glossary](C_words_and_symbols.ipynb).)

# %% [markdown]
# | | two CPU cores | a Colab T4 |
# |---|---|---|
# | time to run | 9 s<!-- record: chapter-times.03_what_attention_costs.seconds --> | the same (estimated: most of it is counting, on the CPU) |
# | download | nothing | nothing |

# %% [markdown] slideshow={"slide_type": "notes"}
# Nothing is trained on this page. Where it shows accuracies, it reads the records of earlier runs.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %%
import torch

import senet_edu as se
from senet_edu import checks, cost, figures

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## The weights of one block
#
# All learned numbers of an SE block sit in its two layers. $W_1$ leads from $C$ channels to $C/r$ hidden units: a matrix of $\frac{C}{r} \times C$. $W_2$ leads back: $C \times \frac{C}{r}$. Squeeze and scale have no weights. Together
#
# $$\underbrace{\frac{C}{r} \cdot C}_{W_1} + \underbrace{C \cdot \frac{C}{r}}_{W_2} = \frac{2\,C^2}{r}$$

# %% [markdown] slideshow={"slide_type": "notes"}
# and, if the layers have biases, one number more for each output: $C/r$ in the first layer, $C$ in the second. The paper's ablations leave the biases out, its released models have them; both are counted below.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
C, r = 512, 16
block = se.SEBlock(C, r, bias=False)
with_biases = se.SEBlock(C, r, bias=True)
for name, weight in block.named_parameters():
    print(f"{name:12} {tuple(weight.shape)}: {weight.numel():,}")

assert cost.parameters(block) == 2 * C**2 / r
assert cost.parameters(with_biases) == 2 * C**2 / r + C / r + C
print(f"together {cost.parameters(block):,}; with biases {cost.parameters(with_biases):,}")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# A hidden layer has a whole number of units.

# %% [markdown] slideshow={"slide_type": "notes"}
# Where $r$ does not divide $C$, that number is $C/r$ rounded down, written `C // r`. Where $r > C$ it would be zero, and a layer of zero units lets nothing through; `se.SEBlock` then keeps one (`min_hidden=1`).

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
for C, r in ((64, 16), (48, 5), (8, 16)):
    hidden = se.SEBlock(C, r).fc1.out_features
    print(f"C = {C:2}, r = {r:2}: C/r = {C / r:4.1f}, hidden width {hidden}")
    assert hidden == max(C // r, 1)

# %% [markdown]
# ### Exercise 3.1: count a block · easy · 5 minutes
#
# Write `my_se_weights(channels, reduction, bias)`: how many learned numbers a block has. `bias` is `True` or `False`; the hidden width is `channels // reduction`, and at least 1.


# %%
def my_se_weights(channels, reduction, bias): ...


checks.se_weights(my_se_weights)  # "not tried yet", or right, or what is probably wrong

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_se_weights(channels, reduction, bias):
#     hidden = max(channels // reduction, 1)
#     weights = 2 * channels * hidden
#     return weights + hidden + channels if bias else weights
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The weights of a network: equation 5
#
# A network has many blocks. Call a run of blocks with the same number of output channels a *stage* $s$, with $N_s$ blocks of $C_s$ channels each.

# %% [markdown] slideshow={"slide_type": "notes"}
# (The letter $s$ has three uses in the paper: the gates, an input channel in eq. 1, a stage in eq. 5. In this section it counts stages.)

# %% [markdown] slideshow={"slide_type": "-"}
# Each block of a stage costs the same, so the stage costs $N_s \cdot 2C_s^2/r$, and the network, without biases (eq. 5):
#
# $$\frac{2}{r} \sum_{s} N_s \cdot C_s^2$$

# %% [markdown] slideshow={"slide_type": "notes"}
# ResNet-18 has two blocks in each of four stages, with 64, 128, 256 and 512 channels. (Stage 1 is the first convolution; the four stages count from 2 to 5.) The sum is $2 \cdot (64^2 + 128^2 + 256^2 + 512^2) = 696{,}320$, and SE adds $1{,}392{,}640 / r$ weights.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The cell builds the networks and counts.

# %% [markdown] slideshow={"slide_type": "notes"}
# (On the device `"meta"` tensors have shapes and no numbers: counting needs no more.)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
RESNET18 = {64: 2, 128: 2, 256: 2, 512: 2}  # C_s: N_s
with torch.device("meta"):
    plain = se.create_model("resnet18")
    no_bias = se.create_model("se_resnet18", reduction=16, bias=False)
    with_se = se.create_model("se_resnet18", reduction=16)

by_formula = cost.added_weights(RESNET18, reduction=16)
counted = cost.parameters(no_bias) - cost.parameters(plain)
assert counted == by_formula == 1_392_640 / 16
print(f"eq. 5: {by_formula:,.0f}, counted: {counted:,}")

# %% [markdown] slideshow={"slide_type": "notes"}
# With biases there is one number more for each hidden unit and each channel. Counted against the whole network:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
biases = cost.parameters(with_se) - cost.parameters(no_bias)
hidden = sum(block.fc1.out_features for block in se.models.se_blocks(with_se).values())
gates = sum(block.channels for block in se.models.se_blocks(with_se).values())
assert biases == hidden + gates == 120 + 1_920
for name, model in (("ResNet-18", plain), ("SE, no biases", no_bias), ("SE, biases", with_se)):
    more = cost.parameters(model) / cost.parameters(plain) - 1
    print(f"{name:14} {cost.parameters(model):,}  {more:+.2%}")
assert [cost.parameters(m) for m in (plain, no_bias, with_se)] == [11_173_962, 11_261_002, 11_263_042]

# %% [markdown]
# ### Exercise 3.2: equation 5 · easy · 5 minutes
#
# Write `my_added_weights(stages, reduction)`. `stages` is a list of pairs $(C_s, N_s)$, such as `[(64, 2), (128, 2), (256, 2), (512, 2)]`.


# %%
def my_added_weights(stages, reduction): ...


checks.added_weights(my_added_weights)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_added_weights(stages, reduction):
#     return 2 / reduction * sum(blocks * channels**2 for channels, blocks in stages)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Where the weights sit
#
# ResNet-50 has 3, 4, 6 and 3 blocks, with 256, 512, 1,024 and 2,048 channels. The widths double from stage to stage, and the square makes each block four times as dear as one a stage before.
#
# > **Before you run the next cell:** what share of all SE weights sits in the last stage, stage 5, in ResNet-18 and in ResNet-50: a quarter, a half, more?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# More than half: 75.3 % in ResNet-18, 62.5 % in ResNet-50, where stage 4 has twice as many blocks. This is why the paper looks at the last stage when it asks what could be left out: without it SE-ResNet-50 grows by 3.7 % in place of 9.8 % (the paper says 4 % and 10 %), and its top-5 error rises by less than 0.1 points.
#
# </details>

# %% tags=["nbval-check-output"]
RESNET50 = {256: 3, 512: 4, 1024: 6, 2048: 3}
shares = {}
for name, stages in (("ResNet-18", RESNET18), ("ResNet-50", RESNET50)):
    per_stage = [cost.added_weights({C: N}, reduction=16) for C, N in stages.items()]
    shares[name] = [100 * weights / sum(per_stage) for weights in per_stage]  # percent
    print(f"{name}: {' + '.join(f'{w:,.0f}' for w in per_stage)} = {sum(per_stage):,.0f}")
    print(f"  in the last stage: {shares[name][-1]:.1f} %")
assert per_stage == [24_576, 131_072, 786_432, 1_572_864]

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.bars(shares, ["stage 2", "stage 3", "stage 4", "stage 5"], "share of the SE weights, %"),
    alt="Share of the SE weights in each stage. "
    + "; ".join(f"{name}: {', '.join(f'{share:.1f} %' for share in values)}" for name, values in shares.items())
    + " for stages 2 to 5.",
)

# %% [markdown]
# The claim about growth, counted on ResNet-50 for ImageNet's 1,000 classes. The last number is that of the released model, biases included:

# %% tags=["nbval-check-output"]
imagenet = {"num_classes": 1000, "stem": "imagenet"}
with torch.device("meta"):
    resnet50 = se.create_model("resnet50", **imagenet)
    se_resnet50 = se.create_model("se_resnet50", **imagenet)

weights = cost.parameters(resnet50)
without_last = sum(per_stage[:-1])
print(f"all stages {sum(per_stage) / weights:.2%}, without the last {without_last / weights:.2%}")
assert (weights, cost.parameters(se_resnet50)) == (25_557_032, 28_088_024)
print(f"ResNet-50 {weights:,}, with SE and biases {cost.parameters(se_resnet50):,}")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The arithmetic
#
# A *multiply-add* is one product added to a sum, the step that convolutions and layers are made of.

# %% [markdown] slideshow={"slide_type": "notes"}
# (The paper counts these and calls them FLOPs; others count the product and the sum apart and get twice as many.)

# %% [markdown] slideshow={"slide_type": "-"}
# A 3×3 convolution from $C'$ to $C$ channels has $9\,C'C$ weights, and uses every one of them at each of the $H \times W$ positions of its output: $9\,C'C\,HW$ multiply-adds.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The SE layers see $z$, one number a channel, once an image. So each of their weights is used once: $2C^2/r$ multiply-adds, as many as there are weights.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
arithmetic = {name: cost.multiply_adds(model) for name, model in (("plain", plain), ("with SE", no_bias))}
added = arithmetic["with SE"] - arithmetic["plain"]
assert added == cost.added_weights(RESNET18, reduction=16)  # each SE weight once an image
print(f"ResNet-18 on one image of 32×32: {arithmetic['plain'] / 1e6:.2f} million multiply-adds")
print(f"SE adds {added:,}: {added / arithmetic['plain']:.3%}")

maps = 2 * (64 * 32**2 + 128 * 16**2 + 256 * 8**2 + 512 * 4**2)  # numbers in the U of all blocks
print(f"with a sum and a product for each number of U: {(added + 2 * maps) / arithmetic['plain']:.2%}")

# %% [markdown] slideshow={"slide_type": "notes"}
# (The squeeze adds up the numbers of $U$, and the scale multiplies each by its gate. Such steps are usually left out of the count; the paper's printed numbers seem to have one of the two, as [chapter 04](04_one_block_any_network.ipynb) finds. The last line has both; it is still next to nothing.)

# %% [markdown]
# ### Exercise 3.3: multiply-adds of a residual block · medium · 8 minutes
#
# A residual block of ResNet-18 that keeps its shape has two 3×3 convolutions from $C$ to $C$ channels at $H \times W$ positions (zeros are put around the maps, so no position is lost). Write `my_multiply_adds(channels, height, width, reduction)`: the pair (multiply-adds of its two convolutions, multiply-adds of the two SE layers). Then divide the second by the first on paper: what remains of $C$?


# %%
def my_multiply_adds(channels, height, width, reduction): ...


checks.multiply_adds(my_multiply_adds)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_multiply_adds(channels, height, width, reduction):
#     convolutions = 2 * 9 * channels**2 * height * width
#     se_layers = 2 * channels * (channels // reduction)
#     return convolutions, se_layers
# ```
#
# The ratio is $\frac{2C^2/r}{18\,C^2HW} = \frac{1}{9\,r\,HW}$: nothing remains of $C$. At 32×32 positions and $r = 16$ that is one part in 147,456.
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The time
#
# So a block of stage 2 gains one multiply-add for every 147,456 that it has. Now with a watch, in evaluation and without gradients. The two blocks take turns, and the middle one of several times is shown.
#
# > **Before you run the next cell:** by how much will SE slow this block down: by less than 0.1 %, by about 1 %, by 10 % or more?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# By far more than its arithmetic. It depends on the machine, and on what else it is doing, which is why the cell below measures on yours. For whole networks we keep a record: on the CPU core that made it, SE added 3.2 %<!-- record: se-overhead.full.forward.overhead --> to the forward pass of ResNet-18 and 8.7 %<!-- record: se-overhead.quarter.forward.overhead --> to that of its quarter-width twin. The paper measured SE-ResNet-50: from 164 to 167 ms an image on a CPU (2 %), and from 190 to 209 ms (10 %) for forward and backward of 256 images on eight GPUs. Others' runs of SE-ResNet-18 on one GPU took 8 to 20 % longer than plain ones; we have not measured one.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
device = se.training.best_device()
images = 64 if device.type == "cpu" else 1024
C, H, W = 64, 32, 32
without = se.create_model("resnet18").layer1[0].to(device).eval()  # the first residual block, in stage 2
gated = se.create_model("se_resnet18").layer1[0].to(device).eval()
x = torch.randn(images, C, H, W, device=device)  # [N, C, H, W]

with torch.no_grad():
    took = cost.median_seconds({"plain": lambda: without(x), "with SE": lambda: gated(x)}, repeats=9)
print(f"multiply-adds: +{1 / (9 * 16 * H * W):.5%}")
print(f"time on {device}: {1000 * took['plain']:.1f} and {1000 * took['with SE']:.1f} ms, ", end="")
print(f"{took['with SE'] / took['plain'] - 1:+.1%}")

# %% [markdown] slideshow={"slide_type": "notes"}
# A busy machine may print anything here, even a minus: run it again.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Count bytes instead
#
# Arithmetic is not all that takes time. Numbers must come from memory to where they are multiplied, and results must go back.

# %% [markdown] slideshow={"slide_type": "notes"}
# Count that: each operation reads its inputs once and writes its output once.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# In a residual block on maps of $M$ bytes:
#
# | operation | reads | writes | |
# |---|---|---|---|
# | two convolutions | $2M$ | $2M$ | weights left out: a whole batch shares them |
# | two BN | $2M$ | $2M$ | (*batch normalisation*: a shift and a factor a channel) |
# | two ReLU | $2M$ | $2M$ | |
# | the sum of branch and skip | $2M$ | $M$ | |
# | **squeeze** | $M$ | | $z$ is small |
# | **scale** | $M$ | $M$ | every map times its gate |

# %% [markdown] slideshow={"slide_type": "-"}
# Without SE that is $15M$; SE adds $3M$, a fifth.

# %% [markdown] slideshow={"slide_type": "notes"}
# It must read $U$ twice: no gate is known before the squeeze has seen all of it.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# `cost.memory_traffic` counts this by following PyTorch's operations through a network.

# %% [markdown] slideshow={"slide_type": "notes"}
# It assumes that each of them runs by itself, as in PyTorch without compiling, and that no cache keeps anything from one to the next. So it is a count to compare with, as the multiply-adds are, and not a measurement.

# %% tags=["nbval-check-output"]
M = 4 * C * H * W  # bytes of 64 maps of 32×32 numbers, 4 bytes each
moved = {"plain": cost.memory_traffic(without, (C, H, W)), "with SE": cost.memory_traffic(gated, (C, H, W))}
for kind in moved["plain"]:
    print(f"{kind:12}" + "".join(f"{traffic[kind] / M:8.3f} M" for traffic in moved.values()))
total = {name: sum(traffic.values()) for name, traffic in moved.items()}
assert total["plain"] == 15 * M
print(f"bytes: {total['with SE'] / total['plain'] - 1:+.1%}")

# %% [markdown] slideshow={"slide_type": "-"}
# And the whole networks (for ResNet-18 the multiply-adds said 0.016 %):

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
for name, models, size in (
    ("ResNet-18, 32×32", (plain, with_se), (3, 32, 32)),
    ("ResNet-50, 224×224", (resnet50, se_resnet50), (3, 224, 224)),
):
    megabytes = [sum(cost.memory_traffic(model, size).values()) / 1e6 for model in models]
    print(f"{name:18}: {megabytes[0]:.1f} and {megabytes[1]:.1f} MB an image, {megabytes[1] / megabytes[0] - 1:+.1%}")
    assert 0.15 < megabytes[1] / megabytes[0] - 1 < 0.25

# %% [markdown]
# ### Exercise 3.4: the bytes of squeeze and scale · easy · 5 minutes
#
# Write `my_se_bytes(n, channels, height, width, bytes_per_number)`: the bytes that squeeze and scale move for a batch of `n` images, the maps alone ($z$ and $s$ left out).


# %%
def my_se_bytes(n, channels, height, width, bytes_per_number): ...


checks.se_bytes(my_se_bytes)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_se_bytes(n, channels, height, width, bytes_per_number):
#     maps = n * channels * height * width * bytes_per_number
#     return maps + 2 * maps  # the squeeze reads, the scale reads and writes
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Arithmetic for each byte
#
# Put both counts together: how much arithmetic does an operation do for each byte that it moves? This is its *arithmetic intensity*.

# %% [markdown] slideshow={"slide_type": "notes"}
# A 3×3 convolution from 64 to 64 channels does $9 \cdot 64$ multiply-adds for each number it writes, and reads one number for it: 576 for 8 bytes, 72 a byte. The scale does one product for 8 bytes, the squeeze one sum for 4.

# %% [markdown] slideshow={"slide_type": "-"}
# A machine, too, has such a ratio: the multiply-adds it can do while one byte comes from memory. An operation far above it waits for arithmetic; one far below it waits for memory, and its multiply-adds say nothing about its time.

# %% tags=["nbval-ignore-output"]
u, skip, s = x, torch.rand_like(x), torch.rand(images, C, device=device)  # [N, C, H, W] twice, [N, C]
numbers = u.numel()
operations = {  # name: (what it does, its arithmetic, its bytes)
    "convolution": (lambda: without.conv1(u), 9 * C * numbers, 2 * u.nbytes),
    "BN": (lambda: without.bn1(u), numbers, 2 * u.nbytes),
    "ReLU": (lambda: torch.relu(u), numbers, 2 * u.nbytes),
    "sum": (lambda: u + skip, numbers, 3 * u.nbytes),
    "squeeze": (lambda: se.squeeze(u), numbers, u.nbytes),
    "scale": (lambda: se.scale(u, s), numbers, 2 * u.nbytes),
}
with torch.no_grad():
    took = cost.median_seconds({name: run for name, (run, _, _) in operations.items()}, repeats=9)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# Here is what came out on the machine that ran this page.

# %% [markdown] slideshow={"slide_type": "notes"}
# Compare the last two columns: what arithmetic the machine reaches, and what traffic.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-", "show": "output"}
print("operation     per byte      time   billion/s      GB/s")
for name, (_, steps, moved_bytes) in operations.items():
    t = took[name]
    print(
        f"{name:12} {steps / moved_bytes:9.3f} {1000 * t:6.1f} ms {steps / t / 1e9:11.1f} {moved_bytes / t / 1e9:9.1f}"
    )
share = sum(took[name] for name in ("squeeze", "scale")) / sum(took.values())
print(f"squeeze and scale: {share:.0%} of these times together, and {2 / (9 * C + 5):.2%} of the arithmetic")

# %% [markdown] slideshow={"slide_type": "notes"}
# The convolution does a great deal of arithmetic on few bytes. Squeeze and scale do next to no arithmetic: their time goes into moving bytes. (How the last four compare changes from run to run. An operation may be slower than both limits for reasons of its own: fresh memory for its result has to come from the system first, or its code is slow, as that of BN in evaluation on some CPUs. And alone, on one map that fits into a cache, squeeze and scale may take less than SE adds to a whole block.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# This also says on which machine SE is dear: where arithmetic is fast and memory is not.

# %% [markdown] slideshow={"slide_type": "notes"}
# There the convolutions take little time; the bytes, not the arithmetic, then set what SE adds. GPUs are such machines. On a CPU the convolutions usually take more of the time, and the same bytes weigh less. A small operation also has a cost of its own (starting it, fetching memory), so SE can add more than its share of the bytes.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## All four costs
#
# The record of whole networks, at full width and with a quarter of the channels.

# %% [markdown] slideshow={"slide_type": "notes"}
# A quarter of the channels means a quarter of the multiply-adds for each byte, so by this reasoning SE should weigh more in time.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
overhead = se.results.load_record("se-overhead")
added = {}
for name, width in (("full", 1.0), ("quarter", 0.25)):
    with torch.device("meta"):
        pair = [cost.parameters(se.create_model(n, width=width)) for n in ("resnet18", "se_resnet18")]
    added[f"ResNet-18, {name} width"] = {
        "weights": 100 * (pair[1] / pair[0] - 1),
        "multiply-adds": 100 * overhead[name]["multiply_adds_overhead"],
        "bytes moved": 100 * overhead[name]["bytes_overhead"],
        "time, forward": 100 * overhead[name]["forward"]["overhead"],
        "time, forward and backward": 100 * overhead[name]["forward_and_backward"]["overhead"],
    }
figures.show(
    figures.overheads(added, "what SE adds (r = 16); from one line to the next it is ten times as much"),
    alt="What SE adds, on a logarithmic axis. "
    + "; ".join(f"{n}: {', '.join(f'{k} {v:.3g} %' for k, v in a.items())}" for n, a in added.items()),
)

# %% [markdown] slideshow={"slide_type": "notes"}
# The times are medians over turns, on random images in float32, on one CPU core; only the time in which it computed is counted. Forward and backward together, SE added 3.3 %<!-- record: se-overhead.full.forward_and_backward.overhead --> at full and 8.0 %<!-- record: se-overhead.quarter.forward_and_backward.overhead --> at quarter width. In a clone of the course, `python benchmarks/se_overhead.py` measures it on your machine.
#
# Can the traffic be saved? A compiler may merge the scale with the sum and the ReLU behind it, so that $U$ is written less often. But no gate is known before the squeeze has seen all of $U$: a second pass stays.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## The knob r
#
# $r$ divides the hidden width, hence weights and multiply-adds. The number of gates and the passes over $U$ stay as they are.

# %% [markdown] slideshow={"slide_type": "notes"}
# For full width, with biases:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
print(" r   hidden widths        SE weights   the network   multiply-adds added")
for r in (2, 4, 8, 16, 32):
    with torch.device("meta"):
        model = se.create_model("se_resnet18", reduction=r)
    widths = sorted({block.fc1.out_features for block in se.models.se_blocks(model).values()})
    more = cost.multiply_adds(model) - cost.multiply_adds(plain)
    print(f"{r:2}   {str(widths):19} {cost.se_parameters(model):11,} {cost.parameters(model):13,} {more:12,}")
    assert more == cost.added_weights(RESNET18, r)
assert cost.parameters(model) == 11_219_462  # r = 32

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# What does the network gain by these weights?

# %% [markdown] slideshow={"slide_type": "notes"}
# Quarter-width networks were trained with $r$ = 2, 4, 8 and 16, same recipe, same seed, and their gates recorded over the test images. (Such a network has only 16 to 128 channels. Its hidden layers keep at least 4 units, so the first two blocks have 4 at $r$ = 4, 8 and 16 alike, and the next two at 8 and 16.) Move $r$ and watch hidden width, weights, accuracy and the mean gates of each class:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
from senet_edu import widgets

widgets.ReductionExplorer()

# %% [markdown] slideshow={"slide_type": "notes"}
# That explorer carries its data with it and works on a page without Python too. The same with plain sliders, which ask Python for each picture:

# %% tags=["nbval-ignore-output"]
widgets.reduction_sliders()

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What r buys
#
# One of the notes that this course grew out of says that the network works best with $r = 16$. The paper's table 10 says otherwise. (SE-ResNet-50 on ImageNet; top-1 error: the share of images whose class is not the network's first guess, in %.)
#
# | $r$ | 2 | 4 | 8 | 16 | 32 | no SE |
# |---|---|---|---|---|---|---|
# | error | 22.29 | 22.25 | 22.26 | 22.28 | 22.72 | 23.30 |
# | weights added, millions | 20.1 | 10.1 | 5.0 | 2.5 | 1.3 | 0 |

# %% [markdown] slideshow={"slide_type": "notes"}
# $r = 4$ is best, by a hair: 0.01 points before 8, and 0.03 before 16. (In top-5 error 8 is best, and 4 comes after 16. The weights are counted without biases, $2C^2/r$ for each block: eq. 5.)

# %% [markdown] slideshow={"slide_type": "-"}
# From 2 to 16 the error hardly moves, while the weights shrink to an eighth.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** our networks with $r$ = 2, 4, 8 and 16 (quarter width, CIFAR-10, three seeds or five of each), beside the paper's five. Will the order of $r$ be the same?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# There is no order to speak of. The mean accuracy is 84.38 %<!-- record: gate-trials.trials.r2.accuracy --> for $r$ = 2, 84.23 %<!-- record: gate-trials.trials.r4.accuracy --> for 4, 84.16 %<!-- record: gate-trials.trials.r8.accuracy --> for 8 and 84.35 %<!-- record: gate-trials.trials.base.accuracy --> for 16, and 84.30 %<!-- record: gate-trials.trials.plain.accuracy --> without SE. Differences from $r$ = 16 with the same seeds are 0.03<!-- record: gate-trials.trials.r2.difference_points -->, -0.11<!-- record: gate-trials.trials.r4.difference_points --> and -0.19<!-- record: gate-trials.trials.r8.difference_points --> points, with standard errors (how far a mean of so few runs typically strays) of 0.16<!-- record: gate-trials.trials.r2.standard_error_points -->, 0.19<!-- record: gate-trials.trials.r4.standard_error_points --> and 0.17<!-- record: gate-trials.trials.r8.standard_error_points -->: all within luck. One network of each told another story: with seed 0 alone $r$ = 2 was first, 84.68 %<!-- record: reduction-sweep.r2.accuracy -->, and $r$ = 4 last, 84.04 %<!-- record: reduction-sweep.r4.accuracy -->. What can be said: from $r$ = 2 to 16, no large difference, as in the paper; differences as small as the paper's, 0.04 points, would take hundreds of runs.
#
# (A bar is a standard error: the printed deviation from seed to seed over the root of the number of seeds. The dashed line strays too.)
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "notes"}
sweep = se.results.load_record("reduction-sweep")
trials = se.results.load_record("gate-trials")["trials"]
ours = {"r = 2": "r2", "r = 4": "r4", "r = 8": "r8", "r = 16": "base", "no SE": "plain"}
print("        seeds  SE weights  mean accuracy   minus r = 16, same seeds")
for kind, name in ours.items():
    trial = trials[name]
    d, e = trial["difference_points"], trial["standard_error_points"]
    difference = "" if d is None else f"{d:+.2f} ± {e:.2f} points"
    added = sweep["r16" if name == "base" else name].get("se_weights", 0)
    print(f"{kind:6} {len(trial['seeds']):6} {added:11,} {trial['accuracy']:14.2%}   {difference}")

# So few runs of one kind say little about a spread: it is estimated from all kinds with at least three seeds.
several = [trial for trial in trials.values() if len(trial["seeds"]) >= 3]
freedom = [len(trial["seeds"]) - 1 for trial in several]
squares = sum(n * trial["accuracy_sd"] ** 2 for n, trial in zip(freedom, several, strict=True))
spread = 100 * (squares / sum(freedom)) ** 0.5  # percentage points, over seeds
print(f"from seed to seed: standard deviation {spread:.2f} points, of {len(several)} kinds of network")

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
means = {kind: 100 * trials[name]["accuracy"] for kind, name in ours.items()}
plain_mean = means.pop("no SE")
points = {kind: (sweep[kind.replace(" = ", "")]["se_weights"], mean) for kind, mean in means.items()}
errors = [spread / len(trials[ours[kind]]["seeds"]) ** 0.5 for kind in means]  # of each mean
paper = {2: 22.29, 4: 22.25, 8: 22.26, 16: 22.28, 32: 22.72}  # top-1 errors, table 10
theirs = {f"r = {r}": (cost.added_weights(RESNET50, r), 100 - error) for r, error in paper.items()}
panels = [
    ("ours: quarter width, CIFAR-10", "mean accuracy, %", points, plain_mean),
    ("the paper: SE-ResNet-50, ImageNet (table 10)", "top-1 accuracy, %", theirs, 100 - 23.30),
]
figures.show(
    figures.trade_off(panels, [errors, None]),
    alt="Accuracy against the weights that SE adds, on a logarithmic axis, without SE as a dashed line. "
    + "; ".join(f"{t}: {', '.join(f'{k} {y:.2f} %' for k, (_, y) in p.items())}" for t, _, p, _ in panels),
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 1}
# So how to choose? Take the largest $r$ that costs you no more accuracy than you accept to lose, and remember what a seed does.

# %% [markdown] slideshow={"slide_type": "notes"}
# From $r = 2$ to 16 the paper's errors differ by 0.04 points at most, and at 32 the error is 0.44 points above that at 16; it gives no spread over seeds. Our few runs cannot tell their four ratios apart, nor do they show that they are equal. (The paper says itself that 16 is a balance of accuracy and weights.)

# %% [markdown] slideshow={"slide_type": "-"}
# If 0.1 points are little to you, the paper's table says 16: not the best, but the *trade-off*, nearly as good as any with an eighth of the weights of $r = 2$.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along
#
# | cost | of SE in ResNet-18, $r = 16$ | why |
# |---|---|---|
# | weights | +0.8 % | $\frac{2}{r} \sum_s N_s C_s^2$, three quarters of it in the last stage |
# | multiply-adds | +0.016 % | each weight is used once an image |
# | bytes moved | +17 % | $U$ is read twice and written once more |
# | time, on the CPU of the record | +3.2 %<!-- record: se-overhead.full.forward.overhead --> forward | far above the arithmetic: by the bytes, by how fast the machine computes and loads, by the cost of starting each operation |

# %% [markdown] slideshow={"slide_type": "notes"}
# - **The paper says:** SE is nearly free in arithmetic (3.86 to 3.87 billion multiply-adds for ResNet-50) and costs 10 % of the weights; training steps took 190 ms before and 209 ms after, CPU inference 164 and 167 ms. $r = 16$ balances accuracy and weights.
# - **We measured:** the weights and multiply-adds exactly as the formulas say; time far above the arithmetic, +3.2 %<!-- record: se-overhead.full.forward.overhead --> forward at full width and +8.7 %<!-- record: se-overhead.quarter.forward.overhead --> at a quarter, where there are fewer multiply-adds for each byte; no difference between $r$ = 2 and 16 that three seeds of each could show.
# - **They differ** in machine, network and images. Ours are small CPUs and a small network; a GPU has its own balance, and we have not measured one.
# - **Next:** [chapter 04](04_one_block_any_network.ipynb) puts the block into other networks and counts the paper's tables.
# - **To read:** sections 4 (model and computational complexity) and 6.1 (reduction ratio) of the paper; Williams, Waterman and Patterson, *Roofline*, [doi 10.1145/1498765.1498785](https://doi.org/10.1145/1498765.1498785), on arithmetic for each byte.
