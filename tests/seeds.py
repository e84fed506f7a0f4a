"""Run the notebook from several seeds: does what its text says in general hold? `make seeds` calls this.

    python tests/seeds.py            seeds 1 to 6; writes the table of tests/README.md
    python tests/seeds.py 7 8 9      these seeds; only prints

A text cell has its findings in its metadata, {"any_seed": {what the text says: an expression}}: Python in the
notebook's variables at its end or, in an exercise, in those that its answer leaves. An expression must be true
for every seed. The table shows what stands on the sides of its comparison, from the lowest to the highest.
"""

import ast
import concurrent.futures
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import nbformat

import answers
import in_kernel
import surroundings
from cells import NOTEBOOK, ROOT, as_text, read
from marked import write_part

IN_THE_KERNEL = in_kernel.module(__file__)


def evaluated(findings, names):
    """{what is said: [whether it holds, the figures it compares]}; runs in the kernel."""
    found = {}
    for said, expression in findings.items():
        tree = ast.parse(expression, mode="eval").body
        sides = [tree.left, *tree.comparators] if isinstance(tree, ast.Compare) else []
        values = [eval(ast.unparse(side), dict(names)) for side in sides if not isinstance(side, ast.Constant)]
        figures = [float(value) for value in values if not isinstance(value, list)]
        found[said] = [bool(eval(expression, dict(names))), figures]
    return found


def report(findings, names):
    print(json.dumps(evaluated(findings, names)))


def report_answer(cell_id, code, findings, names):
    with answers.executed(cell_id, code, names) as (theirs, _):
        found = evaluated(findings, theirs)
    print(json.dumps(found))


def asking(nb):
    """The notebook with cells that report its findings: behind each exercise, and at the end."""
    cells, at_the_end = [], {}
    for cell in nb.cells:
        cells.append(cell)
        findings = cell.metadata.get("any_seed", {})
        if cell.id.startswith("exercise-") and findings:
            code = f"report_answer({cell.id!r}, {answers.answer(cell.source)!r}, {dict(findings)!r}, globals())"
            cells.append(nbformat.v4.new_code_cell(f"{IN_THE_KERNEL}.{code}"))
        else:
            at_the_end |= findings
    cells.append(nbformat.v4.new_code_cell(f"{IN_THE_KERNEL}.report({at_the_end!r}, globals())"))
    nb.cells = cells
    return nb


def run(seed):
    """What `evaluated` gives for a run of the whole notebook. RuntimeError if it does not run to its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NOTEBOOK.name
        path.write_text(as_text(asking(read())), encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "papermill", path, path, "--cwd", ROOT, "-p", "seed", str(seed),
                               "--no-progress-bar", "--log-level", "ERROR"], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"With seed {seed} the notebook stopped:\n{done.stderr[-2000:]}")
        found = {}
        for cell in read(path).cells:
            if cell.cell_type == "code" and cell.source.startswith(IN_THE_KERNEL):
                found |= json.loads(cell.outputs[-1].text)
        return found


def table(findings, runs):
    """The lines of the table, and how many findings fail in a run."""
    lines, n_failed = ["| finding | holds | figures |", "|---|---|---|"], 0
    for said in findings:
        held = [found[said][0] for found in runs]
        n_failed += not all(held)
        figures = [f"{min(side):.4g} to {max(side):.4g}" for side in zip(*(found[said][1] for found in runs))]
        lines.append(f"| {said} | {sum(held)} of {len(held)} | {'; '.join(figures)} |")
    return lines, n_failed


def main(seeds):
    surroundings.shut_out()
    findings = [said for cell in read().cells for said in cell.metadata.get("any_seed", {})]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(run, seeds or range(1, 7)))
    lines, n_failed = table(findings, runs)
    print("\n".join(lines))
    if not seeds:
        write_part(ROOT / "tests" / "README.md", "seeds", [
            f"On {datetime.date.today()}, seeds 1 to 6: {len(findings) - n_failed} of {len(findings)} findings hold "
            "in every run.", "", *lines])
    sys.exit(n_failed > 0)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
