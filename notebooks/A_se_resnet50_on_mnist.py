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
# # A · Train SE-ResNet-50 on MNIST

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/A_se_resnet50_on_mnist.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/A_se_resnet50_on_mnist.py) [slides](https://senet-edu.github.io/senet-edu/slides/A_se_resnet50_on_mnist.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** follow a 28×28 image through SE-ResNet-50 and show that no pooling is left to do at its end, train the network on handwritten digits, and see what a wrong augmentation would do to them.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 02](02_squeeze_excite_scale.ipynb) (squeeze $z$, gates $s$, the maps $U$ of $H \times W$ numbers, $C$ of them). An *epoch* is one pass over the training images; an *augmentation* changes an image at random before the network sees it.

# %% [markdown]
# | | quick: two CPU cores | full: a Colab T4 |
# |---|---|---|
# | what is trained | a quarter of the channels, 5 epochs of 8,000 images | all channels, 10 epochs of 60,000 images |
# | time to run | 35 s<!-- record: chapter-times.A_se_resnet50_on_mnist.seconds --> | about 10 minutes (estimated, nobody here has measured a T4: 4,680 steps of an eighth of a second) |
# | GPU memory | none | less than 2 GB (estimated from the weights and the small maps) |
# | download | MNIST, once: 12 MB | the same |

# %% [markdown] slideshow={"slide_type": "notes"}
# This is the experiment of the first of the notes that the course grew out of: "use the MNIST data set, build an SE-ResNet-50, look at what it does; since the input is 28×28, the last global pooling is not used". The note ends there, before its code. So the network and the recipe here are ours, and what we check is that last remark.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% tags=["nbval-ignore-output"]
import torch

import senet_edu as se
from senet_edu import checks, figures

speed = se.training.speed()
train_set = se.data.load_course_mnist("train")
test_set = se.data.load_course_mnist("test")
have_digits = train_set.name == "MNIST"
print(f"speed: {speed}")
print(train_set.about)
print(test_set.about)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# MNIST has 70,000 grey images of digits, 60,000 to train and 10,000 to test on.

# %% [markdown] slideshow={"slide_type": "notes"}
# A copy may hold only the 10,000: then 200 of each digit are kept for testing and the other 8,000 are trained on. (If the line above says that the images are drawn shapes, you have no copy of MNIST and no network; everything below runs on ten kinds of shapes, and what is said about digits does not hold for them.)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
one_each = torch.stack([train_set.images[train_set.labels == k][0] for k in range(10)])  # [10, 1, 28, 28]
figures.show(
    figures.image_grid(one_each, train_set.classes),
    alt="One grey training image of each of the ten classes: " + ", ".join(train_set.classes) + ".",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## How far does 28×28 shrink?
#
# The network is SE-ResNet-50 as for ImageNet, with one input channel in place of three. It begins with a *stem*: a 7×7 convolution with stride 2, then a 3×3 max pooling with stride 2.

# %% [markdown] slideshow={"slide_type": "notes"}
# *Stages* 2 to 5 follow (`layer1` to `layer4` in the code); in all but the first of them one convolution on the branch has stride 2 (and with it the 1×1 convolution on the skip). ImageNet's images have 224×224 pixels, and the last maps 7×7.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** how large are the last maps of a 28×28 image?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# 1×1. Halving five times divides by 32, and a side that is odd is rounded up: 28, 14, 7, 4, 2, 1. The stage between the second and the third halving keeps its size.
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
network = se.create_model("se_resnet50", in_channels=1, stem="imagenet")
x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))  # [N, 1, 28, 28]
for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
    x = getattr(network, name)(x)
    print(f"{name:7} {x.shape[1]:5,} maps of {x.shape[2]}×{x.shape[3]}")
assert x.shape == (4, 2048, 1, 1)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# After `layer4` comes global average pooling, one number a map: $\frac{1}{H W} \sum_{i,j} u_c(i, j)$.

# %% [markdown] slideshow={"slide_type": "notes"}
# With $H = W = 1$ the sum has one term and the divisor is one. The pooling returns what it gets, so the note is right, and it makes no difference whether the layer is there:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
pooled = x.mean(dim=(2, 3))  # [4, 2048, 1, 1] -> [4, 2048]
assert torch.equal(pooled, x.flatten(1))
print("pooling 1×1 maps changes nothing: yes")

# %% [markdown] slideshow={"slide_type": "notes"}
# (The note's reason, "since the input is 28×28", holds for this stem. With the stem for CIFAR-10, one 3×3 convolution at full resolution, the last maps of a 28×28 image have 4×4 pixels, and the pooling is needed.)

# %% tags=["nbval-check-output"]
x = torch.zeros(1, 1, 28, 28)
other = se.create_model("se_resnet50", in_channels=1, stem="cifar", width=1 / 16)
for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
    x = getattr(other, name)(x)
