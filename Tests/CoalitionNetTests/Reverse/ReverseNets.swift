// Small networks for the reverse mode: every family of operators, alone and in the company that makes it hard.

import CoalitionBase
import CoalitionNet
import TestSupport

/// A network of one output, and where its inputs are drawn from.
struct ReverseNet: Sendable, CustomStringConvertible {
  var name: String
  var graph: Graph
  var range: ClosedRange<Double>
  /// Whether DeepLIFT's rules share every change out completely.
  var isComplete: Bool
  var description: String { name }

  /// - Parameter build: makes the output from the inputs, which have been through a tanh when `isBehind`.
  init(
    _ name: String, _ sizes: [Int]..., range: ClosedRange<Double> = -2...2, opset: Int = 21,
    isBehind: Bool = true, isComplete: Bool = true,
    _ build: (inout Net, [String], inout Seeded) -> String
  ) {
    var net = Net(opset: opset)
    var random = Seeded(name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xFF_FFFF })
    var values: [String] = []
    for shape in sizes {
      let x = net.input(shape)
      values.append(isBehind ? net.add("Tanh", [x]) : x)
    }
    let result = build(&net, values, &random)
    net.output(result)
    (self.name, graph, self.range, self.isComplete) = (name, net.graph, range, isComplete)
  }

  static let all =
    convolutions + dense + pools + functions + pairs + movements + reductions + shared + whole

  /// One convolution: channels, map, outputs, kernel and attributes.
  private static func convolution(
    _ name: String, _ channels: Int, _ map: [Int], _ outputs: Int, _ kernel: [Int],
    strides: [Int]? = nil, dilations: [Int]? = nil, pads: [Int]? = nil, groups: Int = 1
  ) -> ReverseNet {
    ReverseNet("conv " + name, [channels] + map) { net, x, random in
      var attributes: [String: Attribute] = ["group": .int(groups)]
      if let strides { attributes["strides"] = .ints(strides) }
      if let dilations { attributes["dilations"] = .ints(dilations) }
      if let pads { attributes["pads"] = .ints(pads) }
      let weights = net.constant(random.tensor([outputs, channels / groups] + kernel))
      return net.add("Conv", [x[0], weights, net.constant(random.tensor([outputs]))], attributes)
    }
  }

  private static let convolutions = [
    convolution("1x1", 3, [3, 4], 5, [1, 1]),
    convolution("3x3 padded", 2, [5, 4], 3, [3, 3], pads: [1, 1, 1, 1]),
    convolution("17 outputs", 1, [4, 4], 17, [2, 2]),
    convolution("stride 2", 2, [7, 6], 3, [3, 3], strides: [2, 2]),
    convolution("stride 3", 2, [8, 9], 3, [3, 3], strides: [3, 3], pads: [1, 0, 0, 1]),
    convolution("strides 1 and 3", 2, [4, 10], 3, [2, 4], strides: [1, 3], pads: [0, 2, 1, 3]),
    convolution("stride beyond kernel", 2, [8, 9], 3, [2, 1], strides: [3, 2]),
    convolution(
      "stride beyond kernel, padded", 1, [9, 7], 2, [1, 2], strides: [4, 3], pads: [2, 1, 3, 0]),
    convolution("dilation 2", 2, [7, 8], 3, [3, 2], dilations: [2, 2]),
    convolution(
      "dilation 3, stride 2", 2, [9, 10], 3, [3, 3], strides: [2, 2], dilations: [3, 3],
      pads: [1, 2, 3, 0]),
    convolution(
      "dilation 2, stride 2", 1, [9, 9], 2, [3, 3], strides: [2, 2], dilations: [2, 2],
      pads: [2, 1, 0, 2]),
    convolution(
      "dilation 2, stride 4", 1, [10, 11], 2, [3, 2], strides: [4, 4], dilations: [2, 2],
      pads: [1, 1, 1, 1]),
    convolution(
      "dilation 4, stride 6", 1, [14, 15], 2, [2, 3], strides: [6, 6], dilations: [4, 4],
      pads: [3, 0, 2, 1]),
    convolution("pads beyond the kernel", 2, [3, 2], 2, [2, 3], pads: [4, 3, 5, 6]),
    convolution(
      "pads beyond the kernel, stride 2", 1, [3, 3], 2, [2, 2], strides: [2, 3],
      pads: [5, 4, 3, 6]),
    convolution("map smaller than the kernel", 2, [2, 1], 3, [5, 4], pads: [2, 1, 2, 3]),
    convolution("depthwise", 4, [5, 4], 4, [3, 3], pads: [1, 1, 1, 1], groups: 4),
    convolution(
      "depthwise, two each, stride 2", 3, [5, 6], 6, [3, 2], strides: [2, 2], groups: 3),
    convolution("two groups", 4, [4, 5], 6, [2, 3], strides: [1, 2], groups: 2),
    convolution(
      "20 channels a group", 40, [3, 2], 34, [2, 2], pads: [1, 0, 0, 1], groups: 2),
    convolution("one axis", 3, [9], 4, [3], strides: [2], pads: [2, 1]),
    convolution("one axis, dilated", 2, [9], 3, [3], dilations: [3], pads: [0, 4]),
    convolution("rows never read", 1, [10, 3], 2, [2, 2], strides: [7, 1]),
  ]

  private static func weighted(
    _ name: String, _ operation: String, _ sizes: [Int], _ shape: [Int], isLeft: Bool = false,
    attributes: [String: Attribute] = [:], bias: [Int]? = nil
  ) -> ReverseNet {
    ReverseNet("dense " + name, sizes) { net, x, random in
      let matrix = net.constant(random.tensor(shape))
      var inputs = isLeft ? [matrix, x[0]] : [x[0], matrix]
      if let bias { inputs.append(net.constant(random.tensor(bias))) }
      return net.add(operation, inputs, attributes)
    }
  }

  private static let dense = [
    weighted("Gemm", "Gemm", [7], [7, 5], bias: [5]),
    weighted(
      "Gemm transposed", "Gemm", [7], [5, 7],
      attributes: ["transB": .int(1), "alpha": .float(0.5), "beta": .float(-2)], bias: [1, 5]),
    weighted("MatMul", "MatMul", [7], [7, 5]),
    weighted("MatMul of rows", "MatMul", [4, 7], [7, 5]),
    weighted("MatMul with a vector", "MatMul", [4, 7], [7]),
    weighted("MatMul of stacks", "MatMul", [2, 4, 7], [2, 7, 3]),
    weighted("MatMul of broadcast stacks", "MatMul", [2, 4, 7], [1, 2, 7, 3]),
    weighted("MatMul on the left", "MatMul", [7, 3], [4, 7], isLeft: true),
    weighted("MatMul vector on the left", "MatMul", [7, 3], [7], isLeft: true),
    weighted("MatMul stacks on the left", "MatMul", [2, 4, 3], [2, 5, 4], isLeft: true),
    weighted("MatMul, one stack for all", "MatMul", [4, 3], [3, 5, 4], isLeft: true),
    ReverseNet("dense with examples in columns", [5]) { net, x, random in
      let columns = net.add("Transpose", [x[0]])
      let product = net.add("MatMul", [net.constant(random.tensor([6, 5])), columns])
      return net.add("Transpose", [product])
    },
    ReverseNet("dense Gemm on the left", [5]) { net, x, random in
      let inputs = [
        net.constant(random.tensor([6, 5])), x[0], net.constant(random.tensor([6, 1])),
      ]
      let attributes: [String: Attribute] = ["transB": .int(1), "beta": .float(0.5)]
      return net.add("Transpose", [net.add("Gemm", inputs, attributes)])
    },
    ReverseNet("dense Gemm with a computed term", [5], [3]) { net, x, random in
      net.add(
        "Gemm", [x[0], net.constant(random.tensor([5, 3])), x[1]], ["beta": .float(1.5)])
    },
    ReverseNet("dense with a bias behind and Relu", [5]) { net, x, random in
      let product = net.add("MatMul", [x[0], net.constant(random.tensor([5, 6]))])
      return net.add("Relu", [net.add("Add", [product, net.constant(random.tensor([6]))])])
    },
    ReverseNet("dense over channels-last features", [3, 4, 3]) { net, x, random in
      let map = net.add("Conv", [x[0], net.constant(random.tensor([2, 3, 2, 2]))])
      return net.add(
        "Gemm", [net.add("Flatten", [map]), net.constant(random.tensor([12, 4]))])
    },
  ]

  private static let functions: [ReverseNet] =
    [
      "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
      "Softplus", "Softsign", "Gelu", "Swish", "Mish", "Erf", "Exp", "Abs", "Neg",
    ].flatMap { operation in
      [
        ReverseNet(operation, [3, 5], range: -4...4, isBehind: false) { net, x, _ in
          net.add(operation, [x[0]])
        },
        ReverseNet(operation + " behind a convolution", [2, 4, 3]) { net, x, random in
          net.add(
            operation,
            [
              net.add(
                "Conv",
                [
                  x[0], net.constant(random.tensor([3, 2, 2, 2])),
                  net.constant(random.tensor([3])),
                ])
            ])
        },
      ]
    }
    + ["LeakyRelu", "Elu", "Celu", "HardSigmoid", "Swish"].map { operation in
      ReverseNet(operation + " with alpha", [9], range: -3...3, isBehind: false) { net, x, _ in
        net.add(operation, [x[0]], ["alpha": .float(0.375)])
      }
    }
    + ["Log", "Sqrt"].map { operation in
      ReverseNet(operation, [9], range: 0.25...4, isBehind: false) { net, x, _ in
        net.add(operation, [x[0]])
      }
    } + [
      ReverseNet("Gelu by tanh", [9], range: -4...4, isBehind: false) { net, x, _ in
        net.add("Gelu", [x[0]], ["approximate": .string("tanh")])
      },
      ReverseNet("Clip", [9], range: -3...3, isBehind: false) { net, x, _ in
        let bounds = [-0.5, 2].map { net.constant(Tensor(.float32([$0])).scalar) }
        return net.add("Clip", [x[0]] + bounds)
      },
      ReverseNet("Clip open above", [9], range: -3...3, opset: 6, isBehind: false) { net, x, _ in
        net.add("Clip", [x[0]], ["min": .float(-0.5)])
      },
    ]

  private static let pairs: [ReverseNet] =
    ["Add", "Sub", "Mul", "Div", "Max", "Min"].flatMap { operation in
      let range = operation == "Div" ? 0.5...2.0 : -2...2.0
      return [
        ReverseNet("\(operation) of one shape", [3, 4, 2], [3, 4, 2], range: range) { net, x, _ in
          net.add(operation, [x[0], x[1]])
        },
        ReverseNet("\(operation) with broadcasting", [3, 4, 2], [1, 4, 1], range: range) {
          net, x, _ in
          net.add(operation, [x[0], x[1]])
        },
        ReverseNet(
          "\(operation) with broadcasting on the left", [1, 1, 2], [3, 4, 2], range: range
        ) {
          net, x, _ in
          net.add(operation, [x[0], x[1]])
        },
        ReverseNet("\(operation) with broadcasting of both", [3, 1, 2], [1, 4, 1], range: range) {
          net, x, _ in
          net.add(operation, [x[0], x[1]])
        },
        ReverseNet("\(operation) of one value twice", [3, 4], range: range) { net, x, _ in
          net.add(operation, [x[0], x[0]])
        },
        ReverseNet("\(operation) of a value and its transpose", [4, 4], range: range) { net, x, _ in
          net.add(operation, [x[0], net.add("Transpose", [x[0]], ["perm": .ints([0, 2, 1])])])
        },
        ReverseNet("\(operation) by a constant", [3, 4], range: range) { net, x, random in
          net.add(operation, [x[0], net.constant(random.tensor([3, 1], 0.5...2))])
        },
        ReverseNet("\(operation) of a constant", [3, 4], range: range) { net, x, random in
          net.add(operation, [net.constant(random.tensor([2, 3, 4], 0.5...2).first), x[0]])
        },
      ]
    }
    + ["Sum", "Mean", "Max", "Min"].map { operation in
      ReverseNet("\(operation) of four", [3, 4], [1, 4]) { net, x, random in
        net.add(operation, [x[0], x[1], net.constant(random.tensor([3, 4])), x[0]])
      }
    } + [
      ReverseNet("PRelu", [3, 4], isBehind: false) { net, x, random in
        net.add("PRelu", [x[0], net.constant(random.tensor([3, 1]))])
      },
      ReverseNet("PRelu with a computed slope", [3, 4], [1, 4]) { net, x, _ in
        net.add("PRelu", [x[0], x[1]])
      },
    ]

  private static func movement(
    _ name: String, _ sizes: [Int] = [4, 3, 2], opset: Int = 21, isComplete: Bool = true,
    _ build: @escaping (inout Net, String) -> String
  ) -> [ReverseNet] {
    // In the order of the input, and in channels-last order.
    [false, true].map { isTurned in
      ReverseNet(
        name + (isTurned ? " behind a pool" : ""), sizes, opset: opset, isComplete: isComplete
      ) { net, x, _ in
        guard isTurned, sizes.count == 3 else { return build(&net, x[0]) }
        return build(
          &net, net.add("AveragePool", [x[0]], ["kernel_shape": .ints([1, 1])]))
      }
    }
  }

  private static let movements: [ReverseNet] =
    [
      movement("Reshape") { net, x in net.add("Reshape", [x, net.integers([0, 2, 2, 6])]) },
      movement("Transpose and Flatten") { net, x in
        net.add("Flatten", [net.add("Transpose", [x], ["perm": .ints([0, 3, 1, 2])])])
      },
      movement("Concat") { net, x in
        net.add("Concat", [x, net.add("Relu", [x]), x], ["axis": .int(2)])
      },
      movement("Concat with a constant") { net, x in
        let constant = net.constant(
          Tensor(filling: [1, 4, 1, 2], with: .float32((1...8).map { Float($0) })))
        return net.add("Concat", [constant, x], ["axis": .int(2)])
      },
      movement("Split into unequal parts") { net, x in
        let parts = net.add(
          "Split", [x, net.integers([1, 2, 1])], ["axis": .int(1)], outputs: 3)
        return net.add("Mul", [parts[1], net.add("Add", [parts[0], parts[2]])])
      },
      movement("Slice with steps") { net, x in
        net.add("Slice", [x] + [[3, 0], [-9, 3], [1, 2], [-2, 2]].map { net.integers($0) })
      },
      movement("Slices that overlap") { net, x in
        let parts = [0, 1].map { start in
          net.add("Slice", [x] + [[start], [start + 3], [1]].map { net.integers($0) })
        }
        return net.add("Mul", parts)
      },
      movement("Gather with repeats") { net, x in
        net.add("Gather", [x, net.integers([2, 0, 2, 3])], ["axis": .int(1)])
      },
      movement("Gather of one") { net, x in
        net.add("Gather", [x, net.integer(-1)], ["axis": .int(2)])
      },
      movement("Gather with a table of places") { net, x in
        let places = net.constant(Tensor(filling: [2, 3], with: .int64([0, 1, 1, 2, 0, 0])))
        return net.add("Gather", [x, places], ["axis": .int(2)])
      },
      movement("Expand", [4, 1, 2]) { net, x in
        net.add("Expand", [x, net.integers([1, 4, 3, 2])])
      },
      movement("Expand and Reshape", [4, 1, 2]) { net, x in
        net.add(
          "Reshape",
          [net.add("Expand", [x, net.integers([1, 4, 3, 2])]), net.integers([0, 12, 2])])
      },
      movement("Expand, then Relu", [4, 1, 2]) { net, x in
        net.add("Relu", [net.add("Expand", [x, net.integers([1, 4, 5, 2])])])
      },
      movement("Tile") { net, x in net.add("Tile", [x, net.integers([1, 2, 1, 3])]) },
      movement("Tile, then a product") { net, x in
        let tiled = net.add("Tile", [x, net.integers([1, 1, 2, 1])])
        let doubled = net.add("Concat", [x, net.add("Exp", [x])], ["axis": .int(2)])
        return net.add("Mul", [tiled, doubled])
      },
      movement("Squeeze and Unsqueeze", [4, 1, 2]) { net, x in
        net.add(
          "Unsqueeze", [net.add("Squeeze", [x, net.integers([2])]), net.integers([1, 4])])
      },
    ].flatMap { $0 }
    + ["constant", "reflect", "edge", "wrap"].flatMap { mode in
      [[1, 1, 2, 1], [0, 2, 1, 0], [2, 0, 0, 1]].flatMap { pads in
        movement("Pad \(mode) \(pads)", [2, 3, 4]) { net, x in
          net.add(
            "Pad",
            [
              x, net.integers([0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]]),
              net.constant(Tensor(scalar: 1.5)),
            ], ["mode": .string(mode)])
        }
      }
    } + [
      ReverseNet("Pad that cuts", [2, 4, 4]) { net, x, _ in
        net.add("Pad", [x[0], net.integers([0, 0, -1, 1, 0, 1, 2, -2])])
      }
    ]

  private static let reductions: [ReverseNet] =
    ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"].flatMap { operation in
      [[1], [2, 3], [1, 3], [1, 2, 3]].map { axes in
        ReverseNet("\(operation) over \(axes)", [3, 4, 5], opset: 18) { net, x, _ in
          net.add(
            operation, [x[0], net.integers(axes)], ["keepdims": .int(axes.count % 2)])
        }
      }
    }
    + ["Softmax", "LogSoftmax"].flatMap { operation in
      [
        ReverseNet(operation, [7], range: -3...3, isBehind: false, isComplete: false) {
          net, x, _ in
          net.add(operation, [x[0]])
        },
        ReverseNet("\(operation) in the middle", [3, 5, 4], isComplete: false) { net, x, _ in
          net.add("Mul", [net.add(operation, [x[0]], ["axis": .int(2)]), x[0]])
        },
        ReverseNet("\(operation) of old", [3, 5, 4], opset: 11, isComplete: false) { net, x, _ in
          net.add(operation, [x[0]], ["axis": .int(2)])
        },
      ]
    }

  private static let shared: [ReverseNet] = [
    ReverseNet("a value read three times", [6]) { net, x, _ in
      let a = net.add("Sigmoid", [x[0]])
      return net.add("Add", [net.add("Mul", [a, net.add("Exp", [a])]), net.add("Relu", [a])])
    },
    ReverseNet("a value read whole and in parts", [6]) { net, x, random in
      let a = net.add("MatMul", [x[0], net.constant(random.tensor([6, 6]))])
      let part = net.add("Slice", [a] + [[1], [4], [1]].map { net.integers($0) })
      let other = net.add("Slice", [a] + [[2], [5], [1]].map { net.integers($0) })
      let sum = net.add("ReduceSum", [a, net.integers([1])])
      return net.add("Add", [net.add("Mul", [part, other]), sum])
    },
    ReverseNet("a part sent before the whole", [6]) { net, x, _ in
      let a = net.add("Exp", [x[0]])
      let whole = net.add("Tanh", [a])
      let part = net.add("Gather", [a, net.integers([5, 1])], ["axis": .int(1)])
      return net.add("Concat", [whole, part, a], ["axis": .int(1)])
    },
    ReverseNet("the input itself", [2, 3], isBehind: false) { net, x, _ in
      net.add("Identity", [x[0]])
    },
    ReverseNet("an input that only adds", [2, 3], [2, 3], isBehind: false) { net, x, _ in
      net.add("Sub", [net.add("Mul", [x[0], x[0]]), x[1]])
    },
    // The transposes of these two read taps {1, 3} and {0, 3} of the same weights, at the same sizes.
    ReverseNet("one set of weights at two strides", [2, 8], [2, 10]) { net, x, random in
      let weights = net.constant(random.tensor([3, 2, 4]))
      let maps = zip(x, [2, 3]).map { x, stride in
        net.add("Conv", [x, weights], ["strides": .ints([stride])])
      }
      return net.add("Mul", maps)
    },
  ]

  private static let whole: [ReverseNet] = [
    ReverseNet("residual net with batch normalisation", [2, 6, 6], isBehind: false) {
      net, x, random in
      func normalised(_ value: String, _ channels: Int) -> String {
        net.add(
          "BatchNormalization",
          [value]
            + [-1.0...1, -1...1, -1...1, 0.25...2].map {
              net.constant(random.tensor([channels], $0))
            })
      }
      func convolution(_ value: String, _ inputs: Int, _ outputs: Int, _ kernel: Int) -> String {
        net.add(
          "Conv", [value, net.constant(random.tensor([outputs, inputs, kernel, kernel]))],
          ["pads": .ints([Int](repeating: kernel / 2, count: 4))])
      }
      // In front of a convolution, so that it cannot be folded.
      var value = net.add("Relu", [convolution(normalised(x[0], 2), 2, 4, 3)])
      let block = normalised(
        convolution(net.add("Relu", [normalised(convolution(value, 4, 4, 3), 4)]), 4, 6, 3), 6)
      value = net.add("Relu", [net.add("Add", [block, convolution(value, 4, 6, 1)])])
      value = net.add(
        "MaxPool", [value],
        ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 0, 0])])
      value = net.add("Flatten", [net.add("GlobalAveragePool", [value])])
      return net.add(
        "Gemm", [value, net.constant(random.tensor([6, 3])), net.constant(random.tensor([3]))])
    },
    ReverseNet("gates", [5], [4], isBehind: false) { net, x, random in
      func dense(_ value: String, _ inputs: Int) -> String {
        net.add(
          "Gemm",
          [value, net.constant(random.tensor([inputs, 6])), net.constant(random.tensor([6]))]
        )
      }
      let gate = net.add("Sigmoid", [net.add("Add", [dense(x[0], 5), dense(x[1], 4)])])
      let state = net.add("Tanh", [dense(x[0], 5)])
      let kept = net.add("Mul", [gate, state])
      let one = net.constant(Tensor(scalar: 1))
      let rest = net.add("Mul", [net.add("Sub", [one, gate]), dense(x[1], 4)])
      return dense(net.add("Max", [net.add("Add", [kept, rest]), state]), 6)
    },
    ReverseNet("layer normalisation by parts", [3, 5], isBehind: false, isComplete: true) {
      net, x, _ in
      let keep: [String: Attribute] = ["keepdims": .int(1)]
      let mean = net.add("ReduceMean", [x[0], net.integers([2])], keep)
      let centred = net.add("Sub", [x[0], mean])
      let square = net.add("Mul", [centred, centred])
      let variance = net.add("ReduceMean", [square, net.integers([2])], keep)
      let deviation = net.add(
        "Sqrt", [net.add("Add", [variance, net.constant(Tensor(scalar: 0.125))])])
      return net.add("Div", [centred, deviation])
    },
  ]
}

extension Tensor {
  /// The first number, without axes.
  fileprivate var scalar: Tensor { Tensor(filling: [], with: elements) }

  /// The first slice along the first axis.
  fileprivate var first: Tensor {
    Tensor(
      filling: Array(shape.dropFirst()),
      with: .float64(Array(doubles.prefix(count / shape[0])))
    ).as(elementType)
  }
}
