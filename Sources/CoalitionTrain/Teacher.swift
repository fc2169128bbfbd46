// Training a model to say what another one says (distillation).

public import CoalitionBase
public import CoalitionNet
public import CoalitionPrune

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// A model that another one learns from.
///
/// Its targets are the probabilities that it gives to the classes, or for losses other than cross-entropy its outputs. The loss
/// is linear in the targets of cross-entropy, so that training on
///     (1 - share) labels + share targets
/// is training on both losses with these weights (Hinton, Vinyals, Dean 2015, at temperature 1).
public struct Teacher: Sendable {
  public let model: Model
  /// Of the teacher in the targets; the rest is the labels'.
  public let share: Double

  /// - Throws: `usage` unless 0 < share <= 1.
  public init(_ model: Model, share: Double = 1) throws(CoalitionError) {
    guard share > 0, share <= 1 else {
      throw CoalitionError(
        .usage, "a teacher has a share in the targets", expected: "above 0, up to 1",
        found: "\(share)")
    }
    (self.model, self.share) = (model, share)
  }

  /// Labels for `Trainer`, [N, C].
  /// - Parameters:
  ///   - labels: as `UnitLabels`, for shares below 1.
  ///   - output: of the teacher; nil: the only one.
  public func targets(
    _ inputs: [String: Tensor], labels: Tensor? = nil, of output: String? = nil,
    loss: Loss = .crossEntropy, _ plan: PlanOptions = PlanOptions(),
    _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Tensor {
    let isEntropy = loss == .crossEntropy
    let scores = try await model.scores(
      inputs, of: output, afterSoftmax: !isEntropy, plan, run)
    let (examples, count) = (scores.shape[0], scores.shape[1])
    guard count > 1 || !isEntropy else {
      throw CoalitionError(
        .unsupported, "the model gives no scores of classes: choose another loss",
        expected: "two classes or more", found: "\(count)")
    }
    var targets = scores.doubles
    if isEntropy {
      for example in 0..<examples {
        Self.softmax(&targets[example * count..<(example + 1) * count])
      }
    }
    if share < 1 {
      guard let labels else {
        throw CoalitionError(.usage, "a teacher that shares the targets needs labels")
      }
      let own = try UnitLabels(labels, examples: examples, scores: count, for: loss)
        .targets.doubles
      for place in targets.indices {
        targets[place] = share * targets[place] + (1 - share) * own[place]
      }
    }
    return try Tensor(shape: [examples, count], elements: .float64(targets))
  }

  private static func softmax(_ scores: inout ArraySlice<Double>) {
    let largest = scores.max() ?? 0
    for place in scores.indices { scores[place] = exp(scores[place] - largest) }
    let sum = scores.reduce(0, +)
    for place in scores.indices { scores[place] /= sum }
  }
}
