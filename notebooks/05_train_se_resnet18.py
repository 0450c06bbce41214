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
# # 05 · Train SE-ResNet-18 on CIFAR-10

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/05_train_se_resnet18.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/05_train_se_resnet18.py) [slides](https://senet-edu.github.io/senet-edu/slides/05_train_se_resnet18.html)

# %% [markdown] slideshow={"slide_type": "-"}
# **You will** train an SE network with live curves, survive a disconnect, and compare it with its plain twin over seeds.

# %% [markdown] slideshow={"slide_type": "notes"}
# **You need** [chapter 02](02_squeeze_excite_scale.ipynb) (the block), and to have trained some network once: loss, batch, learning rate. An *epoch* is one pass over the training images; the *seed* fixes all that is random in a run; the *plain twin* is the same network without SE.

# %% [markdown]
# | | quick: two CPU cores | full: a Colab T4 |
# |---|---|---|
# | what is trained | a quarter of the channels, 5,000 images, 4 epochs | all channels, 50,000 images, 26 epochs |
# | time to run | 38 s<!-- record: chapter-times.05_train_se_resnet18.seconds --> | about 20 minutes (estimated, nobody here has measured a T4: two networks of 26 epochs of 167 TFLOP each, at 8 TFLOP/s, take 18) |
# | GPU memory | none | about 3 GB (estimated: what 512 images leave in a ResNet-18 for the backward pass, in 16 bits) |
# | download | CIFAR-10, once: 170 MB | the same |

# %% [markdown] slideshow={"slide_type": "notes"}
# A quick run is for seeing how it goes; its accuracy means little. Where the chapter makes a claim, it reads a *record*: a file about a longer run, most of them on all 50,000 images.

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% tags=["nbval-ignore-output"]
import tempfile

import torch

import senet_edu as se
from senet_edu import checks, figures

speed = se.training.speed()
train_set = se.data.load_course_data("train")
test_set = se.data.load_course_data("test")
print(f"speed: {speed}")
print(train_set.about)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## The images
#
# CIFAR-10 has 60,000 photographs of 32×32 pixels, 6,000 of each of ten classes; 10,000 of them are kept for testing.

# %% [markdown] slideshow={"slide_type": "notes"}
# (If the line above says that the images are drawn shapes, you have no copy of CIFAR-10 and are not online; everything below still runs, on ten kinds of shapes.)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
one_each = torch.stack([train_set.images[train_set.labels == k][0] for k in range(10)])  # [10, 3, 32, 32]
figures.show(
    figures.image_grid(one_each, train_set.classes),
    alt="One training image of each of the ten classes: " + ", ".join(train_set.classes) + ".",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## Two networks that differ in one thing

# %% [markdown] slideshow={"slide_type": "notes"}
# A ResNet-18 has eight *residual blocks*, two in each of stages 2 to 5 (a *stage* is a run of blocks with the same resolution and channels; stage 1 is the first convolution). Each adds what its two convolutions (the *branch*) find to what came in (the *skip*; where the shapes differ, a 1×1 convolution).

# %% [markdown] slideshow={"slide_type": "-"}
# With SE, the branch is gated before the sum (figure 3 of the paper):
#
# $$y = \delta\big(\underbrace{s}_{\text{SE}} \cdot\, \mathrm{branch}(x) + \mathrm{skip}(x)\big)$$

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# For 32×32 images the first convolution is 3×3 and keeps the resolution, and no pooling follows it.

# %% [markdown] slideshow={"slide_type": "notes"}
# `width` scales all channel counts.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
plain = se.create_model("resnet18")
with_se = se.create_model("se_resnet18", reduction=16)
more = se.cost.parameters(with_se) - se.cost.parameters(plain)

print(f"ResNet-18: {se.cost.parameters(plain):,} weights, SE adds {more:,} ({more / se.cost.parameters(plain):.1%})")
for name, block in se.models.se_blocks(with_se).items():
    print(f"{name}: C = {block.channels:3}, hidden = {block.fc1.out_features}")
assert se.cost.parameters(plain) == 11_173_962
assert se.cost.parameters(with_se) == 11_263_042

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# The first thing to know about the two: they are the same network when all gates are one.

# %% [markdown] slideshow={"slide_type": "notes"}
# `se.override_gates` puts other gates in place of a network's own.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
plain.load_state_dict({k: v for k, v in with_se.state_dict().items() if ".se." not in k})
x = torch.randn(4, 3, 32, 32)  # [N, 3, H, W]
plain.eval(), with_se.eval()
with torch.no_grad(), se.override_gates(with_se, dict.fromkeys(se.models.se_blocks(with_se), 1.0)):
    assert torch.equal(with_se(x), plain(x))
print("gates of one give the plain network: yes")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## The recipe
#
# A *recipe* is everything about training but the network and the images. Ours is stochastic gradient descent with *momentum* (each step keeps 0.9 of the one before; we use Nesterov's form), and a learning rate that rises and falls once over the whole run.

# %% [markdown] slideshow={"slide_type": "notes"}
# It starts low because large steps on random weights can diverge, and ends at zero so that the weights settle. The recipe of the quick and of the recorded runs was chosen among eight, all with weight decay on more of the weights, on 5,000 training images held out for that; then the decay was taken off SE layers, gains and biases for the sake of the gates, not of the accuracy (see below). (One of the eight had also been scored on the test images before the choice. Records of the eight were not kept.) The full recipe follows others' runs (batch 512, and *cutout*: a square of 8×8 pixels blanked in each image) and was not tuned here. In all of them the loss compares with softened labels (*label smoothing* of 0.05: 0.955 for the right class, 0.005 for each other one), so it never falls below 0.28.

# %%
settings = {
    "quick": {"width": 0.25, "min_hidden": 4, "per_class": 500, "test": 2_000, "recipe": se.Recipe(epochs=4)},
    "full": {
        "width": 1.0,
        "min_hidden": 1,
        "per_class": None,  # all of them
        "test": 10_000,
        "recipe": se.Recipe(
            epochs=26, batch_size=512, peak_rate=0.4, schedule="triangular", warmup=0.2, translate=4, cutout=8
        ),
    },
}[speed]
recipe = settings["recipe"]
print(recipe)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
share = torch.linspace(0, 1, 200).tolist()
rates = [se.training.learning_rate(recipe, p) for p in share]
figures.show(
    figures.lines({recipe.schedule: (share, rates)}, "share of all steps done", "learning rate"),
    alt=f"The learning rate over training: it rises to {recipe.peak_rate} during the first {recipe.warmup:.0%} of the "
    "steps and then falls to zero.",
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# **Augmentation.** In every epoch each image is mirrored or not, and shifted by up to `recipe.translate` pixels (in the picture by up to 4), with what lies beyond the border reflected.

# %% [markdown] slideshow={"slide_type": "notes"}
# It is done to a whole batch at once, on tensors: no image file is opened in the loop. All that is random about an epoch is drawn before it starts, from the seed and the epoch's number; that is what lets a stopped run go on as if nothing had happened.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
copies = train_set.images[:1].expand(20, 3, 32, 32)  # one image, twenty times
shown = se.Recipe(translate=4)  # as at full speed: one pixel, as in the quick recipe, would hardly show
plan = se.training.EpochPlan.draw(20, (32, 32), shown, seed=0, epoch=0)
moved = se.training.move(copies, plan.mirrored, plan.shift)  # [20, 3, 32, 32]
figures.show(
    figures.image_grid(moved),
    alt="One training image twenty times as a network may meet it: mirrored or not, and shifted by up to "
    f"{shown.translate} pixels, with what lies beyond the border reflected.",
)

# %% [markdown]
# ### Exercise 5.1: a triangle · easy · 5 minutes
#
# Write `my_learning_rate(progress, peak, warmup)`: a straight line from 0 up to `peak` when `progress` reaches `warmup`, and a straight line down to 0 at `progress = 1`. Both `progress` and `warmup` are shares of all steps, 0 to 1. (The package's own rate starts at a tenth of the peak.)


# %%
def my_learning_rate(progress, peak, warmup): ...


checks.triangle(my_learning_rate)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_learning_rate(progress, peak, warmup):
#     if progress < warmup:
#         return peak * progress / warmup
#     return peak * (1 - progress) / (1 - warmup)
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What kills the gates
#
# *Weight decay* pulls every weight $w$ a little towards zero at each step: with learning rate $\eta$ and decay $\lambda$, $w \leftarrow w - \eta\,(\partial L / \partial w + \lambda w)$.

# %% [markdown] slideshow={"slide_type": "notes"}
# For convolutions that is harmless. After each of them stands *batch normalisation* (BN): it subtracts each channel's mean over the batch, divides by its standard deviation, then multiplies by a learned $\gamma$ and adds a learned $\beta$. Halve the weights before it, and its output stays the same.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# For the SE layers it is not harmless. If $W_2$ and $b_2$ shrink to zero, every gate is $\sigma(0) = 0.5$ for every image. That halves what BN put out, and twice the $\gamma$ and $\beta$ undo it.

# %% [markdown] slideshow={"slide_type": "notes"}
# So the loss hardly resists the decay; and where $W_2$ is zero, no gradient reaches $W_1$ either. What is left is a plain network that carries dead weights.

# %% [markdown] slideshow={"slide_type": "notes"}
# There is a second, quieter way. The gates are computed from $z$, the mean of what BN puts out. Decay on $\gamma$ and $\beta$ makes that small, so $W_1 z$ is small, and the gates of different images differ little.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 2}
# So our recipe gives no weight decay to the SE layers, nor to gains ($\gamma$) and biases.

# %% [markdown] slideshow={"slide_type": "notes"}
# In the optimiser these are groups of their own:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
groups = se.training.parameter_groups(with_se, recipe)
for kind, group in zip(("weights", "gains and biases", "SE layers"), groups, strict=True):
    count = sum(p.numel() for p in group["params"])
    print(f"{count:>10,} {kind}: weight decay {group['weight_decay']}")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# > **Before you run the next cell:** the same network and images, with our recipe (the mean of five runs) and with weight decay on everything, as is usual (the mean of three). How far will a gate move over the test images in each? (We call its standard deviation over images its *movement*, and average it over the channels of a block.)

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# With decay on everything the gates in the middle die, or nearly: those of SE_3_2 move by 0.09<!-- record: gate-trials.trials.base.movement.SE_3_2 --> with our recipe and by 0.012<!-- record: gate-trials.trials.all-decayed.movement.SE_3_2 --> with decay, those of SE_4_2 by 0.15<!-- record: gate-trials.trials.base.movement.SE_4_2 --> and 0.007<!-- record: gate-trials.trials.all-decayed.movement.SE_4_2 -->. In SE_2_1, SE_3_1 and the last block they still move.
#
# </details>

# %% tags=["nbval-check-output"]
trials = se.results.load_record("gate-trials")["trials"]
alive, dead = trials["base"]["movement"], trials["all-decayed"]["movement"]
print("block   movement of a gate: our recipe  decay on all")
for name in alive:
    print(f"{name} {alive[name]:30.3f} {dead[name]:13.3f}")

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.bars(
        {"our recipe": list(alive.values()), "weight decay on everything": list(dead.values())},
        list(alive),
        "movement of a gate",
    ),
    alt="How far a gate moves over 10,000 test images, two bars a block, with our recipe and with weight decay on "
    "everything. " + "; ".join(f"{n}: {alive[n]:.3f} and {dead[n]:.3f}" for n in alive),
)

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# What does a dead gate look like?

# %% [markdown] slideshow={"slide_type": "notes"}
# Here are the gates of SE_4_2 in one network of each recipe (seed 0): the mean over the images of each of three classes, in fifty of its 64 channels. In the dead block the lines lie on each other, near 0.5 in every channel (dashed: the mean over all ten classes): it says the same about every image, and next to nothing about channels.

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
THREE = ("airplane", "cat", "truck")
for recipe_name, weights in {"our recipe": "se_resnet18-quarter", "decay on everything": "all-decayed"}.items():
    gates = se.results.load_excitations(weights)
    apart = (gates["SE_4_2"].mean.max(0).values - gates["SE_4_2"].mean.min(0).values).mean()
    picture = figures.class_gates(gates, ["SE_4_2"], THREE, width=6.5)
    picture.suptitle(recipe_name)
    figures.show(
        picture,
        alt=f"Mean gate of airplane, cat and truck over fifty of the 64 channels of SE_4_2, {recipe_name}. From the lowest to the "
        f"highest of ten class means, on average over the channels: {apart:.3f}.",
    )

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# We tried other changes too, on the same network: 16 to 128 channels, all 50,000 training images, eight epochs.

# %% [markdown] slideshow={"slide_type": "notes"}
# A row is a trial; the difference in accuracy is against the first row, over the seeds that both have. The number after ± is its *standard error*, how far a mean of so few runs typically strays (exercise 5.3 computes it). A star marks a difference of more than 4.3 standard errors with three pairs, or 2.8 with five: luck alone goes beyond that in one case of twenty. The last columns are the movement of a gate in SE_2_1 and in SE_4_2, and the least of any block in any run. In the first row $r$ is 16, and no block has fewer than 4 hidden units (`min_hidden=4`), or the first ones would have a single one.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** does it cost accuracy when the gates die?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Not that these runs could show. With decay on everything, where the gates in the middle die, it is 0.06<!-- record: gate-trials.trials.all-decayed.difference_points --> points higher over three pairs, with a standard error of 0.10<!-- record: gate-trials.trials.all-decayed.standard_error_points -->; with decay on the SE layers alone 0.02<!-- record: gate-trials.trials.se-decayed.difference_points --> higher over five (0.13<!-- record: gate-trials.trials.se-decayed.standard_error_points -->); with decay on gains and biases alone it changes by -0.13<!-- record: gate-trials.trials.norms-decayed.difference_points --> (0.11<!-- record: gate-trials.trials.norms-decayed.standard_error_points -->). All three are within luck; but so would be a cost of a third of a point.
#
# With either decay alone the gates move less, on average over the seeds: with decay on the SE layers by 0.05<!-- record: gate-trials.trials.se-decayed.movement.SE_2_1 --> in place of 0.09<!-- record: gate-trials.trials.base.movement.SE_2_1 --> in SE_2_1 and by 0.03<!-- record: gate-trials.trials.se-decayed.movement.SE_4_2 --> in place of 0.15<!-- record: gate-trials.trials.base.movement.SE_4_2 --> in SE_4_2. (In some of these runs one block or another nearly dies: 0.011<!-- record: gate-trials.trials.se-decayed.least_movement --> is the least.)
#
# </details>

# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
beyond_luck = {3: 4.30, 4: 3.18, 5: 2.78}  # standard errors, by pairs (Student's t, below)
print(f"{'trial':44} seeds  accuracy  points ± s.e.    movement: SE_2_1  SE_4_2   least")
for trial in (trial for trial in trials.values() if trial["movement"]):  # those with gates
    d, e = trial["difference_points"], trial["standard_error_points"]
    n = len(set(trial["seeds"]) & set(trials["base"]["seeds"]))  # pairs
    points = f"{d:+.2f} ± {e:.2f}{' *' if abs(d) > beyond_luck[n] * e else ''}" if d is not None else ""
    moved = f"{trial['movement']['SE_2_1']:.3f}   {trial['movement']['SE_4_2']:.3f}   {trial['least_movement']:.3f}"
    print(f"{trial['what']:44} {n:5} {trial['accuracy']:9.2%}  {points:16}            {moved}")
print("* luck alone goes as far in one case of twenty")

# %% [markdown] slideshow={"slide_type": "notes"}
# What else moves them? With our recipe it is 0.09<!-- record: gate-trials.trials.base.movement.SE_2_1 --> and 0.15<!-- record: gate-trials.trials.base.movement.SE_4_2 --> in these two blocks. More: $z$ normalised over the batch before $W_1$ (0.13<!-- record: gate-trials.trials.normalised-z.movement.SE_2_1 --> and 0.22<!-- record: gate-trials.trials.normalised-z.movement.SE_4_2 -->); four times the learning rate for the SE layers (0.14<!-- record: gate-trials.trials.fast-gates.movement.SE_2_1 --> and 0.17<!-- record: gate-trials.trials.fast-gates.movement.SE_4_2 -->); and, a little, twice as many channels (0.12<!-- record: gate-trials.trials.half-width.movement.SE_2_1 --> and 0.17<!-- record: gate-trials.trials.half-width.movement.SE_4_2 -->) or epochs (0.11<!-- record: gate-trials.trials.long.movement.SE_2_1 --> and 0.16<!-- record: gate-trials.trials.long.movement.SE_4_2 -->). Less: PyTorch's own, smaller $W_1$ and $W_2$ to begin with (0.07<!-- record: gate-trials.trials.torch-init.movement.SE_2_1 --> and 0.08<!-- record: gate-trials.trials.torch-init.movement.SE_4_2 -->). A quarter of the rate, no biases, $r$ = 2, 4 or 8 and less weight decay on the rest change little. Without `min_hidden` the blocks of stage 2 have a single hidden unit; in one of the three runs that of SE_2_1 is zero for every image (a dead ReLU), and its gates do not move at all: 0.000<!-- record: trials/no-floor-seed1.SE_2_1.movement -->.
#
# Twice the epochs or channels make better networks, by 1.93<!-- record: gate-trials.trials.long.difference_points --> and 1.77<!-- record: gate-trials.trials.half-width.difference_points --> points (whether that has to do with SE, we did not ask). Of the other rows three have a star, and all are worse: less weight decay on the rest, by -0.61<!-- record: gate-trials.trials.light.difference_points --> (standard error 0.14<!-- record: gate-trials.trials.light.standard_error_points -->), and the two that move the gates farthest, by -0.47<!-- record: gate-trials.trials.normalised-z.difference_points --> (0.10<!-- record: gate-trials.trials.normalised-z.standard_error_points -->) and -0.38<!-- record: gate-trials.trials.fast-gates.difference_points --> (0.06<!-- record: gate-trials.trials.fast-gates.standard_error_points -->). They were picked out of a dozen differences from one first row, and for a dozen at once the threshold is about 15 standard errors: a reason to run more seeds, not a finding. Nothing here says that gates which move farther are better ones.
#
# So the accuracy of a short run does not tell whether the gates move. One has to look at them.

# %% [markdown]
# ### Exercise 5.2: two groups · medium · 8 minutes
#
# Write `my_parameter_groups(model, weight_decay)`: a list of two dictionaries for `torch.optim.SGD` (simpler than our recipe, which has a third group: here gains and biases stay with the rest), with the parameters of all `se.SEBlock`s at decay 0 and everything else at `weight_decay`. Each dictionary has the keys `"params"` (a list) and `"weight_decay"`. `model.modules()` walks over all modules. To ask whether a parameter is in a list, compare `id(p)`: `in` would compare the numbers.


# %%
def my_parameter_groups(model, weight_decay): ...


checks.parameter_groups(my_parameter_groups)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_parameter_groups(model, weight_decay):
#     in_se = [p for m in model.modules() if isinstance(m, se.SEBlock) for p in m.parameters()]
#     ids = {id(p) for p in in_se}
#     rest = [p for p in model.parameters() if id(p) not in ids]
#     return [{"params": rest, "weight_decay": weight_decay}, {"params": in_se, "weight_decay": 0.0}]
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 4}
# ## The loop
#
# This is what training is, without the conveniences.

# %% [markdown] slideshow={"slide_type": "notes"}
# Twenty steps on a narrow network (*logits* are the ten scores before the softmax, which is inside the cross-entropy):

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
torch.manual_seed(0)
small = se.create_model("se_resnet18", width=0.125)
optimizer = torch.optim.SGD(se.training.parameter_groups(small, recipe), lr=0.05, momentum=0.9, nesterov=True)
order = torch.randperm(len(train_set))
losses = []
for step in range(20):
    index = order[step * 64 : (step + 1) * 64]  # [64]
    logits = small(se.training.normalise(train_set.images[index]))  # [64, 10]
    loss = torch.nn.functional.cross_entropy(logits, train_set.labels[index])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} before the first step, {losses[-1]:.2f} before the twentieth")

