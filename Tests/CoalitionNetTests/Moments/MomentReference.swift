// The reference for moment propagation: a naive interpreter of graphs on means, rests and factors in double precision.
//
// It shares no code with the package but `Graph`. Affine nodes are known by what the plain reference makes of single
// elements; functions of one number by a fine quadrature; maxima by Clark's formulas as they are printed.

import CoalitionBase
import CoalitionNet
import Foundation

/// A value of which every element is a normal variable.
struct RandomGrid {
  var mean: Grid
  var rest: [Double]
  /// [factor][element]
  var factors: [[Double]]

  var total: [Double] {
    rest.indices.map { place in factors.reduce(rest[place]) { $0 + $1[place] * $1[place] } }
  }
}

struct MomentReference {
  let graph: Graph
  private var fixed: [String: Grid] = [:]
  private var random: [String: RandomGrid] = [:]

  private static let affine: Set<String> = [
    "Conv", "Gemm", "MatMul", "BatchNormalization", "AveragePool", "GlobalAveragePool",
    "ReduceMean",
    "Flatten", "Reshape", "Transpose", "Concat", "Add", "Sub", "Neg", "Identity",
  ]

  /// All values behind the fronts.
  /// - Parameters:
  ///   - fronts: values that are random, by name; what makes them is left out.
  ///   - held: inputs that are read besides.
  static func run(
    _ graph: Graph, fronts: [String: RandomGrid], held: [String: Grid] = [:]
  ) -> [String: RandomGrid] {
    var reference = MomentReference(graph: graph)
    for (name, tensor) in graph.constants { reference.fixed[name] = Grid(tensor) }
    for (name, grid) in held { reference.fixed[name] = grid }
    reference.random = fronts
    for node in graph.nodes where !node.outputs.contains(where: { fronts[$0] != nil }) {
      // Nodes in front of the fronts read nothing that is known.
      let isKnown = node.inputs.allSatisfy {
        $0.isEmpty || reference.fixed[$0] != nil || reference.random[$0] != nil
      }
      if isKnown { reference.pass(node) }
    }
    return reference.random
  }

  private init(graph: Graph) { self.graph = graph }

  private func value(_ name: String) -> Grid? {
    name.isEmpty ? nil : fixed[name] ?? random[name]?.mean
  }

  private func call(_ node: Node, _ changed: [String: Grid] = [:]) -> Grid {
    Reference.Call(
      node: node, opset: graph.opsets[""] ?? 0, inputs: node.inputs.map { changed[$0] ?? value($0) }
    ).outputs()[0]
  }

  private mutating func pass(_ node: Node) {
    let output = node.outputs[0]
    let names = Set(node.inputs.filter { random[$0] != nil })
    guard !names.isEmpty else {
      fixed[output] = call(node)
      return
    }
    switch node.operation {
    case "MaxPool": random[output] = maxima(node)
    case "Softmax": random[output] = softmax(node)
    case "LogSoftmax": random[output] = logSoftmax(node)
    case "Mul" where node.inputs[0] == node.inputs[1]:
      if let source = random[node.inputs[0]] { random[output] = square(source) }
    case "Mul" where names.count == 2:
      if let a = random[node.inputs[0]], let b = random[node.inputs[1]] {
        random[output] = product(a, b)
      }
    case "Div" where names.count == 2:
      if let a = random[node.inputs[0]], let b = random[node.inputs[1]] {
        random[output] = product(a, inverse(b))
      }
    case "Max" where names.count == 2, "Min" where names.count == 2:
      random[output] = selection(node)
    case "Mul": random[output] = affine(node, names)
    case _ where Self.affine.contains(node.operation): random[output] = affine(node, names)
    default:
      guard let source = random[node.inputs[0]] else { preconditionFailure("\(node.operation)") }
      random[output] = function(node, of: source)
    }
  }

  // MARK: Rules

