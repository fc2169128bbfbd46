// Which number of the scores is explained.

import CoalitionBase

/// The score that attributions are made for.
public enum Target: Sendable, Hashable {
  /// The largest score of each example; the only one when there is one.
  case predicted
  /// One element of the scores: an index per axis of one example.
  case index([Int])
  /// Per example the class to explain: an index along the last axis of scores with one axis.
  case labels([Int])
  /// The first score minus the second.
  case difference(Int, Int)
  /// Every score by itself.
  case all
}

/// A target made definite: weights over the scores, and who uses which.
struct ScoreWeights: Sendable {
  /// Distinct weight vectors, as rows [distinct, scores]; for all targets one per score.
  var rows: Tensor
  /// Per example its row; for all targets nil.
  var rowOf: [Int32]?
  /// What `target` says in results: [N], for a difference [N, 2].
  var description: Tensor
  var isAll: Bool { rowOf == nil }
  var count: Int { rows.shape[0] }

  /// - Parameters:
  ///   - shape: of one example's scores.
  ///   - scores: [N, shape], needed for `predicted`.
  init(
    _ target: Target, shape: [Int], examples: Int, scores: Tensor?
  ) throws(CoalitionError) {
    let count = shape.reduce(1, *)
    func oneHot(_ places: [(plus: Int, minus: Int?)]) throws(CoalitionError) -> Tensor {
      var numbers = [Double](repeating: 0, count: places.count * count)
      for (row, place) in places.enumerated() {
        numbers[row * count + place.plus] += 1
        if let minus = place.minus { numbers[row * count + minus] -= 1 }
      }
      return try Tensor(shape: [places.count, count], elements: .float64(numbers))
    }
    func check(_ index: Int, _ size: Int) throws(CoalitionError) {
      guard (0..<size).contains(index) else {
        throw CoalitionError(
          .usage, "the target lies outside of the scores", expected: "0 to \(size - 1)",
          found: "\(index)")
      }
    }
    // Axes before the last one hold scores of their own: only one vector has classes.
    func checkOneAxis() throws(CoalitionError) {
      guard shape.dropLast().allSatisfy({ $0 == 1 }) else {
        throw CoalitionError(
          .usage, "the scores have several axes: name the element to explain",
          expected: "an index for each axis of \(shape)")
      }
    }
    switch target {
    case .all:
      rows = try oneHot((0..<count).map { ($0, nil) })
      rowOf = nil
      description = Tensor(.int64((0..<Int64(count)).map { $0 }))
    case .index(let indices):
      guard indices.count == shape.count || (shape.isEmpty && indices == [0]) else {
        throw CoalitionError(
          .usage, "the target has another number of indices than the scores have axes",
          expected: "\(shape.count) for scores \(shape)", found: "\(indices)")
      }
      var place = 0
      for (index, size) in zip(indices, shape) {
        try check(index, size)
        place = place * size + index
      }
      rows = try oneHot([(place, nil)])
      rowOf = [Int32](repeating: 0, count: examples)
      description = Tensor(.int64([Int64](repeating: Int64(place), count: examples)))
    case .difference(let plus, let minus):
      try checkOneAxis()
      try check(plus, count)
      try check(minus, count)
      rows = try oneHot([(plus, minus)])
      rowOf = [Int32](repeating: 0, count: examples)
      description = try Tensor(
        shape: [examples, 2],
        elements: .int64((0..<examples).flatMap { _ in [Int64(plus), Int64(minus)] }))
    case .labels(let labels):
      try checkOneAxis()
      guard labels.count == examples else {
        throw CoalitionError(
          .shapeMismatch, "there must be one label per example", expected: "\(examples)",
          found: "\(labels.count)")
      }
      for label in labels { try check(label, count) }
      (rows, rowOf) = try Self.distinct(labels, oneHot)
      description = Tensor(.int64(labels.map { Int64($0) }))
    case .predicted:
      let values = scores?.doubles ?? []
      guard values.count == examples * count, count > 0 else {
        throw CoalitionError(.internalFault, "the scores were not computed")
      }
      try checkOneAxis()
      let labels = (0..<examples).map { example in
        let row = values[example * count..<(example + 1) * count]
        return row.indices.reduce(row.startIndex) { row[$1] > row[$0] ? $1 : $0 } - row.startIndex
      }
      (rows, rowOf) = try Self.distinct(labels, oneHot)
      description = Tensor(.int64(labels.map { Int64($0) }))
    }
  }

  private static func distinct(
    _ labels: [Int],
    _ oneHot: ([(plus: Int, minus: Int?)]) throws(CoalitionError) -> Tensor
  ) throws(CoalitionError) -> (Tensor, [Int32]) {
    let used = Set(labels).sorted()
    var place: [Int: Int32] = [:]
    for (row, label) in used.enumerated() { place[label] = Int32(row) }
    return (try oneHot(used.map { ($0, nil) }), labels.map { place[$0] ?? 0 })
  }

  /// The weighted scores: [N], or [N, T] for all targets.
  func applied(to scores: Tensor) throws(CoalitionError) -> Tensor {
    let count = rows.shape[1]
    let values = scores.doubles
    let examples = values.count / max(count, 1)
    guard let rowOf else {
      return try Tensor(shape: [examples, count], elements: .float64(values))
    }
    // Most rows have one weight, or two.
    let weights = rows.doubles
    let used = (0..<rows.shape[0]).map { row in
      (0..<count).filter { weights[row * count + $0] != 0 }
    }
    return Tensor(
      .float64(
        (0..<examples).map { example in
          let row = Int(rowOf[example])
          var sum = 0.0
          for score in used[row] {
            sum += weights[row * count + score] * values[example * count + score]
          }
          return sum
        }))
  }
}
