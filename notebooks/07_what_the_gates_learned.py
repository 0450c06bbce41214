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
# # 07 · See what the gates learned

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/07_what_the_gates_learned.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/07_what_the_gates_learned.py) [slides](https://senet-edu.github.io/senet-edu/slides/07_what_the_gates_learned.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** draw the excitations of every class at SE_2_1 to SE_5_2, measure how class-specific they are, and find the images that open a channel.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 02](02_squeeze_excite_scale.ipynb) (squeeze, excite, scale) and [chapter 05](05_train_se_resnet18.ipynb) (residual blocks, the recipe, dead gates). Mean and variance.

# %% [markdown]
# | | two CPU cores | a Colab T4 |
# |---|---|---|
# | time to run | 14 s<!-- record: chapter-times.07_what_the_gates_learned.seconds --> | 20 seconds (estimated: a few passes over 10,000 images) |
# | download | CIFAR-10, once: 170 MB | the same |

# %% [markdown] slideshow={"slide_type": "notes"}
# Nothing is trained here: the network is loaded in a moment. The figures of its gates come from a record over all 10,000 test images. What is computed here and now takes 500 of them at quick speed, and all at full speed, unless the text says otherwise.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The network is an SE-ResNet-18 (64 to 512 channels), trained on all 50,000 training images of CIFAR-10 as in [chapter 05](05_train_se_resnet18.ipynb).

# %% [markdown] slideshow={"slide_type": "notes"}
# Its record says how, and how good it is:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
import torch

import senet_edu as se
from senet_edu import checks, figures

NAME = "se_resnet18"
network = se.results.load_network(NAME).eval()
record = se.results.load_record(NAME)
recorded = se.results.load_excitations(NAME)  # gate statistics over all 10,000 test images
epochs = sum(se.results.load_record(name)["recipe"]["epochs"] for name in (f"{NAME}-first", NAME))  # two runs
print(f"{record['accuracy']:.1%} of 10,000 test images, single view, after {epochs} epochs")
print(record["data"])

# %% tags=["nbval-ignore-output"]
dataset = se.data.load_course_data("test")
have_images = dataset.name == "CIFAR-10"
print(dataset.about)
per_class = {"quick": 50, "full": len(dataset) // 10}[se.training.speed()]
part = se.data.balanced_subset(dataset.labels, per_class, seed=0)
images, labels = dataset.images[part], dataset.labels[part]
if not have_images:
    print("This network knows CIFAR-10, not drawn shapes: below you see its recorded statistics, and no images.")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The figure
#
# The paper's figure 6 asks: do the gates of a block depend on what is in the image? For each of four classes it draws the mean gate over that class's images (50 in the paper, 1,000 here), in fifty evenly spaced channels.

# %% [markdown] slideshow={"slide_type": "-"}
# If the lines of the classes lie on each other, the block treats all classes alike.

# %% [markdown] slideshow={"slide_type": "notes"}
# SE_3_2 is the second block of stage 3. Stages 2 to 5 go from fine maps (32×32) to coarse ones (4×4).

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 5}
# > **Before you look:** in which blocks will the four lines run together, and in which apart? In the first, SE_2_1? In the last, SE_5_2?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What the paper found, and we</summary>
#
# The paper (SE-ResNet-50, ImageNet): early blocks treat classes alike, deeper ones (SE_4_6, SE_5_1) differ by class, SE_5_2 is almost open for all, and the last, SE_5_3, shows one pattern for all classes up to scale. Here, too, the lines of the first block run together and those of the last do not. A number for it, of which more below: the share of a gate's variance that lies between classes (0: all classes have the same mean gate; 1: the class decides the gate) is 0.14<!-- record: se_resnet18-gates.SE_2_1.specificity --> at SE_2_1 and 0.71<!-- record: se_resnet18-gates.SE_5_2.specificity --> at SE_5_2. So early blocks differ little, as in the paper, but our last block differs most. Nor is it open for all: 22 %<!-- record: se_resnet18-gates.SE_5_2.above --> of its gates lie above 0.9, and 37 %<!-- record: se_resnet18-gates.SE_5_2.below --> below 0.1.
#
# </details>

# %%
FOUR = ("airplane", "cat", "frog", "truck")
blocks = list(recorded)  # SE_2_1 … SE_5_2


def ranges_of(gates):
    """How far the mean gates of the classes lie apart, from the lowest to the highest, in each channel [C]."""
    return gates.mean.max(0).values - gates.mean.min(0).values


# %% [markdown] slideshow={"slide_type": "notes"}
# The first block and the last. The dashed line is the mean over all ten classes.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
first_and_last = [blocks[0], blocks[-1]]
ranges = {n: ranges_of(recorded[n]).mean() for n in blocks}
figures.show(
    figures.class_gates(recorded, first_and_last, FOUR, width=6.5),
    alt="Mean gate of airplane, cat, frog and truck over up to fifty channels of the first and of the last block, and "
    "the mean over all ten classes. From the lowest to the highest of ten class means, on average over a block's "
    "channels: " + ", ".join(f"{n} {ranges[n]:.2f}" for n in first_and_last) + ".",
)

# %% [markdown]
# And what lies between: one panel for each of the eight blocks. How far apart are the lowest and the highest of the ten class means, on average over a block's channels?

# %% tags=["nbval-check-output"]
print("   ".join(f"{name} {apart:.2f}" for name, apart in ranges.items()))

# %% tags=["nbval-ignore-output"]
figures.show(
    figures.class_gates(recorded, blocks, FOUR),
    alt="Mean gate of airplane, cat, frog and truck over up to fifty channels, a panel for each of the eight blocks, and "
    "the mean over all ten classes. From the lowest to the highest of ten class means, on average over a block's "
    "channels: " + ", ".join(f"{n} {r:.2f}" for n, r in ranges.items()) + ".",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## With the spread
#
# Means hide how much images of one class differ. Figure 7 of the paper adds the standard deviation over the images of a class, shaded here.

# %% [markdown] slideshow={"slide_type": "notes"}
# Two classes whose bands overlap cannot be told apart reliably by that gate alone. (Nor quite where they just do not touch: were the spreads bell-shaped, about one image in six would still lie nearer to the other class.)

# %% [markdown]
# In how many of the fifty sampled channels do the bands of airplane and cat not touch?


# %% tags=["nbval-check-output"]
import itertools


def bands_apart(name, first="airplane", second="cat"):
    """Sampled channels in which the means of two classes lie further apart than their deviations reach together."""
    gates, (k, j) = recorded[name], (recorded.classes.index(c) for c in (first, second))
    reach = gates.variance[k].sqrt() + gates.variance[j].sqrt()  # [C]
    apart = (gates.mean[k] - gates.mean[j]).abs() > reach  # [C]
    return apart[figures.sampled_channels(len(apart))].sum().item()


every_pair = list(itertools.combinations(recorded.classes, 2))  # 45
print("         airplane, cat   mean of all pairs")
for name in blocks:
    mean = sum(bands_apart(name, *pair) for pair in every_pair) / len(every_pair)
    print(f"{name} {bands_apart(name):15} {mean:19.1f}")

# %% [markdown] slideshow={"slide_type": "notes"}
# From none to 32 of 50; on average over all pairs the count rises with depth as well, but for a step back at SE_4_2.
#
# The bands themselves, in the first block and in the last:

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.class_gates(recorded, first_and_last, FOUR[:2], spread=True, width=6.5),
    alt="Mean gate of airplane and cat in the first and in the last block, one standard deviation over the images of a "
    "class shaded. Sampled channels in which the two bands do not touch: "
    + ", ".join(f"{n} {bands_apart(n)} of 50" for n in first_and_last)
    + ".",
)

# %% [markdown]
# In all eight blocks:

# %% tags=["nbval-ignore-output"]
figures.show(
    figures.class_gates(recorded, blocks, FOUR[:2], spread=True),
    alt="Eight panels, one a block, for airplane and cat, one standard deviation over the images of a class shaded. "
    "Sampled channels in which they do not touch: " + ", ".join(f"{n} {bands_apart(n)}" for n in blocks) + ".",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## All channels, all classes
#
# Here are all channels of the second block of each stage: a row a class, a column a channel, sorted so that the most class-specific ones, those whose variance lies most between the classes, stand on the left.

# %% [markdown] slideshow={"slide_type": "notes"}
# Vertical stripes are channels that treat all classes alike; a stripe that is broken belongs to some classes. The four vehicles stand above the six animals: in SE_5_2 many stripes break just there.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
last_blocks = ["SE_2_2", "SE_3_2", "SE_4_2", "SE_5_2"]
VEHICLES, ANIMALS = ["airplane", "ship", "automobile", "truck"], ["bird", "cat", "deer", "dog", "frog", "horse"]
figures.show(
    figures.gate_map(recorded, last_blocks, VEHICLES + ANIMALS),
    alt="Mean gate of each of the ten classes in every channel of SE_2_2, SE_3_2, SE_4_2 and SE_5_2 as four pictures, "
    "the most class-specific channels on the left. The widest a channel's class means lie apart: "
    + ", ".join(f"{n} {ranges_of(recorded[n]).max():.2f}" for n in last_blocks),
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# The three figures in one, to be moved: choose a block, switch classes on and off, and point at a channel (or go through them with the arrow keys) to see its ten classes by themselves, mean and one standard deviation.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
from senet_edu import widgets

widgets.ExcitationExplorer(NAME)

# %% [markdown] slideshow={"slide_type": "notes"}
# > **Try it:** sort the channels of SE_5_2 by specificity and go through the first few, from the left. Which classes does each of them part from which? Then do the same in SE_2_2.
#
# <details><summary>What we found</summary>
#
# The most class-specific channels of SE_5_2 all have the six animals on one side and the four vehicles on the other: they ask one question again and again, some the other way round. In SE_2_2 the first two lean the same way, others set ships and airplanes apart, which share blue sky and sea; but the means differ by about a third at most, and in 54 of its 64 channels no two bands of the ten part.
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# How far open are gates at all?

# %% [markdown] slideshow={"slide_type": "notes"}
# All gates of a block, over all images and channels, in one histogram.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** where will the gates of the first block gather: near 0.5, near the ends, or anywhere between? And those of the last?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Those of SE_2_1 lie between, typically 0.24<!-- record: se_resnet18-gates.SE_2_1.distance --> from 0.5. Only a part of that is movement, how far a gate strays from its own mean as images change: 0.12<!-- record: se_resnet18-gates.SE_2_1.movement -->. The rest (the two add up as squares) is channels whose mean stands away from 0.5. So a wide histogram need not mean that gates move. In SE_5_2 they move most, by 0.35<!-- record: se_resnet18-gates.SE_5_2.movement -->, and many stand near an end: 37 %<!-- record: se_resnet18-gates.SE_5_2.below --> below 0.1, 22 %<!-- record: se_resnet18-gates.SE_5_2.above --> above 0.9.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.gate_distributions(recorded, blocks),
    alt="Histograms of all gates of each block over all test images. A dashed line marks 0.5. "
    "Mean gates: " + ", ".join(f"{n} {recorded[n].total_mean.mean():.2f}" for n in blocks) + ".",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## How it was recorded
#
# The gates come out of one layer of each block, `block.gate`.

# %% [markdown] slideshow={"slide_type": "notes"}
# A *forward hook* is a function that PyTorch calls with that layer's output. So one pass over the images is enough, and nothing but the gates is kept:

# %% slideshow={"slide_type": "-"}
gates_seen = []
hook = se.models.se_blocks(network)["SE_5_1"].gate.register_forward_hook(
    lambda module, inputs, s: gates_seen.append(s.detach())
)
with torch.no_grad():
    network(se.training.normalise(dataset.images[:50]))
hook.remove()
assert gates_seen[0].shape == (50, 512)  # [N, C]

# %% [markdown] slideshow={"slide_type": "notes"}
# `se.record_excitations` does this for all blocks and adds up, batch by batch, the count, mean and variance per class and a histogram.

# %% [markdown] slideshow={"slide_type": "notes"}
# `sample` also keeps the gates of chosen images, here of all; `precision="no"` computes in float32. The class means of fewer images differ by chance: with $n_k$ images a class, typically by the gate's standard deviation within the class over $\sqrt{n_k}$.

# %% tags=["nbval-ignore-output"]
if have_images:
    measured = se.record_excitations(
        network, images, labels, classes=dataset.classes, sample=range(len(images)), precision="no"
    )
    off = torch.cat([(measured[n].mean - recorded[n].mean).flatten() for n in blocks])
    print(f"recorded just now from {len(images):,} images; class means differ from the record by {off.std():.4f}")
    if len(images) < len(dataset):
        chance = torch.cat([(recorded[n].variance * len(labels.unique()) / len(labels)).flatten() for n in blocks])
        print(f"({chance.mean().sqrt():.4f} is what so few images leave to chance)")
else:
    measured = recorded
    print("no images: going on with the recorded statistics of all 10,000 test images")

# %% [markdown] slideshow={"slide_type": "notes"}
# (The record was made on slightly lossy copies of the images; with the original files the difference may be larger.)

# %% [markdown]
# ### Exercise 7.1: class means · easy · 5 minutes
#
# Write `my_class_means(gates, labels, classes)`: from `gates` `[n, C]` and `labels` `[n]` (0 to `classes` − 1), the mean gate of each class, `[classes, C]`.


# %%
def my_class_means(gates, labels, classes): ...


checks.class_means(my_class_means)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_class_means(gates, labels, classes):
#     return torch.stack([gates[labels == k].mean(dim=0) for k in range(classes)])
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## From pictures to numbers
#
# "On the whole they part more in later blocks" is what one sees.

# %% [markdown] slideshow={"slide_type": "notes"}
# The paper gives no number; these four do. For one gate, let $s_i$ be its value on image $i$ of $n$, $m$ the mean over all images, and $m_k$ the mean over the $n_k$ images of class $k$.

# %% [markdown] slideshow={"slide_type": "-"}
# **Movement**: the standard deviation over images, $\sqrt{\frac{1}{n}\sum_i (s_i - m)^2}$.

# %% [markdown] slideshow={"slide_type": "notes"}
# Zero: the gate is the same for every image.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# **Class specificity**: how much of the variance (movement squared) the class explains,
#
# $$\frac{\sum_k n_k\,(m_k - m)^2}{\sum_i (s_i - m)^2}.$$

# %% [markdown] slideshow={"slide_type": "notes"}
# The denominator is $n$ times the variance. It splits into a part within classes and a part between them, $\sum_i (s_i - m)^2 = \sum_i (s_i - m_{k(i)})^2 + \sum_k n_k (m_k - m)^2$ with $k(i)$ the class of image $i$ (the mixed terms cancel, since deviations from a class mean sum to zero); the numerator is the part between.

# %% [markdown] slideshow={"slide_type": "-"}
# 0: all classes have the same mean. 1: the class decides the gate.

# %% [markdown] slideshow={"slide_type": "notes"}
# It is a share, and so says nothing of size: a gate that hardly moves can have a high one. In SE_5_1 of chapter 05's networks with weight decay on everything it is 0.60<!-- record: gate-trials.trials.all-decayed.specificity.SE_5_1 -->, more than with our recipe (0.50<!-- record: gate-trials.trials.base.specificity.SE_5_1 -->), and those gates move by 0.02<!-- record: gate-trials.trials.all-decayed.movement.SE_5_1 --> only. Read it beside movement. (For a gate that never moves it would be 0/0.)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# **Saturation**: the share of images with a gate below 0.1, and above 0.9.
#
# **Distance from 0.5**: $\sqrt{\frac{1}{n}\sum_i (s_i - 0.5)^2}$.

# %% [markdown] slideshow={"slide_type": "notes"}
# A *dead* gate, one whose weights training has shrunk until it hardly moves ([chapter 05](05_train_se_resnet18.ipynb) shows how), stands near $\sigma(0) = 0.5$ for every image.
#
# The table has the mean of each over the channels of a block.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cells:** which of movement and specificity will rise from the first block to the last, and will it rise at every step?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Specificity at every step, from 0.14<!-- record: se_resnet18-gates.SE_2_1.specificity --> at SE_2_1 to 0.71<!-- record: se_resnet18-gates.SE_5_2.specificity --> at SE_5_2. Movement from stage to stage, from 0.12<!-- record: se_resnet18-gates.SE_2_1.movement --> at SE_2_1 to 0.35<!-- record: se_resnet18-gates.SE_5_2.movement --> at SE_5_2, but not at every step: in stages 2 and 3 the second block moves a little less than the first. (One network. In the quarter-width one of chapter 05 specificity rises too, from 0.18<!-- record: se_resnet18-quarter.SE_2_1.specificity --> to 0.61<!-- record: se_resnet18-quarter.SE_5_2.specificity -->, but falls twice on the way.)
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
print("block     C   mean  movement  specificity  <0.1  >0.9  from 0.5")
for row in recorded.summary():
    print(
        f"{row['block']} {row['channels']:4}  {row['mean']:.2f}  {row['movement']:8.2f}  {row['specificity']:11.2f}"
        f"  {row['below']:.2f}  {row['above']:.2f}  {row['distance']:8.2f}"
    )

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The same numbers by depth.

# %% [markdown] slideshow={"slide_type": "notes"}
# Movement, class specificity and the share of gates above 0.9, each from the first block to the last.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.measures_by_depth(
        recorded.summary(), {"movement": "movement", "specificity": "class specificity", "above": "share above 0.9"}
    ),
    alt="Three curves over the eight blocks: movement, class specificity and the share of gates above 0.9. "
    + "; ".join(
        f"{r['block']}: {r['movement']:.2f}, {r['specificity']:.2f}, {r['above']:.2f}" for r in recorded.summary()
    ),
)

# %% [markdown] slideshow={"slide_type": "notes"}
# What would specificity be if classes had no effect? Not quite zero: class means differ by chance.

# %% [markdown] slideshow={"slide_type": "notes"}
# With $K$ classes and $n$ images, chance alone gives about $(K-1)/(n-1)$. Shuffling the labels, twenty times, shows it:

# %% tags=["nbval-ignore-output"]
if have_images:
    sample = measured["SE_5_1"].sample  # [n, 512]: the gates of every image
    generator = torch.Generator().manual_seed(0)
    by_chance = []
    for _ in range(20):
        shuffled = labels[torch.randperm(len(sample), generator=generator)]
        by_chance.append(se.excitations.statistics_of(sample, shuffled, 10, (0.0, 1.0)).specificity().mean())
    print(f"SE_5_1: {measured['SE_5_1'].specificity().mean():.3f}")
    print(
        f"with shuffled labels {torch.stack(by_chance).mean():.4f}; 9/{len(sample) - 1} is {9 / (len(sample) - 1):.4f}"
    )
else:
    print("this cell needs the images: each one's own gates")

# %% [markdown]
# ### Exercise 7.2: class specificity · medium · 10 minutes
#
# Write `my_specificity(gates, labels, classes)`: from `gates` `[n, C]` the between-class share of the variance of each channel, `[C]`. Classes may have different numbers of images.


# %%
def my_specificity(gates, labels, classes): ...


checks.specificity(my_specificity)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_specificity(gates, labels, classes):
#     m = gates.mean(dim=0)
#     between = torch.zeros_like(m)
#     for k in range(classes):
#         of_class = gates[labels == k]
#         between += len(of_class) * (of_class.mean(dim=0) - m) ** 2
#     return between / ((gates - m) ** 2).sum(dim=0)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Was it learned by the gates?
#
# Specificity is no proof that the *gates* learned about classes.

# %% [markdown] slideshow={"slide_type": "notes"}
# They are computed from $z$, and $z$ comes from a network that was trained to tell classes apart.

# %% [markdown] slideshow={"slide_type": "-"}
# So we need a control: how class-specific is $z$ itself, and how class-specific are the gates that an *untrained* block, with fresh random $W_1$ and $W_2$, makes of the same $z$?

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# > **Before you run the next cell:** will the untrained gates be much less class-specific than the trained ones?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# In SE_5_2 they are not: the trained gates have 0.71<!-- record: se_resnet18-gates.SE_5_2.specificity -->, $z$ has 0.73<!-- record: se_resnet18-gates.SE_5_2.z_specificity -->, and untrained gates have 0.68<!-- record: se_resnet18-gates.SE_5_2.untrained_specificity -->: there the class is in the features. In the other blocks untrained gates are about two thirds as specific as trained ones or more; these lead by most in SE_5_1, with 0.46<!-- record: se_resnet18-gates.SE_5_1.specificity --> to 0.36<!-- record: se_resnet18-gates.SE_5_1.untrained_specificity -->. So most of the rise with depth is in $z$ already.
#
# Movement differs more: here the trained gates move at least twice as far as untrained ones in every block, 0.35<!-- record: se_resnet18-gates.SE_5_2.movement --> in place of 0.14<!-- record: se_resnet18-gates.SE_5_2.untrained_movement --> in SE_5_2. But how far untrained gates move depends on the scale of $W_1$ and $W_2$ before training (ours: normal, with standard deviation $\sqrt{2/C}$ for $W_1$ and $1/\sqrt{\text{hidden}}$ for $W_2$), they are one random draw, and in the quarter-width network the trained gates of SE_3_2 move no further than untrained ones (0.077<!-- record: se_resnet18-quarter-gates.SE_3_2.movement -->, untrained 0.073<!-- record: se_resnet18-quarter-gates.SE_3_2.untrained_movement -->).
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
control = se.results.load_record(f"{NAME}-gates")
print("         specificity                movement")
print("         trained     z  untrained   trained  untrained")
for name in blocks:
    c = control[name]
    print(
        f"{name}   {c['specificity']:7.2f} {c['z_specificity']:5.2f} {c['untrained_specificity']:10.2f}"
        f" {c['movement']:9.2f} {c['untrained_movement']:10.2f}"
    )

# %% [markdown] slideshow={"slide_type": "notes"}
# (These are from the record. `se.excitations.record_controls` computes them.)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Does it matter that they move?
#
# A gate that moves may still do nothing for the answer. A first test: freeze every gate at its mean over all images. The network keeps its average gates and loses all that they say about *this* image.
#
# > **Before you run the next cell:** how many points of accuracy will it lose?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Over all 10,000 test images it falls from 91.1 %<!-- record: se_resnet18-gates.accuracy --> to 79.1 %<!-- record: se_resnet18-gates.accuracy_frozen -->. (The quarter-width network: from 84.4 %<!-- record: se_resnet18-quarter-gates.accuracy --> to 78.5 %<!-- record: se_resnet18-quarter-gates.accuracy_frozen -->.) The drop is what *this* trained network owes to gates that move. It does not say that a network trained without moving gates would be worse: that is the comparison of [chapter 05](05_train_se_resnet18.ipynb). At quick speed the cell below takes 500 images: each accuracy is uncertain by 1 to 2 points, and the first is not quite the one at the top of this page.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
if have_images:
    frozen = {name: recorded[name].total_mean for name in blocks}  # [C] each
    right = se.training.predict(network, images).argmax(dim=1) == labels  # [n]
    with se.override_gates(network, frozen):
        right_frozen = se.training.predict(network, images).argmax(dim=1) == labels
    own, fixed = right.float().mean(), right_frozen.float().mean()
    print(f"own gates {own:.1%}, frozen at their means {fixed:.1%} of {len(images):,} test images")
else:
    print("this cell needs the images")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The images that open a channel
#
# Take the most class-specific channel of SE_5_1. Which images open it widest, and which keep it shut?
#
# > **Before you run the next cell:** will one class open it, or several? Which?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Seven of the ten. It is nearly shut for automobiles and trucks, and half shut for horses. So this channel parts trucks and automobiles from most other classes, and more by closing for them than by opening for one. (One channel, and picked for its specificity.) The ten images that open it widest, below, are mostly frogs all the same, the class with the highest mean: they are the extremes of a gate that is open for most images.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment", "show": "output"}
channel = recorded["SE_5_1"].specificity().argmax().item()
by_class = recorded["SE_5_1"].mean[:, channel]
for k in by_class.argsort(descending=True).tolist():
    print(f"{recorded.classes[k]:>10}  {by_class[k]:.2f}  {'#' * round(40 * by_class[k].item())}")

# %% [markdown]
# ### Exercise 7.3: the openers · easy · 3 minutes
#
# Write `my_openers(gates, channel, k)`: from `gates` `[n, C]` the indices of the `k` images with the largest gate in `channel`, largest first.


# %%
def my_openers(gates, channel, k): ...


checks.openers(my_openers)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_openers(gates, channel, k):
#     return gates[:, channel].argsort(descending=True)[:k]
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# Now the images themselves, the ten widest open and the ten most closed.

# %% [markdown] slideshow={"slide_type": "notes"}
# We picked the channel *for* its specificity, so that classes show is no surprise. Look for what the classes on one side share beside their names: a background, a colour, straight edges? (We have looked too, and would not swear to anything.)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
if have_images:
    order = measured["SE_5_1"].sample[:, channel].argsort(descending=True)
    ends = torch.cat([order[:10], order[-10:]])
    named = [dataset.classes[k] for k in labels[ends].tolist()]
    titles = [f"{c}\n{measured['SE_5_1'].sample[i, channel]:.3f}" for c, i in zip(named, ends, strict=True)]
    figures.show(
        figures.image_grid(images[ends], titles),
        alt=f"Of {len(images):,} test images the ten with the most open and the ten with the most closed gate in channel "
        f"{channel} of SE_5_1, each with its gate. Open: {', '.join(named[:10])}. Closed: {', '.join(named[10:])}.",
    )
else:
    print("this cell needs the images")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 4}
