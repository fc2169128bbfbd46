"""Trains the small networks that the tests of explanations use, and writes them with their examples.

Promises, in Tests/CoalitionExplainTests/Fixtures: four MNIST perceptrons (ReLU, Tanh, Sigmoid, Softplus),
a convolutional network with max pooling, a residual network with batch normalisation on CIFAR-10, and an
embedding with a perceptron on sentences; every file below 250 kB with a dynamic batch axis "N"; the
examples as uint8 or token numbers with their labels. Everything is seeded; another version of torch or
another processor trains slightly different weights. The reference attributions are made from the written
files by explain_references.py, so those two belong together: run it after this one.

    python explain_fixtures.py DATA_DIRECTORY [--only NAME,NAME]

DATA_DIRECTORY holds the folders mnist, cifar10-train4000 and sentiment-sentences.
"""

import argparse
import collections
import gzip
import pathlib
import platform
import re

import numpy as np
import onnxruntime
import torch
from torch import nn

from graph_builder import GraphBuilder, write
from train_digits import read_idx

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "Tests" / "CoalitionExplainTests" / "Fixtures"

SEED, LARGEST_MODEL, IMAGES_PER_CLASS = 11, 250_000, 10
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus}
HIDDEN = 64
# Sentences: token 0 fills up, 1 stands for words outside the vocabulary.
VOCABULARY, LENGTH, EMBEDDING = 2000, 24, 16
PADDING, UNKNOWN = 0, 1


def signed(pixels):
    """Bytes to the range -1..1, in float32: the scaling that every image network here expects."""
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def versions():
    return np.array(
        [
            f"python {platform.python_version()}",
            f"numpy {np.__version__}",
            f"torch {torch.__version__}",
            f"onnxruntime {onnxruntime.__version__}",
        ]
    )


class Exporter(GraphBuilder):
    """The layers that these networks have beyond those of the benchmark models."""

    def activation(self, name, module):
        return self.node(type(module).__name__.replace("ReLU", "Relu"), name, [self.current])

    def normalisation(self, name, module):
        arrays = (module.weight, module.bias, module.running_mean, module.running_var)
        return self.batch_norm(name, *(a.detach().numpy() for a in arrays), epsilon=module.eps)

    def layer(self, name, module, source=None):
        weight = module.weight.detach().numpy()
        bias = None if module.bias is None else module.bias.detach().numpy()
        if isinstance(module, nn.Linear):
            return self.dense(name, weight, bias)
        return self.conv(name, weight, bias, module.padding[0], module.stride[0], source)


# Networks, each with its export


def perceptron(activation):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, HIDDEN), activation(),
        nn.Linear(HIDDEN, HIDDEN), activation(),
        nn.Linear(HIDDEN, 10),
    )  # fmt: skip


def convolutional():
    """28x28 -> 24x24x6 -> 12x12 -> 8x8x16 -> 4x4 -> 256 -> 64 -> 10."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def export_chain(name, model):
    graph = Exporter(name, "image", [1, 28, 28])
    counts = collections.Counter()
    for module in model:
        kind = {nn.Conv2d: "conv", nn.Linear: "dense", nn.MaxPool2d: "pool"}.get(
            type(module), "act"
        )
        counts[kind] += 1
        label = "logits" if module is model[-1] else f"{kind}{counts[kind]}"
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            graph.layer(label, module)
        elif isinstance(module, nn.MaxPool2d):
            graph.max_pool(label)
        elif isinstance(module, nn.Flatten):
            graph.flatten("flatten")
        else:
            graph.activation(label, module)
    return graph.model([10])


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(outputs)

    def forward(self, x):
        main = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        side = x if self.shortcut is None else self.shortcut_norm(self.shortcut(x))
        return torch.relu(main + side)

    def export(self, graph, name):
        entry = graph.current
        graph.layer(f"{name}.conv1", self.conv1)
        graph.normalisation(f"{name}.norm1", self.norm1)
        graph.relu(f"{name}.relu1")
        graph.layer(f"{name}.conv2", self.conv2)
        main = graph.normalisation(f"{name}.norm2", self.norm2)
        side = entry
        if self.shortcut is not None:
            graph.layer(f"{name}.shortcut", self.shortcut, source=entry)
            side = graph.normalisation(f"{name}.shortcut_norm", self.shortcut_norm)
        graph.node("Add", f"{name}.sum", [main, side])
        graph.relu(f"{name}.relu2")


class Residual(nn.Module):
    """3x32x32, a stem of 16 channels, blocks of 16, 24 and 32 channels (the last two halve the map)."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList([Block(16, 16, 1), Block(16, 24, 2), Block(24, 32, 2)])
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))

    def export(self):
        graph = Exporter("residual", "image", [3, 32, 32])
        graph.layer("stem", self.stem)
        graph.normalisation("norm", self.norm)
        graph.relu("relu")
        for index, block in enumerate(self.blocks):
            block.export(graph, f"block{index + 1}")
        graph.node("GlobalAveragePool", "average", [graph.current])
        graph.flatten("flatten")
        graph.layer("logits", self.head)
        return graph.model([10])


