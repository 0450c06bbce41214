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
# # 04 · Put one block into any network

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/04_one_block_any_network.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/04_one_block_any_network.py) [slides](https://senet-edu.github.io/senet-edu/slides/04_one_block_any_network.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** put SE into networks that somebody else wrote, with one call; write the five places that a block can have in a residual unit, and weigh them; count the paper's tables 1 and 2 and find out what its numbers leave out.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 02](02_squeeze_excite_scale.ipynb), the block and its gates, and from [chapter 03](03_what_attention_costs.ipynb) equation 5 and the multiply-add. (All symbols stand in the [glossary](C_words_and_symbols.ipynb).)

# %% [markdown]
# | | two CPU cores | a Colab T4 |
# |---|---|---|
# | time to run | 16 s<!-- record: chapter-times.04_one_block_any_network.seconds --> | the same (estimated: it is counting, on the CPU) |
# | download | nothing | nothing |

# %% [markdown] slideshow={"slide_type": "notes"}
# Nothing is trained on this page. Errors in % are the paper's, on ImageNet's validation images; weights and multiply-adds are counted here.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %%
import torch
from torchvision import models

import senet_edu as se
from senet_edu import checks, cost, diagrams, figures

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## One call
#
# torchvision has a ResNet-18. It knows nothing of SE, and its code stays as it is. `se.add_se` puts an SE block into each of its eight *residual units* (chapter 02's residual blocks; from here on, *block* means the SE block).

# %% [markdown] slideshow={"slide_type": "notes"}
# (The weights are random: nothing is downloaded.)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "code"}
torch.manual_seed(0)
net = models.resnet18().double().eval()  # float64
images = torch.randn(2, 3, 64, 64, dtype=torch.float64)  # [N, 3, H, W]
with torch.no_grad():
    logits_before = net(images)  # [N, 1000]

se.add_se(net)
for name, block in se.models.se_blocks(net).items():
    print(f"{name}: C = {block.channels}, hidden width {block.fc1.out_features}")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# A block is named SE_{stage}_{unit}, as in the paper. Its gates are new and random, so the network now computes something else.

# %% [markdown] slideshow={"slide_type": "notes"}
# Put ones in place of all gates, and the block multiplies by one: the old network must come back, to the last bit.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
ones = dict.fromkeys(se.models.se_blocks(net), 1.0)
with torch.no_grad(), se.override_gates(net, ones):
    with_gates_of_one = net(images)  # [N, 1000]
    assert torch.equal(with_gates_of_one, logits_before)
with torch.no_grad():
    assert not torch.allclose(net(images), logits_before)  # its own gates are not ones
print("gates of one: equal, bit for bit")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The names and shapes of the old weights stay too, so pretrained weights can be loaded before, or after with `strict=False` (the file has none for the new blocks).

# %% [markdown] slideshow={"slide_type": "notes"}
# Only the blocks' weights are new:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
old, new = models.resnet18().state_dict(), net.state_dict()
assert old.keys() <= new.keys()
assert all(old[name].shape == new[name].shape for name in old)
print(f"{len(old)} entries as before, {len(new) - len(old)} new ones, such as {sorted(new.keys() - old.keys())[0]}")
print(f"weights in SE blocks: {cost.se_parameters(net):,}")
assert cost.se_parameters(net) == 89_080  # eq. 5 and the biases, as counted in chapter 03

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Where in a residual unit?
#
# A *residual unit* takes $x$ two ways.

# %% [markdown] slideshow={"slide_type": "notes"}
# On the *branch*, convolutions, each with its BN: in a *basic* unit (ResNet-18 and -34) two of 3×3, in a *bottleneck* unit (ResNet-50 and deeper) 1×1, 3×3 and 1×1. On the *skip*, $x$ itself, or where the branch changes the shape, a 1×1 convolution of it, the *projection*. The two are added, a ReLU follows.

# %% [markdown] slideshow={"slide_type": "-"}
# The paper tries five places for the block:
#
# | place | the block stands | paper |
# |---|---|---|
# | standard | on the branch, after its last BN, before the sum | figure 3 |
# | pre | on the branch's input only; the skip stays untouched | table 14 |
# | post | after the sum and its ReLU | table 14 |
# | identity | on the skip, after its projection if it has one | table 14 |
# | 3x3 | on the branch, after the (first) 3×3 convolution with its BN and ReLU | table 15 |

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# The same five places as drawings.

# %% [markdown] slideshow={"slide_type": "notes"}
# From left to right: standard, pre, post, identity, 3x3; the orange box is the SE block.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    diagrams.placements(),
    alt="Five drawings of one bottleneck unit, an SE block marked in each. Standard: at the end of the branch, before "
    "the sum. Pre: at the beginning of the branch. Post: after the sum and the ReLU. Identity: on the skip. 3x3: on the "
    "branch, between the 3×3 and the last 1×1 convolution.",
)

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper, and one of the notes that this course grew out of, say that SE_3×3 moves the block *inside* the residual unit. By the unit they mean the chain of convolutions on the branch: the other four places leave that chain whole.

