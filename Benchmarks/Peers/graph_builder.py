"""Builds feed-forward ONNX models node by node, with readable names and a dynamic batch axis "N".

Promises opset 17 models of one float32 input and one float32 output, checked by the ONNX checker and
with the same bytes for the same calls. Weights are given as arrays; nothing here draws or trains them.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8


class GraphBuilder:
    """A chain with a current value: every method takes the current value (or `source`), appends a node
    named `name` whose output has the same name, and makes that the current value."""

    def __init__(self, graph_name, input_name, input_shape):
        self.graph_name = graph_name
        self.input = helper.make_tensor_value_info(
            input_name, TensorProto.FLOAT, ["N", *input_shape]
        )
        self.current = input_name
        self.nodes, self.initializers = [], []

    def parameter(self, name, array):
        array = np.ascontiguousarray(array, dtype=np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator, name, inputs, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        self.current = name
        return name

    def conv(self, name, weight, bias=None, pad=0, stride=1, source=None):
        """weight: (out, in, k, k); bias: (out) or None."""
        inputs = [source or self.current, self.parameter(f"{name}.weight", weight)]
        if bias is not None:
            inputs.append(self.parameter(f"{name}.bias", bias))
        return self.node(
            "Conv",
            name,
            inputs,
            kernel_shape=list(weight.shape[2:]),
            pads=[pad] * 4,
            strides=[stride] * 2,
        )

    def batch_norm(self, name, scale, shift, mean, variance, epsilon=1e-5):
        """All four: (channels)."""
        inputs = [self.current]
        for role, array in zip(
            ("scale", "shift", "mean", "variance"), (scale, shift, mean, variance)
        ):
            inputs.append(self.parameter(f"{name}.{role}", array))
        return self.node("BatchNormalization", name, inputs, epsilon=epsilon)

    def relu(self, name, source=None):
        return self.node("Relu", name, [source or self.current])

    def max_pool(self, name, size=2, source=None):
        return self.node(
            "MaxPool", name, [source or self.current], kernel_shape=[size] * 2, strides=[size] * 2
        )

    def flatten(self, name):
        return self.node("Flatten", name, [self.current], axis=1)

    def dense(self, name, weight, bias):
        """weight: (out, in); bias: (out)."""
        inputs = [
            self.current,
            self.parameter(f"{name}.weight", weight),
            self.parameter(f"{name}.bias", bias),
        ]
        return self.node("Gemm", name, inputs, transB=1)

    def model(self, output_shape):
        """The finished model; the last node's output is the graph's output."""
        output = helper.make_tensor_value_info(
            self.current, TensorProto.FLOAT, ["N", *output_shape]
        )
        graph = helper.make_graph(
            self.nodes, self.graph_name, [self.input], [output], self.initializers
        )
        model = helper.make_model(
            graph,
            producer_name="coalition",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def write(model, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
