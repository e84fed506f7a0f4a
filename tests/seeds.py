"""Run the notebook from several seeds: does what its text says in general hold? `make seeds` calls this.

    python tests/seeds.py            seeds 1 to 6; writes the table of tests/RESULTS.md
    python tests/seeds.py 7 8 9      these seeds; only prints

A text cell has its findings in its metadata, {"any_seed": {what the text says: an expression}}: Python in the
notebook's variables at its end or, in an exercise, in those that its answer leaves. It must be true for every
seed. The table shows the sides of its comparison, from the lowest to the highest.
"""

import ast
import concurrent.futures
import contextlib
import datetime
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell

import answers
import in_kernel
from cells import ROOT, read
from marked import write_part

IN_THE_KERNEL = in_kernel.module(__file__)


def report(findings, names, exercise=None):
    """Print {what is said: [whether it holds, the figures it compares]}. Runs in the kernel.

    `exercise` is (its cell's id, the code of its answer).
    """
    found = {}
    with answers.executed(*exercise, names) if exercise else contextlib.nullcontext([names]) as (names, *_):
        for said, expression in findings.items():
            tree = ast.parse(expression, mode="eval").body
            sides = [tree.left, *tree.comparators] if isinstance(tree, ast.Compare) else []
            values = [eval(ast.unparse(side), dict(names)) for side in sides
                      if not isinstance(side, ast.Constant)]
            figures = [float(value) for value in values if not isinstance(value, list)]
            found[said] = [bool(eval(expression, dict(names))), figures]
    print(json.dumps(found))


def run(seed):
    """What `report` prints in a run of the whole notebook: behind each exercise, and at the end."""
    from execute import executed   # not in the kernel, which imports this file

    nb, cells, at_the_end = read(), [], {}

    def ask(findings, exercise=None):
        cells.append(new_code_cell(f"{IN_THE_KERNEL}.report({dict(findings)!r}, globals(), {exercise!r})"))

    for cell in nb.cells:
        cells.append(cell)
        findings = cell.metadata.get("any_seed", {})
        if cell.id == "parameters":
            cell.source += f"\nseed = {seed}"
        if cell.id.startswith("exercise-") and findings:
            ask(findings, (cell.id, answers.answer(cell.source)))
        else:
            at_the_end |= findings
    ask(at_the_end)
    nb.cells = cells
    try:
        cells = executed(nb).cells
    except CellExecutionError as error:
        sys.exit(f"With seed {seed} the notebook stopped:\n{error}")
    found = {}
    for cell in cells:
        if cell.source.startswith(IN_THE_KERNEL):
            found |= json.loads(cell.outputs[-1].text)
    return found


def main(seeds):
    findings = [said for cell in read().cells for said in cell.metadata.get("any_seed", {})]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(run, seeds or range(1, 7)))
    lines, n_failed = ["| finding | holds | figures |", "|---|---|---|"], 0
    for said in findings:
        held = [found[said][0] for found in runs]
        n_failed += not all(held)
        sides = zip(*(found[said][1] for found in runs))
        figures = "; ".join(f"{min(side):.4g} to {max(side):.4g}" for side in sides)
        lines.append(f"| {said} | {sum(held)} of {len(held)} | {figures} |")
    print(*lines, sep="\n")
    if not seeds:
        write_part(ROOT / "tests" / "RESULTS.md", "seeds", [
            f"On {datetime.date.today()}, seeds 1 to 6: {len(findings) - n_failed} of {len(findings)} "
            "findings hold in every run.", "", *lines])
    sys.exit(n_failed > 0)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
