"""The networks of Benchmarks/Harness/Workloads.swift as ONNX files, with the same numbers.

Promises mlp, lenet and vgg16 node for node, their weights from the same generator (equal but for the last
bit of a logarithm or cosine), so that peers can be measured without the Swift harness, which writes its
own files. Whoever changes a network there changes it here.
"""

import numpy as np

from graph_builder import GraphBuilder, write


class Weights:
    """Normal numbers from SplitMix64 by the method of Box and Muller, seeded by the network's name."""

    def __init__(self, name):
        seed = 7
        for byte in name.encode():
            seed = (seed * 31 + byte) % 2**64
        self.state = np.uint64(seed)

    def normal(self, *shape, scale, around=0.0):
        count = int(np.prod(shape))
        step = np.uint64(0x9E3779B97F4A7C15)
        bits = self.state + step * np.arange(1, 2 * count + 1, dtype=np.uint64)
        self.state = bits[-1]
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
        first, second = (((bits >> np.uint64(11)) + 0.5) / 2**53).reshape(-1, 2).T
        values = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
        return (around + scale * values).astype(np.float32).reshape(shape)


class Network:
    """A chain of layers, keeping track of the shape of one example."""

    def __init__(self, name, shape):
        self.weights, self.shape, self.count = Weights(name), shape, 0
        self.graph = GraphBuilder(name, "input", shape)

    def name(self, operation):
        self.count += 1
        return f"{operation}{self.count}"

    def dense(self, outputs):
        inputs = self.shape[0]
        weight = self.weights.normal(outputs, inputs, scale=np.sqrt(2 / inputs))
        bias = self.weights.normal(outputs, scale=0.1)
        self.graph.dense(self.name("gemm"), weight, bias)
        self.shape = [outputs]

    def conv(self, channels, kernel, padding=0):
        inputs = self.shape[0]
        scale = np.sqrt(2 / (inputs * kernel * kernel))
        weight = self.weights.normal(channels, inputs, kernel, kernel, scale=scale)
        bias = self.weights.normal(channels, scale=0.1)
        self.graph.conv(self.name("conv"), weight, bias, padding)
        self.shape = [channels, *(size + 2 * padding - kernel + 1 for size in self.shape[1:])]

    def batch_norm(self):
        channels, normal = self.shape[0], self.weights.normal
        self.graph.batch_norm(
            self.name("batchnormalization"),
            normal(channels, scale=0.1, around=1),
            normal(channels, scale=0.1),
            normal(channels, scale=0.1),
            normal(channels, scale=0.05, around=1),
        )

    def relu(self):
        self.graph.relu(self.name("relu"))

    def max_pool(self):
        self.graph.max_pool(self.name("maxpool"))
        self.shape = [self.shape[0], *(size // 2 for size in self.shape[1:])]

    def flatten(self):
        self.graph.flatten(self.name("flatten"))
        self.shape = [int(np.prod(self.shape))]

    def head(self, *sizes):
        for size in sizes[:-1]:
            self.dense(size)
            self.relu()
        self.dense(sizes[-1])
        return self.graph.model(self.shape)


def mlp():
    return Network("mlp", [64]).head(128, 128, 10)


def lenet():
    net = Network("lenet", [1, 28, 28])
    for channels in (32, 64):
        net.conv(channels, 5)
        net.relu()
        net.max_pool()
    net.flatten()
    return net.head(10)


def vgg16():
    net = Network("vgg16", [3, 32, 32])
    for channels, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(layers):
            net.conv(channels, 3, 1)
            net.batch_norm()
            net.relu()
        net.max_pool()
    net.flatten()
    return net.head(512, 512, 10)


NETWORKS = {"mlp": mlp, "lenet": lenet, "vgg16": vgg16}


def write_all(folder, names):
    """The files of the named networks, made where they are not there yet."""
    paths = {name: folder / f"{name}.onnx" for name in names}
    for name, path in paths.items():
        if not path.exists():
            write(NETWORKS[name](), path)
    return paths