# %% [markdown]
# ### Exercise 4.1: the five places · medium · 10 minutes
#
# Write `my_unit(x, conv1, conv2, conv3, skip, se, placement)`. `conv1`, `conv2` and `conv3` are functions, each a convolution with its BN (the ReLUs are yours), `skip` is the projection, `se` the block: `se(u)` returns the scaled maps. `placement` is one of `"standard"`, `"pre"`, `"post"`, `"identity"`, `"3x3"`.


# %%
def my_unit(x, conv1, conv2, conv3, skip, se, placement): ...


checks.residual_unit(my_unit)  # "not tried yet", or right, or what is probably wrong

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_unit(x, conv1, conv2, conv3, skip, se, placement):
#     def at(place, u):
#         return se(u) if placement == place else u
#
#     u = at("pre", x)
#     u = torch.relu(conv1(u))
#     u = at("3x3", torch.relu(conv2(u)))
#     u = at("standard", conv3(u))
#     out = torch.relu(u + at("identity", skip(x)))
#     return at("post", out)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What a place costs, and what it buys
#
# A block on $C$ channels has $2C^2/r$ weights, and $C$ depends on the place.

# %% [markdown] slideshow={"slide_type": "notes"}
# In ResNet-50 the first unit of stage 2 takes 64 channels, its 3×3 has 64, it puts out 256. (In the code, "caffe" is the network as the authors released it, for a library of that name; *Where the stride is* tells it from torchvision's.)

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** which place has the fewest SE weights in ResNet-50? Which, do you think, has the lowest error in the paper, and which the highest?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# 3x3 is the cheapest by far: the 3×3 has a quarter of the output's channels, so a block there has a sixteenth of the weights. Identity has the lowest error, 22.20 %, then pre with 22.23 and standard with 22.28: three hardly different places, and each seen in one run. 3x3 follows with 22.48. Post is the worst with 22.78, but better than no SE at all (23.30).
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
imagenet = {"num_classes": 1000, "stem": "imagenet", "variant": "caffe"}
printed_error = {"standard": 22.28, "pre": 22.23, "post": 22.78, "identity": 22.20, "3x3": 22.48}  # tables 14, 15
added = {}
for placement, error in printed_error.items():
    with torch.device("meta"):  # shapes without numbers: counting needs no more
        model = se.create_model("se_resnet50", placement=placement, bias=False, **imagenet)
    added[placement] = cost.se_parameters(model)
    print(f"{placement:9} {added[placement]:9,} SE weights of {cost.parameters(model):,}, printed error {error:.2f} %")
assert added["standard"] == added["post"] == added["identity"] == 16 * added["3x3"] == 2_514_944
assert added["pre"] == 1_991_168

# %% [markdown] slideshow={"slide_type": "notes"}
# Table 15 prints 25.8 million weights for SE_3×3. The last line above says 25.7, and the biases of the blocks would add 4,000 more, and not the 36,000 that 25.8 needs; ResNet-50 as the table prints it, 25.6 million, plus 0.157 rounds to 25.8. So the table seems to have added to a rounded number.
#
# In the small ResNet-18 of chapter 03 (3×3 stem, 32×32 images), by the same rules:

# %% tags=["nbval-check-output"]
for placement in se.placement.PLACEMENTS:
    with torch.device("meta"):
        small = se.create_model("se_resnet18", placement=placement, bias=False)
    widths = [block.channels for block in se.models.se_blocks(small).values()]
    print(f"{placement:9} {cost.se_parameters(small):7,}  C = {widths}")
    assert cost.se_parameters(small) == (54_784 if placement == "pre" else 87_040)

# %% [markdown]
# (Both 3×3 convolutions of a basic unit are as wide as its output: only pre is cheaper there.)

# %% [markdown]
# One can also choose by stage. The paper put SE into one stage of ResNet-50 at a time (table 13). Which stage has most of the weights, and which helps most?

# %% tags=["nbval-check-output"]
without, everywhere = 23.30, 22.28  # printed errors
for stage, error in {2: 23.03, 3: 23.04, 4: 22.68, 5: None}.items():  # the table has no row for stage 5 alone
    with torch.device("meta"):
        model = se.create_model("se_resnet50", stages=(stage,), bias=False, **imagenet)
    share = cost.se_parameters(model) / added["standard"]
    gain = (
        "" if error is None else f", error {error:.2f} %: {(without - error) / (without - everywhere):.0%} of the gain"
    )
    print(f"SE in stage {stage}: {cost.se_parameters(model):9,} weights, {share:6.1%} of all{gain}")

# %% [markdown]
# Stage 4 alone brings three fifths of what all four bring, for less than a third of the weights. Most of the weights are in stage 5, of which the paper has no row; it says elsewhere that its blocks can go at a small cost (less than 0.1 % of top-5 error). (All from single runs; the three gains need not add up.)
#
# ### Exercise 4.2: weigh a place · easy · 8 minutes
#
# Write `my_placement_weights(units, placement, reduction)`: the weights, without biases, that SE adds. `units` is a list with three widths for each bottleneck unit, (channels of its input, of its 3×3, of its output), such as `[(64, 64, 256), (256, 64, 256)]`. The hidden width is $C/r$, rounded down.


# %%
def my_placement_weights(units, placement, reduction): ...


checks.placement_weights(my_placement_weights)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_placement_weights(units, placement, reduction):
#     total = 0
#     for c_in, width, c_out in units:
#         C = {"pre": c_in, "3x3": width}.get(placement, c_out)
#         total += 2 * C * (C // reduction)
#     return total
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Why is post the worst? An explanation, tried
#
# One note explains it. After the sum the gates, numbers between 0 and 1, stand on the *main path*, the one that leads from unit to unit over the skips and sums.

# %% [markdown] slideshow={"slide_type": "notes"}
# Each unit multiplies what passes by its gates, so does each step of backpropagation, and in a deep network the gradient fades before it reaches the first layers.

# %% [markdown] slideshow={"slide_type": "-"}
# That can be tried. Begin with branches that put out zero (`zero_init_residual=True`), so that only the main path is left (it sets the factor of the branch's last BN to 0, and its shift starts at 0), and set all gates to one half. How much smaller is the gradient at the image than with gates of one?

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** ResNet-18 has eight units. Which of standard, post and identity will shrink the gradient, and by how much?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# Post by $2^8 = 256$, as the note says. But identity by 256 too, since its gates stand on the skip, and identity has the *lowest* error of table 14. So gates on the main path can make gradients fade, and that alone does not explain table 14. (Real gates are not all one half, and real branches carry gradients as well.) The paper says only that places before the sum of branch and skip do equally well. Post is the only one after it.
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
shrinks = {}
for placement in ("standard", "post", "identity"):
    torch.manual_seed(0)
    silent = se.add_se(models.resnet18(zero_init_residual=True).double().eval(), placement)
    gradients = {}
    for gate in (1.0, 0.5):
        x = images.clone().requires_grad_()  # [N, 3, H, W]
        with se.override_gates(silent, dict.fromkeys(se.models.se_blocks(silent), gate)):
            silent(x)[:, 0].sum().backward()
        gradients[gate] = x.grad.norm()
    shrinks[placement] = (gradients[1.0] / gradients[0.5]).item()
    print(f"{placement:9} gradient divided by {shrinks[placement]:.1f}")
