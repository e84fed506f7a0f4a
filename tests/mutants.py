"""Change the notebook's code in small ways, one at a time: does a check notice? `make mutants` calls this.

It goes on where it was stopped, as long as no check has changed, and writes the table in tests/RESULTS.md.
mutants.toml has the changes by hand. cosmic-ray makes the others, but can't run them: it knows modules, not
the cells of a notebook. The unchanged notebook goes first: if it fails a check, mutants would say nothing.
"""

import collections
import concurrent.futures
import datetime
import difflib
import hashlib
import itertools
import json
import os
import random
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import cosmic_ray.plugins
from cosmic_ray.mutating import mutate_code
from tqdm import tqdm

from files import replace, write_part
from notebook_file import BUILD, CHINESE, NOTEBOOK, ROOT, code_cells, has_tag, read
from sandbox import copy_project, run_pytest

LISTED = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
N_COSMIC_RAY = 75
QUICK = [f"tests/test_{name}.py" for name in ("functions", "cells", "jovian")]
TESTED = "".join((ROOT / file).read_text(encoding="utf-8") for file in QUICK)
SLOW = ["tests/test_download.py", "tests/everywhere/test_accelerator_beyond_the_core.py"]


class Mutant(NamedTuple):
    """A cell with other code. Without a cell: the notebook as it is."""
    cell: str = ""
    source: str = ""
    made_by: str = ""

    def name(self):
        return f"{self.cell}-{hashlib.sha256(self.source.encode()).hexdigest()[:12]}"

    def difference(self, original):
        """The lines that differ, with - and + before them."""
        lines = [*difflib.unified_diff(original.splitlines(), self.source.splitlines(), lineterm="", n=0)]
        return [line for line in lines[2:] if not line.startswith("@@")]


def by_hand(sources):
    for cell, changes in LISTED["by-hand"].items():
        for was, becomes in changes:
            if was not in sources.get(cell, ""):
                sys.exit(f"The cell {cell} has no {was!r} to change: mend tests/mutants.toml.")
            yield Mutant(cell, sources[cell].replace(was, becomes, 1), "by hand")


def by_cosmic_ray(sources):
    for (cell, source), name in itertools.product(sources.items(), LISTED["operators"]):
        operator = cosmic_ray.plugins.get_operator(f"core/{name}")()
        variants = (mutate_code(source, operator, occurrence) for occurrence in itertools.count())
        for changed in itertools.takewhile(lambda variant: variant is not None, variants):
            mutant = Mutant(cell, changed, name)
            was = [line[1:].strip() for line in mutant.difference(source) if line.startswith("-")]
            if not all(line.startswith("assert ") for line in was):   # a changed check is nothing to notice
                yield mutant


def mutants(sources):
    """Every mutant: those by hand, and a fixed random choice of cosmic-ray's. `sources`: cell → code."""
    listed = {mutant.name(): mutant for mutant in by_hand(sources)}
    others = {mutant.name(): mutant for mutant in by_cosmic_ray(sources)}
    order = sorted(others)
    random.Random(0).shuffle(order)
    order.sort(key=lambda name: others[name].made_by == "NumberReplacer")   # by far the most, so they go last
    return [*listed.values(), *(others[name] for name in order[:N_COSMIC_RAY] if name not in listed)]


def first_noticed(mutant):
    """The first test that fails on a mutant, or None. RuntimeError if pytest could not test it."""
    nb, stages = read(), [[NOTEBOOK.name], QUICK, SLOW]
    for cell in code_cells(nb):
        if cell.id == mutant.cell:
            cell.source = mutant.source
            if has_tag(cell, "definition") or f'"{cell.id}"' in TESTED:
                stages = [QUICK, [NOTEBOOK.name], SLOW]   # sooner; and the cell for Jovian might commit
    with tempfile.TemporaryDirectory() as folder:
        copy_project(Path(folder))
        for stage in stages:
            done = run_pytest(Path(folder), nb, stage, OMP_NUM_THREADS="1")
            if done.returncode == 1:
                return re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)[1]
            if done.returncode:
                raise RuntimeError(f"pytest ended with status {done.returncode} on {mutant}:\n{done.stdout}")


def results_file():
    """Where the results are kept as long as everything that decides on them is the same."""
    checks = [*sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("tools/*.py")]), NOTEBOOK, CHINESE]
    digest = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in checks)).hexdigest()
    BUILD.mkdir(exist_ok=True)
    return BUILD / f"mutants-{digest[:12]}.json"


def write_table(todo, noticed):
    """`noticed`: mutant's name → the test that noticed it."""
    files = collections.Counter(test.split("::")[0] for test in noticed.values())
    n_by_hand = sum(mutant.made_by == "by hand" for mutant in todo)
    write_part(ROOT / "tests" / "RESULTS.md", "mutants", [
        f"On {datetime.date.today()}: {len(todo)} mutants, {n_by_hand} of them by hand and the others a random "
        f"choice of cosmic-ray's. **{len(noticed)} were noticed, {len(todo) - len(noticed)} were not.**", "",
        "| first noticed by | mutants |", "|---|---|",
        *(f"| `{file}` | {count} |" for file, count in sorted(files.items()))])


def main():
    if noticed := first_noticed(Mutant()):
        sys.exit(f"The notebook as it is fails {noticed}: mend that first.")
    sources = {cell.id: cell.source for cell in code_cells(read())}
    todo, results = mutants(sources), results_file()
    noticed = json.loads(results.read_text()) if results.exists() else {}
    left = [mutant for mutant in todo if mutant.name() not in noticed]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, test in zip(left, tqdm(pool.map(first_noticed, left), total=len(left), unit="mutant")):
            if test:
                noticed[mutant.name()] = test
                replace(results, json.dumps(noticed, indent=1))
    for mutant in todo:
        if mutant.name() not in noticed:
            difference = mutant.difference(sources[mutant.cell])
            print(f"not noticed, in {mutant.cell} ({mutant.made_by}):", *difference, "", sep="\n")
    write_table(todo, noticed)
    sys.exit(len(noticed) < len(todo))


if __name__ == "__main__":
    main()
