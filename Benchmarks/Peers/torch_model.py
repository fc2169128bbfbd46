"""An ONNX graph as a torch module: the operators of the benchmark models, nothing else.

Promises the module's forward to call one torch function per node, in the graph's order, as a person
who writes the network in torch would. Anything that is not understood exactly is refused.
"""

import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F


class GraphModule(nn.Module):
    """Holds the parameters; `steps` is a straight-line program over named values."""

    def __init__(self, model):
        super().__init__()
        graph = model.graph
        arrays = {
            t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer
        }
        names = {name: f"p{index}" for index, name in enumerate(arrays)}
        for name, array in arrays.items():
            self.register_buffer(names[name], array)
        self.input = next(i.name for i in graph.input if i.name not in arrays)
        self.output = graph.output[0].name
        self.steps = [
            (
                function_of(node),
                [n for n in node.input if n not in arrays],
                [names[n] for n in node.input if n in arrays],
                node.output[0],
            )
            for node in graph.node
        ]

    def forward(self, x):
        values = {self.input: x}
        for function, inputs, parameters, output in self.steps:
            values[output] = function(
                *[values[name] for name in inputs], *[getattr(self, name) for name in parameters]
            )
        return values[self.output]


def function_of(node):
    """A function of the node's activations followed by its parameters."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    translate = TRANSLATIONS.get(node.op_type)
    if translate is None:
        raise ValueError(f"{node.name}: operator {node.op_type} has no torch translation")
    function = translate(attributes)
    if attributes:
        raise ValueError(f"{node.name}: attributes {sorted(attributes)} are not understood")
    return function


def symmetric(pads):
    """ONNX lists all beginnings, then all ends; torch pads both ends alike."""
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        raise ValueError(f"pads {pads} are not symmetric")
    return pads[:half]


# Each translation pops the attributes that it honours, so that leftovers are found.


def conv(attributes):
    kernel = attributes.pop("kernel_shape")
    options = {
        "padding": symmetric(attributes.pop("pads", [0] * 2 * len(kernel))),
        "stride": attributes.pop("strides", [1] * len(kernel)),
        "dilation": attributes.pop("dilations", [1] * len(kernel)),
        "groups": attributes.pop("group", 1),
    }
    return lambda x, weight, bias=None: F.conv2d(x, weight, bias, **options)


def batch_norm(attributes):
    epsilon = attributes.pop("epsilon", 1e-5)
    attributes.pop("momentum", None)
    return lambda x, scale, shift, mean, variance: F.batch_norm(
        x, mean, variance, scale, shift, training=False, eps=epsilon
    )


def max_pool(attributes):
    kernel = attributes.pop("kernel_shape")
    stride = attributes.pop("strides", [1] * len(kernel))
    padding = symmetric(attributes.pop("pads", [0] * 2 * len(kernel)))
    return lambda x: F.max_pool2d(x, kernel, stride, padding)


def flatten(attributes):
    if attributes.pop("axis", 1) != 1:
        raise ValueError("Flatten of another axis than 1")
    return lambda x: torch.flatten(x, 1)


def gemm(attributes):
    if attributes.pop("transB", 0) != 1:
        raise ValueError("Gemm whose weight is not (out, in)")
    return F.linear


TRANSLATIONS = {
    "Conv": conv,
    "BatchNormalization": batch_norm,
    "Relu": lambda attributes: F.relu,
    "MaxPool": max_pool,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": lambda attributes: lambda x: F.adaptive_avg_pool2d(x, 1),
    "Add": lambda attributes: torch.add,
}


def load(path):
    """The module in inference form, convolution weights channels-last."""
    module = GraphModule(onnx.load(path)).eval()
    return module.to(memory_format=torch.channels_last)
