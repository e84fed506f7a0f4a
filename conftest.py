"""Where pytest finds the project's own checks. How the notebook is checked: tests/nbval_strict.py."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("tools", "tests")]

pytest_plugins = ["nbval_strict", "pytester"]
