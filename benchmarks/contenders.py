"""Ways to train the notebook's network. `bench.py` lets them train in turns, each in a process of its own.

A contender is a generator, made with the hidden size and the batch size. It yields once when it is ready,
then, after an epoch at each of RATES, its accuracy on the validation images.
"""

import os
import sys
import time
from functools import cache, partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from notebook_file import ROOT, definitions

RATES = [0.5] * 5 + [0.1] * 5   # the learning rate of each epoch
nb = definitions()   # the notebook's, by name
MNIST = nb["load_mnist"](ROOT / "data")
IMAGES, LABELS = MNIST.data.reshape(-1, 784), MNIST.targets   # the images as bytes
VALID, TRAIN = torch.randperm(   # as the notebook splits them
    60_000, generator=torch.Generator().manual_seed(1)).split([12_000, 48_000])


def in_memory():
    """Arrays: training images from 0 to 1 and their labels, validation images and labels."""
    return [part[indices].numpy() for indices in (TRAIN, VALID) for part in (IMAGES / 255, LABELS)]


def datasets():
    x, y, valid_x, valid_y = map(torch.from_numpy, in_memory())
    return TensorDataset(x, y), TensorDataset(valid_x, valid_y)


def network(hidden):
    return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def notebook_loop(hidden, batch, plain=False):
    """The notebook's `fit` with its loaders, or with plain ones."""
    dataset, make_loader = nb["BatchedMNIST"](MNIST), nb["make_loader"]
    if plain:
        dataset, make_loader = MNIST, DataLoader
    loaders = [nb["DeviceDataLoader"](make_loader(dataset, batch, sampler=sampler), torch.device("cpu"))
               for sampler in (nb["SubsetRandomSampler"](TRAIN.tolist()), VALID.tolist())]
    model = nb["MnistModel"](784, hidden, 10)
    yield
    for rate in RATES:
        _, metrics = nb["fit"](1, rate, model, F.cross_entropy, *loaders, nb["accuracy"], report=str)
        yield metrics[0]


def on_bytes(hidden, batch, by_hand=False):
    """Batches fetched from a tensor of bytes: forward, backward, step, or the notebook's `step_by_hand`."""
    model = network(hidden)
    opt = torch.optim.SGD(model.parameters())
    weights = [parameter.detach() for parameter in model.parameters()]   # they share the model's memory

    def fetched(indices, size):
        for some in indices.split(size):   # index_select is faster than IMAGES[some]
            yield IMAGES.index_select(0, some) / 255, LABELS.index_select(0, some)

    yield
    for rate in RATES:
        opt.param_groups[0]["lr"] = rate
        for xb, yb in fetched(TRAIN[torch.randperm(len(TRAIN))], batch):
            if by_hand:
                nb["step_by_hand"](weights, xb, yb, rate)
            else:
                F.cross_entropy(model(xb), yb).backward()
                opt.step()
                opt.zero_grad()
        loss, right = 0, 0
        with torch.no_grad():
            for xb, yb in fetched(VALID, 1000 if by_hand else batch):
                outputs = model(xb)
                loss += F.cross_entropy(outputs, yb, reduction="sum").item()   # as the others do
                right += (outputs.argmax(dim=1) == yb).sum().item()
        yield right / len(VALID)


def scikit_learn(hidden, batch):
    from sklearn.neural_network import MLPClassifier
    x, y, valid_x, valid_y = in_memory()
    model = MLPClassifier(
        (hidden,), solver="sgd", momentum=0, alpha=0, batch_size=batch, max_iter=1, warm_start=True)
    yield
    for rate in RATES:
        model.set_params(learning_rate_init=rate).fit(x, y)
        yield model.score(valid_x, valid_y)