print(f"last maps with the stem for CIFAR-10: {x.shape[2]}×{x.shape[3]}")
assert x.shape[2:] == (4, 4)

# %% [markdown]
# ### Exercise A.1: map sizes · easy · 6 minutes
#
# A convolution or pooling with kernel $k$, stride $s$ and padding $p$ turns a side of $n$ pixels into $\lfloor (n + 2p - k)/s \rfloor + 1$, where $\lfloor\ \rfloor$ rounds down. Write `my_map_sizes(side)`: the list of six sides after conv1 ($k = 7$, $s = 2$, $p = 3$), the max pooling (3, 2, 1), stage 2 (3, 1, 1) and stages 3, 4 and 5 (3, 2, 1 each; the other convolutions on the branches keep the size).


# %%
def my_map_sizes(side): ...


checks.map_sizes(my_map_sizes)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_map_sizes(side):
#     sides = []
#     for k, s, p in [(7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 2, 1), (3, 2, 1)]:
#         side = (side + 2 * p - k) // s + 1
#         sides.append(side)
#     return sides
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Nothing to squeeze
#
# The note stops at the last pooling. But every SE block begins with a global pooling too: the squeeze. Which blocks see 1×1 maps?

# %% [markdown] slideshow={"slide_type": "notes"}
# Gates are named SE_{stage}_{block}; a *hook* is a function that PyTorch calls with what a module gets.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
seen = {}
blocks = se.models.se_blocks(network)
hooks = [
    block.register_forward_pre_hook(lambda module, inputs, name=name: seen.update({name: inputs[0]}))
    for name, block in blocks.items()
]
with torch.no_grad():
    network(torch.randn(4, 1, 28, 28))
for hook in hooks:
    hook.remove()
for stage in (2, 3, 4, 5):
    print(f"stage {stage}: {len([n for n in seen if n[3] == str(stage)])} blocks squeeze", end=" ")
    print("{}×{} maps".format(*seen[f"SE_{stage}_1"].shape[2:]))

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# All three blocks of stage 5 squeeze one position.

# %% [markdown] slideshow={"slide_type": "notes"}
# There $z = u$: nothing from elsewhere in the image comes in, since there is no elsewhere.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
u = seen["SE_5_3"]  # [4, 2048, 1, 1]
assert torch.equal(se.squeeze(u), u.flatten(1))
in_stage_5 = {name for name, maps in seen.items() if maps.shape[2:] == (1, 1)}
assert in_stage_5 == {"SE_5_1", "SE_5_2", "SE_5_3"}
print(f"{', '.join(sorted(in_stage_5))}: z = u")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# So such a block multiplies each number by a gate computed from the numbers at the very same place, $u \cdot \sigma(W_2\, \delta(W_1 u))$ (biases left out).

# %% [markdown] slideshow={"slide_type": "notes"}
# That is what the paper calls NoSqueeze, and tries in order to show what the squeeze is for (its table 16).

# %% [markdown] slideshow={"slide_type": "-"}
# On 1×1 maps SE and NoSqueeze are one function:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
with_squeeze = blocks["SE_5_3"]
without = se.SEBlock(2048, squeeze="none")
without.load_state_dict(with_squeeze.state_dict())
with torch.no_grad():
    apart = (with_squeeze(u) - without(u)).abs().max() / u.abs().max()
assert apart < 1e-5
larger = torch.randn(1, 2048, 2, 2, generator=torch.Generator().manual_seed(0))  # and on 2×2 maps they are not
assert (with_squeeze(larger) - without(larger)).abs().max() > 1e-3
print("SE is NoSqueeze on 1×1 maps: yes; on 2×2 maps: no")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The block still computes something: a gate that depends on all channels. But it is no longer the block of the paper, whose point is to bring in the whole image.

# %% [markdown] slideshow={"slide_type": "notes"}
# It is not blind: the one position covers the image already, as chapter 01 counts it, so the squeeze has nothing to bring. (What the paper measured with NoSqueeze, on maps of 7×7 and more, says nothing about this case.) And most of the weights that SE adds sit there ([chapter 03](03_what_attention_costs.ipynb) derives the sum):

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
weights = {name: se.cost.parameters(block) for name, block in blocks.items()}
there = sum(weights[name] for name in in_stage_5)
print(
    f"{there:,} of the {sum(weights.values()):,} weights of SE blocks ({there / sum(weights.values()):.1%}) are in stage 5"
)
assert there > sum(weights.values()) / 2

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## The recipe
#
# At quick speed the network has a quarter of the channels. Of the augmentations of [chapter 05](05_train_se_resnet18.ipynb) one is left: a shift by up to two pixels. Mirroring is off, and below you see why.