# %% [markdown] slideshow={"slide_type": "notes"}
# `se.fit` is the same loop with the learning rate, augmentation, lower precision where the hardware has it, a progress bar, and *checkpoints*: copies of where it stands, on the disk, from which a stopped run goes on. It is written to be read in one sitting: `senet_edu/training/loop.py`.
#
# ## Train
#
# First the images: all of them, or at quick speed a part with equally many of each class. The test images are for the score at the end.

# %%
if settings["per_class"]:
    part = se.data.balanced_subset(train_set.labels, settings["per_class"], seed=0)
    images, labels = train_set.images[part], train_set.labels[part]
else:
    images, labels = train_set.images, train_set.labels
look = se.data.balanced_subset(test_set.labels, min(settings["test"] // 10, len(test_set) // 10), seed=0)
test_images, test_labels = test_set.images[look], test_set.labels[look]

# %% [markdown]
# Where checkpoints go. On Colab set `DRIVE = True`: they are kept on your Google Drive, and after a disconnect *Run all* goes on where the run stood. Elsewhere give `FOLDER` a name, such as `"runs/chapter05"`. As it stands nothing is kept, and a disconnect loses the run.

# %%
DRIVE = False
FOLDER = None

if DRIVE:
    from google.colab import drive

    drive.mount("/content/drive")
    FOLDER = "/content/drive/MyDrive/senet-edu"

# %% [markdown]
# Then how to train one network:


# %%
def train(name, seed=0):
    """Train a network from scratch at this speed; returns it and its history."""
    torch.manual_seed(seed)
    model = se.create_model(name, width=settings["width"], min_hidden=settings["min_hidden"])
    folder = f"{FOLDER}/{name}-{seed}" if FOLDER else None
    run = se.fit(model, images, labels, recipe, seed=seed, folder=folder, on_epoch=figures.LiveCurves(name))
    return model, run.history


# %% [markdown]
# First the SE network. (A progress bar and the curves move while it trains; on this page you see where they ended. Loss and accuracy are averages over an epoch, on augmented images, while the weights change. To compare the two networks, wait for the figure with both.)

# %% tags=["nbval-ignore-output"]
se_model, se_history = train("se_resnet18")

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 3}
# Then its plain twin: the same recipe, images, order and augmentation.

# %% [markdown] slideshow={"slide_type": "notes"}
# (Not the same initial weights: the SE layers draw random numbers too.)

# %% tags=["nbval-ignore-output"]
plain_model, plain_history = train("resnet18")

# %% [markdown] slideshow={"slide_type": "notes"}
# Now the test images. *Single view* means one look at each image as it is; *flipped* adds the logits of its mirror image, a cheap gain that should be said when it is used. (At quick speed do not read the difference of the two: one seed and 2,000 images can easily leave as much as that to chance.)

# %% tags=["nbval-ignore-output"]
scores = {
    "SE-ResNet-18": se.evaluate(se_model, test_images, test_labels),
    "ResNet-18": se.evaluate(plain_model, test_images, test_labels),
}
for name, score in scores.items():
    print(
        f"{name:13} {score.accuracy:.1%} of {len(test_labels):,} test images, single view; {score.flipped:.1%} flipped"
    )
print(
    f"SE took {se_history[-1]['seconds'] / plain_history[-1]['seconds']:.2f} times as long in the last epoch (one epoch, noisy)"
)

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "-"}
figures.show(
    figures.curves({"SE-ResNet-18": se_history, "ResNet-18": plain_history}),
    alt=f"Loss and training accuracy by epoch of both networks. At the end SE stands at {se_history[-1]['accuracy']:.0%} "
    f"of the training images, the plain network at {plain_history[-1]['accuracy']:.0%}.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 2}
# ## Survive a disconnect
#
# Colab takes machines away. Give `fit` a folder and it keeps a checkpoint there: weights, momentum, the place in the epoch.

# %% [markdown] slideshow={"slide_type": "notes"}
# Below, a small run is stopped after its first epoch; called again, it goes on, and ends with the same weights, bit for bit, as a run that was never stopped (on the CPU; on a GPU sums may come in another order).


# %%
class Disconnected(Exception):
    pass


def pull_the_plug(history):
    if len(history) == 1:
        raise Disconnected


def tiny_run(folder, on_epoch=None):
    torch.manual_seed(1)
    model = se.create_model("se_resnet18", width=1 / 16)
    few = images[:256], labels[:256]
    se.fit(model, *few, se.Recipe(epochs=2), folder=folder, cpu=True, progress=False, on_epoch=on_epoch)
    return model.state_dict()


# %% [markdown]
# Once without a stop, once with:

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-"}
with tempfile.TemporaryDirectory() as folder:
    never_stopped = tiny_run(None)
    try:
        tiny_run(folder, on_epoch=pull_the_plug)
    except Disconnected:
        print("disconnected after epoch 1")
    continued = tiny_run(folder)

assert all(torch.equal(never_stopped[k], continued[k]) for k in never_stopped)
print("continued, and every weight is the same")

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 4}
# ## On all 50,000 images
#
# The recorded runs: SE-ResNet-18 and ResNet-18 with a quarter of the channels (16 to 128), eight epochs on all training images, each with five seeds.