  private func affine(_ node: Node, _ names: Set<String>) -> RandomGrid {
    let mean = call(node)
    let rank = names.compactMap { random[$0]?.factors.count }.max() ?? 0
    func change(_ moved: [String: [Double]]) -> [Double] {
      var inputs: [String: Grid] = [:]
      for (name, step) in moved {
        guard var grid = value(name) else { continue }
        for place in step.indices { grid.values[place] += step[place] }
        inputs[name] = grid
      }
      return zip(call(node, inputs).values, mean.values).map { $0 - $1 }
    }
    let factors = (0..<rank).map { factor in
      change(
        Dictionary(uniqueKeysWithValues: names.map { ($0, random[$0]?.factors[factor] ?? []) }))
    }
    var rest = [Double](repeating: 0, count: mean.values.count)
    for name in names.sorted() {
      guard let source = random[name] else { continue }
      for place in source.rest.indices where source.rest[place] > 0 {
        var unit = [Double](repeating: 0, count: source.rest.count)
        unit[place] = 1
        for (target, weight) in change([name: unit]).enumerated() {
          rest[target] += weight * weight * source.rest[place]
        }
      }
    }
    return RandomGrid(mean: mean, rest: rest, factors: factors)
  }

  /// E f, Var f and E f' of a normal variable by 8,001 points.
  private func function(_ node: Node, of source: RandomGrid) -> RandomGrid {
    let points = 8001
    let total = source.total
    var result = source
    let grid = Grid([points], (0..<points).map { -10 + 20 * Double($0) / Double(points - 1) })
    let weights = grid.values.map { exp(-$0 * $0 / 2) }
    let sum = weights.reduce(0, +)
    for place in total.indices {
      let deviation = total[place].squareRoot()
      var at = grid
      for index in at.values.indices {
        at.values[index] = source.mean.values[place] + deviation * at.values[index]
      }
      var call = Reference.Call(node: node, opset: graph.opsets[""] ?? 0, inputs: [at])
      if node.inputs.count > 1 {
        call = Reference.Call(
          node: node, opset: graph.opsets[""] ?? 0,
          inputs: [at] + node.inputs.dropFirst().map { value($0) })
      }
      let f = call.outputs()[0].values
      var (mean, square, slope) = (0.0, 0.0, 0.0)
      for index in f.indices {
        mean += weights[index] * f[index] / sum
        slope += weights[index] * f[index] * grid.values[index] / sum
      }
      for index in f.indices {
        square += weights[index] * (f[index] - mean) * (f[index] - mean) / sum
      }
      let g = deviation > 0 ? slope / deviation : 0
      result.mean.values[place] = mean
      let explained = source.factors.reduce(0) { $0 + $1[place] * $1[place] }
      result.rest[place] = max(0, square - g * g * explained)
      for factor in source.factors.indices {
        result.factors[factor][place] = g * source.factors[factor][place]
      }
    }
    return result
  }

  /// The tangent of 1 / b at the mean.
  private func inverse(_ b: RandomGrid) -> RandomGrid {
    var result = b
    for place in b.rest.indices {
      let value = 1 / b.mean.values[place]
      result.mean.values[place] = value
      result.rest[place] *= value * value * value * value
      for factor in b.factors.indices { result.factors[factor][place] *= -value * value }
    }
    return result
  }

  /// Clark's maxima of pairs; minima are those of the negative values.
  private func selection(_ node: Node) -> RandomGrid {
    guard let a = random[node.inputs[0]], let b = random[node.inputs[1]] else {
      preconditionFailure("two random values")
    }
    let sign = node.operation == "Min" ? -1.0 : 1.0
    var result = a
    for place in a.rest.indices {
      let pair = [a, b].map { grid in
        Normal(
          mean: sign * grid.mean.values[place], rest: grid.rest[place],
          factors: grid.factors.map { sign * $0[place] })
      }
      let largest = Normal(maximumOf: pair[0], pair[1])
      result.mean.values[place] = sign * largest.mean
      result.rest[place] = largest.rest
      for factor in a.factors.indices {
        result.factors[factor][place] = sign * largest.factors[factor]
      }
    }
    return result
  }

