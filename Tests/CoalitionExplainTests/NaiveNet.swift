// The methods written down layer by layer from their formulas, for nets of matrices: independent of the package.

import Glibc

/// z = W a + b, with 0 in `structure` where an input does not belong to an output at all.
struct Layer {
  var weights: [[Double]]
  var bias: [Double]
  var structure: [[Double]]

  init(weights: [[Double]], bias: [Double], structure: [[Double]]? = nil) {
    self.weights = weights
    self.bias = bias
    self.structure = structure ?? weights.map { $0.map { _ in 1 } }
  }

  var outputs: Int { weights.count }
  var inputs: Int { weights[0].count }

  func callAsFunction(_ x: [Double]) -> [Double] {
    zip(product(weights, x), bias).map { $0 + $1 }
  }

  /// A convolution of maps [channels][height][width] as a matrix.
  static func convolution(
    _ numbers: [Double], bias: [Double], channels: Int, map: (Int, Int), outputs: Int,
    kernel: (Int, Int), stride: (Int, Int), pads: [Int]
  ) -> Layer {
    let height = (map.0 + pads[0] + pads[2] - kernel.0) / stride.0 + 1
    let width = (map.1 + pads[1] + pads[3] - kernel.1) / stride.1 + 1
    var rows: [[Double]] = []
    var structure: [[Double]] = []
    var biases: [Double] = []
    for o in 0..<outputs {
      for y in 0..<height {
        for x in 0..<width {
          var row = [Double](repeating: 0, count: channels * map.0 * map.1)
          var taps = row
          for c in 0..<channels {
            for ky in 0..<kernel.0 {
              for kx in 0..<kernel.1 {
                let (iy, ix) = (y * stride.0 + ky - pads[0], x * stride.1 + kx - pads[1])
                guard (0..<map.0).contains(iy), (0..<map.1).contains(ix) else { continue }
                let place = (c * map.0 + iy) * map.1 + ix
                row[place] = numbers[((o * channels + c) * kernel.0 + ky) * kernel.1 + kx]
                taps[place] = 1
              }
            }
          }
          rows.append(row)
          structure.append(taps)
          biases.append(bias[o])
        }
      }
    }
    return Layer(weights: rows, bias: biases, structure: structure)
  }
}

func product(_ matrix: [[Double]], _ x: [Double]) -> [Double] {
  matrix.map { row in zip(row, x).reduce(0) { $0 + $1.0 * $1.1 } }
}

func transposed(_ matrix: [[Double]], _ y: [Double]) -> [Double] {
  matrix[0].indices.map { i in matrix.indices.reduce(0) { $0 + matrix[$1][i] * y[$1] } }
}

/// An activation with its derivative.
enum Activation: String, CaseIterable {
  case relu = "Relu"
  case tanh = "Tanh"
  case sigmoid = "Sigmoid"
  case softplus = "Softplus"

  func callAsFunction(_ z: Double) -> Double {
    switch self {
    case .relu: max(z, 0)
    case .tanh: Glibc.tanh(z)
    case .sigmoid: 1 / (1 + exp(-z))
    case .softplus: log1p(exp(z))
    }
  }

  func slope(_ z: Double) -> Double {
    switch self {
    case .relu: z > 0 ? 1 : 0
    case .tanh: 1 - self(z) * self(z)
    case .sigmoid: self(z) * (1 - self(z))
    case .softplus: 1 / (1 + exp(-z))
    }
  }
}

/// Layers with an activation between them.
struct NaiveNet {
  var layers: [Layer]
  var activation: Activation

  init(_ layers: [Layer], _ activation: Activation) {
    self.layers = layers
    self.activation = activation
  }

  func sketch() -> (Sketch, output: String) {
    var sketch = Sketch()
    var value = sketch.input("x", [layers[0].inputs])
    for (index, layer) in layers.enumerated() {
      value = sketch.dense(value, layer)
      if index + 1 < layers.count { value = sketch.add(activation.rawValue, [value]) }
    }
    return (sketch, value)
  }

  /// Inputs and pre-activations of all layers.
  func trace(_ x: [Double]) -> (inputs: [[Double]], pre: [[Double]]) {
    var inputs = [x]
    var pre: [[Double]] = []
    for layer in layers {
      pre.append(layer(inputs[inputs.count - 1]))
      inputs.append(pre[pre.count - 1].map { activation($0) })
    }
    return (inputs, pre)
  }

  func scores(_ x: [Double]) -> [Double] { trace(x).pre[layers.count - 1] }

  /// The gradient of one score with `slope(layer, unit)` for the activations' derivatives.
  func modifiedGradient(_ target: Int, slope: (Int, Int) -> Double) -> [Double] {
    var signal = layers[layers.count - 1].weights[target]
    for index in layers.indices.dropLast().reversed() {
      let sloped = signal.enumerated().map { $1 * slope(index, $0) }
      signal = transposed(layers[index].weights, sloped)
    }
    return signal
  }

  func gradient(_ x: [Double], _ target: Int) -> [Double] {
    let pre = trace(x).pre
    return modifiedGradient(target) { activation.slope(pre[$0][$1]) }
  }

  static func stabilised(_ z: Double, _ epsilon: Double) -> Double {
    z < 0 ? z - epsilon : z + epsilon
  }

  /// r_i = sum_j z_ji / st(z_j) r_j through all layers but the last one, whose own share is exact.
  func epsilonRecursion(_ x: [Double], _ target: Int, _ epsilon: Double) -> [Double] {
    let (inputs, pre) = trace(x)
    var relevance = pre[layers.count - 1].enumerated().map { $0 == target ? $1 : 0 }
    for index in layers.indices.reversed() {
      let layer = layers[index]
      let share = zip(relevance, pre[index]).map { $0 / Self.stabilised($1, epsilon) }
      relevance = zip(transposed(layer.weights, share), inputs[index]).map { $0 * $1 }
    }
    return relevance
  }