# %% [markdown] slideshow={"slide_type": "notes"}
# They are those of our recipe in the trials above: at least 4 hidden units, and no weight decay on SE layers, gains and biases.

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** by how much will SE beat its plain twin here? In the paper's CIFAR-10 table it lowers the error by 1.2 and 1.1 points on ResNet-110 and -164, and by 0.4 on two wider networks.

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# By nothing that shows. The plain network reached 84.30 %<!-- record: quarter-pairs.baseline_mean -->, SE 84.35 %<!-- record: quarter-pairs.changed_mean --> (means over the five seeds). The difference, SE minus plain, is 0.05<!-- record: quarter-pairs.difference_points --> points with a standard error of 0.11<!-- record: quarter-pairs.standard_error_points -->. (The scores of the SE networks spread less, in five runs each; that may be luck too.)
#
# The running means are a warning. After three pairs SE was ahead by more than two standard errors, which with three runs is not enough (see below), and the fourth took it away. Three other pairs, trained before these with weight decay on gains and biases too, leaned the other way: -0.19<!-- record: quarter-pairs-norms-decayed.difference_points --> points with a standard error of 0.09<!-- record: quarter-pairs-norms-decayed.standard_error_points -->.
#
# </details>


# %% tags=["nbval-check-output"] slideshow={"slide_type": "fragment", "show": "output"}
def show_pairs(name):
    """Accuracies by seed, and SE minus plain in points; returns the record."""
    pairs = se.results.load_record(name)
    print("seed   ResNet-18   SE-ResNet-18")
    for seed, plain_score, se_score in zip(pairs["seeds"], pairs["baseline"], pairs["changed"], strict=True):
        print(f"{seed:4} {plain_score:11.2%} {se_score:14.2%}")
    spreads = [100 * torch.tensor(pairs[kind]).std().item() for kind in ("baseline", "changed")]
    print(f"mean {pairs['baseline_mean']:11.2%} {pairs['changed_mean']:14.2%}")
    print(f"sd {spreads[0]:13.2f} {spreads[1]:14.2f}  points")
    print(f"SE minus plain: {pairs['difference_points']:+.2f} ± {pairs['standard_error_points']:.2f} points")
    return pairs


