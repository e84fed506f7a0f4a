"""Where pytest finds the project's own checks. How the notebook is checked: tests/check_notebook.py."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / folder) for folder in ("tools", "tests", "data")]

pytest_plugins = ["check_notebook", "pytester"]
