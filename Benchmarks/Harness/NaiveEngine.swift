// The naive reference: the same network by plain loops in double precision, one example at a time, one thread.
//
// It knows the operators of the networks and nothing else, in the layout of ONNX. What it is for: a figure to compare
// with that needs no other library, and outputs to check everybody's against.

import Coalition
import Foundation

struct NaiveEngine {
  private let graph: Graph
  private let inputShape: [Int]
  private let constants: [String: [Double]]

  init(_ network: Network) {
    graph = network.graph
    inputShape = network.inputShape
    constants = graph.constants.mapValues(\.doubles)
  }

  /// Examples per second over about `seconds`, at least one example.
  func rate(seconds: Double) -> Double {
    let input = [Double](repeating: 0.5, count: inputShape.reduce(1, *))
    let clock = ContinuousClock()
    let start = clock.now
    var examples = 0.0
    while true {
      _ = outputs(input)
      examples += 1
      let elapsed = (clock.now - start) / .seconds(1)
      if elapsed >= seconds { return examples / elapsed }
    }
  }

  /// The largest difference of `outputs` from the reference for the examples of `Examples.check`.
  func largestDifference(from outputs: [Double]) throws -> Double {
    let input = try Examples.check(inputShape).doubles
    let size = inputShape.reduce(1, *)
    var expected: [Double] = []
    for start in stride(from: 0, to: input.count, by: size) {
      expected += self.outputs(Array(input[start..<start + size]))
    }
    guard expected.count == outputs.count else { return .infinity }
    return zip(expected, outputs).map { abs($0 - $1) }.max() ?? 0
  }

  /// A value of one example without its axis: channels first.
  private struct Value {
    var shape: [Int]
    var numbers: [Double]
  }

  private func outputs(_ input: [Double]) -> [Double] {
    var values = [graph.inputs[0].name: Value(shape: inputShape, numbers: input)]
    for node in graph.nodes {
      guard let x = values[node.inputs[0]] else { continue }
      let parameters = node.inputs.dropFirst().map { constants[$0] ?? values[$0]?.numbers ?? [] }
      values[node.outputs[0]] = apply(node, x, parameters)
    }
    return values[graph.outputs[0].name]?.numbers ?? []
  }

  private func apply(_ node: Node, _ x: Value, _ parameters: [[Double]]) -> Value {
    switch node.operation {
    case "Conv": return convolution(node, x, parameters)
    case "Gemm": return dense(x, parameters)
    case "BatchNormalization": return batchNormalization(x, parameters)
    case "Relu": return Value(shape: x.shape, numbers: x.numbers.map { max($0, 0) })
    case "MaxPool": return maxPool(x)
    case "Add": return Value(shape: x.shape, numbers: zip(x.numbers, parameters[0]).map { $0 + $1 })
    case "Flatten": return Value(shape: [x.numbers.count], numbers: x.numbers)
    case "GlobalAveragePool":
      let size = x.shape[1] * x.shape[2]
      let means = (0..<x.shape[0]).map { channel in
        x.numbers[channel * size..<(channel + 1) * size].reduce(0, +) / Double(size)
      }
      return Value(shape: [x.shape[0], 1, 1], numbers: means)
    default: return Value(shape: [], numbers: [])
    }
  }

  private func convolution(_ node: Node, _ x: Value, _ parameters: [[Double]]) -> Value {
    guard case .ints(let kernel)? = node.attributes["kernel_shape"],
      case .ints(let strides)? = node.attributes["strides"],
      case .ints(let pads)? = node.attributes["pads"]
    else { return Value(shape: [], numbers: []) }
    let (size, stride, pad) = (kernel[0], strides[0], pads[0])
    let (channels, height, width) = (x.shape[0], x.shape[1], x.shape[2])
    let weights = parameters[0]
    let outputs = weights.count / (channels * size * size)
    let outHeight = (height + 2 * pad - size) / stride + 1
    let outWidth = (width + 2 * pad - size) / stride + 1
    var numbers = [Double](repeating: 0, count: outputs * outHeight * outWidth)
    for o in 0..<outputs {
      for oy in 0..<outHeight {
        for ox in 0..<outWidth {
          var sum = parameters.count > 1 ? parameters[1][o] : 0
          for c in 0..<channels {
            for ky in 0..<size {
              let iy = oy * stride + ky - pad
              if iy < 0 || iy >= height { continue }
              for kx in 0..<size {
                let ix = ox * stride + kx - pad
                if ix < 0 || ix >= width { continue }
                sum +=
                  weights[((o * channels + c) * size + ky) * size + kx]
                  * x.numbers[(c * height + iy) * width + ix]
              }
            }
          }
          numbers[(o * outHeight + oy) * outWidth + ox] = sum
        }
      }
    }
    return Value(shape: [outputs, outHeight, outWidth], numbers: numbers)
  }

  private func dense(_ x: Value, _ parameters: [[Double]]) -> Value {
    let (weights, bias) = (parameters[0], parameters[1])
    let inputs = x.numbers.count
    let numbers = bias.indices.map { o in
      var sum = bias[o]
      for i in 0..<inputs { sum += weights[o * inputs + i] * x.numbers[i] }
      return sum
    }
    return Value(shape: [bias.count], numbers: numbers)
  }

  private func batchNormalization(_ x: Value, _ parameters: [[Double]]) -> Value {
    let (scale, shift, mean, variance) = (
      parameters[0], parameters[1], parameters[2], parameters[3]
    )
    let size = x.numbers.count / scale.count
    let numbers = x.numbers.indices.map { index in
      let c = index / size
      return scale[c] * (x.numbers[index] - mean[c]) / (variance[c] + 1e-5).squareRoot() + shift[c]
    }
    return Value(shape: x.shape, numbers: numbers)
  }

  private func maxPool(_ x: Value) -> Value {
    let (channels, height, width) = (x.shape[0], x.shape[1] / 2, x.shape[2] / 2)
    var numbers: [Double] = []
    for c in 0..<channels {
      for y in 0..<height {
        for x0 in 0..<width {
          let first = (c * x.shape[1] + 2 * y) * x.shape[2] + 2 * x0
          let second = first + x.shape[2]
          numbers.append(
            max(
              max(x.numbers[first], x.numbers[first + 1]),
              max(x.numbers[second], x.numbers[second + 1])))
        }
      }
    }
    return Value(shape: [channels, height, width], numbers: numbers)
  }
}
