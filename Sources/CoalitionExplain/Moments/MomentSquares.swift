// Squared contributions of players that are no single elements.
//
// Players who reach no position of a front together (Modes/Moments/Reach.swift) share a row: at every position it is the
// contribution c_g of one of them. Its square is a term of the sum of c_g^2, and for signals v at the fronts c o v, taken
// back to the sources, gives every player's c_g^2 . v. Players with channels of their own in front of the front need no rows
// (Modes/Moments/OwnChannels.swift).

import CoalitionBase
import CoalitionNet

extension MomentSubjects {
  /// A subject and those of its players who have a number in `classes`.
  fileprivate struct Class: SubjectPart {
    let subject: Int
    let number: Int32
  }

  private func classes(of subject: Int) -> [Int32] {
    classes[classes.count > 1 ? exampleOf[subject] : 0]
  }

  /// All classes of all subjects that have a player who differs from the baseline.
  private var activeClasses: [Class] {
    (0..<count).flatMap { subject in
      let numbers = classes(of: subject)
      return Set(activePlayers(of: subject).map { numbers[$0] }).sorted().map {
        Class(subject: subject, number: $0)
      }
    }
  }

  private func contributions(
    _ parts: [Class], _ run: RunOptions
  ) async throws(CoalitionError) -> [Tensor] {
    try await contributions(parts, { classes(of: $0.subject)[$1] == $0.number }, run)
  }

  /// The sum of c_g^2 in double, from a row per class: at every position it is one player's c_g.
  func squaresOfPlayers(_ run: RunOptions) async throws(CoalitionError) -> [Tensor] {
    if let own {
      let rows = try changeRows(Array(0..<count))
      return [try await plan.squares(of: own, rows, count: count, held: heldRows(1), run)]
    }
    var sums = plan.frontCounts.map { [Double](repeating: 0, count: count * $0) }
    for chunk in chunks(of: activeClasses) {
      let rows = try await contributions(Array(chunk), run)
      for (front, size) in plan.frontCounts.enumerated() {
        let numbers = rows[front].doubles
        for (row, part) in chunk.enumerated() {
          for place in 0..<size {
            let contribution = numbers[row * size + place]
            sums[front][part.subject * size + place] += contribution * contribution
          }
        }
      }
    }
    var tensors: [Tensor] = []
    for (sum, size) in zip(sums, plan.frontCounts) {
      tensors.append(try Tensor(shape: [count, size], elements: .float64(sum)))
    }
    return tensors
  }

  /// c_i^2 . v for signals v at the fronts: [subject][player]. With c the row of a class, c o v goes back to the
  /// sources: what a player's elements get there times their change is its own c . (c o v).
  func squareSums(
    of signals: [Tensor], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    if ownsElements { return try await playerSums(of: signals, run, by: .squares) }
    var sums = [Double](repeating: 0, count: count * playerCount)
    if let own {
      let found = try await plan.squareSums(
        of: own, try changeRows(Array(0..<count)), signals: signals[0], count: count,
        held: heldRows(1), run
      ).doubles
      for (place, sum) in found.enumerated() {
        let (subject, index) = place.quotientAndRemainder(dividingBy: own.players.count)
        sums[subject * playerCount + Int(own.players[index])] = sum
      }
      return sums
    }
    let numbers = signals.map(\.doubles)
    for chunk in chunks(of: activeClasses) {
      let parts = Array(chunk)
      var weighted: [Tensor] = []
      for (front, rows) in try await contributions(parts, run).enumerated() {
        let size = plan.frontCounts[front]
        var products = rows.doubles
        for (row, part) in parts.enumerated() {
          for place in 0..<size {
            products[row * size + place] *= numbers[front][part.subject * size + place]
          }
        }
        weighted.append(try Tensor(shape: [parts.count, size], elements: .float64(products)))
      }
      let back = try await plan.sources(
        .changes, of: weighted, count: parts.count, held: heldRows(parts), run)
      for (index, (source, map)) in zip(plan.sources, maps).enumerated() {
        guard let numbers = back[source.name]?.doubles else { continue }
        let width = map.elementCount
        for (row, part) in parts.enumerated() {
          let own = classes(of: part.subject)
          let change = part.subject * width
          for (element, player) in zip(0..., map.ids(ofExample: exampleOf[part.subject]))
          where player >= 0 && own[Int(player)] == part.number {
            sums[part.subject * playerCount + Int(player)] +=
              numbers[row * width + element] * changes[index][change + element]
          }
        }
      }
    }
    return sums
  }

  /// The contributions of members whose players have channels of their own, [members, count]; nil where those of all
  /// players take much memory.
  func contributions(
    _ members: [Member], _ own: OwnChannels, _ run: RunOptions
  ) async throws(CoalitionError) -> Tensor? {
    let width = plan.frontCounts[0]
    let subjects = Set(members.map(\.subject)).sorted()
    let all = subjects.count * own.players.count
    guard all * width * plan.precision.byteCount <= 128 << 20 else { return nil }
    let found = try await plan.contributions(
      of: own, try changeRows(subjects), count: subjects.count,
      held: MomentPlan.Held(rows: held, rowOf: subjects.map { Int32(exampleOf[$0]) }), run)
    var places: [Member: Int] = [:]
    for (row, subject) in subjects.enumerated() {
      for (index, player) in own.players.enumerated() {
        places[Member(subject: subject, player: Int(player))] = row * own.players.count + index
      }
    }
    // A member differs from the baseline, so its player has channels.
    return try found.reshaped(to: [all, width]).rows(members.map { places[$0] ?? 0 })
  }
}
