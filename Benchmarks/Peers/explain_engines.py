"""The peers of explanations: Captum, torch written out by hand, and onnxruntime for occlusion.

Promises the same two steps as engines.py: an engine is made from a model file and a method, and
`requests(batch, workers, threads)` gives independent requests with an input to write into, `run()` and
`result()`. A run explains output 0 of `batch` examples from a zero baseline. For occlusion a run does
one image, in inferences of `batch` images with one pixel set to zero each; integrated gradients evaluate the
whole paths of a run together.

Both torch forms get batch normalisation folded into the convolutions and channels-last data. What a peer
computes differently is in its `note`.
"""

import copy
import warnings

import numpy as np

METHODS = (
    "saliency", "gradient-x-input", "integrated-gradients", "deeplift", "epsilon-lrp", "occlusion",
)  # fmt: skip
STEPS, EPSILON = 100, 1e-4


def folded(path):
    """The network as a chain of modules, batch normalisation folded into the convolution before it."""
    import torch

    from module_graph import ModuleGraph

    graph = ModuleGraph(path)
    layers = []
    for layer, inputs, _ in graph.steps:
        if len(inputs) != 1:
            raise ValueError(f"{path}: the written-out form is for chains of layers")
        if isinstance(layer, torch.nn.BatchNorm2d):
            layers[-1] = torch.nn.utils.fusion.fuse_conv_bn_eval(layers[-1], layer)
        else:
            layers.append(layer)
    chain = torch.nn.Sequential(*layers).eval().requires_grad_(False)
    return chain.to(memory_format=torch.channels_last)


class TorchRequest:
    """Owns the input; `explain` turns it into attributions."""

    def __init__(self, torch, shape, threads, explain):
        self.torch, self.threads, self.explain = torch, threads, explain
        self.tensor = torch.zeros(shape)
        if len(shape) == 4:
            self.tensor = self.tensor.to(memory_format=torch.channels_last)
        self.input = self.tensor.numpy()
        self.latest = None

    def run(self):
        # Torch keeps the number of threads per calling thread.
        if self.torch.get_num_threads() != self.threads:
            self.torch.set_num_threads(self.threads)
        self.latest = self.explain(self.tensor)

    def result(self):
        return self.latest.detach().numpy()


class Captum:
    name = "captum"

    def __init__(self, path, shape, method):
        import captum
        import torch

        warnings.filterwarnings("ignore", module="captum")
        self.torch, self.shape, self.method = torch, shape, method
        self.version = f"{captum.__version__} (torch {torch.__version__})"
        self.chain = folded(path)
        self.note = self.difference()
        self.units = int(np.prod(shape[1:])) if method == "occlusion" else 1

    def difference(self):
        """In what the library computes something else than the definition that is measured."""
        pools = any(isinstance(layer, self.torch.nn.MaxPool2d) for layer in self.chain)
        if self.method == "deeplift" and pools:
            return (
                "max pools keep their gradient (pytorch/captum issue 1104): "
                "not the same unless the baseline's maps are constant"
            )
        if self.method == "epsilon-lrp":
            return "recursion, epsilon in every layer and max pool, not in activations alone"
        return ""

    def requests(self, batch, workers, threads):
        self.torch.set_num_threads(threads)
        images = 1 if self.method == "occlusion" else batch
        # Its hooks keep activations in the modules, so every request has modules of its own.
        return [
            TorchRequest(
                self.torch,
                (images, *self.shape),
                threads,
                self.explainer(copy.deepcopy(self.chain), batch),
            )
            for _ in range(workers)
        ]

    def explainer(self, chain, batch):
        from captum import attr

        if self.method == "saliency":
            library = attr.Saliency(chain)
            return lambda x: library.attribute(x, target=0)
        if self.method == "gradient-x-input":
            library = attr.InputXGradient(chain)
            return lambda x: library.attribute(x, target=0)
        if self.method == "integrated-gradients":
            library = attr.IntegratedGradients(chain)
            return lambda x: library.attribute(x, target=0, n_steps=STEPS)
        if self.method == "deeplift":
            library = attr.DeepLift(chain)
            return lambda x: library.attribute(x, target=0)
        if self.method == "epsilon-lrp":
            return self.lrp(chain)
        library = attr.Occlusion(chain)
        window = (self.shape[0], 1, 1)
        return lambda x: library.attribute(
            x, window, window, target=0, perturbations_per_eval=batch
        )

    def lrp(self, chain):
        from captum import attr
        from captum.attr._utils.lrp_rules import EpsilonRule

        nn = self.torch.nn
        # Flatten as a module is refused, so it is called as a function between two chains.
        parts, current, ruled = [], [], []
        for layer in chain:
            if isinstance(layer, nn.Flatten):
                parts.append(nn.Sequential(*current))
                current = []
                continue
            current.append(layer)
            if not isinstance(layer, nn.ReLU):
                ruled.append(layer)
        parts.append(nn.Sequential(*current))
        library = attr.LRP(flatten_between(parts))

        def explain(x):
            # Captum removes rules after every call; without them its epsilon is 1e-9.
            for layer in ruled:
                layer.rule = EpsilonRule(EPSILON)
            return library.attribute(x, target=0)

        return explain


