"""The peers: one class per library, all with the same two steps.

An engine is made once per process from a model file. `requests(batch, workers, threads)` returns
`workers` independent requests that may run at the same time from as many Python threads, each using
`threads` threads of the library's own. A request owns its input (a numpy view to write into), runs
without allocating on our side, and gives its output back as numpy.

Every library is used the way its own documents advise for throughput on a CPU: onnxruntime with bound
input and output, OpenVINO with as many streams as requests, torch in inference mode and channels-last,
torch.compile with frozen weights. Importing a library happens in the class, so an absent one is an
ImportError of that peer alone.
"""

import numpy as np


class OnnxRuntime:
    name = "onnxruntime"

    def __init__(self, path, shape, outputs):
        import onnxruntime

        self.library, self.path, self.shape, self.outputs = onnxruntime, path, shape, outputs
        self.version = onnxruntime.__version__

    def requests(self, batch, workers, threads):
        options = self.library.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = self.library.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = self.library.InferenceSession(
            self.path, options, providers=["CPUExecutionProvider"]
        )
        return [
            OnnxRuntimeRequest(session, (batch, *self.shape), (batch, *self.outputs))
            for _ in range(workers)
        ]


class OnnxRuntimeRequest:
    def __init__(self, session, shape, output_shape):
        self.session, self.binding = session, session.io_binding()
        self.input = np.zeros(shape, np.float32)
        self.output = np.zeros(output_shape, np.float32)
        self.binding.bind_input(
            session.get_inputs()[0].name, "cpu", 0, np.float32, shape, self.input.ctypes.data
        )
        self.binding.bind_output(
            session.get_outputs()[0].name,
            "cpu",
            0,
            np.float32,
            output_shape,
            self.output.ctypes.data,
        )

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def result(self):
        return self.output


class OpenVINO:
    name = "openvino"

    def __init__(self, path, shape, outputs):
        import openvino

        self.library, self.shape = openvino, shape
        self.version = openvino.__version__
        self.core = openvino.Core()
        self.model = self.core.read_model(path)

    def requests(self, batch, workers, threads):
        # A static batch lets the plug-in choose kernels for it, as its documents advise.
        self.model.reshape([batch, *self.shape])
        compiled = self.core.compile_model(
            self.model,
            "CPU",
            {
                "NUM_STREAMS": workers,
                "INFERENCE_NUM_THREADS": workers * threads,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        return [
            OpenVINORequest(self.library, compiled, (batch, *self.shape)) for _ in range(workers)
        ]


class OpenVINORequest:
    def __init__(self, library, compiled, shape):
        self.input = np.zeros(shape, np.float32)
        self.request = compiled.create_infer_request()
        self.request.set_input_tensor(library.Tensor(self.input, shared_memory=True))

    def run(self):
        self.request.infer()

    def result(self):
        return self.request.get_output_tensor().data


class TorchEager:
    name = "torch-eager"

    def __init__(self, path, shape, outputs):
        import torch

        import torch_model

        self.torch, self.shape, self.version = torch, shape, torch.__version__
        self.module = torch_model.load(path)

    def requests(self, batch, workers, threads):
        # Torch keeps the number of threads per calling thread; each request sets its own on start.
        self.torch.set_num_threads(threads)
        return [
            TorchRequest(self.torch, self.module, (batch, *self.shape), threads)
            for _ in range(workers)
        ]


class TorchCompile(TorchEager):
    name = "torch-compile"

    def __init__(self, path, shape, outputs):
        super().__init__(path, shape, outputs)
        import torch._inductor.config as inductor

        inductor.freezing = True
        self.torch._dynamo.config.recompile_limit = 64

    def requests(self, batch, workers, threads):
        # Generated code has its number of threads built in, so every configuration is compiled anew.
        self.torch.set_num_threads(threads)
        self.torch.compiler.reset()
        compiled = self.torch.compile(self.module, dynamic=False)
        return [
            TorchRequest(self.torch, compiled, (batch, *self.shape), threads)
            for _ in range(workers)
        ]


class TorchRequest:
    def __init__(self, torch, module, shape, threads):
        self.torch, self.module, self.threads = torch, module, threads
        self.tensor = torch.zeros(shape)
        if len(shape) == 4:
            self.tensor = self.tensor.to(memory_format=torch.channels_last)
        self.input = self.tensor.numpy()
        self.latest = None

    def run(self):
        if self.torch.get_num_threads() != self.threads:
            self.torch.set_num_threads(self.threads)
        with self.torch.inference_mode():
            self.latest = self.module(self.tensor)

    def result(self):
        return self.latest.numpy()


ENGINES = {engine.name: engine for engine in (OnnxRuntime, OpenVINO, TorchEager, TorchCompile)}