pairs = show_pairs("quarter-pairs")
d = 100 * (torch.tensor(pairs["changed"]) - torch.tensor(pairs["baseline"]))  # points, one a seed
for n in range(3, len(d)):
    print(f"after {n} pairs: {d[:n].mean():+.2f} ± {d[:n].std() / n**0.5:.2f} points")

# %% [markdown]
# The three other pairs, with weight decay on gains and biases:

# %% tags=["nbval-check-output"]
_ = show_pairs("quarter-pairs-norms-decayed")

# %% tags=["nbval-ignore-output"]
recorded = {
    "SE-ResNet-18": se.results.load_record("se_resnet18-quarter"),
    "ResNet-18": se.results.load_record("resnet18-quarter"),
}
print(recorded["SE-ResNet-18"]["data"])
figures.show(
    figures.curves({name: record["history"] for name, record in recorded.items()}),
    alt="Loss and training accuracy by epoch of the two recorded quarter-width networks of seed 0. After the last epoch: "
    + ", ".join(f"{n} loss {r['history'][-1]['loss']:.2f}" for n, r in recorded.items()),
)

# %% [markdown]
# Some classes are harder than others.

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# > **Before you run the next cell:** which two of the ten classes will be hardest? And will they be the same two for both networks?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# Cat in both, with 69.4 %<!-- record: se_resnet18-quarter.accuracy_per_class.3 --> (SE) and 67.8 %<!-- record: resnet18-quarter.accuracy_per_class.3 -->. Then bird without SE, 74.3 %<!-- record: resnet18-quarter.accuracy_per_class.2 -->; with SE dog and bird are about equally hard, 77.9 %<!-- record: se_resnet18-quarter.accuracy_per_class.5 --> and 78.1 %<!-- record: se_resnet18-quarter.accuracy_per_class.2 --> of 1,000 images each. (One network each.)
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
figures.show(
    figures.bars(
        {name: [100 * a for a in record["accuracy_per_class"]] for name, record in recorded.items()},
        se.data.CIFAR10_CLASSES,
        "accuracy, %",
    ),
    alt="Test accuracy of each class for the recorded networks of seed 0, with SE and without. "
    + ", ".join(
        f"{c} {a:.0%} and {b:.0%}"
        for c, a, b in zip(
            se.data.CIFAR10_CLASSES, *(record["accuracy_per_class"] for record in recorded.values()), strict=True
        )
    )
    + ".",
)

