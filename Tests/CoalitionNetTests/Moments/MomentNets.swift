// Networks for the moment mode, with the values at which affine maps of their inputs end.

import CoalitionBase
import CoalitionNet
import TestSupport

/// A network, of one input and one front unless it says otherwise.
struct MomentNet: Sendable, CustomStringConvertible {
  var name: String
  var graph: Graph
  /// The fronts, values of the graph.
  var fronts: [String]
  /// Per input of the graph.
  var shapes: [[Int]]
  /// What moments of its functions may be off by, relative to the values.
  var tolerance: Double
  var description: String { name }
  var elementCount: Int { shapes.reduce(0) { $0 + $1.reduce(1, *) } }

  init(
    _ name: String, _ size: [Int], tolerance: Double = 3e-5,
    build: (inout DeltaLayers, String) -> (front: String, output: String)
  ) {
    self.init(name, inputs: [size], tolerance: tolerance) { net, x in
      let (front, output) = build(&net, x[0])
      return ([front], output)
    }
  }

  init(
    _ name: String, inputs: [[Int]], tolerance: Double = 3e-5,
    build: (inout DeltaLayers, [String]) -> (fronts: [String], output: String)
  ) {
    var layers = DeltaLayers(seed: name.utf8.count)
    let names = inputs.map { layers.net.input($0) }
    let (fronts, output) = build(&layers, names)
    layers.net.output(output)
    (self.name, graph, self.fronts) = (name, layers.net.graph, fronts)
    (shapes, self.tolerance) = (inputs, tolerance)
  }

  /// Those whose covariance is small enough to be carried whole.
  static let small = all.filter { $0.elementCount <= 16 }

