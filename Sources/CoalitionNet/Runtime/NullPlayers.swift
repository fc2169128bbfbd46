// Players whose presence changes nothing, because their elements are those of the baseline.

import CoalitionBase

extension MaskedPlan {
  /// The players of an example without an element that differs from any row of the baseline, in order: none where
  /// masks are no coalitions.
  package func nullPlayers(_ subject: Subject, playerCount: Int, example: Int) -> [Int] {
    guard case .coalitions(let players, _) = masking else { return [] }
    var isNull = [Bool](repeating: true, count: playerCount)
    var left = playerCount
    for baseline in 0..<subject.baselines where left > 0 {
      for (index, input) in plan.inputs.enumerated() {
        guard let own = players[input.name], let rows = subject.baselineRows[index] else {
          continue
        }
        let first = own.hasRows ? example * input.count : 0
        subject.inputs[index].forEachDifference(
          example, from: rows, baseline, count: input.count
        ) { element in
          let player = Int(own.ids[first + element])
          if player >= 0 && isNull[player] {
            isNull[player] = false
            left -= 1
          }
        }
      }
    }
    return isNull.indices.filter { isNull[$0] }
  }
}

extension Tensor {
  /// The elements at which row `row` of this tensor has other bits than a row of another one of the same type.
  func forEachDifference(
    _ row: Int, from other: Tensor, _ otherRow: Int, count: Int, _ body: (Int) -> Void
  ) {
    switch (elements, other.elements) {
    case (.float32(let a), .float32(let b)):
      for i in 0..<count
      where a[row * count + i].bitPattern != b[otherRow * count + i].bitPattern { body(i) }
    case (.float64(let a), .float64(let b)):
      for i in 0..<count
      where a[row * count + i].bitPattern != b[otherRow * count + i].bitPattern { body(i) }
    default: (0..<count).forEach(body)
    }
  }
}