# ## What if a gate were another?
#
# Freezing all gates, as above, is a large step. A smaller one: put other gates in place of one block's own, for one picture, and let the network go on. Choose a picture or bring your own (it stays in your browser), a block, and its gates. The network computes in the page; so that the page stays small, it is a smaller one, SE-ResNet-18 with a quarter of the channels (16 to 128).

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you move anything:** which will change the network's answer on the largest number of pictures: gates of one (the SE block taken out, its convolutions kept), each channel's mean gate, or the gates of another picture? Is it the same in the first block and in the last?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Gates of one, clearly in stages 2 to 4; in stage 5 the counts are too close to tell. Most of it is the level of the whole block: gates of one about double what the branch (the two convolutions) adds to the skip (what goes past them). One constant for all channels and pictures, the block's mean gate, changes a third as many answers in all, each channel's own mean somewhat fewer, another picture's gates about as many as the constant. The cell below counts; a hundred pictures show a direction, no more.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
ten = se.data.balanced_subset(dataset.labels, 1, seed=0).sort().values  # one picture a class
if not have_images:
    print("Drawn shapes: this network has never seen any. What it says of them means little, how it changes is real.")
names = [dataset.classes[k] for k in dataset.labels[ten]]
explorer = widgets.WhatIfExplorer(dataset.images[ten], names, block="SE_2_2", gates="as computed")
explorer

