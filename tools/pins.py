"""Write tests/constraints.txt: the exact version of every package, for every system.

It needs uv (pip install uv).

    python tools/pins.py            for the versions that requirements.txt and tests/requirements.txt name
    python tools/pins.py --newest   for the newest, which are written there as well

environment.yml gets the same versions.
"""

import importlib.util
import re
import subprocess
import sys

from install import CONSTRAINTS, LISTS, ROOT
from files import replace

PIN = re.compile(r"^(?P<before>[ -]*)(?P<name>[\w.-]+)(?P<sign>==?)[\w.+]+$", re.M)
CONDA_NAMES = {"pytorch": "torch"}


def compile_constraints(lists, *options):
    """Write the constraints for the texts of these lists; packages that no list names keep their versions."""
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
         "--no-annotate", "--custom-compile-command", "python tools/pins.py", *options,
         "--output-file", CONSTRAINTS, "-"],
        input="\n".join(lists), text=True, encoding="utf-8", check=True)


def repinned(text, versions):
    """A list's text with these versions in its pins."""
    def pin(match):
        name = CONDA_NAMES.get(match["name"], match["name"])
        return f"{match['before']}{match['name']}{match['sign']}{versions[name.lower()]}"
    return PIN.sub(pin, text)


def texts():
    return [path.read_text(encoding="utf-8") for path in LISTS]


def repin(paths):
    """Put the constraints' versions into lists. Of those that differ by Python, the oldest's comes first."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", CONSTRAINTS.read_text(encoding="utf-8"), re.M)
    for path in paths:
        replace(path, repinned(path.read_text(encoding="utf-8"), dict(reversed(found))))


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--newest"]):
        sys.exit(__doc__)
    if importlib.util.find_spec("uv") is None:
        sys.exit("uv is missing: python -m pip install uv")
    if sys.argv[1:]:
        compile_constraints([PIN.sub(r"\g<name>", text) for text in texts()], "--upgrade")
        repin(LISTS)
    compile_constraints(texts())
    repin([ROOT / "environment.yml"])
