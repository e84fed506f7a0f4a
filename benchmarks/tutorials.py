"""Execute well-known tutorials beside this one, on MNIST and without a network: seconds and accuracies.

    .venv-bench/bin/python benchmarks/tutorials.py FOLDER

FOLDER holds them as their authors give them away (README.md says where): nn_tutorial.ipynb,
Activation_Functions.ipynb, 03_pytorch_computer_vision.ipynb and its helper_functions.py. One that isn't there is left
out. Each is executed in an empty folder with MNIST in it; `changes` lists everything that is changed in them.
"""

import datetime
import gzip
import json
import pickle
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from cells import NOTEBOOK, ROOT
from marked import write_part
from replacing import replace

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "tutorials.json"


@dataclass
class Tutorial:
    """A notebook, where in it the first model is trained, what it reached, and what is changed in it."""
    name: str
    file: str
    first_trained: str   # the end of the cell that trains its first model
    accuracy: str        # an expression of its variables …
    images: str          # … and of which images that is
    changes: tuple = ()   # (was, becomes)
    indent: str = ""     # of that end, if it trains one model after the other


TUTORIALS = [
    Tutorial("this one", NOTEBOOK.name, "train_dl, valid_dl, accuracy, report=note)", "best_accuracy", "test"),
    Tutorial("What is torch.nn really?", "nn_tutorial.ipynb", "bias.grad.zero_()",
             "sum((model(x).argmax(dim=1) == y).sum().item() for x, y in valid_dl) / len(valid_ds)", "validation"),
    Tutorial("UvA 3, activation functions; 2 epochs of up to 50", "Activation_Functions.ipynb",
             'train_model(net_actfn, f"FashionMNIST_{act_fn_name}", overwrite=False)',
             "max(float(test_model(load_model(CHECKPOINT_PATH, f'FashionMNIST_{name}'), test_loader)) "
             "for name in act_fn_by_name)", "test", indent="    ", changes=(
                 ("FashionMNIST(", "MNIST("), ("import FashionMNIST", "import MNIST"), ('"../', '"'),
                 ("urllib.request.urlretrieve(file_url, file_path)", "pass"), ("max_epochs=50", "max_epochs=2"),
                 ("from IPython.display import", "from matplotlib_inline.backend_inline import"))),
    Tutorial("Bourke 03, computer vision", "03_pytorch_computer_vision.ipynb",
             "device=str(next(model_0.parameters()).device))",
             "model_2_results['model_acc'] / 100", "test", (("datasets.FashionMNIST(", "datasets.MNIST("),)),
]


def prepare(folder, notebooks):
    """Put MNIST into an empty folder in each form that one of the tutorials looks for."""
    from torchvision.datasets import MNIST
    (folder / "data" / "mnist").mkdir(parents=True)
    (folder / "data" / "MNIST").symlink_to(ROOT / "data" / "MNIST")
    (images, labels), test = [((mnist.data.reshape(-1, 784) / 255).float().numpy(), mnist.targets.numpy())
                              for mnist in (MNIST(ROOT / "data"), MNIST(ROOT / "data", train=False))]
    parts = (images[:50_000], labels[:50_000]), (images[50_000:], labels[50_000:]), test
    with gzip.open(folder / "data" / "mnist" / "mnist.pkl.gz", "wb", compresslevel=1) as file:
        pickle.dump(parts, file)
    if (notebooks / "helper_functions.py").exists():
        shutil.copy(notebooks / "helper_functions.py", folder)


def execute(tutorial, file, folder):
    """Execute a copy. Returns seconds to the first trained model and to the end, and the accuracy."""
    nb = nbformat.read(file, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for was, becomes in tutorial.changes:
        if not any(was in cell.source for cell in code):
            sys.exit(f"{file} has no {was!r}: it is of another version.")
        for cell in code:
            cell.source = cell.source.replace(was, becomes)
    cell = next((cell for cell in code if cell.source.rstrip().endswith(tutorial.first_trained)), None)
    if cell is None:
        sys.exit(f"{file} has no cell that ends with {tutorial.first_trained!r}: it is of another version.")
    cell.source += f"\n{tutorial.indent}globals().setdefault('first_trained', __import__('time').time())"
    nb.cells.append(nbformat.v4.new_code_cell(
        f"print(__import__('json').dumps([first_trained, {tutorial.accuracy}]))"))
    client = NotebookClient(nb, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        start = time.time()
        for index, cell in enumerate(nb.cells[:-1]):
            client.execute_cell(cell, index)
        end = time.time()
        client.execute_cell(nb.cells[-1], len(nb.cells) - 1)
    first_trained, accuracy = json.loads(nb.cells[-1].outputs[0].text)
    return {"first": round(first_trained - start, 1), "end": round(end - start, 1), "accuracy": round(accuracy, 4)}


def table(results):
    lines = [f"{results['date']}, in the environment of `make bench`, one run each.", "",
             "| | first model trained after | end after | accuracy |", "|---|---|---|---|"]
    for tutorial in TUTORIALS:
        if tutorial.name in results:
            run = results[tutorial.name]
            lines.append(f"| {tutorial.name} | {run['first']:.0f} s | {run['end']:.0f} s | {run['accuracy']:.2%} "
                         f"({tutorial.images}) |")
    return lines


def main(notebooks):
    results = {"date": datetime.date.today().isoformat()}
    for tutorial in TUTORIALS:
        file = NOTEBOOK if tutorial.file == NOTEBOOK.name else notebooks / tutorial.file
        if not file.exists():
            print(f"{file} is not there: left out.")
            continue
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder), notebooks)
            results[tutorial.name] = execute(tutorial, file, folder)
        print(tutorial.name, results[tutorial.name], flush=True)
    replace(RESULTS, json.dumps(results, indent=1) + "\n")
    write_part(HERE / "README.md", "tutorials", table(results))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