# %% [markdown]
# So that the page stays small, this network's weights are also rounded to 8 bits; `explorer.network` is that network in PyTorch. With a kernel, move the explorer and run the next cell again: `override_gates` gives the same as the page.

# %% tags=["nbval-ignore-output"]
with torch.no_grad(), se.override_gates(explorer.network, explorer.override()):
    logits = explorer.network(se.training.normalise(dataset.images[ten][explorer.picture, None]))[0]  # [10] scores
assert torch.allclose(logits, explorer.logits()[1], atol=1e-4)
print(f"{explorer.block}, gates {explorer.gates}:", ", ".join(f"{v:.2f}" for v in logits.tolist()))

# %% [markdown]
# The same for a hundred pictures: on how many does the answer change with gates of one, with one constant for the whole block (its mean gate), with each channel's mean gate, with another picture's gates?

# %% tags=["nbval-ignore-output"]
narrow = se.results.load_excitations("se_resnet18-quarter")  # of the explorer's network
if have_images:
    hundred = dataset.images[se.data.balanced_subset(dataset.labels, 10, seed=0)]
    x = se.training.normalise(hundred)  # [100, 3, 32, 32], in no order: the next picture is any other
    changed = {}
    with torch.no_grad():
        answers = explorer.network(x).argmax(dim=1)  # [100]
        for name in blocks:
            means = narrow[name].total_mean  # [C]
            choices = {"1": 1.0, "one mean": means.mean(), "means": means, "another's": lambda s: s.roll(1, dims=0)}
            for choice, gates in choices.items():
                with se.override_gates(explorer.network, {name: gates}):
                    changed[name, choice] = (explorer.network(x).argmax(dim=1) != answers).sum().item()
            print(f"{name}  " + "   ".join(f"{choice} {changed[name, choice]:2}" for choice in choices))
    for other in ("one mean", "means", "another's"):
        assert all(changed[n, "1"] > changed[n, other] for n in blocks[:6])  # stages 2 to 4
