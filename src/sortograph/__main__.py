"""`python -m sortograph`."""

import sys

from sortograph.cli.main import program

if __name__ == "__main__":
    sys.exit(program())
