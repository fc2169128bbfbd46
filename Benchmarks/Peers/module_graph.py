"""An ONNX graph as torch modules: one module of its own per node, as libraries that work by hooks need.

Promises to understand the operators of the networks that are explained and to refuse the rest. Captum and
Zennit replace derivatives at modules, so an activation that is called as a function or a module used
twice would be explained wrongly; here every node has its own. torch_model.py is the form for speed.
"""

import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn


class Sum(nn.Module):
    def forward(self, left, right):
        return left + right


class Concatenation(nn.Module):
    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, *parts):
        return torch.cat(parts, self.axis)


class ModuleGraph(nn.Module):
    """From the value `start` (by default the input of the graph) to `stop` (by default its output)."""

    def __init__(self, path, start=None, stop=None, dtype=torch.float32):
        super().__init__()
        graph = onnx.load(path).graph
        arrays = {t.name: torch.tensor(numpy_helper.to_array(t)) for t in graph.initializer}
        self.start = start or next(i.name for i in graph.input if i.name not in arrays)
        self.stop = stop or graph.output[0].name
        self.steps, self.layers = [], nn.ModuleList()
        known = {self.start}
        for node in graph.node:
            inputs = [name for name in node.input if name not in arrays]
            if node.output[0] == self.start or not set(inputs) <= known:
                continue
            known.add(node.output[0])
            layer = module_of(node, [arrays[name] for name in node.input if name in arrays])
            self.layers.append(layer)
            self.steps.append((layer, inputs, node.output[0]))
            if node.output[0] == self.stop:
                break
        if self.stop not in known:
            raise ValueError(f"{path}: {self.stop} does not follow from {self.start} alone")
        self.to(dtype).eval().requires_grad_(False)

    def forward(self, x):
        values = {self.start: x}
        for layer, inputs, output in self.steps:
            values[output] = layer(*[values[name] for name in inputs])
        return values[self.stop]


def module_of(node, parameters):
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    make = MODULES.get(node.op_type)
    if make is None:
        raise ValueError(f"{node.name}: operator {node.op_type} has no module")
    module = make(attributes, parameters)
    if attributes:
        raise ValueError(f"{node.name}: attributes {sorted(attributes)} are not understood")
    return module


# Each maker pops the attributes that it honours, so that leftovers are found.


def with_parameters(module, parameters):
    for own, given in zip((module.weight, module.bias), parameters):
        own.data = given
    return module


def square(attributes):
    """Kernel, stride and padding of a window; ONNX lists all beginnings of the pads, then all ends."""
    kernel = attributes.pop("kernel_shape")
    pads = attributes.pop("pads", [0] * 4)
    if pads[:2] != pads[2:] or len(kernel) != 2:
        raise ValueError(f"pads {pads} of a window {kernel} are not symmetric")
    return tuple(kernel), tuple(attributes.pop("strides", [1, 1])), tuple(pads[:2])


def conv(attributes, parameters):
    kernel, stride, padding = square(attributes)
    dilation, groups = attributes.pop("dilations", [1, 1]), attributes.pop("group", 1)
    outputs, inputs = parameters[0].shape[:2]
    module = nn.Conv2d(
        inputs * groups,
        outputs,
        kernel,
        stride,
        padding,
        tuple(dilation),
        groups,
        len(parameters) > 1,
    )
    return with_parameters(module, parameters)


def dense(attributes, parameters):
    if attributes.pop("transB", 0) != 1:
        raise ValueError("Gemm whose weight is not (out, in)")
    outputs, inputs = parameters[0].shape
    return with_parameters(nn.Linear(inputs, outputs, len(parameters) > 1), parameters)


def batch_norm(attributes, parameters):
    attributes.pop("momentum", None)
    module = nn.BatchNorm2d(len(parameters[0]), attributes.pop("epsilon", 1e-5))
    module.running_mean, module.running_var = parameters[2], parameters[3]
    return with_parameters(module, parameters[:2])


def max_pool(attributes, parameters):
    kernel, stride, padding = square(attributes)
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=bool(attributes.pop("ceil_mode", 0)))


def flatten(attributes, parameters):
    if attributes.pop("axis", 1) != 1:
        raise ValueError("Flatten of another axis than 1")
    return nn.Flatten()


def gather(attributes, parameters):
    if attributes.pop("axis", 0) != 0 or len(parameters) != 1:
        raise ValueError("Gather other than of rows of a constant")
    return nn.Embedding.from_pretrained(parameters[0])


MODULES = {
    "Conv": conv,
    "Gemm": dense,
    "BatchNormalization": batch_norm,
    "MaxPool": max_pool,
    "Flatten": flatten,
    "Gather": gather,
    "Add": lambda attributes, parameters: Sum(),
    "Concat": lambda attributes, parameters: Concatenation(attributes.pop("axis")),
    "Dropout": lambda attributes, parameters: nn.Identity(),
    "GlobalAveragePool": lambda attributes, parameters: nn.AdaptiveAvgPool2d(1),
    "Relu": lambda attributes, parameters: nn.ReLU(),
    "Tanh": lambda attributes, parameters: nn.Tanh(),
    "Sigmoid": lambda attributes, parameters: nn.Sigmoid(),
    "Softplus": lambda attributes, parameters: nn.Softplus(threshold=40),
}