else:
    print("this cell needs the images")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 4}
# ## Goldfish and cliff
#
# The paper's own figure shows ImageNet classes: goldfish, pug, plane and cliff. Goldfish and cliff are among twenty classes of [Tiny-ImageNet](http://cs231n.stanford.edu/tiny-imagenet-200.zip), photographs of 64×64 pixels, 500 a class, on which we trained a second SE-ResNet-18.

# %% [markdown] slideshow={"slide_type": "notes"}
# It has a quarter of the channels (16 to 128) and at least 4 hidden units in a block, and saw the 10,000 images fifteen times. Its gates were recorded over 1,000 images that it had not seen (Tiny-ImageNet's validation images): 50 of a class, as many as in the paper. A chihuahua stands in for the pug, a sports car for the plane.

# %% tags=["nbval-check-output"]
TINY = "se_resnet18-quarter-tiny-imagenet"
tiny_record, tiny = se.results.load_record(TINY), se.results.load_excitations(TINY)
print(f"{tiny_record['accuracy']:.1%} of {tiny_record['test_images']:,} test images, single view")

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cells:** goldfish and cliff differ more than a cat and a dog do. Will their gates part earlier than those of CIFAR-10's classes?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# A little: in SE_2_1 two of the twenty classes lie further apart than two of CIFAR-10's do in a network of the same width, on average and widest against widest (alp and pizza, against airplane and frog). Goldfish and cliff are one pair among many: further apart there than an average pair, nearer than the widest one of CIFAR-10. The table has all blocks. Class specificity is 0.36<!-- record: se_resnet18-quarter-tiny-imagenet.SE_2_1.specificity --> in SE_2_1, 0.23<!-- record: se_resnet18-quarter-tiny-imagenet.SE_3_2.specificity --> in SE_3_2 and 0.56<!-- record: se_resnet18-quarter-tiny-imagenet.SE_5_2.specificity --> in SE_5_2, with ups and downs between. So in this network the first block does not treat all classes alike. It may be colour, which goldfish, lemons and bananas have of their own; we did not test that. (One network. The paper's has fifty layers and knows a thousand classes.)
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
PAPERS_FOUR = ("goldfish", "chihuahua", "sports_car", "cliff")
figures.show(
    figures.class_gates(tiny, first_and_last, PAPERS_FOUR, width=6.5),
    alt="Mean gate of goldfish, chihuahua, sports car and cliff over all 16 channels of SE_2_1 and over fifty of SE_5_2. "
    "From the lowest to the highest of twenty class means, on average over a block's channels: "
    + ", ".join(f"{n} {ranges_of(tiny[n]).mean():.2f}" for n in first_and_last)
    + ".",
)

# %% [markdown]
# All eight blocks:

# %% tags=["nbval-ignore-output"]
figures.show(
    figures.class_gates(tiny, blocks, PAPERS_FOUR),
    alt="Mean gate of goldfish, chihuahua, sports car and cliff over up to fifty channels, a panel for each of the eight "
    "blocks. Class specificity: " + ", ".join(f"{row['block']} {row['specificity']:.2f}" for row in tiny.summary()),
)

# %% [markdown]
# The distance between two classes' mean gates, averaged over a block's channels: of goldfish and cliff, then the mean over all pairs of the twenty classes, and the widest pair; for comparison the mean and the widest of CIFAR-10's ten classes, in a network of the same width (that of the what-if explorer). The last column is the class specificity on the twenty, of which $19/999$, about 0.02, is chance.


# %% tags=["nbval-check-output"]
def distances(gates, classes):
    """Mean distance of two classes' gates over the channels, for every pair of classes."""
    return {
        (a, b): (gates.mean[i] - gates.mean[j]).abs().mean().item()
        for (i, a), (j, b) in itertools.combinations(enumerate(classes), 2)
    }


print("         20 classes: goldfish, cliff   mean  widest   10 classes: mean  widest   specificity")
for name in blocks:
    twenty, ten_classes = distances(tiny[name], tiny.classes), distances(narrow[name], narrow.classes)
    this = twenty["cliff", "goldfish"]
    here, there = ((sum(d.values()) / len(d), max(d.values())) for d in (twenty, ten_classes))
    print(
        f"{name} {this:30.2f} {here[0]:6.2f} {here[1]:7.2f} {there[0]:18.2f} {there[1]:7.2f}"
        f" {tiny[name].specificity().mean():13.2f}"
    )
    if name == "SE_2_1":
        assert there[0] < here[0] < this < there[1] < here[1]
        assert max(twenty, key=twenty.get) == ("alp", "pizza")
        assert max(ten_classes, key=ten_classes.get) == ("airplane", "frog")

# %% [markdown]
# ## A stock network
#
# None of this needs blocks of ours. torchvision's small *MobileNetV3* was designed with SE inside: nine of its eleven units have a block, between a *depthwise* convolution, which filters each channel by itself, and the 1×1 convolution that mixes the channels. There $r$ is 2 in the first block and about 4 in the others (the hidden width is rounded to a multiple of 8), and the gate is a *hard sigmoid*, three straight lines in place of $\sigma$: 0 below $-3$, $x/6 + 1/2$ between, 1 above 3. We trained it, just as torchvision builds it, on the same twenty classes, for thirty epochs, with no weight decay on its SE layers either.
#
# `record_excitations` finds the gates of the blocks that torchvision and timm (another library of networks) bring along, and names them by their places: `SE_features_4_block_2` is `features[4].block[2]`.

# %% tags=["nbval-check-output"]
STOCK = "mobilenet_v3_small-tiny-imagenet"
stock_network = se.results.load_network(STOCK)
stock_record, stock = se.results.load_record(STOCK), se.results.load_excitations(STOCK)
print(stock_network.features[4].block[2])
print(
    f"{se.cost.parameters(stock_network):,} weights, {stock_record['accuracy']:.1%} of 1,000 test images, single view"
)

# %% [markdown]
# > **Before you run the next cell:** SE_5_2 of the first network of this chapter is wide open for some images and shut for others. Will the last block here do the same?
#
# <details><summary>What we found</summary>
#
# No. In every block the gates move, by 0.06<!-- record: mobilenet_v3_small-tiny-imagenet.SE_features_8_block_2.movement --> to 0.10<!-- record: mobilenet_v3_small-tiny-imagenet.SE_features_9_block_2.movement -->, and class specificity is larger in the last block, 0.44<!-- record: mobilenet_v3_small-tiny-imagenet.SE_features_11_block_2.specificity -->, than in the first, 0.27<!-- record: mobilenet_v3_small-tiny-imagenet.SE_features_1_block_1.specificity -->. But hardly a gate comes near its ends: nearly all stay where the hard sigmoid is one straight line. (One network, trained from scratch on few images; what its gates did before training we did not record.)
#
# </details>

# %% tags=["nbval-check-output"]
print("block                     C   mean  movement  specificity  <0.1  >0.9")
for row in stock.summary():
    print(
        f"{row['block']:22} {row['channels']:4}  {row['mean']:.2f}  {row['movement']:8.2f}"
        f"  {row['specificity']:11.2f}  {row['below']:.2f}  {row['above']:.2f}"
    )
    assert row["movement"] > 0.03

# %% [markdown]
# The first block and the last, for the same four classes as above:

# %% tags=["nbval-ignore-output"]
ends_of_stock = [list(stock)[0], list(stock)[-1]]
figures.show(
    figures.class_gates(stock, ends_of_stock, PAPERS_FOUR),
    alt="MobileNetV3: mean gate of goldfish, chihuahua, sports car and cliff over all 16 channels of its first SE block "
    "and over fifty of the 576 of its last. From the lowest to the highest of twenty class means, on average over a "
    "block's channels: " + ", ".join(f"{n} {ranges_of(stock[n]).mean():.2f}" for n in ends_of_stock) + ".",
)

# %% [markdown]
# (torchvision has weights for all 1,000 classes of ImageNet too, a 10 MB download: `torchvision.models.mobilenet_v3_small(weights="DEFAULT")`. `record_excitations` finds its gates as well, with images of 224×224. It normalises them with CIFAR-10's mean and deviation; ImageNet's, which those weights expect, are close.)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along

# %% [markdown] slideshow={"slide_type": "notes"}
# - **The paper says:** excitations of early blocks are shared by classes, later ones are class-specific; in SE-ResNet-50, SE_5_2 tends to saturate near one and SE_5_3 repeats one pattern, so the last stage's blocks can go with little loss.

# %% [markdown] slideshow={"slide_type": "-"}
# - **We measured:** in this network gates move in every block, and specificity rises at every step, from 0.14<!-- record: se_resnet18-gates.SE_2_1.specificity --> at SE_2_1 to 0.71<!-- record: se_resnet18-gates.SE_5_2.specificity --> at SE_5_2. Untrained gates have about two thirds of that or more, since $z$ has it. Trained gates moved two to four times as far as one random draw of untrained ones; that factor depends on how $W_1$ and $W_2$ start.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **They differ:** our last block is the most class-specific, and it is open for some images and shut for others (mean gate 0.4<!-- record: se_resnet18-gates.SE_5_2.mean -->). The network is shallower too (two blocks a stage, so there is no SE_5_3), the images are others, and training was far shorter. "The last stage saturates", as one note has it, is more than the paper says: it says so of SE_5_2 only.

# %% [markdown] slideshow={"slide_type": "-"}
# - **What this cannot show:** that a network needs gates that move. Freezing them is not retraining without them.

# %% [markdown] slideshow={"slide_type": "notes"}
# - **To read:** sections 7.1 and 7.2 of the paper.
