// What a network loses on an example, and what its labels say.

public import CoalitionBase

/// The loss of one example with scores z of C outputs and targets t.
public enum Loss: String, Sendable, Hashable, CaseIterable {
  /// - sum of t log softmax(z), over the scores before a final softmax.
  case crossEntropy = "cross-entropy"
  /// The mean of (z - t)^2.
  case squaredError = "squared-error"
  /// The mean of |z - t|.
  case absoluteError = "absolute-error"
}

/// The value of a network in which some units are present.
public enum UnitPayoff: String, Sendable, Hashable, CaseIterable {
  /// Minus the loss.
  case loss
  /// 1 where the label alone has the largest score, else 0: a network that says nothing is not right.
  case accuracy
  /// The score of the label; of a model with a single score that one, whatever the label.
  case score
}

extension Loss {
  /// Of a model that has no scores for cross-entropy.
  static func noClasses(_ scores: String?, found: Int) -> CoalitionError {
    CoalitionError(
      .unsupported,
      "the model gives no scores of classes: choose --loss squared-error or absolute-error",
      node: scores, expected: "two classes or more, before a softmax", found: "\(found)")
  }
}

/// Labels as targets of every score.
public struct UnitLabels: Sendable {
  /// [N, C].
  public let targets: Tensor
  /// Per example its class: nil where targets are numbers of any kind.
  public let classes: [Int]?

  /// - Parameters:
  ///   - labels: whole numbers [N] or [N, 1] that number the scores, or numbers for every score, [N, C] or, for a
  ///     single score, [N].
  ///   - examples: how many the inputs hold.
  ///   - scores: C.
  ///   - loss: what looks at the targets: the cross-entropy takes shares of the classes.
  ///   - name: what errors call the labels.
  /// - Throws: `shapeMismatch` and `invalidData` for labels that do not fit.
  public init(
    _ labels: Tensor, examples: Int, scores: Int, for loss: Loss? = nil, name: String = "labels"
  ) throws(CoalitionError) {
    guard let rows = labels.rank == 0 ? 1 : labels.shape.first, rows == examples,
      labels.count == examples || labels.count == examples * scores
    else {
      throw CoalitionError(
        .shapeMismatch, "the labels do not fit the examples", node: name,
        expected: "[\(examples)] or [\(examples), \(scores)]", found: "\(labels.shape)")
    }
    if let place = labels.firstNonFinite {
      throw CoalitionError(
        .notFinite, "a label is not finite", node: name, found: "label \(place)")
    }
    if scores > 1, labels.count == examples {
      do throws(CoalitionError) {
        classes = try Self.classes(labels, scores: scores)
      } catch {
        throw error.at(name)
      }
      var numbers = [Float](repeating: 0, count: examples * scores)
      for (example, label) in (classes ?? []).enumerated() {
        numbers[example * scores + label] = 1
      }
      targets = try Tensor(shape: [examples, scores], elements: .float32(numbers))
    } else {
      classes = nil
      if loss == .crossEntropy, scores > 1 { try Self.checkShares(labels, scores, name) }
      targets = try Tensor(shape: [examples, scores], elements: .float64(labels.doubles))
    }
  }

  /// - Throws: `invalidData` for an example whose targets are no shares of its classes.
  private static func checkShares(
    _ labels: Tensor, _ scores: Int, _ name: String
  ) throws(CoalitionError) {
    let numbers = labels.doubles
    for first in stride(from: 0, to: numbers.count, by: scores) {
      let shares = numbers[first..<first + scores]
      let sum = shares.reduce(0, +)
      let negative = shares.first { $0 < 0 }
      guard negative != nil || abs(sum - 1) > 1e-3 else { continue }
      throw CoalitionError(
        .invalidData,
        "the labels of example \(first / scores) are no shares of classes, as the cross-entropy takes them",
        node: name, expected: "numbers from 0 that sum to 1",
        found: negative.map { "\($0)" } ?? "a sum of \(sum)")
    }
  }

  private static func classes(_ labels: Tensor, scores: Int) throws(CoalitionError) -> [Int] {
    var classes: [Int] = []
    for (example, label) in labels.doubles.enumerated() {
      guard label >= 0, label < Double(scores), label == label.rounded() else {
        throw CoalitionError(
          .invalidData, "the label of example \(example) is no score's number",
          expected: "a whole number from 0 to \(scores - 1)", found: "\(label)")
      }
      classes.append(Int(label))
    }
    return classes
  }
}
