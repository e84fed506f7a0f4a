"""Write tests/constraints.txt: the version of every package, for every system. Needs uv (pip install uv).

    python tools/pins.py            for the versions that requirements.txt and tests/requirements.txt name
    python tools/pins.py --newest   for the newest, which are written there as well

environment.yml gets the same versions.
"""

import re
import subprocess
import sys

from install import CONSTRAINTS, LISTS, ROOT
from files import replace

PIN = re.compile(r"^([ -]*([\w.-]+)==?)[\w.+]+$", re.M)


def compile_constraints(pins, *options):
    """Write the constraints for the lists with these pins; packages that none names keep their versions."""
    texts = [PIN.sub(pins, path.read_text(encoding="utf-8")) for path in LISTS]
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
         "--no-annotate", "--custom-compile-command", "python tools/pins.py", *options,
         "--output-file", CONSTRAINTS, "-"],
        input="\n".join(texts), text=True, encoding="utf-8", check=True)


def repin(*paths):
    """Put the constraints' versions into lists. Of those that differ by Python, the oldest's comes first."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", CONSTRAINTS.read_text(encoding="utf-8"), re.M)
    versions = dict(reversed(found))
    versions["pytorch"] = versions["torch"]   # conda's name
    for path in paths:
        text = path.read_text(encoding="utf-8")
        replace(path, PIN.sub(lambda pin: pin[1] + versions[pin[2].lower()], text))


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--newest"]):
        sys.exit(__doc__)
    if sys.argv[1:]:
        compile_constraints(r"\2", "--upgrade")
        repin(*LISTS)
    compile_constraints(r"\g<0>")
    repin(ROOT / "environment.yml")
