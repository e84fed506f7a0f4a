"""Execute well-known tutorials beside this one, on MNIST and without a network: seconds and accuracies.

    .venv-bench/bin/python benchmarks/tutorials.py FOLDER

FOLDER holds their notebooks, as README.md says; one that isn't there is left out. Each is executed in a copy
of FOLDER with MNIST in it. TUTORIALS lists everything that is changed in them.
"""

import datetime
import gzip
import json
import pickle
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from bench import PAGE, ROOT, table
from contenders import IMAGES, LABELS
from files import write_part
from notebook_file import NOTEBOOK, code_cells

# name, file, what ends the training of its first model, its accuracy, of which images, {was: becomes}
TUTORIALS = [
    ("this one", NOTEBOOK.name, "fit(epochs, lr, model, F.cross_entropy, train_dl, valid_dl, accuracy)",
     "best_accuracy", "test", {}),
    ("What is torch.nn really?", "nn_tutorial.ipynb", "bias.grad.zero_()",
     "sum((model(x).argmax(dim=1) == y).sum().item() for x, y in valid_dl) / len(valid_ds)",
     "validation", {}),
    ("UvA 3, activation functions; 2 epochs of up to 50", "Activation_Functions.ipynb",
     '    train_model(net_actfn, f"FashionMNIST_{act_fn_name}", overwrite=False)',   # in a loop
     "max(float(test_model(load_model(CHECKPOINT_PATH, f'FashionMNIST_{name}'), test_loader)) "
     "for name in act_fn_by_name)", "test",
     {"FashionMNIST(": "MNIST(", "import FashionMNIST": "import MNIST", '"../': '"',
      "urllib.request.urlretrieve(file_url, file_path)": "pass", "max_epochs=50": "max_epochs=2",
      "from IPython.display import": "from matplotlib_inline.backend_inline import"}),
    ("Bourke 03, computer vision", "03_pytorch_computer_vision.ipynb",
     "device=str(next(model_0.parameters()).device))", "model_2_results['model_acc'] / 100", "test",
     {"datasets.FashionMNIST(": "datasets.MNIST("}),
]


def execute(name, file, end, accuracy, images, changes, folder):
    """Execute a notebook in a folder with MNIST in the forms that they look for: a row of the table."""
    (folder / "data" / "mnist").mkdir(parents=True)
    (folder / "data" / "MNIST").symlink_to(ROOT / "data" / "MNIST")
    x, y = (IMAGES / 255).numpy(), LABELS.numpy()
    with gzip.open(folder / "data" / "mnist" / "mnist.pkl.gz", "wb", compresslevel=1) as packed:
        pickle.dump(((x[:50_000], y[:50_000]), (x[50_000:], y[50_000:]), None), packed)
    notebook = nbformat.read(NOTEBOOK if name == "this one" else folder / file, as_version=4)
    now = "__import__('time').time()"
    first = f"{end[:-len(end.lstrip())]}globals().setdefault('_trained', {now})"
    for was, becomes in [*changes.items(), (end, f"{end}\n{first}")]:
        cells = [cell for cell in code_cells(notebook) if was in cell.source]
        if not cells:
            sys.exit(f"{file} has no {was!r}: it is of another version.")
        for cell in cells:
            cell.source = cell.source.replace(was, becomes)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(f"began = {now}"))
    notebook.cells.append(nbformat.v4.new_code_cell(f"print([_trained - began, {now} - began, {accuracy}])"))
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    first, last, reached = json.loads(notebook.cells[-1].outputs[0].text)
    return name, f"{first:.0f} s", f"{last:.0f} s", f"{reached:.2%} ({images})"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    rows = []
    for tutorial in TUTORIALS:
        if tutorial[0] == "this one" or (Path(sys.argv[1]) / tutorial[1]).exists():
            with tempfile.TemporaryDirectory() as folder:
                rows.append(execute(*tutorial, shutil.copytree(sys.argv[1], Path(folder) / "copy")))
            print(*rows[-1], sep=", ", flush=True)
    write_part(PAGE, "tutorials", [
        f"{datetime.date.today()}, in the environment of `make bench`, one run each.", "",
        table(rows, ("", "first model trained after", "end after", "accuracy"))])
