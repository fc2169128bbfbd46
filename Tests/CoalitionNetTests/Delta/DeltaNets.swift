// Networks of several layers for the delta mode: what changes spreads, is cut out, joined and spread again.

import CoalitionBase
import CoalitionNet
import TestSupport

struct DeltaNet: Sendable, CustomStringConvertible {
  var name: String
  var graph: Graph
  var description: String { name }

  init(_ name: String, _ sizes: [Int]..., build: (inout DeltaLayers, [String]) -> String) {
    var layers = DeltaLayers(seed: name.utf8.count)
    let inputs = sizes.map { layers.net.input($0) }
    let output = build(&layers, inputs)
    layers.net.output(output)
    self.name = name
    graph = layers.net.graph
  }

  static let all = [
    DeltaNet("dense layers", [9]) { net, x in
      let first = net.add("Relu", net.dense(x[0], 9, 21))
      return net.dense(net.add("Relu", net.dense(first, 21, 33)), 33, 5)
    },
    DeltaNet("convolutions and pools", [1, 12, 12]) { net, x in
      let first = net.pool(net.add("Relu", net.convolution(x[0], 1, 5, 3)))
      let second = net.pool(net.add("Relu", net.convolution(first, 5, 17, 3)))
      return net.dense(net.add("Flatten", second), 17, 4)
    },
    // Maps and channels for which minimal filtering is chosen.
    DeltaNet("minimal filtering", [2, 9, 9]) { net, x in
      let first = net.add("Relu", net.convolution(x[0], 2, 16, 3, pad: 1))
      let second = net.pool(net.add("LeakyRelu", net.convolution(first, 16, 18, 3, pad: 1)))
      return net.dense(net.add("Flatten", second), 18 * 16, 3)
    },
    DeltaNet("residual blocks", [2, 8, 8]) { net, x in
      let entry = net.add("Relu", net.convolution(x[0], 2, 6, 3, pad: 1))
      let inner = net.add("Relu", net.convolution(entry, 6, 6, 3, pad: 1))
      let sum = net.net.add("Add", [net.convolution(inner, 6, 6, 3, pad: 1), entry])
      let next = net.add("Relu", sum)
      let down = net.convolution(next, 6, 8, 3, stride: 2, pad: 1)
      let short = net.convolution(next, 6, 8, 1, stride: 2)
      let out = net.add("Relu", net.net.add("Add", [down, short]))
      let pooled = net.add("Flatten", net.add("GlobalAveragePool", out))
      return net.add("Softmax", net.dense(pooled, 8, 4))
    },
    DeltaNet("functions behind sums", [1, 7, 7]) { net, x in
      let first = net.pool(
        net.add("Tanh", net.convolution(x[0], 1, 4, 2)), size: 3, stride: 2, pad: 1)
      let second = net.add("Sigmoid", net.convolution(first, 4, 4, 2, dilation: 2))
      return net.dense(net.add("Flatten", second), 4, 3)
    },
    DeltaNet("branches joined", [3, 6, 6]) { net, x in
      let left = net.add("Relu", net.convolution(x[0], 3, 4, 3, pad: 1, groups: 1))
      let right = net.convolution(x[0], 3, 6, 3, pad: 1, groups: 3)
      let joined = net.net.add("Concat", [left, right, x[0]], ["axis": .int(1)])
      let mean = net.net.add(
        "AveragePool", [joined],
        [
          "kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]),
          "count_include_pad": .int(1),
        ])
      return net.dense(net.add("Flatten", mean), 13 * 9, 4)
    },
    DeltaNet("tokens", [5, 8]) { net, x in
      let embedded = net.add("Gelu", net.product(x[0], 8, 12))
      let scaled = net.net.add(
        "Mul", [embedded, net.net.constant(net.random.tensor([5, 12]))])
      let mean = net.net.add("ReduceMean", [scaled, net.net.integers([1])], ["keepdims": .int(0)])
      return net.dense(mean, 12, 3)
    },
    DeltaNet("two inputs", [4], [3]) { net, x in
      let joined = net.net.add("Concat", x, ["axis": .int(1)])
      let gate = net.add("Sigmoid", net.dense(x[1], 3, 6))
      let value = net.add("Relu", net.dense(joined, 7, 6))
      return net.dense(net.net.add("Mul", [value, gate]), 6, 2)
    },
    DeltaNet("rows never read", [1, 11, 5]) { net, x in
      let map = net.add("Relu", net.convolution(x[0], 1, 3, 2, stride: 3))
      return net.dense(net.add("Flatten", map), 3 * 4 * 2, 3)
    },
  ]
}

/// Layers with random weights.
struct DeltaLayers {
  var net = Net()
  var random: Seeded

  init(seed: Int) { random = Seeded(seed) }

  mutating func add(_ operation: String, _ x: String) -> String { net.add(operation, [x]) }

  mutating func dense(_ x: String, _ inputs: Int, _ outputs: Int) -> String {
    net.add(
      "Gemm",
      [
        x, net.constant(random.tensor([inputs, outputs])),
        net.constant(random.tensor([outputs])),
      ])
  }

  mutating func product(_ x: String, _ inputs: Int, _ outputs: Int) -> String {
    net.add("MatMul", [x, net.constant(random.tensor([inputs, outputs]))])
  }

  mutating func convolution(
    _ x: String, _ inputs: Int, _ outputs: Int, _ kernel: Int, stride: Int = 1, pad: Int = 0,
    dilation: Int = 1, groups: Int = 1
  ) -> String {
    net.add(
      "Conv",
      [
        x, net.constant(random.tensor([outputs, inputs / groups, kernel, kernel])),
        net.constant(random.tensor([outputs])),
      ],
      [
        "strides": .ints([stride, stride]), "pads": .ints([pad, pad, pad, pad]),
        "dilations": .ints([dilation, dilation]), "group": .int(groups),
      ])
  }

  mutating func pool(_ x: String, size: Int = 2, stride: Int = 2, pad: Int = 0) -> String {
    net.add(
      "MaxPool", [x],
      [
        "kernel_shape": .ints([size, size]), "strides": .ints([stride, stride]),
        "pads": .ints([pad, pad, pad, pad]),
      ])
  }
}
