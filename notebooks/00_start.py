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
# # 00 · Squeeze-and-Excitation: start here
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/senet-edu/senet-edu/blob/main/notebooks/00_start.ipynb) [source](https://github.com/senet-edu/senet-edu/blob/main/notebooks/00_start.py)
#
# A convolution mixes its input channels with weights that are the same for every image. A *Squeeze-and-Excitation* (SE) block looks at the whole image, decides how much each channel should count, and scales it by that number, its *gate*. This course derives the block, trains networks with it, and looks at what its gates do.
#
# **You need** to have met convolution and backpropagation, and to read a little PyTorch. Each chapter says what else.
#
# | chapter | by the end you can |
# |---|---|
# | [01 · Why channels?](01_why_channels.ipynb) | say what a convolution mixes and what it cannot see, and meet a task that a plain network cannot solve and one SE block can |
# | [02 · Build the block](02_squeeze_excite_scale.ipynb) | derive squeeze, excite and scale with every shape, write the block in ten lines, derive its gradient |
# | [03 · Count what attention costs](03_what_attention_costs.ipynb) | derive the added weights, vary $r$ and watch hidden width and gates, say why time is not multiply-adds |
# | [04 · One block, any network](04_one_block_any_network.ipynb) | put SE into ResNet, VGG, Inception and MobileNet with one call, tell the five placements apart, count the paper's tables |
# | [05 · Train SE-ResNet-18](05_train_se_resnet18.ipynb) | train it on CIFAR-10, survive a disconnect, compare it over seeds with the same network without SE, its *plain twin* |
# | [07 · See what the gates learned](07_what_the_gates_learned.ipynb) | draw the gates of every class at SE_2_1 to SE_5_2, measure class specificity, find the images that open a channel; the same for goldfish and cliff, as in the paper |
# | [10 · Let each image choose its kernels](10_selective_kernels.ipynb) | derive split, fuse and select, count what SK[$M$, $G$, $r$] costs, enlarge the objects and watch whether attention moves to the larger kernel |
# | [A · SE-ResNet-50 on MNIST](A_se_resnet50_on_mnist.ipynb) | follow a 28×28 image down to 1×1 maps, train on digits, see which augmentation is wrong for them |
# | [C · Words and symbols](C_words_and_symbols.ipynb) | look up the paper's symbols beside the code's names, the words of the course, and the errors in the notes it grew out of |
#
# Read 01 to 03 in order; 04 needs 03, 07 needs 05, the others only 02. (Missing numbers are chapters to come.) SE_4_2 means the SE block in the second block of stage 4, as in the paper (a *stage* is a run of blocks with the same resolution and channels). Run a chapter from top to bottom; exercises wait until you write something, and tell you what is right or probably wrong.
#
# ## This machine

# %% tags=["nbval-skip", "remove-cell"]
import sys

if "google.colab" in sys.modules:
    get_ipython().run_line_magic("pip", "install -q git+https://github.com/senet-edu/senet-edu@main")  # noqa: F821
    get_ipython().system("senet-edu doctor")  # noqa: F821

# %% [markdown]
# *Quick* is for two CPU cores, *full* for a GPU. The images are CIFAR-10 if you have a copy or are online (the cell below then fetches 170 MB, once), else shapes drawn by the package; each chapter says which.

# %% tags=["nbval-ignore-output"]
import senet_edu as se

for key, value in se.training.describe().items():
    print(f"{key:12} {value}")
print(f"{'speed':12} {se.training.speed()}")
print(f"{'precision':12} {se.training.best_precision().replace('no', 'float32')}")
print(f"{'images':12} {se.data.load_course_data('test').about}")

# %% [markdown]
# ## What you will meet
#
# The central picture of [chapter 07](07_what_the_gates_learned.ipynb): for four classes, how far the gates of the first and of the last block open on average, in fifty of their channels; dashed, the mean over all ten classes. If the lines lie on each other, the block treats the classes alike.

# %% tags=["nbval-ignore-output"]
from senet_edu import figures

recorded = se.results.load_excitations("se_resnet18")
figures.show(
    figures.class_gates(recorded, ["SE_2_1", "SE_5_2"], ("airplane", "cat", "frog", "truck")),
    alt="Mean gate of four classes over the channels of the first and of the last SE block of a trained network, "
    "and the mean over all ten classes.",
)

# %% [markdown]
# ## If something does not work
#
# - `senet-edu doctor` in a terminal says what this machine is and what does not fit.
# - **No CIFAR-10**: give a copy with `SENET_EDU_CIFAR10=/path/to/cifar-10-python.tar.gz`, or a folder of images by class.
# - **Out of memory**: a smaller `batch_size` in the recipe, or a smaller `width`.
# - **A cell says that an exercise is not tried yet**: that is not an error.
