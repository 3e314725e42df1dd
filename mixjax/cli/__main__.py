"""`python -m mixjax.cli`."""

from . import main

main()