  private func product(_ a: RandomGrid, _ b: RandomGrid) -> RandomGrid {
    precondition(a.mean.shape == b.mean.shape, "products of equal shapes")
    var result = a
    let (sa, sb) = (a.total, b.total)
    for place in sa.indices {
      let (ma, mb) = (a.mean.values[place], b.mean.values[place])
      let covariance = a.factors.indices.reduce(0) {
        $0 + a.factors[$1][place] * b.factors[$1][place]
      }
      result.mean.values[place] = ma * mb + covariance
      let variance =
        ma * ma * sb[place] + mb * mb * sa[place] + 2 * ma * mb * covariance
        + sa[place] * sb[place] + covariance * covariance
      var explained = 0.0
      for factor in a.factors.indices {
        let value = ma * b.factors[factor][place] + mb * a.factors[factor][place]
        result.factors[factor][place] = value
        explained += value * value
      }
      result.rest[place] = variance - explained
    }
    return result
  }

  /// z^2 of a normal variable: E z^2 = m^2 + s, Var z^2 = 4 m^2 s + 2 s^2, E 2 z = 2 m.
  private func square(_ z: RandomGrid) -> RandomGrid {
    var result = z
    for (place, s) in z.total.enumerated() {
      let m = z.mean.values[place]
      let explained = z.factors.reduce(0) { $0 + $1[place] * $1[place] }
      result.mean.values[place] = m * m + s
      result.rest[place] = 4 * m * m * s + 2 * s * s - 4 * m * m * explained
      for factor in z.factors.indices {
        result.factors[factor][place] = 2 * m * z.factors[factor][place]
      }
    }
    return result
  }

  /// The Jacobian p_i (1 - p_j) at the mean, over the last axis.
  private func softmax(_ node: Node) -> RandomGrid {
    guard let source = random[node.inputs[0]] else { preconditionFailure("softmax") }
    var result = source
    result.mean = call(node)
    let width = source.mean.shape.last ?? 1
    for start in stride(from: 0, to: source.rest.count, by: width) {
      for i in 0..<width {
        let p = result.mean.values
        func slope(_ j: Int) -> Double {
          p[start + i] * ((i == j ? 1 : 0) - p[start + j])
        }
        result.rest[start + i] = (0..<width).reduce(0) {
          $0 + slope($1) * slope($1) * source.rest[start + $1]
        }
        for factor in source.factors.indices {
          result.factors[factor][start + i] = (0..<width).reduce(0) {
            $0 + slope($1) * source.factors[factor][start + $1]
          }
        }
      }
    }
    return result
  }

  /// z - log sum exp z over the last axis, the sum folded in halves; the rest by the Jacobian at the softmax of the mean.
  private func logSoftmax(_ node: Node) -> RandomGrid {
    guard let source = random[node.inputs[0]] else { preconditionFailure("log softmax") }
    var result = source
    let width = source.mean.shape.last ?? 1
    for start in stride(from: 0, to: source.rest.count, by: width) {
      let scores = (start..<start + width).map { place in
        Normal(
          mean: source.mean.values[place], rest: source.rest[place],
          factors: source.factors.map { $0[place] })
      }
      var sums = scores
      while sums.count > 1 {
        let half = sums.count / 2
        let merged = (0..<half).map { Normal(logarithmOfSum: sums[$0], sums[half + $0]) }
        sums = merged + sums[(2 * half)...]
      }
      let means = scores.map { $0.mean - sums[0].mean }
      let total = means.reduce(0) { $0 + exp($1) }
      let shares = means.map { exp($0) / total }
      for i in 0..<width {
        result.mean.values[start + i] = means[i]
        result.rest[start + i] = (0..<width).reduce(0) {
          let slope = ($1 == i ? 1 : 0) - shares[$1]
          return $0 + slope * slope * scores[$1].rest
        }
        for factor in source.factors.indices {
          result.factors[factor][start + i] = scores[i].factors[factor] - sums[0].factors[factor]
        }
      }
    }
    return result
  }

  private static let increasing: Set<String> = ["Relu", "Sigmoid", "Tanh"]

  /// Of an increasing function, the function of the maxima.
  private func maxima(_ node: Node) -> RandomGrid {
    if let inner = graph.nodes.first(where: { $0.outputs[0] == node.inputs[0] }),
      Self.increasing.contains(inner.operation), let argument = random[inner.inputs[0]]
    {
      return function(inner, of: maxPool(node, of: argument))
    }
    guard let source = random[node.inputs[0]] else { preconditionFailure("max pool") }
    return maxPool(node, of: source)
  }

