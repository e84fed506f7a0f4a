"""Run the notebook from several seeds: does what its text says in general hold? `make seeds` calls this.

    python tests/seeds.py            seeds 1 to 6; writes the table of tests/RESULTS.md
    python tests/seeds.py 7 8 9      these seeds; only prints

A text cell has its findings in its metadata, {"any_seed": {what the text says: an expression}}: Python in the
notebook's variables at its end or, in an exercise, in those that its answer leaves. It must be true for every
seed. The table shows the sides of its comparison, from the lowest to the highest.
"""

import ast
import concurrent.futures
import datetime
import json
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

import answers
import figures
from execute import executed
from files import write_part
from notebook_file import FIND_OURS, ROOT, read


def sides(expression):
    """What a comparison compares: its sides, as expressions, without constants."""
    tree = ast.parse(expression, mode="eval").body
    found = [tree.left, *tree.comparators] if isinstance(tree, ast.Compare) else []
    return [ast.unparse(side) for side in found if not isinstance(side, ast.Constant)]


def asking(findings, question):
    """A cell that prints the values of the findings' expressions, and of their sides."""
    expressions = [each for expression in findings.values() for each in (expression, *sides(expression))]
    return new_code_cell(question(expressions), metadata={"asked": findings})


def run(seed):
    """{what is said: (whether it holds, the figures compared)}, of a run of the whole notebook."""
    nb, cells, at_the_end = read(), [], {}
    for cell in nb.cells:
        cells.append(cell)
        findings = cell.metadata.get("any_seed", {})
        if cell.id == "parameters":
            cell.source += f"\nseed = {seed}"
        if cell.id.startswith("exercise-") and findings:
            cells.append(asking(findings, partial(answers.question, cell)))
        else:
            at_the_end |= findings
    nb.cells = [*cells, asking(at_the_end, figures.question)]
    try:
        cells = executed(nb, FIND_OURS).cells
    except CellExecutionError as error:
        sys.exit(f"With seed {seed} the notebook stopped:\n{error}")
    found = {}
    for cell in cells:
        for said, expression in cell.metadata.get("asked", {}).items():
            values = json.loads(cell.outputs[-1].text)
            if isinstance(values[expression], str):
                sys.exit(f"With seed {seed} a finding can't be evaluated: {said}\n{values[expression]}")
            compared = [values[side] for side in sides(expression)]   # lists have no figure to show
            found[said] = bool(values[expression]), [each for each in compared if not isinstance(each, str)]
    return found


def main(seeds):
    findings = [said for cell in read().cells for said in cell.metadata.get("any_seed", {})]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(run, seeds or range(1, 7)))
    lines, n_failed = ["| finding | holds | figures |", "|---|---|---|"], 0
    for said in findings:
        held = [found[said][0] for found in runs]
        n_failed += not all(held)
        compared = zip(*(found[said][1] for found in runs))
        ranges = "; ".join(f"{min(side):.4g} to {max(side):.4g}" for side in compared)
        lines.append(f"| {said} | {sum(held)} of {len(held)} | {ranges} |")
    print(*lines, sep="\n")
    if not seeds:
        write_part(ROOT / "tests" / "RESULTS.md", "seeds", [
            f"On {datetime.date.today()}, seeds 1 to 6: {len(findings) - n_failed} of {len(findings)} "
            "findings hold in every run.", "", *lines])
    sys.exit(n_failed > 0)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