def jax_scan(hidden, batch):
    import jax
    import jax.numpy as jnp
    x, y, valid_x, valid_y = map(jnp.asarray, in_memory())

    def layer(key, n_in, n_out):
        return jax.random.uniform(key, (n_in, n_out), minval=-1) / n_in ** 0.5, jnp.zeros(n_out)

    def predict(params, xb):
        (w1, b1), (w2, b2) = params
        return jax.nn.relu(xb @ w1 + b1) @ w2 + b2

    def loss(params, xb, yb):
        log_probabilities = jax.nn.log_softmax(predict(params, xb))
        return -jnp.take_along_axis(log_probabilities, yb[:, None], axis=1).mean()

    @jax.jit
    def epoch(params, key, rate):
        def step(params, indices):
            slopes = jax.grad(loss)(params, x[indices], y[indices])
            return jax.tree.map(lambda p, g: p - rate * g, params, slopes), None
        batches = jax.random.permutation(key, len(x)).reshape(-1, batch)
        params, _ = jax.lax.scan(step, params, batches)
        right = predict(params, valid_x).argmax(axis=1) == valid_y
        return params, loss(params, valid_x, valid_y), right.mean()

    first, second, *keys = jax.random.split(jax.random.key(1), 2 + len(RATES))
    params = [layer(first, 784, hidden), layer(second, hidden, 10)]
    yield
    for key, rate in zip(keys, RATES):
        params, _, accuracy = epoch(params, key, rate)
        yield float(accuracy)


def keras(hidden, batch):
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    x, y, valid_x, valid_y = in_memory()
    model = keras.Sequential([
        keras.Input((784,)), keras.layers.Dense(hidden, activation="relu"), keras.layers.Dense(10)])
    model.compile(optimizer=keras.optimizers.SGD(), metrics=["accuracy"],
                  loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    yield
    for rate in RATES:
        model.optimizer.learning_rate = rate
        run = model.fit(x, y, batch_size=batch, validation_data=(valid_x, valid_y), verbose=0)
        yield run.history["val_accuracy"][0]


def lightning(hidden, batch):
    import lightning

    class Model(lightning.LightningModule):
        def training_step(self, batch, batch_index):
            xb, yb = batch
            return F.cross_entropy(self.network(xb), yb)

        def validation_step(self, batch, batch_index):
            xb, yb = batch
            outputs = self.network(xb)
            self.log("loss", F.cross_entropy(outputs, yb))
            self.log("accuracy", (outputs.argmax(dim=1) == yb).float().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.rate)

    train, valid = datasets()
    model = Model()
    model.network = network(hidden)
    yield
    for model.rate in RATES:
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=1, num_sanity_val_steps=0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.fit(model, DataLoader(train, batch, shuffle=True), DataLoader(valid, batch))
        yield trainer.callback_metrics["accuracy"].item()


def skorch(hidden, batch):
    from skorch import NeuralNetClassifier, dataset, helper
    x, y, valid_x, valid_y = in_memory()
    net = NeuralNetClassifier(
        network(hidden), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.SGD, batch_size=batch,
        max_epochs=1, iterator_train__shuffle=True, verbose=0,
        train_split=helper.predefined_split(dataset.Dataset(valid_x, valid_y)))
    yield
    for rate in RATES:
        net.set_params(lr=rate).partial_fit(x, y)
        yield float(net.history[-1, "valid_acc"])


def fastai(hidden, batch):
    from fastai.basics import SGD, CrossEntropyLossFlat, DataLoaders, Learner, accuracy
    dls = DataLoaders.from_dsets(*datasets(), bs=batch, shuffle=True, num_workers=0, device="cpu")
    learn = Learner(dls, network(hidden), loss_func=CrossEntropyLossFlat(), opt_func=SGD, metrics=accuracy)
    yield
    for rate in RATES:
        with learn.no_logging():
            learn.fit(1, rate)
        yield learn.recorder.values[-1][-1]


CONTENDERS = {
    **{f"{name}, float{bits}": contender for bits in (32, 64) for name, contender in (
        ("plain loader", partial(notebook_loop, plain=True)), ("notebook's loop", notebook_loop),
        ("notebook's step by hand", partial(on_bytes, by_hand=True)), ("bare PyTorch on bytes", on_bytes))},
    "JAX": jax_scan, "scikit-learn": scikit_learn, "Keras on JAX": keras, "Lightning": lightning,
    "skorch": skorch, "fastai": fastai,
}


@cache
def contender(name, hidden, batch):
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64 if name.endswith("64") else torch.float32)
    return CONTENDERS[name](hidden, batch)


def train(*which):
    """The seconds that this process's contender takes to get ready, then of each epoch; its accuracy."""
    start = time.perf_counter()
    accuracy = next(contender(*which))
    return round(time.perf_counter() - start, 5), accuracy