def flatten_between(parts):
    import torch

    class FlattenBetween(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = torch.nn.ModuleList(parts)

        def forward(self, x):
            for index, part in enumerate(self.parts):
                x = part(x if index == 0 else x.flatten(1))
            return x

    return FlattenBetween()


class TorchWritten:
    """Hooks-free: a forward pass that keeps what the backward pass needs, and that written out."""

    name = "torch-written"

    def __init__(self, path, shape, method):
        import torch

        from written_chain import WrittenChain

        self.torch, self.shape, self.method = torch, shape, method
        self.version = torch.__version__
        self.chain = WrittenChain(folded(path), shape)
        pools = any(isinstance(layer, torch.nn.MaxPool2d) for layer in self.chain.layers)
        self.note = (
            "a max pool's change goes to one winner: not the same where winners differ without a tie"
            if method == "deeplift" and pools
            else ""
        )
        self.units = int(np.prod(shape[1:])) if method == "occlusion" else 1

    def requests(self, batch, workers, threads):
        self.torch.set_num_threads(threads)
        chain = self.chain
        explain = {
            "saliency": lambda x: chain.gradient(x).abs_(),
            "gradient-x-input": lambda x: chain.gradient(x).mul_(x),
            "integrated-gradients": chain.integrated_gradients,
            "deeplift": lambda x: chain.backward(chain.deeplift_forward(x)).mul_(x),
            "epsilon-lrp": lambda x: chain.backward(chain.lrp_forward(x)).mul_(x),
            "occlusion": lambda x: chain.occlusion(x, batch),
        }[self.method]

        def without_autograd(x):
            with self.torch.inference_mode():
                return explain(x)

        images = 1 if self.method == "occlusion" else batch
        return [
            TorchRequest(self.torch, (images, *self.shape), threads, without_autograd)
            for _ in range(workers)
        ]


class OnnxRuntimeOcclusion:
    name = "onnxruntime"

    def __init__(self, path, shape, method):
        if method != "occlusion":
            raise ValueError("onnxruntime has no gradients: occlusion alone")
        from engines import OnnxRuntime
        from peers import static_shapes

        self.library = OnnxRuntime(path, shape, static_shapes(path)[1])
        self.version, self.shape, self.note = self.library.version, shape, ""
        self.units = int(np.prod(shape[1:]))

    def requests(self, batch, workers, threads):
        return [
            OcclusionRequest(request, self.shape)
            for request in self.library.requests(batch, workers, threads)
        ]


class OcclusionRequest:
    """One image at a time; the inference's own buffer holds copies of it with a pixel set to zero each."""

    def __init__(self, inference, shape):
        self.inference, self.shape = inference, shape
        self.input = np.zeros((1, *shape), np.float32)
        self.pixels = int(np.prod(shape[1:]))
        self.differences = np.zeros((1, self.pixels), np.float32)

    def run(self):
        buffer = self.inference.input
        batch = len(buffer)
        flat = buffer.reshape(batch, self.shape[0], self.pixels)
        rows = np.arange(batch)
        buffer[...] = self.input
        self.inference.run()
        score = float(self.inference.result()[0, 0])
        for first in range(0, self.pixels, batch):
            count = min(batch, self.pixels - first)
            places = first + rows[:count]
            flat[rows[:count], :, places] = 0
            self.inference.run()
            self.differences[0, places] = score - self.inference.result()[:count, 0]
            original = self.input.reshape(self.shape[0], self.pixels)
            flat[rows[:count], :, places] = original[:, places].T

    def result(self):
        return self.differences.reshape(1, 1, *self.shape[1:])


ENGINES = {engine.name: engine for engine in (Captum, TorchWritten, OnnxRuntimeOcclusion)}
