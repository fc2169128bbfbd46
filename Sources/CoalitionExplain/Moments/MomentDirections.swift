// Sums of contributions along directions in the space of players, and the transpose: from the fronts back to the players.

import CoalitionBase
import CoalitionNet

extension MomentSubjects {
  /// Sums of contributions along directions in the space of players: per front [subjects * k, count], for k
  /// directions of each subject, [subject][direction][player].
  func fronts(
    along directions: [Double], _ run: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    let times = directions.count / max(count * playerCount, 1)
    var rows: [String: Tensor] = [:]
    for (index, source) in plan.sources.enumerated() {
      let elements: Tensor.Elements =
        switch plan.precision {
        case .single: .float32(scaledChanges(ofSource: index, along: directions, times: times))
        case .double: .float64(scaledChanges(ofSource: index, along: directions, times: times))
        }
      rows[source.name] = try Tensor(shape: [count * times, source.count], elements: elements)
    }
    return try await plan.fronts(
      .changes, of: rows, count: count * times, held: heldRows(times), run)
  }

  /// Changes times what directions have of their players: [subject][direction][element].
  private func scaledChanges<Number: BinaryFloatingPoint>(
    ofSource index: Int, along directions: [Double], times: Int
  ) -> [Number] {
    let (map, players) = (maps[index], playerCount)
    let width = map.elementCount
    return [Number](unsafeUninitializedCapacity: count * times * width) { numbers, made in
      changes[index].withUnsafeBufferPointer { changes in
        directions.withUnsafeBufferPointer { directions in
          for subject in 0..<count {
            map.ids(ofExample: exampleOf[subject]).withUnsafeBufferPointer { ids in
              for row in subject * times..<(subject + 1) * times {
                for element in 0..<width {
                  let player = Int(ids[element])
                  let share = player < 0 ? 0 : directions[row * players + player]
                  numbers.initializeElement(
                    at: row * width + element,
                    to: player < 0 ? 0 : Number(changes[subject * width + element] * share))
                }
              }
            }
          }
        }
      }
      made = count * times * width
    }
  }

  /// The transpose: per row of signals at the fronts (k of every subject) and player the sum over the player's
  /// elements of change times what comes back, [subject][row][player]. With squares, of squared changes and weights.
  func playerSums(
    of signals: [Tensor], _ run: RunOptions, by passage: MomentPlan.Passage = .changes
  ) async throws(CoalitionError) -> [Double] {
    let rowCount = signals.first?.shape[0] ?? 0
    let times = rowCount / max(count, 1)
    let back = try await plan.sources(
      passage, of: signals, count: rowCount, held: heldRows(times), run)
    let isSquared = if case .squares = passage { true } else { false }
    var sums = [Double](repeating: 0, count: rowCount * playerCount)
    for (index, source) in plan.sources.enumerated() {
      switch back[source.name]?.elements {
      case .float32(let numbers): add(numbers, index, rowCount, isSquared, to: &sums)
      case .float64(let numbers): add(numbers, index, rowCount, isSquared, to: &sums)
      default: continue
      }
    }
    return sums
  }

  /// Adds changes (or their squares) times rows of numbers up by players.
  private func add<Number: BinaryFloatingPoint>(
    _ numbers: [Number], _ index: Int, _ rowCount: Int, _ isSquared: Bool, to sums: inout [Double]
  ) {
    let (map, players) = (maps[index], playerCount)
    let width = map.elementCount
    let times = max(rowCount / max(count, 1), 1)
    numbers.withUnsafeBufferPointer { numbers in
      changes[index].withUnsafeBufferPointer { changes in
        sums.withUnsafeMutableBufferPointer { sums in
          for row in 0..<rowCount {
            let start = row / times * width
            map.ids(ofExample: exampleOf[row / times]).withUnsafeBufferPointer { ids in
              for element in 0..<width where ids[element] >= 0 {
                let change = changes[start + element]
                sums[row * players + Int(ids[element])] +=
                  Double(numbers[row * width + element]) * (isSquared ? change * change : change)
              }
            }
          }
        }
      }
    }
  }
}
