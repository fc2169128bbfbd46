"""Trains the three networks on which error is measured against time, and writes them with their examples.

Promises, in Benchmarks/Models, ONNX files of one input and a few inputs each as npy (float32): `digits`
(64-128-128-10 on digits of 8 x 8 pixels: the inner 24 x 24 of MNIST, averaged three by three, 0 to 1),
`lenet` (two 5x5 convolutions of 32 and 64 channels on 28 x 28 digits, 0 to 1) and `parkinsons`
(18-100-100-1: 16 voice measures, age and sex, standardised, to total UPDRS). Everything is seeded; another
version of torch or another processor trains slightly different weights.

    python train_curve_models.py DATA_DIRECTORY [--only NAME,NAME]

DATA_DIRECTORY holds the folders mnist and parkinsons.
"""

import argparse
import csv
import pathlib

import numpy as np
import torch
from torch import nn

from graph_builder import GraphBuilder, write
from train_digits import read_idx, scaled

MODELS = pathlib.Path(__file__).resolve().parents[1] / "Models"
SEED, BATCH, EXAMPLES = 5, 128, 16
VOICE, SEX, AGE = slice(6, 22), 2, 1
TARGET = 5


def train(model, inputs, targets, loss, epochs, rate):
    """Adam with a one-cycle rate."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=epochs * (len(inputs) // BATCH)
    )
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(inputs) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            error = loss(model(inputs[rows]), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            error.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def perceptron(sizes):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip


def export(name, model, shape, outputs):
    graph = GraphBuilder(name, "input", shape)
    for index, layer in enumerate(model):
        if isinstance(layer, nn.Flatten):
            graph.flatten("flatten")
        elif isinstance(layer, nn.ReLU):
            graph.relu(f"relu{index}")
        elif isinstance(layer, nn.MaxPool2d):
            graph.max_pool(f"pool{index}")
        else:
            build = graph.conv if isinstance(layer, nn.Conv2d) else graph.dense
            build(f"layer{index}", layer.weight.detach().numpy(), layer.bias.detach().numpy())
    write(graph.model([outputs]), MODELS / f"{name}.onnx")


def one_of_each(labels):
    """The places of the first image of every class, then of the second, and so on."""
    return np.array([np.flatnonzero(labels == k % 10)[k // 10] for k in range(EXAMPLES)])


def small(images):
    """28 x 28 bytes to 8 x 8 numbers from 0 to 1."""
    inner = images[:, 2:26, 2:26].reshape(-1, 8, 3, 8, 3).astype(np.float32)
    return torch.from_numpy(inner.mean((2, 4)) / np.float32(255)).unsqueeze(1)


def digits(data, name):
    images, labels, test_images, test_labels = (
        read_idx(data / "mnist" / f"{part}.gz")
        for part in (
            "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
        )
    )  # fmt: skip
    labels = torch.from_numpy(labels.astype(np.int64))
    if name == "digits":
        model, shape, epochs, count, prepare = (
            nn.Sequential(nn.Flatten(), *perceptron([64, 128, 128, 10])), [1, 8, 8], 8, 60_000, small,
        )  # fmt: skip
    else:
        model, shape, epochs, count, prepare = convolutional(), [1, 28, 28], 2, 20_000, scaled
    train(model, prepare(images[:count]), labels[:count], nn.CrossEntropyLoss(), epochs, 4e-3)
    test = prepare(test_images)
    with torch.inference_mode():
        accuracy = float((model(test).argmax(1).numpy() == test_labels).mean())
    print(f"{name}: accuracy {accuracy:.4f}", flush=True)
    export(name, model, shape, 10)
    np.save(MODELS / f"{name}.npy", test[one_of_each(test_labels)].numpy())


def parkinsons(data):
    with open(data / "parkinsons" / "parkinsons_updrs.csv") as file:
        rows = np.array([[float(cell) for cell in row] for row in list(csv.reader(file))[1:]])
    features = np.column_stack([rows[:, VOICE], rows[:, AGE], rows[:, SEX]])
    order = np.random.default_rng(SEED).permutation(len(rows))
    features, target = features[order], rows[order, TARGET]
    held_out = 800
    mean, deviation = features[held_out:].mean(0), features[held_out:].std(0)
    inputs = torch.from_numpy(((features - mean) / deviation).astype(np.float32))
    centre, spread = target[held_out:].mean(), target[held_out:].std()
    targets = torch.from_numpy(((target - centre) / spread).astype(np.float32)).unsqueeze(1)
    model = train(
        perceptron([18, 100, 100, 1]), inputs[held_out:], targets[held_out:], nn.MSELoss(), 60, 4e-3
    )
    with torch.inference_mode():
        error = float(nn.functional.mse_loss(model(inputs[:held_out]), targets[:held_out]))
    print(f"parkinsons: share of the variance that is explained {1 - error:.3f}", flush=True)
    export("parkinsons", model, [18], 1)
    np.save(MODELS / "parkinsons.npy", inputs[:EXAMPLES].numpy())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=pathlib.Path)
    names = ["digits", "lenet", "parkinsons"]
    parser.add_argument("--only", type=lambda text: text.split(","), default=names)
    arguments = parser.parse_args()
    MODELS.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    for name in arguments.only:
        if name == "parkinsons":
            parkinsons(arguments.data)
        else:
            digits(arguments.data, name)


if __name__ == "__main__":
    main()