# %% [markdown]
# ### Exercise 5.3: is it a difference? · medium · 6 minutes
#
# Two networks trained with the same seed see the same images in the same order, so their scores are compared in pairs. (That helps where the common order makes both scores rise and fall together.) Write `my_paired_difference(with_se, plain)`: from two lists of accuracies, one entry a seed, return the pair (mean of the differences with SE minus plain, its standard error). The standard error is $\mathrm{sd}/\sqrt{n}$, with the standard deviation sd of the $n$ differences computed with $n-1$.


# %%
def my_paired_difference(with_se, plain): ...


checks.paired_difference(my_paired_difference)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_paired_difference(with_se, plain):
#     d = torch.tensor(with_se) - torch.tensor(plain)
#     return d.mean().item(), (d.std() / len(d) ** 0.5).item()
# ```
#
# </details>

# %% [markdown] slideshow={"slide_type": "subslide", "minutes": 4}
# How to read the answer: with few seeds the standard deviation itself is uncertain, so a difference must exceed several standard errors before luck is unlikely (at most one case in twenty): 4.3 of them with three seeds, 2.8 with five, about two with many (*Student's t*). Call that the *threshold*.

# %% [markdown] slideshow={"slide_type": "notes"}
# Turned round, the spread of our pairs tells how many seeds would show a difference of a given size. If the true difference is as large as the threshold, half of all such experiments measure less, and miss it. To be found four times in five it must be about one standard error larger (in the code, the second number in each bracket of `student`). Take it as a rough guide: the spread comes from few pairs. The *interval* is the mean, give or take the threshold: were the true difference outside it, such pairs would be unlikely. It is about training anew and scoring on these same test images; other images would add their own luck.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "-", "show": "output"}
import math

