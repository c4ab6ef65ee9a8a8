"""`python -m responses_shim.cli` runs the `responses-shim` command where its script is not on the path."""

import sys

from responses_shim.cli import main

sys.exit(main())
