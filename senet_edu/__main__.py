"""``python -m senet_edu`` is ``senet-edu``."""

from senet_edu.cli import main

main()