# Student's t, by seeds: the standard errors that luck exceeds in one case of twenty, and one of five beyond it
student = {3: (4.30, 1.06), 4: (3.18, 0.98), 5: (2.78, 0.94), 6: (2.57, 0.92)}
student |= {7: (2.45, 0.91), 8: (2.36, 0.90), 9: (2.31, 0.89), 10: (2.26, 0.88), 11: (2.23, 0.88)}
student |= {12: (2.20, 0.88), 13: (2.18, 0.87), 14: (2.16, 0.87), 15: (2.14, 0.87), 16: (2.13, 0.87)}


def how_sure(pairs):
    """What these pairs say, and how many would say more."""
    d, error, n = pairs["difference_points"], pairs["standard_error_points"], len(pairs["seeds"])
    reach = student[n][0] * error
    print(f"SE minus plain: {d / error:+.1f} standard errors; interval {d - reach:+.2f} to {d + reach:+.2f} points")
    spread = error * n**0.5  # sd of the differences, in points
    for points in (1.0, 0.5, 0.2):
        many = math.ceil(((1.96 + 0.84) * spread / points) ** 2) + 2  # a good guess where t is nearly normal
        seeds = next((n for n, (t, u) in student.items() if (t + u) * spread / n**0.5 < points), many)
        print(f"a difference of {points} points would show, about four times in five, with {seeds} seeds")