  /// Windows of [N, C, H, W], folded row by row.
  private func maxPool(_ node: Node, of source: RandomGrid) -> RandomGrid {
    let call = Reference.Call(node: node, opset: graph.opsets[""] ?? 0, inputs: [source.mean])
    let shape = call.outputs()[0].shape
    let kernel = call.ints("kernel_shape") ?? []
    let strides = call.ints("strides") ?? [1, 1]
    let pads = call.ints("pads") ?? [0, 0, 0, 0]
    let (height, width) = (source.mean.shape[2], source.mean.shape[3])
    var result = RandomGrid(
      mean: Grid(shape) { _ in 0 }, rest: [], factors: source.factors.map { _ in [] })
    for flat in 0..<shape.reduce(1, *) {
      let index = Grid.unflatten(flat, shape)
      var best: Normal?
      for ky in 0..<kernel[0] {
        var row: Normal?
        for kx in 0..<kernel[1] {
          let y = index[2] * strides[0] + ky - pads[0]
          let x = index[3] * strides[1] + kx - pads[1]
          guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
          let place = ((index[0] * source.mean.shape[1] + index[1]) * height + y) * width + x
          let next = Normal(
            mean: source.mean.values[place], rest: source.rest[place],
            factors: source.factors.map { $0[place] })
          row = row.map { Normal(maximumOf: $0, next) } ?? next
        }
        if let row { best = best.map { Normal(maximumOf: $0, row) } ?? row }
      }
      guard let best else { preconditionFailure("an empty window") }
      result.mean.values[flat] = best.mean
      result.rest.append(best.rest)
      for factor in best.factors.indices { result.factors[factor].append(best.factors[factor]) }
    }
    return result
  }
}

/// One normal variable with its factors.
private struct Normal {
  var mean: Double
  var rest: Double
  var factors: [Double]

  init(mean: Double, rest: Double, factors: [Double]) {
    (self.mean, self.rest, self.factors) = (mean, rest, factors)
  }

  /// log(exp a + exp b) = b + softplus(d), d = a - b, by 8,001 points.
  init(logarithmOfSum a: Normal, _ b: Normal) {
    let turns = zip(a.factors, b.factors).map { $0 - $1 }
    let spread = turns.reduce(a.rest + b.rest) { $0 + $1 * $1 }
    var (sum, value, square, slope) = (0.0, 0.0, 0.0, 0.0)
    for point in 0...8000 {
      let x = -10 + Double(point) / 400
      let d = a.mean - b.mean + spread.squareRoot() * x
      let weight = exp(-x * x / 2)
      let softplus = max(d, 0) + log1p(exp(-abs(d)))
      sum += weight
      value += weight * softplus
      square += weight * softplus * softplus
      slope += weight / (1 + exp(-d))
    }
    (value, square, slope) = (value / sum, square / sum, slope / sum)
    let bend = max(0, square - value * value - slope * slope * spread)
    mean = b.mean + value
    rest = (1 - slope) * (1 - slope) * b.rest + slope * slope * a.rest + bend
    factors = zip(b.factors, turns).map { $0 + slope * $1 }
  }

  /// Clark 1961, equations 2 to 4.
  init(maximumOf a: Normal, _ b: Normal) {
    let covariance = zip(a.factors, b.factors).reduce(0) { $0 + $1.0 * $1.1 }
    func total(_ x: Normal) -> Double { x.factors.reduce(x.rest) { $0 + $1 * $1 } }
    let theta = max(0, total(a) + total(b) - 2 * covariance).squareRoot()
    guard theta > 1e-150 else {
      self = b.mean > a.mean ? b : a
      return
    }
    let alpha = (a.mean - b.mean) / theta
    let density = exp(-alpha * alpha / 2) / (2 * Double.pi).squareRoot()
    let above = erfc(-alpha / 2.0.squareRoot()) / 2
    let first = a.mean * above + b.mean * (1 - above) + theta * density
    let second =
      (a.mean * a.mean + total(a)) * above + (b.mean * b.mean + total(b)) * (1 - above)
      + (a.mean + b.mean) * theta * density
    factors = zip(a.factors, b.factors).map { above * $0 + (1 - above) * $1 }
    mean = first
    rest = max(0, second - first * first - factors.reduce(0) { $0 + $1 * $1 })
  }
}
