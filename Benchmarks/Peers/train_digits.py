"""Trains the small digits network that `coalition demo` carries, and writes it with its 100 images.

Promises, from the four MNIST files: `digits.onnx` (about 12,000 parameters, input `image` of N x 1 x 28
x 28 scaled to 0..1, output `logits` of N x 10), the first ten test images of each class with their
labels in the order of the test set as gzipped IDX, and the logits that onnxruntime computes for them
(100 x 10 little-endian float32), which the tests compare with. Everything is seeded; another version
of torch or another processor trains slightly different weights.

    python train_digits.py MNIST_DIRECTORY
"""

import argparse
import gzip
import pathlib
import struct

import numpy as np
import onnxruntime
import torch
from torch import nn

from graph_builder import GraphBuilder, write

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DATA = REPOSITORY / "Sources" / "CDemoData" / "data"
LOGITS = REPOSITORY / "Tests" / "CoalitionCLITests" / "Fixtures" / "digits-logits.f32"

SEED, EPOCHS, BATCH, PEAK_RATE, LARGEST_SHIFT = 7, 16, 128, 4e-3, 2
LEAST_ACCURACY, LARGEST_MODEL, IMAGES_PER_CLASS = 0.985, 80_000, 10


def read_idx(path):
    """An IDX file of unsigned bytes, gzipped: two zero bytes, type 8, rank, big-endian sizes, data."""
    content = gzip.decompress(path.read_bytes())
    zero, kind, rank = struct.unpack_from(">HBB", content)
    if (zero, kind) != (0, 8):
        raise ValueError(f"{path} is not an IDX file of bytes")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), 9, mtime=0))


def network():
    """28x28 -> 24x24x8 -> 12x12 -> 8x8x16 -> 4x4 -> 256 -> 32 -> 10."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def scaled(images):
    return torch.from_numpy(images.astype(np.float32) / np.float32(255)).unsqueeze(1)


def shifted(batch, generator):
    """The batch moved as a whole by up to LARGEST_SHIFT pixels each way, zeros moving in."""
    s = LARGEST_SHIFT
    dy, dx = torch.randint(0, 2 * s + 1, (2,), generator=generator).tolist()
    height, width = batch.shape[-2:]
    return nn.functional.pad(batch, (s, s, s, s))[..., dy : dy + height, dx : dx + width]


def train(model, images, labels):
    """Adam, one-cycle rate, cross-entropy."""
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        order, total = torch.randperm(len(images), generator=generator), 0.0
        for start in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            loss = nn.functional.cross_entropy(
                model(shifted(images[rows], generator)), labels[rows]
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * BATCH
        print(f"epoch {epoch + 1}: training loss {total / len(images):.4f}", flush=True)


def exported(model):
    parameters = [
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in model
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    graph = GraphBuilder("digits", "image", [1, 28, 28])
    for layer in (1, 2):
        graph.conv(f"conv{layer}", *parameters[layer - 1])
        graph.relu(f"relu{layer}")
        graph.max_pool(f"pool{layer}")
    graph.flatten("flatten")
    graph.dense("dense1", *parameters[2])
    graph.relu("relu3")
    graph.dense("logits", *parameters[3])
    return graph.model([10])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mnist", type=pathlib.Path)
    mnist = parser.parse_args().mnist
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)

    model = network()
    train(
        model,
        scaled(read_idx(mnist / "train-images-idx3-ubyte.gz")),
        torch.from_numpy(read_idx(mnist / "train-labels-idx1-ubyte.gz").astype(np.int64)),
    )
    write(exported(model), DATA / "digits.onnx")

    # Accuracy and logits are those of the written file, by another library than the one that trained.
    session = onnxruntime.InferenceSession(DATA / "digits.onnx", providers=["CPUExecutionProvider"])
    images = read_idx(mnist / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(mnist / "t10k-labels-idx1-ubyte.gz")
    (logits,) = session.run(None, {"image": scaled(images).numpy()})
    accuracy = float((logits.argmax(1) == labels).mean())
    with torch.inference_mode():
        difference = float(np.abs(model(scaled(images)).numpy() - logits).max())

    chosen = np.sort(
        np.concatenate([np.flatnonzero(labels == c)[:IMAGES_PER_CLASS] for c in range(10)])
    )
    write_idx(DATA / "digits-images.idx.gz", images[chosen])
    write_idx(DATA / "digits-labels.idx.gz", labels[chosen])
    LOGITS.parent.mkdir(parents=True, exist_ok=True)
    (chosen_logits,) = session.run(None, {"image": scaled(images[chosen]).numpy()})
    LOGITS.write_bytes(chosen_logits.astype("<f4").tobytes())

    size = (DATA / "digits.onnx").stat().st_size
    print(f"test accuracy {accuracy:.4f}, {size} bytes, torch differs by {difference:.1e}")
    print(f"right on {int((chosen_logits.argmax(1) == labels[chosen]).sum())} of {len(chosen)}")
    if accuracy < LEAST_ACCURACY or size > LARGEST_MODEL:
        raise SystemExit("the model does not keep its promises")


if __name__ == "__main__":
    main()