how_sure(pairs)

# %% [markdown]
# ## A harder task
#
# Perhaps ten classes are too few for SE to matter. *Tiny-ImageNet* has photographs of 64×64 pixels; of twenty of its classes (three dogs, alp and cliff, lemon and banana, goldfish) we took 500 images each to train on and 50 to test on (its validation images: those of its test set have no labels). The same two networks, five pairs, fifteen epochs; the recipe is ours with half the batch, half the rate and a shift of up to 8 pixels. It was not tuned.
#
# > **Before you run the next cell:** will SE win here? Each network is scored on 1,000 images: one image is 0.1 points.
#
# <details><summary>What we found</summary>
#
# No. The plain network reached 75.88 %<!-- record: tiny-imagenet-pairs.baseline_mean -->, SE 75.62 %<!-- record: tiny-imagenet-pairs.changed_mean -->: a difference of -0.26<!-- record: tiny-imagenet-pairs.difference_points --> points with a standard error of 0.48<!-- record: tiny-imagenet-pairs.standard_error_points -->, well within luck, and all of it from one pair: without seed 2 the mean would be above zero. Five such pairs would show a difference of about two points, and half a point would take dozens; the paper's is 1.5 (ResNet-50, all of ImageNet). Pairing did not help here: the differences spread about as much as those of scores that have nothing in common would.
#
# </details>