# %% [markdown] slideshow={"slide_type": "notes"}
# `width` and `min_hidden` are the share of the channels and the least number of hidden units in a block, `peak_rate` is the highest learning rate of the run, `precision` what numbers it computes in. (The settings for full speed are our guess; they were not tuned.)

# %% slideshow={"slide_type": "-", "show": "code"}
settings = {
    "quick": {
        "model": {"width": 0.25, "min_hidden": 4},
        "images": 8_000,
        "recipe": se.Recipe(epochs=5, batch_size=64, peak_rate=0.1, flip=False, translate=2),
        "precision": "no",  # float32, on every machine
    },
    "full": {
        "model": {"width": 1.0, "min_hidden": 1},
        "images": 60_000,
        "recipe": se.Recipe(epochs=10, batch_size=128, peak_rate=0.1, flip=False, translate=2),
        "precision": None,  # the best of the GPU
    },
}[speed]
images, labels = train_set.images[: settings["images"]], train_set.labels[: settings["images"]]
precision = settings["precision"]

# %% [markdown] slideshow={"slide_type": "notes"}
# (`se.fit` normalises grey images with the average of CIFAR-10's three means and deviations, not with MNIST's own. The batch normalisation after the first convolution undoes a change of scale, so little depends on it.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# Now train.

# %% [markdown] slideshow={"slide_type": "notes"}
# The curves move while it runs; on this page you see where they ended. (The loss does not go to zero. The recipe has *label smoothing* of 0.05: the network is to give the right class 0.955 and each other one 0.005, and a network that does has a loss of 0.28.)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
torch.manual_seed(0)
model = se.create_model("se_resnet50", in_channels=1, stem="imagenet", **settings["model"])
curves = figures.LiveCurves("SE-ResNet-50")
run = se.fit(model, images, labels, settings["recipe"], precision=precision, on_epoch=curves)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
logits = se.training.predict(model, test_set.images, precision=precision)  # [n, 10]
predictions = logits.argmax(1)  # [n]
accuracy = (predictions == test_set.labels).float().mean().item()
print(f"{accuracy:.2%} of {len(test_set):,} images, none of which it was trained on")
if have_digits:
    assert accuracy >= 0.97

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Which augmentation is wrong for digits?
#
# An augmentation is allowed when it leaves the class as it is. A shifted 2 is a 2. A mirrored cat is a cat, but a mirrored 2 is no digit at all.