assert [round(shrink, 6) for shrink in shrinks.values()] == [1, 2**8, 2**8]

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Without the squeeze
#
# Is it the global view that helps, or just two more layers? The paper's NoSqueeze (table 16) leaves the pooling out.

# %% [markdown] slideshow={"slide_type": "notes"}
# The two layers become 1×1 convolutions, with the same weights, and every position gets gates of its own:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    diagrams.squeeze_or_not(),
    alt="Two drawings. SE: U of shape [C, H, W] is squeezed to [C], goes through W₁ to [C/r], ReLU, W₂ to [C], sigmoid, "
    "and the gates s [C] multiply U. NoSqueeze: U goes through a 1×1 convolution to [C/r, H, W], ReLU, a 1×1 "
    "convolution to [C, H, W] and sigmoid, without pooling; gates [C, H, W] multiply U.",
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The same weights are now used at every position, so they cost arithmetic:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
arithmetic = {}
for name, squeeze in (("SE", "avg"), ("NoSqueeze", "none")):
    with torch.device("meta"):
        model = se.create_model("se_resnet50", squeeze=squeeze, bias=False, **imagenet)
    arithmetic[name] = cost.multiply_adds(model, (3, 224, 224))
    print(f"{name:9} {cost.parameters(model):,} weights, {arithmetic[name] / 1e9:.4f} billion multiply-adds")
with torch.device("meta"):
    resnet50 = se.create_model("resnet50", **imagenet)
plain = cost.multiply_adds(resnet50, (3, 224, 224))
extra = {name: (count - plain) / 1e9 for name, count in arithmetic.items()}
print(f"more than the plain network's {plain / 1e9:.4f}: " + ", ".join(f"{n} {e:.4f}" for n, e in extra.items()))
assert round(extra["SE"], 4) == 0.0025 and round(extra["NoSqueeze"], 3) == 0.411

# %% [markdown] slideshow={"slide_type": "-"}
# For that price the error is 22.93 %, against 22.28 with the squeeze and 23.30 without a block.

# %% [markdown] slideshow={"slide_type": "notes"}
# So most of the gain needs the global view, and some of it comes without.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Other families
#
# The block takes maps and returns maps of the same shape, so it fits wherever maps are.

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper's rules: in VGG after the non-linearity of each convolution (one note says so too). In GoogLeNet and its followers it stands after a whole inception module: after its *concatenation*, where the outputs of its parallel ways are laid side by side. ResNeXt is a ResNet with *grouped* convolutions, whose filters each see a part of the channels. MobileNet v2, which the paper does not try, has units of the same kind, ten of its 17 with a skip; a block follows the last BN of each.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
makers = {
    "ResNeXt-50": models.resnext50_32x4d,
    "VGG-16": models.vgg16_bn,
    "GoogLeNet": lambda: models.googlenet(aux_logits=False, init_weights=True),
    "Inception v3": lambda: models.inception_v3(aux_logits=False, init_weights=True),
    "MobileNet v2": models.mobilenet_v2,
}
for name, make in makers.items():
    with torch.device("meta"):
        changed = se.add_se(make())
    channels = {block: module.channels for block, module in se.models.se_blocks(changed).items()}
    first, *_, last = channels
    print(f"{name:12} {len(channels):2} blocks, {first} (C = {channels[first]}) to {last} (C = {channels[last]})")

# %% [markdown] slideshow={"slide_type": "notes"}
# Stages are counted by resolution: VGG's end at its poolings, and its first blocks stand at full resolution, so they are SE_1_1 and SE_1_2. `print` shows where a block went. It hangs on a module, here on the ReLU, and takes what that puts out:

# %% tags=["nbval-check-output"]
with torch.device("meta"):
    vgg = se.add_se(models.vgg16_bn())
print(vgg.features[:7])

