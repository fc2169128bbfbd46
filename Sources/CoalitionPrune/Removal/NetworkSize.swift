// What a network costs and how well it does.

public import CoalitionBase
public import CoalitionNet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// Sizes of a model.
public struct NetworkSize: Sendable, Hashable {
  /// Of every convolution and dense layer, by name.
  public let units: [String: Int]
  public let parameters: Int
  /// For one example.
  public let multiplyAdds: Int

  public init(
    _ graph: Graph, _ coupling: UnitCoupling, inputShapes: [String: [Int]] = [:]
  ) throws(CoalitionError) {
    let summary = try ModelSummary(graph, inputShapes: inputShapes)
    units = Dictionary(
      coupling.layers.map { ($0.name, $0.unitCount) }, uniquingKeysWith: { first, _ in first })
    parameters = summary.parameters
    multiplyAdds = summary.multiplyAdds
  }
}

/// Examples with labels, on which networks are compared.
public struct LabelledExamples: Sendable {
  public let inputs: [String: Tensor]
  public let labels: Tensor
  public let loss: Loss
  /// Of the models, which output's scores the labels speak of; nil: the only one's.
  public var output: String?
  public var plan = PlanOptions()
  public var run = RunOptions()

  public init(inputs: [String: Tensor], labels: Tensor, loss: Loss = .crossEntropy) {
    self.inputs = inputs
    self.labels = labels
    self.loss = loss
  }

  /// The mean loss, and the share of examples whose label alone has the largest score: nil for labels that are no classes.
  public func measure(
    _ model: Model
  ) async throws(CoalitionError) -> (loss: Double, accuracy: Double?) {
    let output = try await model.scores(
      inputs, of: output, afterSoftmax: loss != .crossEntropy, plan, run)
    let (examples, count) = (output.shape[0], output.shape[1])
    if loss == .crossEntropy, count < 2 { throw Loss.noClasses(self.output, found: count) }
    let labels = try UnitLabels(labels, examples: examples, scores: count, for: loss)
    let (scores, targets) = (output.doubles, labels.targets.doubles)
    var sum = 0.0
    var right = 0
    for example in 0..<examples {
      let own = example * count..<(example + 1) * count
      sum += Self.value(loss, scores[own], targets[own])
      guard let label = labels.classes?[example] else { continue }
      let place = own.lowerBound + label
      if own.allSatisfy({ $0 == place || scores[$0] < scores[place] }) { right += 1 }
    }
    return (
      sum / Double(examples), labels.classes.map { _ in Double(right) / Double(examples) }
    )
  }

  private static func value(
    _ loss: Loss, _ scores: ArraySlice<Double>, _ targets: ArraySlice<Double>
  ) -> Double {
    let pairs = zip(scores, targets)
    switch loss {
    case .crossEntropy:
      let largest = scores.max() ?? 0
      let normaliser =
        largest + log(scores.reduce(0) { $0 + exp($1 - largest) })
      return pairs.reduce(0) { $0 + $1.1 * (normaliser - $1.0) }
    case .squaredError:
      return pairs.reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(scores.count)
    case .absoluteError: return pairs.reduce(0) { $0 + abs($1.0 - $1.1) } / Double(scores.count)
    }
  }
}
