"""Writes the ONNX project's node tests for the operators that Coalition supports.

Promises one folder per case, `NAME/model.onnx` with its inputs and expected outputs as .npy, and one
`index.json` that names them all with the case's tolerances. A case is taken when its model is the
single operator (not the same case expanded into primitive operators) and all of its tensors are
float32, int64, int32 or bool, with a float32 among them.

The cases are computed by the `onnx` package (Apache-2.0), nothing is downloaded. Every case uses the
operator's newest opset: attributes that later became inputs are not covered here.

    python node_tests.py [DIRECTORY]        default: .cache/node-tests in the repository
"""

import argparse
import json
import pathlib
import shutil
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto
from onnx.backend.test.case import node as node_cases

OPERATORS = """
    Conv Gemm MatMul BatchNormalization
    Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Gelu Mish
    Swish Erf Clip
    MaxPool AveragePool GlobalAveragePool GlobalMaxPool Softmax LogSoftmax
    Add Sub Mul Div Sum Mean
    Concat Split Slice Gather Flatten Reshape Transpose Squeeze Unsqueeze Pad Identity Dropout
    Constant Cast Shape
""".split()

DTYPES = {
    TensorProto.FLOAT: np.float32,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
    TensorProto.BOOL: np.bool_,
}

# What this version of the package holds; a different count means that the selection changed.
ONNX_VERSION, EXPECTED_CASES = "1.23.2", 246


def declared_dtypes(model):
    """The numpy types of the graph's inputs and outputs, None for a sequence, optional or other type."""
    types = []
    for value in [*model.graph.input, *model.graph.output]:
        kind = value.type.WhichOneof("value")
        element = value.type.tensor_type.elem_type if kind == "tensor_type" else None
        types.append(DTYPES.get(element))
    return types


def is_wanted(case):
    if case.model is None or len(case.model.graph.node) != 1:
        return False
    node = case.model.graph.node[0]
    if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
        return False
    types = declared_dtypes(case.model)
    return None not in types and np.float32 in types


def write_tensors(folder, prefix, values, arrays):
    """Writes one .npy per value, in graph order, and returns their index entries."""
    if len(values) != len(arrays):
        raise ValueError(f"{folder.name}: {len(values)} {prefix}s declared, {len(arrays)} given")
    entries = []
    for position, (value, array) in enumerate(zip(values, arrays)):
        dtype = np.dtype(DTYPES[value.type.tensor_type.elem_type])
        array = np.asarray(array)
        if array.dtype != dtype:
            raise ValueError(f"{folder.name}: {value.name} is {array.dtype}, declared {dtype}")
        file = f"{prefix}_{position}.npy"
        # ascontiguousarray would turn a scalar into one dimension.
        np.save(folder / file, np.array(array, order="C"), allow_pickle=False)
        entries.append({"name": value.name, "file": f"{folder.name}/{file}", "dtype": dtype.name})
    return entries


def write_case(directory, case):
    """Writes one case and returns its index entry.

    An input that the node omits (an empty name in the node) is no input of the graph, so the lists
    below follow the graph's inputs, not the node's.
    """
    if len(case.data_sets) != 1:
        raise ValueError(f"{case.name}: {len(case.data_sets)} data sets, expected 1")
    inputs, outputs = case.data_sets[0]
    folder = directory / case.name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString(deterministic=True))
    graph = case.model.graph
    return {
        "name": case.name,
        "operator": graph.node[0].op_type,
        "opset": next(o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx")),
        "model": f"{case.name}/model.onnx",
        "inputs": write_tensors(folder, "input", graph.input, inputs),
        "outputs": write_tensors(folder, "output", graph.output, outputs),
        "rtol": case.rtol,
        "atol": case.atol,
    }


def main():
    repository = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "directory", nargs="?", type=pathlib.Path, default=repository / ".cache" / "node-tests"
    )
    directory = parser.parse_args().directory

    with warnings.catch_warnings():
        # The package computes overflowing casts and logarithms of zero on purpose.
        warnings.simplefilter("ignore", RuntimeWarning)
        cases = sorted(filter(is_wanted, node_cases.collect_testcases()), key=lambda c: c.name)
    if onnx.__version__ == ONNX_VERSION and len(cases) != EXPECTED_CASES:
        sys.exit(f"{len(cases)} cases selected, expected {EXPECTED_CASES}")

    # Built beside and moved into place, so that an interrupted run leaves no half-written cache.
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    index = [write_case(partial, case) for case in cases]
    (partial / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    if directory.exists():
        if any(directory.iterdir()) and not (directory / "index.json").exists():
            sys.exit(f"{directory} exists and is not a cache of node tests")
        shutil.rmtree(directory)
    partial.rename(directory)
    print(f"{len(index)} cases of onnx {onnx.__version__} in {directory}")


if __name__ == "__main__":
    main()