# %% tags=["nbval-check-output"]
harder = show_pairs("tiny-imagenet-pairs")
how_sure(harder)
d = torch.tensor(harder["changed"]) - torch.tensor(harder["baseline"])  # [5]
assert d.mean() < 0 < d[[seed != 2 for seed in harder["seeds"]]].mean()

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## At full width
#
# One SE-ResNet-18 with all its channels (64 to 512) was trained on the 50,000 images, on two CPU cores, in two runs: 20 epochs, and 16 more from where those ended. It comes with the course, and [chapter 07](07_what_the_gates_learned.ipynb) is about its gates.

# %% [markdown] slideshow={"slide_type": "notes"}
# Its recipe is that of the recorded runs above (batch 128, peak rate 0.2) with a shift of up to 4 pixels and cutout of 8×8, and half the peak rate in the second run. It was not tuned; but we had scored the first run on the test images before we decided to go on. The network has no plain twin: it says what SE-ResNet-18 can do here, and nothing about SE against plain.

# %% tags=["nbval-check-output"]
first, full = (se.results.load_record(name) for name in ("se_resnet18-first", "se_resnet18"))
for epochs, record in {"20 epochs": first, "20 and 16": full}.items():
    print(
        f"{epochs}: {record['accuracy']:.2%} of 10,000 test images single view, {record['accuracy_flipped']:.2%} flipped"
    )
print(full["data"])

# %% [markdown] slideshow={"slide_type": "-"}
# > **Before you run the next cell:** the second run begins with a small learning rate, which then rises to 0.1 and falls again. What will the loss do at the seam?

# %% [markdown] slideshow={"slide_type": "notes"}
# <details><summary>What we found</summary>
#
# It rises with the rate: from 0.46<!-- record: se_resnet18-first.history.19.loss --> in the last epoch of the first run to 0.69<!-- record: se_resnet18.history.3.loss --> in the fourth of the second. Then it falls to 0.38<!-- record: se_resnet18.history.15.loss -->, lower than ever, and the accuracy over the last epoch, on augmented training images, is 96.3 %<!-- record: se_resnet18.history.15.accuracy --> in place of 93.3 %<!-- record: se_resnet18-first.history.19.accuracy -->. On the test images it rose from 90.2 %<!-- record: se_resnet18-first.accuracy --> to 91.1 %<!-- record: se_resnet18.accuracy -->. (Whether one run of 36 epochs would have done as well, we did not try.)
#
# Do not compare the two networks of the figure at the same epoch: at the eighth the narrow one's learning rate has come down to zero, and it met no cutout and shifts of a pixel at most, so its loss on *its* training images is lower. On the test images it reached 84.4 %<!-- record: se_resnet18-quarter.accuracy -->.
#
# </details>

# %% tags=["nbval-ignore-output"] slideshow={"slide_type": "fragment"}
more = [row | {"epoch": len(first["history"]) + row["epoch"]} for row in full["history"]]
narrow = recorded["SE-ResNet-18"]["history"]
figures.show(
    figures.curves({"64 to 512 channels": first["history"] + more, "16 to 128 channels": narrow}),
    alt="Loss and training accuracy by epoch of the full-width SE-ResNet-18, 20 epochs and 16 more, and of the "
    f"quarter-width one, 8 epochs. Accuracy on the training images after epoch 20 {first['history'][-1]['accuracy']:.1%}, "
    f"after 36 {more[-1]['accuracy']:.1%}; of the narrow network {narrow[-1]['accuracy']:.1%}.",
)

# %% [markdown] slideshow={"slide_type": "slide", "minutes": 3}
# ## What to take along
#
# - **The paper says:** SE lowers the CIFAR-10 error of ResNet-110 from 6.37 to 5.21 % and of ResNet-164 from 5.46 to 4.39 % (table 4). It reports no ResNet-18 and no spread over seeds.
# - **We measured:** on a narrow ResNet-18, eight epochs and slightly lossy copies of the images, a difference (SE minus plain) of 0.05<!-- record: quarter-pairs.difference_points --> points over five pairs, with a standard error of 0.11<!-- record: quarter-pairs.standard_error_points -->. Nothing here shows that SE helps, or harms. (The first three pairs had leaned to SE, three with another weight decay to the plain network.)

# %% [markdown] slideshow={"slide_type": "notes"}
# - On twenty classes of Tiny-ImageNet, five pairs, it is -0.26<!-- record: tiny-imagenet-pairs.difference_points --> points with a standard error of 0.48<!-- record: tiny-imagenet-pairs.standard_error_points -->: no difference there either.
# - **They differ** in depth, width, length of training and images. Longer training, full width and more seeds are the next things to try: set `SENET_EDU_SPEED=full` on a GPU.

# %% [markdown] slideshow={"slide_type": "-"}
# - **What carries over:** a network can have SE blocks that do nothing. Look at the gates, not only at the accuracy. That is [chapter 07](07_what_the_gates_learned.ipynb).

# %% [markdown] slideshow={"slide_type": "notes"}
# - **To read:** section 5 of the paper (experiments), and He et al., [Deep residual learning](https://arxiv.org/abs/1512.03385).
