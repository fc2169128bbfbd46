// How far one network says what another one says, without labels.

public import CoalitionBase
import CoalitionExplain
public import CoalitionNet

/// What two networks with the same inputs have in common on examples.
public struct NetworkAgreement: Sendable, Hashable {
  /// The share of examples with the largest score in the same place (the first of equal ones); nil for a single score.
  public let largestScore: Double?
  /// The root of the mean square difference of the scores, as a share of the root mean square of the first network's
  /// distances to their mean over the scores of an example; of the scores themselves where there is one.
  public let relativeDifference: Double

  /// - Parameters:
  ///   - scores: of the first network, [N, C], and of the second.
  public init(_ scores: Tensor, _ others: Tensor) throws(CoalitionError) {
    guard scores.shape == others.shape, let examples = scores.shape.first, scores.count > 0 else {
      throw CoalitionError(
        .shapeMismatch, "the networks have other scores", expected: "\(scores.shape)",
        found: "\(others.shape)")
    }
    let count = scores.count / examples
    let (a, b) = (scores.doubles, others.doubles)
    var (same, missing, spread) = (0, 0.0, 0.0)
    for example in 0..<examples {
      let own = example * count..<(example + 1) * count
      if Self.place(a[own]) == Self.place(b[own]) { same += 1 }
      let mean = count > 1 ? a[own].reduce(0, +) / Double(count) : 0
      for place in own {
        missing += (a[place] - b[place]) * (a[place] - b[place])
        spread += (a[place] - mean) * (a[place] - mean)
      }
    }
    largestScore = count > 1 ? Double(same) / Double(examples) : nil
    relativeDifference = missing == 0 ? 0 : (missing / spread).squareRoot()
  }

  /// The place of the largest number, the first of equal ones.
  static func place(_ scores: ArraySlice<Double>) -> Int {
    scores.indices.reduce(scores.startIndex) { scores[$1] > scores[$0] ? $1 : $0 }
      - scores.startIndex
  }
}

extension Model {
  /// The scores, before a final softmax unless it is asked for, [N, C].
  /// - Parameter output: whose; nil: the only one's.
  public func scores(
    _ inputs: [String: Tensor], of output: String? = nil, afterSoftmax: Bool = false,
    _ options: PlanOptions = PlanOptions(), _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Tensor {
    let name = try scoreTensor(of: output, afterSoftmax: afterSoftmax)
    var own = options
    own.outputs = [name]
    let plan = try Plan(self, own)
    let examples = try plan.check(inputs)
    guard let scores = try await plan.run(inputs, run)[name] else {
      throw CoalitionError(.internalFault, "the scores were not computed", node: name)
    }
    return try scores.reshaped(to: [examples, scores.count / max(examples, 1)])
  }

  /// Per example the class with the largest score, the first of equal ones: labels for examples that have none.
  public func predictions(
    _ inputs: [String: Tensor], of output: String? = nil, _ options: PlanOptions = PlanOptions(),
    _ run: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Tensor {
    let scores = try await scores(inputs, of: output, options, run)
    let (count, numbers) = (scores.shape[1], scores.doubles)
    return Tensor(
      .int64(
        (0..<scores.shape[0]).map { example in
          Int64(NetworkAgreement.place(numbers[example * count..<(example + 1) * count]))
        }))
  }
}
