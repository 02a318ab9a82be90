"""`python -m sortograph`."""

import sys

from sortograph.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
