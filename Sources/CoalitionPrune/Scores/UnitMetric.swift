// How units are scored (docs/Methods.md has the formulas and sources).

import CoalitionBase
import CoalitionNet

public enum UnitMetric: String, Sendable, Hashable, CaseIterable {
  case shapley, random
  /// Sums of absolute and roots of sums of squared incoming weights.
  case weight
  case weightSquared = "weight-l2"
  case activationCount = "activation-count"
  case sensitivity, taylor
  case taylorSigned = "taylor-signed"
  case leaveOneOut = "leave-one-out"
  case fisher
  case scale = "bn-scale"
  case geometricMedian = "geometric-median"
  case adaptiveMagnitude = "lamp"
  /// What the layers behind lose when their other weights make up for the unit.
  case reconstruction = "layer-error"

  /// Whether examples are needed, and whether their labels are.
  public var usesExamples: Bool {
    switch self {
    case .shapley, .activationCount, .sensitivity, .taylor, .taylorSigned, .leaveOneOut, .fisher,
      .reconstruction:
      true
    case .random, .weight, .weightSquared, .scale, .geometricMedian, .adaptiveMagnitude: false
    }
  }

  public var usesLabels: Bool { usesExamples && !readsInputsAlone }

  /// Whether examples have scores of their own.
  public var isPerExample: Bool { usesExamples && self != .reconstruction }

  private var readsInputsAlone: Bool { self == .activationCount || self == .reconstruction }

  /// Whether it is made of gradients of the payoff.
  var usesGradients: Bool {
    [.sensitivity, .taylor, .taylorSigned, .fisher].contains(self)
  }
}

/// Scores that look at the weights alone.
struct WeightScores {
  let layer: HiddenLayer
  /// Per unit its incoming weights.
  private let rows: [[Double]]
  private let graph: Graph

  init(_ layer: HiddenLayer, _ coupling: UnitCoupling) throws(CoalitionError) {
    self.layer = layer
    graph = coupling.analysis.graph
    guard let weight = coupling.analysis.values[layer.weight]?.constant?.value else {
      throw CoalitionError(.internalFault, "the layer has no weight", node: layer.name)
    }
    let inner = weight.shape[(layer.weightAxis + 1)...].reduce(1, *)
    var rows = [[Double]](repeating: [], count: layer.unitCount)
    for (place, value) in weight.doubles.enumerated() {
      rows[place / inner % layer.unitCount].append(value)
    }
    self.rows = rows
  }

  /// - Parameter seed: of random scores, with the layer's number among all.
  func scores(
    _ metric: UnitMetric, seed: UInt64, index: Int
  ) throws(CoalitionError) -> [Double] {
    switch metric {
    case .random:
      var random = CounterRandom(seed: seed, purpose: .unitScores, index: UInt64(index))
      return rows.map { _ in random.uniform() }
    case .weight: return rows.map { $0.reduce(0) { $0 + abs($1) } }
    case .weightSquared: return rows.map { squares($0).squareRoot() }
    case .scale: return try scales()
    case .geometricMedian: return distances()
    case .adaptiveMagnitude: return shares()
    case .shapley, .activationCount, .sensitivity, .taylor, .taylorSigned, .leaveOneOut, .fisher,
      .reconstruction:
      throw CoalitionError(.internalFault, "the metric looks at examples", node: metric.rawValue)
    }
  }

  private func squares(_ row: [Double]) -> Double { row.reduce(0) { $0 + $1 * $1 } }

  /// |gamma| of the batch normalisation behind the layer.
  private func scales() throws(CoalitionError) -> [Double] {
    guard let name = layer.normalisation,
      let node = graph.nodes.first(where: { $0.outputs.contains(name) }),
      let scale = node.input(1).flatMap({ graph.constants[$0] })
    else {
      throw CoalitionError(
        .unsupported, "no batch normalisation follows the layer alone: choose another metric",
        node: layer.name)
    }
    return scale.doubles.map { abs($0) }
  }

  /// The sum of the distances to the other units' weights: small for a unit that others can stand for.
  private func distances() -> [Double] {
    var sums = [Double](repeating: 0, count: rows.count)
    for left in rows.indices {
      for right in rows.indices where right > left {
        var square = 0.0
        for (a, b) in zip(rows[left], rows[right]) { square += (a - b) * (a - b) }
        sums[left] += square.squareRoot()
        sums[right] += square.squareRoot()
      }
    }
    return sums
  }

  /// |W_u|^2 over that of all units whose weights are at least as large.
  private func shares() -> [Double] {
    let norms = rows.map { squares($0) }
    return norms.map { norm in
      let larger = norms.reduce(0) { $1 >= norm ? $0 + $1 : $0 }
      return larger > 0 ? norm / larger : 0
    }
  }
}