# %% [markdown] slideshow={"slide_type": "notes"}
# In MobileNet v1 (which timm, another library of networks, has, and torchvision has not) the block follows the non-linearity of each pointwise convolution, the 1×1 that mixes channels. Networks whose first step in a unit is BN (*pre-activation*) have no BN after the branch's last convolution; the block follows that convolution. Both have names in `se.create_model`:

# %% tags=["nbval-ignore-output"]
for name in ("se_mobilenet_v1", "se_preact_resnet110"):
    try:
        with torch.device("meta"):
            named = se.create_model(name)
    except ModuleNotFoundError as error:  # timm is an extra
        print(error)
    else:
        channels = [block.channels for block in se.models.se_blocks(named).values()]
        print(f"{name}: {len(channels)} blocks, C from {channels[0]} to {channels[-1]}")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## A network that nobody has seen
#
# `add_se` knows families by their classes.

# %% [markdown] slideshow={"slide_type": "notes"}
# For any other network it says so, and you say yourself which modules a block shall follow, with the channels they put out:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
mine = torch.nn.Sequential(
    torch.nn.Conv2d(3, 32, 3, padding=1),
    torch.nn.ReLU(),
    torch.nn.Conv2d(32, 64, 3, padding=1),
    torch.nn.ReLU(),
)
try:
    se.add_se(mine)
except ValueError as refused:
    print(refused)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "subslide", "minutes": 2}
se.add_se(mine, after={"1": 32, "3": 64})
print(list(se.models.se_blocks(mine)))
assert mine(torch.rand(1, 3, 8, 8)).shape == (1, 64, 8, 8)

# %% [markdown] slideshow={"slide_type": "notes"}
# MobileNetV3 is refused for another reason. It was designed with SE inside ([chapter 07](07_what_the_gates_learned.ipynb) looks at its gates):

# %% tags=["nbval-check-output"]
try:
    with torch.device("meta"):
        se.add_se(models.mobilenet_v3_small())
except ValueError as refused:
    print(refused)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Table 1, counted
#
# The paper's table 1 lists SE-ResNet-50 stage by stage: size of the maps, number of units, and after "fc" the widths of the two SE layers, hidden and output.

# %% [markdown] slideshow={"slide_type": "notes"}
# Here they are read off the network, while an empty image passes through. (The table's other column, SE-ResNeXt-50, has the same numbers in it, as the last line asserts.)


# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
def stages_of(name):
    """For a size of the maps and the widths of both SE layers, in order of depth: the number of units."""
    with torch.device("meta"):
        model = se.create_model(name, **imagenet).eval()
        blocks = se.models.se_blocks(model)
        seen = {}
        for key, block in blocks.items():
            block.register_forward_hook(lambda block, inputs, out, key=key: seen.update({key: tuple(out.shape)}))
        model(torch.empty(1, 3, 224, 224))  # fills `seen` with [1, C, H, W]
    rows = [(f"{H}×{W}", (blocks[key].fc1.out_features, C)) for key, (_, C, H, W) in seen.items()]
    return {row: rows.count(row) for row in rows}


table1 = stages_of("se_resnet50")
for (size, fc), units in table1.items():
    print(f"{size:6} fc {list(fc)} × {units}")
assert list(table1) == [("56×56", (16, 256)), ("28×28", (32, 512)), ("14×14", (64, 1024)), ("7×7", (128, 2048))]
assert list(table1.values()) == [3, 4, 6, 3]
assert stages_of("se_resnext50") == table1

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Where the stride is
#
# torchvision's ResNet-50 has as many weights as the paper's, and more arithmetic.

# %% [markdown] slideshow={"slide_type": "notes"}
# The first unit of stages 3 to 5 halves the side of its maps.

# %% [markdown] slideshow={"slide_type": "-"}
# In the paper's networks (`variant="caffe"`) its first 1×1 convolution does so, in torchvision's the 3×3, which leaves the 1×1 at four times as many positions.