  /// r_i = sum_j (z_ji - z'_ji) / (z_j - z'_j) r_j from the change of the score.
  func deepLIFTRecursion(_ x: [Double], _ baseline: [Double], _ target: Int) -> [Double] {
    let (a, z) = trace(x)
    let (b, y) = trace(baseline)
    let last = layers.count - 1
    var relevance = zip(z[last], y[last]).enumerated().map {
      $0 == target ? $1.0 - $1.1 : 0
    }
    for index in layers.indices.reversed() {
      let share = zip(relevance, zip(z[index], y[index])).map { r, change in
        change.0 == change.1 ? 0 : r / (change.0 - change.1)
      }
      let back = transposed(layers[index].weights, share)
      relevance = back.indices.map { back[$0] * (a[index][$0] - b[index][$0]) }
    }
    return relevance
  }

  /// Relevance by one rule in every layer, from the score of the target; activations pass it on.
  func relevance(
    _ x: [Double], _ target: Int, _ rule: (Int, Layer, [Double], [Double]) -> [Double]
  ) -> [Double] {
    let (inputs, pre) = trace(x)
    var relevance = pre[layers.count - 1].enumerated().map { $0 == target ? $1 : 0 }
    for index in layers.indices.reversed() {
      relevance = rule(index, layers[index], inputs[index], relevance)
    }
    return relevance
  }
}

/// The relevance rules for one layer: R_in from a and R, as direct matrix formulas.
enum NaiveRules {
  static let epsilon = 1e-6

  private static func positive(_ x: [Double]) -> [Double] { x.map { max($0, 0) } }
  private static func negative(_ x: [Double]) -> [Double] { x.map { min($0, 0) } }
  private static func add(_ x: [Double]...) -> [Double] {
    x[0].indices.map { i in x.reduce(0) { $0 + $1[i] } }
  }
  private static func times(_ x: [Double], _ y: [Double]) -> [Double] {
    zip(x, y).map { $0 * $1 }
  }
  private static func shares(_ r: [Double], _ z: [Double], _ e: Double = epsilon) -> [Double] {
    zip(r, z).map { $0 / NaiveNet.stabilised($1, e) }
  }

  static func epsilon(_ e: Double, _ layer: Layer, _ a: [Double], _ r: [Double]) -> [Double] {
    times(a, transposed(layer.weights, shares(r, layer(a), e)))
  }

  /// a+ by `up`, a- by `down`, and `bias` in the denominator only.
  private static func split(
    _ up: [[Double]], _ down: [[Double]], _ bias: [Double], _ a: [Double], _ r: [Double]
  ) -> [Double] {
    let (p, n) = (positive(a), negative(a))
    let s = shares(r, add(product(up, p), product(down, n), bias))
    return add(times(p, transposed(up, s)), times(n, transposed(down, s)))
  }

  static func alphaBeta(
    _ alpha: Double, _ beta: Double, _ layer: Layer, _ a: [Double], _ r: [Double]
  ) -> [Double] {
    let (up, down) = (layer.weights.map(positive), layer.weights.map(negative))
    let excites = split(up, down, positive(layer.bias), a, r)
    let inhibits = split(down, up, negative(layer.bias), a, r)
    return zip(excites, inhibits).map { alpha * $0 - beta * $1 }
  }

  static func zPlus(_ layer: Layer, _ a: [Double], _ r: [Double]) -> [Double] {
    split(
      layer.weights.map(positive), layer.weights.map(negative), positive(layer.bias), a, r)
  }

  static func gamma(
    _ gamma: Double, _ layer: Layer, _ a: [Double], _ r: [Double]
  ) -> [Double] {
    func raised(_ x: [Double]) -> [Double] { x.map { $0 + gamma * max($0, 0) } }
    func lowered(_ x: [Double]) -> [Double] { x.map { $0 + gamma * min($0, 0) } }
    let z = layer(a)
    let (up, down) = (layer.weights.map(raised), layer.weights.map(lowered))
    return add(
      split(up, down, raised(layer.bias), a, zip(r, z).map { $1 > 0 ? $0 : 0 }),
      split(down, up, lowered(layer.bias), a, zip(r, z).map { $1 < 0 ? $0 : 0 }))
  }

  static func zBox(
    _ low: Double, _ high: Double, _ layer: Layer, _ a: [Double], _ r: [Double]
  ) -> [Double] {
    let (up, down) = (layer.weights.map(positive), layer.weights.map(negative))
    let (l, h) = (a.map { _ in low }, a.map { _ in high })
    let z = add(
      product(layer.weights, a), product(up, l).map { -$0 }, product(down, h).map { -$0 })
    let s = shares(r, z)
    return add(
      times(a, transposed(layer.weights, s)), times(l, transposed(up, s)).map { -$0 },
      times(h, transposed(down, s)).map { -$0 })
  }

  static func wSquare(_ layer: Layer, _ a: [Double], _ r: [Double]) -> [Double] {
    let squares = layer.weights.map { $0.map { $0 * $0 } }
    return transposed(squares, shares(r, squares.map { $0.reduce(0, +) }))
  }

  static func flat(_ layer: Layer, _ a: [Double], _ r: [Double]) -> [Double] {
    transposed(layer.structure, shares(r, layer.structure.map { $0.reduce(0, +) }))
  }
}
