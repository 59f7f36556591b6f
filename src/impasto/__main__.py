"""``python -m impasto`` is the command ``impasto``."""

import sys

from impasto.cli.main import main

sys.exit(main())
