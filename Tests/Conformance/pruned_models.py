"""Whether onnxruntime loads pruned models and computes what Coalition computes.

    COALITION_PRUNED_MODELS=.cache/pruned swift test -c release --filter CouplingTests
    python Tests/Conformance/pruned_models.py .cache/pruned

The tests write every family of networks without some of its units, `NAME.onnx`, with rows and outputs as
`NAME.input.SHAPE.f32` and `NAME.output.SHAPE.f32`. Exits with 1 when a file is refused or differs by more than
1e-5 of its largest output.
"""

import pathlib
import sys

import numpy as np
import onnxruntime


def array(folder, name, part):
    (path,) = folder.glob(f"{name}.{part}.*.f32")
    shape = [int(size) for size in path.name.split(".")[-2].split("x")]
    return np.fromfile(path, np.float32).reshape(shape)


def main():
    folder = pathlib.Path(sys.argv[1])
    models = sorted(folder.glob("*.onnx"))
    failures = 0
    for path in models:
        rows, expected = array(folder, path.stem, "input"), array(folder, path.stem, "output")
        try:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            (found,) = session.run(None, {session.get_inputs()[0].name: rows})
            difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        except Exception as refused:
            print(f"{path.stem}: {refused}")
            failures += 1
            continue
        if not difference <= 1e-5:
            print(f"{path.stem}: differs by {difference:.2g}")
            failures += 1
    print(f"{len(models)} models, {failures} failures")
    return 1 if failures or not models else 0


if __name__ == "__main__":
    sys.exit(main())
