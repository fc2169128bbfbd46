"""Writes the five benchmark models as ONNX files with random weights.

Promises the same bytes for the same numpy and onnx versions, and activations of order one all the way
(He initialisation; batch normalisation carries running statistics that fit it), so that no peer is
slowed by denormal numbers and ReLUs are dead and alive in realistic shares. Nothing is trained:
forward throughput depends on shapes, not on what the network knows.

    python models.py [DIRECTORY] [--only NAME ...]      default: .cache/models in the repository
"""

import argparse
import itertools
import pathlib
import zlib

import numpy as np

from graph_builder import GraphBuilder, write


class Weights:
    """Random parameters for ReLU networks. Every model has its own stream, seeded by its name."""

    def __init__(self, model_name):
        self.random = np.random.Generator(np.random.PCG64(zlib.crc32(model_name.encode())))

    def he(self, *shape):
        """(out, in, ...): variance 2 / fan-in keeps the mean square of ReLU activations."""
        fan_in = int(np.prod(shape[1:]))
        return self.random.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)

    def bias(self, size):
        return self.random.standard_normal(size, np.float32) * np.float32(0.1)

    def batch_norm(self, channels, scale=1.0):
        """(scale, shift, running mean, running variance) around those of a unit-variance input."""
        return (
            (scale * self.random.uniform(0.8, 1.2, channels)).astype(np.float32),
            self.bias(channels),
            self.bias(channels),
            self.random.uniform(0.7, 1.4, channels).astype(np.float32),
        )


def dense_network(name, sizes):
    """Dense layers with ReLU between them."""
    weights, graph = Weights(name), GraphBuilder(name, "input", sizes[:1])
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
        last = layer == len(sizes) - 1
        graph.dense(
            "logits" if last else f"dense{layer}",
            weights.he(fan_out, fan_in),
            weights.bias(fan_out),
        )
        if not last:
            graph.relu(f"relu{layer}")
    return graph.model(sizes[-1:])


def mlp():
    return dense_network("mlp", [64, 128, 128, 10])


def tabular():
    return dense_network("tabular", [18, 100, 100, 1])


def lenet():
    """28x28x1 -> 24x24x32 -> 12x12 -> 8x8x64 -> 4x4 -> 1024 -> 10."""
    weights, graph = Weights("lenet"), GraphBuilder("lenet", "image", [1, 28, 28])
    channels = 1
    for layer, width in enumerate((32, 64), start=1):
        graph.conv(f"conv{layer}", weights.he(width, channels, 5, 5), weights.bias(width))
        graph.relu(f"relu{layer}")
        graph.max_pool(f"pool{layer}")
        channels = width
    graph.flatten("flatten")
    graph.dense("logits", weights.he(10, 1024), weights.bias(10))
    return graph.model([10])


def vgg16():
    """VGG16 with batch normalisation for 32x32 images: 13 convolutions, classifier 512-512-512-10.

    The classifier's dropouts are absent: they are the identity in a forward pass.
    """
    weights, graph = Weights("vgg16"), GraphBuilder("vgg16", "image", [3, 32, 32])
    channels, layer = 3, 0
    for block, (width, depth) in enumerate(
        ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1
    ):
        for _ in range(depth):
            layer += 1
            graph.conv(
                f"conv{layer}", weights.he(width, channels, 3, 3), weights.bias(width), pad=1
            )
            graph.batch_norm(f"norm{layer}", *weights.batch_norm(width))
            graph.relu(f"relu{layer}")
            channels = width
        graph.max_pool(f"pool{block}")
    graph.flatten("flatten")
    for layer in (1, 2):
        graph.dense(f"dense{layer}", weights.he(512, 512), weights.bias(512))
        graph.relu(f"dense_relu{layer}")
    graph.dense("logits", weights.he(10, 512), weights.bias(10))
    return graph.model([10])


def resnet18():
    """ResNet-18 for 32x32 images: 3x3 stem without max pool, 4 stages of 2 basic blocks, 64 to 512."""
    weights, graph = Weights("resnet18"), GraphBuilder("resnet18", "image", [3, 32, 32])
    graph.conv("stem.conv", weights.he(64, 3, 3, 3), pad=1)
    graph.batch_norm("stem.norm", *weights.batch_norm(64))
    graph.relu("stem.relu")
    channels = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (1, 2):
            stride = 2 if stage > 1 and block == 1 else 1
            basic_block(graph, weights, f"stage{stage}.{block}", channels, width, stride)
            channels = width
    graph.global_average_pool("pool")
    graph.flatten("flatten")
    graph.dense("logits", weights.he(10, 512), weights.bias(10))
    return graph.model([10])


def basic_block(graph, weights, name, channels, width, stride):
    """relu(shortcut + norm(conv(relu(norm(conv(x)))))); the shortcut is x, or 1x1 conv and norm."""
    source = graph.current
    graph.conv(f"{name}.conv1", weights.he(width, channels, 3, 3), pad=1, stride=stride)
    graph.batch_norm(f"{name}.norm1", *weights.batch_norm(width))
    graph.relu(f"{name}.relu1")
    graph.conv(f"{name}.conv2", weights.he(width, width, 3, 3), pad=1)
    # A scale below one keeps the sum over blocks from growing, as training does.
    branch = graph.batch_norm(f"{name}.norm2", *weights.batch_norm(width, scale=0.5))
    shortcut = source
    if stride != 1 or channels != width:
        graph.conv(
            f"{name}.shortcut.conv", weights.he(width, channels, 1, 1), stride=stride, source=source
        )
        shortcut = graph.batch_norm(f"{name}.shortcut.norm", *weights.batch_norm(width, scale=0.7))
    graph.add(f"{name}.sum", branch, shortcut)
    graph.relu(f"{name}.relu2")


MODELS = {"mlp": mlp, "tabular": tabular, "lenet": lenet, "vgg16": vgg16, "resnet18": resnet18}


def main():
    repository = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "directory", nargs="?", type=pathlib.Path, default=repository / ".cache" / "models"
    )
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    arguments = parser.parse_args()
    for name in arguments.only:
        path = arguments.directory / f"{name}.onnx"
        model = MODELS[name]()
        write(model, path)
        parameters = sum(int(np.prod(t.dims)) for t in model.graph.initializer)
        print(f"{path}: {len(model.graph.node)} nodes, {parameters} parameters")


if __name__ == "__main__":
    main()
