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
  func squaresOfClasses(_ run: RunOptions) async throws(CoalitionError) -> [Tensor] {
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
    var sums = [Double](repeating: 0, count: count * playerCount)
    switch squaredContributions {
    case .elements: return try await playerSums(of: signals, run, by: .squares)
    case .own(let own):
      let found = try await plan.squareSums(
        of: own, try changeRows(Array(0..<count)), signals: signals[0], count: count,
        held: heldRows(1), run
      ).doubles
      for (place, sum) in found.enumerated() {
        let (subject, index) = place.quotientAndRemainder(dividingBy: own.players.count)
        sums[subject * playerCount + Int(own.players[index])] = sum
      }
      return sums
    case .classes: break
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

  /// The contributions of members whose players have channels of their own, [members, count].
  func contributions(
    _ members: [Member], _ own: OwnChannels, _ run: RunOptions
  ) async throws(CoalitionError) -> Tensor {
    let width = plan.frontCounts[0]
    // A member differs from its baseline, so its player has channels.
    var places: [Int: Int] = [:]
    for (index, player) in own.players.enumerated() { places[Int(player)] = index }
    var found: [Tensor] = []
    var rowOf = [Int](repeating: 0, count: members.count)
    var rowCount = 0
    for part in plan.parts(of: own) {
      var ofSubject: [Int: [Int]] = [:]
      for (index, member) in members.enumerated() {
        if let place = places[member.player], part.contains(place) {
          ofSubject[member.subject, default: []].append(index)
        }
      }
      let subjects = ofSubject.keys.sorted()
      let bytes = 2 * part.count * width * plan.precision.byteCount
      let size = max(1, memory.chunkByteCount / max(bytes, 1))
      for first in stride(from: 0, to: subjects.count, by: size) {
        let some = Array(subjects[first..<min(first + size, subjects.count)])
        let all = try await plan.contributions(
          of: own, part: part, try changeRows(some), count: some.count,
          held: MomentPlan.Held(rows: held, rowOf: some.map { Int32(exampleOf[$0]) }), run)
        var picked: [Int] = []
        for (row, subject) in some.enumerated() {
          for index in ofSubject[subject] ?? [] {
            rowOf[index] = rowCount + picked.count
            picked.append(
              row * part.count + (places[members[index].player] ?? 0) - part.lowerBound)
          }
        }
        found.append(
          try all.reshaped(to: [some.count * part.count, width]).rows(picked))
        rowCount += picked.count
      }
    }
    return try Tensor.joining(found).reshaped(to: [rowCount, width]).rows(rowOf)
  }
}
