// Networks around pools, for the tests of the reverse mode.

import CoalitionBase
import CoalitionNet
import TestSupport

extension ReverseNet {
  /// Name, kernel, strides, pads, ceil mode, dilations.
  private static let poolWindows: [(String, [Int], [Int], [Int], Int, [Int])] = [
    ("tiles", [2, 2], [2, 2], [0, 0, 0, 0], 0, [1, 1]),
    ("overlapping, padded", [3, 3], [2, 2], [1, 1, 1, 1], 0, [1, 1]),
    ("ceil", [3, 2], [2, 3], [1, 0, 0, 1], 1, [1, 1]),
    ("dilated", [3, 2], [1, 2], [0, 0, 0, 0], 0, [2, 3]),
    ("dilated, ceil, padded", [2, 3], [2, 2], [1, 1, 1, 1], 1, [3, 2]),
    ("apart", [2, 1], [3, 4], [0, 0, 0, 0], 0, [1, 1]),
    ("all over", [2, 2], [1, 1], [1, 0, 0, 1], 0, [1, 1]),
  ]

  private static func windowed(_ operation: String) -> [ReverseNet] {
    poolWindows.flatMap { name, kernel, strides, pads, ceil, dilations in
      (operation == "AveragePool" ? [0, 1] : [0]).map { counts in
        ReverseNet("\(operation) \(name)\(counts == 1 ? ", counting pads" : "")", [3, 7, 8]) {
          net, x, _ in
          var attributes: [String: Attribute] = [
            "kernel_shape": .ints(kernel), "strides": .ints(strides), "pads": .ints(pads),
            "ceil_mode": .int(ceil), "dilations": .ints(dilations),
          ]
          if operation == "AveragePool" { attributes["count_include_pad"] = .int(counts) }
          return net.add(operation, [x[0]], attributes)
        }
      }
    }
  }

  private static func otherPools(_ operation: String) -> [ReverseNet] {
    [
      ReverseNet("\(operation) of one axis", [3, 9]) { net, x, _ in
        net.add(operation, [x[0]], ["kernel_shape": .ints([3]), "strides": .ints([2])])
      },
      ReverseNet("Global\(operation)", [5, 4, 3]) { net, x, _ in
        net.add("Global" + operation, [x[0]])
      },
      ReverseNet("\(operation) behind a fused Relu", [2, 6, 6]) { net, x, random in
        let map = net.add(
          "Relu", [net.add("Conv", [x[0], net.constant(random.tensor([4, 2, 3, 3]))])])
        return net.add(
          operation, [map], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
      },
    ]
  }

  static let pools: [ReverseNet] = ["MaxPool", "AveragePool"].flatMap {
    windowed($0) + otherPools($0)
  }
}
