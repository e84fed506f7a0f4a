"""Change the notebook's code in small ways, one at a time: does a check notice? `make mutants` calls this.

    python tests/mutants.py           every mutant, on the whole notebook; goes on where it was stopped,
                                      as long as no check has changed; writes tests/RESULTS.md
    python tests/mutants.py sample    five of them, on the core: what `make everywhere` runs

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
from notebook_file import BUILD, NOTEBOOK, ROOT, code_cells, core, has_tag, read
from sandbox import copy_project, run_pytest

LISTED = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
N_COSMIC_RAY, SAMPLE = 75, 5
FILES = [f"tests/{name}.py" for name in (
    "test_functions", "test_cells", "test_jovian", "test_download", "test_accelerator",
    "everywhere/test_accelerator_beyond_the_core")]


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


def first_noticed(mutant, core_only):
    """The first test that fails on a mutant, or None. RuntimeError if pytest could not test it."""
    nb, stages = read(), [[NOTEBOOK.name], FILES[:-1] if core_only else FILES]
    for cell in code_cells(nb):
        if cell.id == mutant.cell:
            cell.source = mutant.source
            if has_tag(cell, "definition") or cell.id == "jovian":
                stages.reverse()   # quicker; and the cell for Jovian might commit
    with tempfile.TemporaryDirectory() as folder:
        copy_project(Path(folder))
        for stage in stages:
            of_core = core_only and stage == [NOTEBOOK.name]
            done = run_pytest(Path(folder), nb, stage, of_core, OMP_NUM_THREADS="1")
            if done.returncode == 1:
                return re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)[1]
            if done.returncode:
                raise RuntimeError(f"pytest ended with status {done.returncode} on {mutant}:\n{done.stdout}")


def results_file():
    """Where the results are kept as long as everything that decides on them is the same."""
    files = [ROOT / "conftest.py", ROOT / "pyproject.toml",
             *sorted(path for folder in ("tools", "tests") for path in (ROOT / folder).rglob("*.py"))]
    digest = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()
    return BUILD / f"mutants-{digest[:12]}.json"


def main(sample):
    nb = read()
    if noticed := first_noticed(Mutant(), sample):
        sys.exit(f"The notebook as it is fails {noticed}: mend that first.")
    sources = {cell.id: cell.source for cell in code_cells(nb)}
    todo = mutants(sources)
    results, done = results_file(), {}
    if sample:
        in_core = {cell.id for cell in core(nb).cells}
        todo = random.Random(0).sample([mutant for mutant in todo if mutant.cell in in_core], SAMPLE)
    elif results.exists():
        done = json.loads(results.read_text())
    left = [mutant for mutant in todo if mutant.name() not in done]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(first_noticed, left, itertools.repeat(sample))
        for mutant, noticed in zip(left, tqdm(outcomes, total=len(left), unit="mutant")):
            if noticed:
                done[mutant.name()] = noticed
            if not sample:
                BUILD.mkdir(exist_ok=True)
                replace(results, json.dumps(done, indent=1))
    gaps = [mutant for mutant in todo if mutant.name() not in done]
    for mutant in gaps:
        difference = mutant.difference(sources[mutant.cell])
        print(f"not noticed, in {mutant.cell} ({mutant.made_by}):", *difference, "", sep="\n")
    killed = len(todo) - len(gaps)
    summary = f"{killed} killed, {len(gaps)} not noticed: a score of {killed / len(todo):.1%}."
    print(f"{len(todo)} mutants: {summary}")
    if not sample:
        noticed = collections.Counter(done[each.name()].split("::")[0] for each in todo if each not in gaps)
        n_by_hand = sum(mutant.made_by == "by hand" for mutant in todo)
        write_part(ROOT / "tests" / "RESULTS.md", "mutants", [
            f"On {datetime.date.today()}: {len(todo)} mutants, {n_by_hand} of them by hand and the others a "
            f"random choice of cosmic-ray's. **{summary}**", "",
            "| first noticed by | mutants |", "|---|---|",
            *(f"| `{file}` | {count} |" for file, count in sorted(noticed.items()))])
    sys.exit(bool(gaps))


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["sample"]):
        sys.exit(__doc__)
    main(sample=bool(sys.argv[1:]))