# %% [markdown] slideshow={"slide_type": "notes"}
# The counts by PyTorch's own counter, which sees operations and knows nothing of our modules, agree with ours (the first `assert`):

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
for variant in ("caffe", "torchvision"):
    with torch.device("meta"):
        model = se.create_model("resnet50", num_classes=1000, stem="imagenet", variant=variant)
    ours, theirs = (count(model, (3, 224, 224)) for count in (cost.multiply_adds, cost.multiply_adds_by_torch))
    print(f"{variant:11} {cost.parameters(model):,} weights, {ours / 1e9:.2f} billion multiply-adds")
    assert ours == theirs
    assert round(ours / 1e9, 2) == {"caffe": 3.86, "torchvision": 4.09}[variant]

# %% [markdown]
# The authors' released weights are of the Caffe networks. timm has them as `legacy_seresnet50` and its kin; `se.models.legacy.from_legacy_senet` gives them the names of ours (its docstring has the table), and `variant="caffe"` computes with them what timm's network does.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 4}
# ## Table 2, counted
#
# Every network that `create_model` knows: plain, with SE, or both.

# %% [markdown] slideshow={"slide_type": "notes"}
# "Printed" is the multiply-adds in the paper, in billions. Click a header to sort by it, and again to turn the order round:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
from senet_edu import widgets
from senet_edu.models.table import count_installed

rows, missing = count_installed()
for name, why in missing.items():
    print(f"{name} is not in the table: {why}")
widgets.ModelTable(rows)

# %% [markdown] slideshow={"slide_type": "notes"}
# The table computes in the page, and needs no Python to sort. In a shell, `senet-edu models` prints it.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# One difference is large, and its note says why: the authors never released their Inception-ResNet-v2, and the one that we can count is another.

# %% [markdown] slideshow={"slide_type": "notes"}
# Of the rest, the six largest differences, all of networks with SE:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-", "show": "output"}
compared = [row for row in rows if row.printed is not None and not row.note]
for row in sorted(compared, key=lambda row: -abs(row.difference))[:6]:
    print(f"{row.network:18} counted {row.multiply_adds / 1e9:7.4f}, printed {row.printed}: {row.difference:+.2%}")
assert all(abs(row.difference) <= 0.005 for row in compared)
assert {"resnet50", "se_resnet50", "se_vgg16", "se_bn_inception", "se_resnext50"} <= {row.network for row in compared}

# %% [markdown]
# Of MobileNet the paper prints the weights too (table 3):

# %% tags=["nbval-ignore-output"]
weights = {row.network: row.parameters for row in rows}
for name, millions in {"mobilenet_v1": 4.2, "se_mobilenet_v1": 4.7}.items():
    print(f"{name:15} {weights[name]:,} weights, printed {millions} million")
    assert round(weights[name] / 1e6, 1) == millions

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What would SE cost in another network?
#
# Choose any network of the table, the stages that get SE, and $r$ from 2 to 32; a second network can stand beside it. The numbers are sums of stored counts.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you move anything:** at $r$ = 16 with SE in every stage, which network's weights grow by the largest share, and which by the smallest? ResNet-34 has nearly as many weights as ResNet-50: does it grow as much?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# Inception-ResNet-v2 grows most, by a sixth, and VGG-16 least, by a sixth of a percent. SE pays for the square of the channels it stands on, whatever made them. ResNet-50's units put out up to 2,048 channels, made by cheap 1×1 convolutions; ResNet-34's 512 at most, made by 3×3 ones, so it grows by less than one percent. Most of VGG-16's weights are in its linear layers, where no block stands.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
widgets.PriceExplorer(network="resnet50", beside="")

# %% [markdown]
# All of them, from the same counts, with the biases of the SE layers (which chapter 03 leaves out), at $r = 16$ (SKNets have no version with SE, and MobileNetV3 has SE of its own):

# %% tags=["nbval-check-output"]
from senet_edu.models.price import added

prices = se.results.load_record("network-prices")["networks"]
with_se = {name: price for name, price in prices.items() if price["stages"]}
growth = {name: added(price, 16, (1, 2, 3, 4, 5))[0] / price["parameters"] for name, price in with_se.items()}
for name in sorted(growth, key=growth.get):
    print(f"{name:19} {growth[name]:6.2%}")