# %% [markdown] slideshow={"slide_type": "notes"}
# Here is each of the ten images again, and its mirror image below:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
mirrored = one_each.flip(-1)  # [10, 1, 28, 28], left to right
figures.show(
    figures.image_grid(torch.cat([one_each, mirrored]), [*train_set.classes, *train_set.classes]),
    alt="One image of each of the ten classes, and below it the same image mirrored left to right.",
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# The network has never seen a mirrored digit.

# %% [markdown] slideshow={"slide_type": "notes"}
# So its accuracy on mirrored test images tells for each digit how much of it survives.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** which digits will it still recognise when they are mirrored?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# In the run on this page most 1s and 8s, as one would guess, and most 4s, which we had not expected (their fork and long stroke seem to be enough). Of the 0s, as good as their own mirror images, a third is lost: we do not know why. Of the other six about a tenth or less is recognised. The figure has the shares.
#
# </details>

# %% [markdown] slideshow={"slide_type": "notes"}
# What became of them, digit by digit. A pair of bars for each: the share recognised as it is, and mirrored.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
mirrored_logits = se.training.predict(model, test_set.images, mirrored=True, precision=precision)  # [n, 10]
mirrored_predictions = mirrored_logits.argmax(1)  # [n]


def per_class(predictions):
    right = test_set.labels[predictions == test_set.labels].bincount(minlength=10)  # [10]
    return (100 * right / test_set.labels.bincount(minlength=10)).tolist()


bars = {"as it is": per_class(predictions), "mirrored": per_class(mirrored_predictions)}
figures.show(
    figures.bars(bars, test_set.classes, "recognised, %"),
    alt="Share of the test images of each class that are recognised, as they are and mirrored. "
    + "; ".join(f"{c}: {a:.0f} and {m:.0f} %" for c, a, m in zip(test_set.classes, *bars.values(), strict=True)),
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Trained with mirroring, the network would have to call all of these by their old names.

# %% [markdown] slideshow={"slide_type": "notes"}
# That wastes what it can learn, and worse, a mirrored digit can look like another digit. Which, like which? Count it:

# %% [markdown]
# ### Exercise A.2: what is taken for what · medium · 8 minutes
#
# Write `my_confusion(labels, predictions, classes)`: from two int64 tensors `[n]` the table `[classes, classes]` whose entry in row $i$ and column $j$ says how many images of class $i$ were taken for class $j$. When it is right, try `my_confusion(test_set.labels, mirrored_predictions, 10)`: what is a mirrored 2 taken for?


# %%
def my_confusion(labels, predictions, classes): ...


checks.confusion(my_confusion)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_confusion(labels, predictions, classes):
#     pair = labels * classes + predictions  # [n], a number for each pair
#     return pair.bincount(minlength=classes**2).reshape(classes, classes)
# ```
#
# </details>

# %% [markdown]
# What the digits that do not survive are taken for most often, from the same predictions:

# %% tags=["nbval-ignore-output"]
for k, name in enumerate(test_set.classes):
    taken = mirrored_predictions[test_set.labels == k].bincount(minlength=10)  # [10]
    if taken.argmax() != k:
        print(f"a mirrored {name}: {test_set.classes[taken.argmax()]} in {taken.max() / taken.sum():.0%} of cases")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The gates, digit by digit
#
# As in [chapter 07](07_what_the_gates_learned.ipynb): the mean gate over the test images of a class, in up to fifty channels, at the last block of each stage.

# %% [markdown] slideshow={"slide_type": "notes"}
# Where the lines of the digits run together, the block treats them alike.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** SE_5_3 sees one position, and behind it there is only the classifier. Will its gates differ more from digit to digit than those of SE_2_3, or less?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# In the run on this page, more: from the lowest to the highest class mean it is further at each of the four blocks than at the one before. But SE_2_3 does not treat all digits alike: all lines lie on each other but one, that of the 1. Its gates move little, and what moves goes with the digit, as the table below says. In SE_5_3 the lines lie apart in most channels; the 1 still stands out of the four that are drawn, and of all ten digits the 2 lies farthest from the mean. (Another seed may single out another digit. The paper reports that early blocks treat classes alike; and that its last block, SE_5_3 on ImageNet, shows one pattern for all classes up to scale. Ours does not.)
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# Four classes at the last block of each stage.

# %% [markdown] slideshow={"slide_type": "notes"}
# The dashed line is the mean over all ten.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
gates = se.record_excitations(model, test_set.images, test_set.labels, classes=test_set.classes, precision=precision)
last_blocks = ["SE_2_3", "SE_3_4", "SE_4_6", "SE_5_3"]
ranges = {n: (gates[n].mean.max(0).values - gates[n].mean.min(0).values).mean() for n in last_blocks}
figures.show(
    figures.class_gates(gates, last_blocks, [test_set.classes[k] for k in (0, 1, 4, 9)]),
    alt="Mean gate of four classes over up to fifty channels of SE_2_3, SE_3_4, SE_4_6 and SE_5_3, and the mean over all "
    "ten. From the lowest to the highest of ten class means, on average over a block's channels: "
    + ", ".join(f"{n} {r:.2f}" for n, r in ranges.items())
    + ".",
)

# %% [markdown] slideshow={"slide_type": "notes"}
# In numbers: *movement* is how far a gate strays over images (its standard deviation; 0 means that the block never gates), *specificity* the share of that variance that lies between classes (0 to 1).

# %% tags=["nbval-ignore-output"]
print("block   movement  specificity  the class farthest from the mean")
for name in last_blocks:
    movement, specificity = gates[name].movement().mean(), gates[name].specificity().mean()
    away = (gates[name].mean - gates[name].total_mean).abs().mean(dim=1)  # [10], over the channels
    print(f"{name} {movement:9.3f} {specificity:12.2f}  {test_set.classes[away.argmax()]}")
    assert gates[name].histogram.sum(-1).sum(0).eq(len(test_set)).all()  # every image was counted in every channel

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along
#
# - **The note says** that for 28×28 images SE-ResNet-50's last global pooling is not used.

# %% [markdown] slideshow={"slide_type": "notes"}
# **We showed** that it is the identity there, because the ImageNet stem and stages 3 to 5 leave 1×1 maps. The paper has no experiment on MNIST; its ImageNet images have 224×224 pixels, and SE-ResNet-50's last maps are 7×7 there.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **The note does not say** that the squeeze of SE_5_1 to SE_5_3 is the identity for the same reason: there SE is the paper's NoSqueeze, and there most of its added weights are.
# - **We measured** an accuracy and the gates of one run, above. They show that the network trains and that its gates can be drawn. They do not show that SE helps on MNIST: there is no plain twin here, and digits leave little room for one to be worse. [Chapter 05](05_train_se_resnet18.ipynb) compares twins.

# %% [markdown] slideshow={"slide_type": "-"}
# - **What carries over:** look at the sizes of the maps before you reuse a network for another size of image. And ask of every augmentation whether the class survives it.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **To read:** section 7.1 of the [paper](https://arxiv.org/abs/1709.01507) on the role of the squeeze, and LeCun et al., *Gradient-based learning applied to document recognition* (1998), where MNIST comes from.