class Sentiment(nn.Module):
    """Token numbers -> embedding of every position -> 48 ReLU units -> logits of negative, positive."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.embedding.weight.data[PADDING] = 0
        self.hidden, self.head = nn.Linear(LENGTH * EMBEDDING, 48), nn.Linear(48, 2)
        # Positions begin alike, so that what is learned of a word at one place serves at the others.
        block = self.hidden.weight.data[:, :EMBEDDING].clone()
        self.hidden.weight.data = block.repeat(1, LENGTH)

    def forward(self, tokens):
        words = nn.functional.dropout(self.embedding(tokens), 0.3, self.training)
        hidden = torch.relu(self.hidden(words.flatten(1)))
        return self.head(nn.functional.dropout(hidden, 0.3, self.training))

    def export(self):
        from onnx import TensorProto, helper

        graph = Exporter("sentiment", "tokens", [LENGTH])
        graph.input = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["N", LENGTH])
        table = graph.parameter("embedding.table", self.embedding.weight.detach().numpy())
        graph.node("Gather", "embedded", [table, "tokens"], axis=0)
        graph.flatten("flatten")
        graph.layer("hidden", self.hidden)
        graph.relu("relu")
        graph.layer("logits", self.head)
        return graph.model([2])


# Training and writing


def train(model, inputs, labels, epochs, peak_rate, batch=128, augment=None, decay=0.0):
    """Adam, one-cycle rate, cross-entropy."""
    generator = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=decay)
    steps = epochs * (len(inputs) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=steps)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(inputs) - batch + 1, batch):
            rows = order[start : start + batch]
            examples = inputs[rows] if augment is None else augment(inputs[rows], generator)
            loss = nn.functional.cross_entropy(model(examples), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def mirrored(batch, generator):
    """Half of the images mirrored, all of them moved by up to three pixels."""
    flip = torch.rand(len(batch), generator=generator) < 0.5
    batch = torch.where(flip[:, None, None, None], batch.flip(3), batch)
    dy, dx = torch.randint(0, 7, (2,), generator=generator).tolist()
    return nn.functional.pad(batch, (3, 3, 3, 3))[..., dy : dy + 32, dx : dx + 32]


def finish(name, model, graph, inputs, labels, least_accuracy):
    """Writes the graph; accuracy and agreement are those of the written file, by another library."""
    path = FIXTURES / f"{name}.onnx"
    write(graph, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {graph.graph.input[0].name: inputs.numpy()})
    with torch.inference_mode():
        difference = float(np.abs(model(inputs).numpy() - logits).max())
    accuracy, size = float((logits.argmax(1) == labels).mean()), path.stat().st_size
    print(
        f"{name}: accuracy {accuracy:.4f}, {size} bytes, torch differs {difference:.1e}", flush=True
    )
    if accuracy < least_accuracy or size > LARGEST_MODEL or difference > 1e-3:
        raise SystemExit(f"{name} does not keep its promises")


def digits(data, wanted):
    images, labels, test_images, test_labels = (
        read_idx(data / "mnist" / f"{name}.gz")
        for name in (
            "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
        )
    )  # fmt: skip
    chosen = np.sort(
        np.concatenate([np.flatnonzero(test_labels == c)[:IMAGES_PER_CLASS] for c in range(10)])
    )
    np.savez_compressed(
        FIXTURES / "mnist-images.npz",
        images=test_images[chosen][:, None],
        labels=test_labels[chosen],
        versions=versions(),
    )
    inputs = torch.from_numpy(signed(images)).unsqueeze(1)
    targets = torch.from_numpy(labels.astype(np.int64))
    test = torch.from_numpy(signed(test_images)).unsqueeze(1)
    networks = {f"mlp-{name}": (lambda a=a: perceptron(a)) for name, a in ACTIVATIONS.items()}
    networks["cnn"] = convolutional
    for name, make in networks.items():
        if name in wanted:
            torch.manual_seed(SEED)
            model = train(make(), inputs, targets, 3 if name == "cnn" else 8, 4e-3, 256)
            finish(name, model, export_chain(name, model), test, test_labels, 0.96)


def objects(data):
    path = data / "cifar10-train4000" / "cifar10-train-first4000.bin.gz"
    records = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).reshape(-1, 3073)
    labels, images = records[:, 0].astype(np.int64), records[:, 1:].reshape(-1, 3, 32, 32)
    held_out = slice(3600, 4000)
    np.savez_compressed(
        FIXTURES / "cifar-images.npz",
        images=images[held_out][:10],
        labels=records[held_out, 0][:10],
        versions=versions(),
    )
    inputs = torch.from_numpy(signed(images))
    torch.manual_seed(SEED)
    model = train(
        Residual(), inputs[:3600], torch.from_numpy(labels[:3600]), 10, 8e-3, 64, mirrored, 1e-3
    )
    finish("resnet", model, model.export(), inputs[held_out], labels[held_out], 0.4)


def sentences(data):
    rows = []
    for name in ("amazon_cells", "imdb", "yelp"):
        text = (data / "sentiment-sentences" / f"{name}_labelled.txt").read_text("utf-8")
        # Lines end at LF alone: one file has other line separators inside its sentences.
        for line in text.split("\n")[1:]:
            if line:
                sentence, label = line.rsplit("\t", 1)
                rows.append((re.findall(r"[a-z']+|[!?]", sentence.lower()), int(label)))
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(rows))
    rows = [rows[i] for i in order]
    held_out = 500
    counts = collections.Counter(word for words, _ in rows[held_out:] for word in words)
    # By count, then by letters, so that ties do not depend on the order of the sentences.
    words = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 2]
    numbers = {word: index + 2 for index, word in enumerate(words)}
    (FIXTURES / "sentiment-vocabulary.txt").write_text(
        "\n".join(["<pad>", "<unknown>", *words]) + "\n"
    )

    tokens = np.full((len(rows), LENGTH), PADDING, np.int64)
    for row, (sentence, _) in zip(tokens, rows):
        # A long sentence keeps its end, where the judgement tends to stand.
        kept = [numbers.get(word, UNKNOWN) for word in sentence][-LENGTH:]
        row[: len(kept)] = kept
    labels = np.array([label for _, label in rows])
    np.savez_compressed(
        FIXTURES / "sentiment-sentences.npz",
        tokens=tokens[:100],
        labels=labels[:100].astype(np.uint8),
        versions=versions(),
    )
    inputs = torch.from_numpy(tokens)
    torch.manual_seed(SEED)
    model = train(
        Sentiment(),
        inputs[held_out:],
        torch.from_numpy(labels[held_out:]),
        14,
        4e-3,
        32,
        decay=0.05,
    )
    finish("sentiment", model, model.export(), inputs[:held_out], labels[:held_out], 0.7)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=pathlib.Path)
    names = [*(f"mlp-{name}" for name in ACTIVATIONS), "cnn", "resnet", "sentiment"]
    parser.add_argument("--only", type=lambda text: text.split(","), default=names)
    arguments = parser.parse_args()
    unknown = set(arguments.only) - set(names)
    if unknown:
        parser.error(f"unknown networks {sorted(unknown)}: expected some of {names}")
    FIXTURES.mkdir(parents=True, exist_ok=True)
    # One thread: the result does not depend on the machine's cores, and the networks are small.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if "sentiment" in arguments.only:
        sentences(arguments.data)
    if any(name == "cnn" or name.startswith("mlp-") for name in arguments.only):
        digits(arguments.data, arguments.only)
    if "resnet" in arguments.only:
        objects(arguments.data)


if __name__ == "__main__":
    main()