assert min(growth, key=growth.get) == "vgg16" and max(growth, key=growth.get) == "inception_resnet_v2"
assert growth["resnet34"] < 0.01 < growth["resnet50"]

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What the printed numbers count
#
# All other counts lie within half a percent. But the plain MobileNet fits to the last digit (569 million), and SE-MobileNet is printed with 572, where we count 569. The SE layers add 0.5 million; 3 are printed.

# %% [markdown] slideshow={"slide_type": "notes"}
# What else is there?

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** squeeze adds up the numbers of each map, and scale multiplies each by its gate. Neither is in our count. Which one, or both, does the paper count?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What comes out</summary>
#
# The products alone fit in three of the four networks whose plain counts fit: 571.9 million for SE-MobileNet, 3.866 billion for SE-ResNet-50 (printed 3.87) and 15.484 for SE-VGG-16 (printed 15.48). With the sums too, VGG would be 15.50 and MobileNet 575; SE-ResNet-50 fits either way. SE-BN-Inception does not go along: printed 2.04, it comes to 2.03 with the products and to 2.04 only with the sums. So the products are our best guess. The paper does not say, and in the other networks of table 2 the plain counts differ from the printed ones by more than SE adds.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
FITTING = ("se_mobilenet_v1", "se_resnet50", "se_vgg16", "se_bn_inception")
for row in (row for row in rows if row.network in FITTING):
    with torch.device("meta"):
        settings = se.models.find(row.network)[0].counted  # such as the variant "caffe"
        model = se.create_model(row.network, num_classes=1000, **settings).eval()
        products = []  # numbers that are multiplied by a gate: C · H · W a block
        for block in se.models.se_blocks(model).values():
            block.register_forward_hook(lambda block, inputs, out, to=products: to.append(out.numel()))
        model(torch.empty(1, *row.size))
    with_products = row.multiply_adds + sum(products)
    counts = (row.multiply_adds, with_products, with_products + sum(products))
    print(f"{row.network:16} {' '.join(f'{c / 1e9:8.4f}' for c in counts)}   printed {row.printed}")
    digits = 3 if row.printed < 1 else 2
    assert (round(with_products / 1e9, digits) == row.printed) == (row.network != "se_bn_inception")

# %% [markdown] slideshow={"slide_type": "notes"}
# (The columns: convolutions and layers; with the products; with the products and the sums of the squeeze.)
#
# The SKNet paper has a row "SENet-50" with 27.7 million weights and 4.25 billion multiply-adds. 4.25 is what table 2 prints for SE-ResNeXt-50, and our SE-ResNeXt-50 has 27.56 million weights: near, but not what rounds to 27.7.

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along
#
# - `se.add_se(net)` puts SE into torchvision's ResNets, ResNeXts, VGGs, Inceptions and MobileNet v2, and `after={name: channels}` into any other. With gates of one the old network comes back, bit for bit.

# %% [markdown] slideshow={"slide_type": "-"}
# - **The paper says:** standard, pre and identity do equally well (22.20 to 22.28 % error), 3x3 costs a sixteenth of the weights for 0.2 points, post is worse; NoSqueeze gives away most of the gain.

# %% [markdown] slideshow={"slide_type": "-"}
# - **We counted:** table 1's map sizes, units and SE widths exactly, and table 2 within half a percent, for every network that can be had as the paper has it. We trained none of them: the errors are all the paper's.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **They differ** where the network is another (Inception-ResNet-v2), where the stride is elsewhere (torchvision's ResNets: 4.09 for 3.86), and perhaps by the products with the gates, which the paper seems to count in three networks of four. A note's explanation for post, gates on the main path, fits identity as well, which is the best of the five.
# - **Next:** [chapter 05](05_train_se_resnet18.ipynb) trains a network with SE and its plain twin.
# - **To read:** sections 3.3 (instantiations), 6.5 (integration strategy) and 7.1 (effect of squeeze) of the paper, with its tables 1, 2 and 14 to 16; Howard and others, *Searching for MobileNetV3*, [arXiv 1905.02244](https://arxiv.org/abs/1905.02244), for a network designed with SE.