  static let all = [
    MomentNet("dense, relu", [6]) { net, x in
      let front = net.dense(x, 6, 17)
      let second = net.add("Relu", net.dense(net.add("Relu", front), 17, 9))
      return (front, net.dense(second, 9, 3))
    },
    MomentNet("dense, leaky relu and clip", [5]) { net, x in
      let front = net.dense(x, 5, 12)
      let first = net.net.add("LeakyRelu", [front], ["alpha": .float(0.2)])
      let bounds = [-0.5, 0.7].map { net.net.constant(Tensor(filling: [], with: .float64([$0]))) }
      let second = net.net.add("Clip", [net.dense(first, 12, 8)] + bounds)
      return (front, net.dense(second, 8, 2))
    },
    MomentNet("dense, tanh", [6], tolerance: 2e-3) { net, x in
      let front = net.dense(x, 6, 11)
      return (front, net.dense(net.add("Tanh", front), 11, 2))
    },
    MomentNet("dense, gelu and sigmoid", [6], tolerance: 2e-3) { net, x in
      let front = net.dense(x, 6, 11)
      let second = net.dense(net.add("Gelu", front), 11, 7)
      return (front, net.dense(net.add("Sigmoid", second), 7, 2))
    },
    MomentNet("convolutions and max pools", [2, 8, 8]) { net, x in
      let front = net.convolution(x, 2, 4, 3, pad: 1)
      let first = net.pool(net.add("Relu", front))
      let second = net.pool(
        net.add("Relu", net.convolution(first, 4, 5, 3, stride: 1, pad: 1)), size: 3, stride: 2,
        pad: 1)
      return (front, net.dense(net.add("Flatten", second), 20, 3))
    },
    MomentNet("convolutions joined in front of a max pool", [2, 6, 6]) { net, x in
      let parts = [net.convolution(x, 2, 3, 3, pad: 1), net.convolution(x, 2, 2, 1)]
      let front = net.net.add("Concat", parts, ["axis": .int(1)])
      let first = net.add("Relu", net.pool(front))
      return (front, net.dense(net.add("Flatten", first), 45, 2))
    },
    MomentNet("max pools of what does not increase, or not alike", [2, 5, 5], tolerance: 2e-3) {
      net, x in
      let front = net.convolution(x, 2, 3, 2)
      let first = net.pool(net.net.add("LeakyRelu", [front], ["alpha": .float(-0.4)]))
      let (a, b) = (net.convolution(first, 3, 2, 1), net.convolution(first, 3, 2, 1))
      let both = net.net.add(
        "Concat", [net.add("Relu", a), net.add("Tanh", b)], ["axis": .int(1)])
      return (front, net.dense(net.add("Flatten", net.pool(both)), 4, 2))
    },
    MomentNet("strided, grouped, average pools", [4, 9, 7]) { net, x in
      let front = net.convolution(x, 4, 6, 3, stride: 2, pad: 1, groups: 2)
      let first = net.add("Relu", front)
      let mean = net.net.add(
        "AveragePool", [first],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([1, 1]), "pads": .ints([1, 0, 0, 1])])
      let last = net.add("GlobalAveragePool", net.add("Relu", net.convolution(mean, 6, 5, 2)))
      return (front, net.dense(net.add("Flatten", last), 5, 2))
    },
    MomentNet("residual", [2, 6, 6]) { net, x in
      let front = net.convolution(x, 2, 4, 3, pad: 1)
      let entry = net.add("Relu", front)
      let inner = net.add("Relu", net.convolution(entry, 4, 4, 3, pad: 1))
      let sum = net.net.add("Add", [net.convolution(inner, 4, 4, 3, pad: 1), entry])
      let twice = net.net.add("Add", [sum, sum])
      return (front, net.dense(net.add("Flatten", net.add("Relu", twice)), 144, 2))
    },
    MomentNet("branches and gates", [7], tolerance: 2e-3) { net, x in
      let front = net.dense(x, 7, 10)
      let value = net.dense(net.add("Relu", front), 10, 6)
      let gate = net.add("Sigmoid", net.dense(net.add("Relu", front), 10, 6))
      let scaled = net.net.add(
        "Mul", [net.net.add("Mul", [value, gate]), net.net.constant(net.random.tensor([6]))])
      let joined = net.net.add("Concat", [scaled, value], ["axis": .int(1)])
      return (front, net.dense(joined, 12, 2))
    },
    MomentNet("softmax inside", [6], tolerance: 1e-3) { net, x in
      let front = net.dense(x, 6, 5)
      let share = net.net.add("Softmax", [net.dense(net.add("Relu", front), 5, 4)])
      return (front, net.dense(share, 4, 2))
    },
    MomentNet("larger and smaller ones", [6]) { net, x in
      let front = net.dense(x, 6, 9)
      let first = net.add("Relu", front)
      let (a, b) = (net.dense(first, 9, 7), net.dense(first, 9, 7))
      let ends = [net.net.add("Max", [a, b]), net.net.add("Min", [b, a])]
      return (front, net.dense(net.net.add("Concat", ends, ["axis": .int(1)]), 14, 2))
    },
    MomentNet("a quotient and a learned slope", [6], tolerance: 2e-3) { net, x in
      let front = net.dense(x, 6, 8)
      let slope = net.net.constant(Tensor(filling: [1], with: .float64([0.3])))
      let first = net.net.add("PRelu", [front, slope])
      let one = net.net.constant(Tensor(filling: [], with: .float64([1])))
      let below = net.net.add("Add", [net.add("Sigmoid", net.dense(first, 8, 5)), one])
      let ratio = net.net.add("Div", [net.dense(first, 8, 5), below])
      return (front, net.dense(net.add("Relu", net.dense(ratio, 5, 4)), 4, 2))
    },
    MomentNet("log softmax, and relus of it", [6], tolerance: 1e-3) { net, x in
      let front = net.dense(x, 6, 7)
      let share = net.net.add("LogSoftmax", [net.dense(net.add("Relu", front), 7, 5)])
      return (front, net.dense(net.add("Relu", net.dense(share, 5, 6)), 6, 2))
    },
    MomentNet("a square, and products of two layers", inputs: [[6]], tolerance: 1e-3) { net, x in
      let front = net.dense(x[0], 6, 7)
      let inner = net.add("Relu", front)
      let (a, b) = (net.dense(inner, 7, 5), net.dense(inner, 7, 5))
      let square = net.net.add("Mul", [a, a])
      let product = net.net.add("Mul", [a, b])
      let both = net.net.add("Concat", [square, product], ["axis": .int(1)])
      return ([front], net.dense(net.add("Relu", net.dense(both, 10, 6)), 6, 2))
    },
    MomentNet("two fronts: squared, and multiplied", inputs: [[6]], tolerance: 1e-3) { net, x in
      let (a, b) = (net.dense(x[0], 6, 5), net.dense(x[0], 6, 5))
      let square = net.net.add("Mul", [a, a])
      let product = net.net.add("Mul", [a, b])
      let sum = net.net.add("Add", [square, product])
      return ([a, b], net.dense(net.add("Relu", net.dense(sum, 5, 6)), 6, 2))
    },
    MomentNet("two inputs, a front each, that meet", inputs: [[4], [2, 3]], tolerance: 2e-3) {
      net, x in
      let a = net.dense(x[0], 4, 6)
      let b = net.dense(net.add("Flatten", x[1]), 6, 6)
      let (left, right) = (net.add("Relu", a), net.add("Sigmoid", b))
      let product = net.net.add("Mul", [net.dense(left, 6, 5), net.dense(right, 6, 5)])
      let sum = net.net.add("Add", [left, right])
      let both = net.net.add("Concat", [product, sum], ["axis": .int(1)])
      return ([a, b], net.dense(net.add("Relu", net.dense(both, 11, 5)), 5, 2))
    },
    MomentNet("one front of two inputs, and one of both joined", inputs: [[4], [3]]) { net, x in
      let sum = net.net.add("Add", [net.dense(x[0], 4, 6), net.dense(x[1], 3, 6)])
      let joined = net.dense(net.net.add("Concat", x, ["axis": .int(1)]), 7, 6)
      let larger = net.net.add("Max", [net.add("Relu", sum), net.add("Relu", joined)])
      return ([sum, joined], net.dense(larger, 6, 2))
    },
  ]
}
