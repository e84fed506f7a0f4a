"""Execute well-known tutorials beside this one, on MNIST and without a network: seconds and accuracies.

    .venv-bench/bin/python benchmarks/tutorials.py FOLDER

FOLDER holds the notebooks of TUTORIALS as their authors give them away (README.md says where), and Bourke's
helper_functions.py. One that isn't there is left out. Each is executed in an empty folder with MNIST in it;
CHANGES lists everything that is changed in them.
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

from draw import HERE, ROOT, table
from files import replace, write_part
from notebook_file import NOTEBOOK, code_cells

# name: (file, end of the cell that trains its first model, its accuracy as an expression, of which images)
TUTORIALS = {
    "this one": (NOTEBOOK.name, "train_dl, valid_dl, accuracy, report=note)", "best_accuracy", "test"),
    "What is torch.nn really?": (
        "nn_tutorial.ipynb", "bias.grad.zero_()",
        "sum((model(x).argmax(dim=1) == y).sum().item() for x, y in valid_dl) / len(valid_ds)", "validation"),
    "UvA 3, activation functions; 2 epochs of up to 50": (
        "Activation_Functions.ipynb",
        '    train_model(net_actfn, f"FashionMNIST_{act_fn_name}", overwrite=False)',   # in a loop
        "max(float(test_model(load_model(CHECKPOINT_PATH, f'FashionMNIST_{name}'), test_loader)) "
        "for name in act_fn_by_name)", "test"),
    "Bourke 03, computer vision": ("03_pytorch_computer_vision.ipynb",
                                   "device=str(next(model_0.parameters()).device))",
                                   "model_2_results['model_acc'] / 100", "test"),
}
CHANGES = {   # by file: (was, becomes)
    "Activation_Functions.ipynb": [
        ("FashionMNIST(", "MNIST("), ("import FashionMNIST", "import MNIST"), ('"../', '"'),
        ("urllib.request.urlretrieve(file_url, file_path)", "pass"), ("max_epochs=50", "max_epochs=2"),
        ("from IPython.display import", "from matplotlib_inline.backend_inline import")],
    "03_pytorch_computer_vision.ipynb": [("datasets.FashionMNIST(", "datasets.MNIST(")],
}


def prepare(folder, notebooks):
    """Put MNIST into an empty folder in each form that one of the tutorials looks for."""
    from torchvision.datasets import MNIST
    (folder / "data" / "mnist").mkdir(parents=True)
    (folder / "data" / "MNIST").symlink_to(ROOT / "data" / "MNIST")
    (images, labels), test = [((mnist.data.reshape(-1, 784) / 255).numpy(), mnist.targets.numpy())
                              for mnist in (MNIST(ROOT / "data"), MNIST(ROOT / "data", train=False))]
    parts = (images[:50_000], labels[:50_000]), (images[50_000:], labels[50_000:]), test
    with gzip.open(folder / "data" / "mnist" / "mnist.pkl.gz", "wb", compresslevel=1) as file:
        pickle.dump(parts, file)
    if (notebooks / "helper_functions.py").exists():
        shutil.copy(notebooks / "helper_functions.py", folder)


def execute(file, end, accuracy, folder):
    """Execute a copy. Returns seconds to the first trained model and to the end, and the accuracy."""
    nb = nbformat.read(file, as_version=4)
    code = code_cells(nb)
    for was, becomes in CHANGES.get(file.name, []):
        if not any(was in cell.source for cell in code):
            sys.exit(f"{file} has no {was!r}: it is of another version.")
        for cell in code:
            cell.source = cell.source.replace(was, becomes)
    cell = next((cell for cell in code if cell.source.rstrip().endswith(end)), None)
    if cell is None:
        sys.exit(f"{file} has no cell that ends with {end!r}: it is of another version.")
    now = "__import__('time').time()"
    indent = end[:len(end) - len(end.lstrip())]
    cell.source += f"\n{indent}globals().setdefault('first_trained', {now})"
    nb.cells.insert(0, nbformat.v4.new_code_cell(f"began = {now}"))
    last = nbformat.v4.new_code_cell(
        f"print(__import__('json').dumps([first_trained - began, {now} - began, {accuracy}]))")
    nb.cells.append(last)
    NotebookClient(nb, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    first, end, accuracy = json.loads(nb.cells[-1].outputs[0].text)
    return {"first": round(first, 1), "end": round(end, 1), "accuracy": round(accuracy, 4)}


def main(notebooks):
    results = {"date": datetime.date.today().isoformat()}
    rows = [("", "first model trained after", "end after", "accuracy")]
    for name, (file, end, accuracy, images) in TUTORIALS.items():
        file = NOTEBOOK if file == NOTEBOOK.name else notebooks / file
        if not file.exists():
            print(f"{file} is not there: left out.")
            continue
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), notebooks)
            run = results[name] = execute(file, end, accuracy, folder)
        print(name, run, flush=True)
        rows.append((name, f"{run['first']:.0f} s", f"{run['end']:.0f} s",
                     f"{run['accuracy']:.2%} ({images})"))
    replace(HERE / "tutorials.json", json.dumps(results, indent=1) + "\n")
    write_part(HERE / "README.md", "tutorials", [
        f"{results['date']}, in the environment of `make bench`, one run each.", "",
        *table(rows)])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
