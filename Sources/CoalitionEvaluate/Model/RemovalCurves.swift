// Deletion and insertion (Petsiuk, Das, Saenko: RISE, BMVC 2018): the score while players go to the baseline, most
// important first, or come from it.
//
// The curve has the score at 0, 1/steps, ..., 1 of the players removed (inserted), rounded to whole players; the area
// under it is the trapezium rule over that share, from 0 to 1, as in the authors' code: the score itself is not
// normalised. A good explanation has a small area of deletion and a large one of insertion. Players of equal value are
// taken in the order of their numbers.

public import CoalitionBase
public import CoalitionExplain
public import CoalitionNet

/// Whether players leave or come.
public enum RemovalKind: String, Sendable, Hashable, CaseIterable {
  case deletion, insertion
}

/// Curves of several methods.
public struct RemovalCurves: Sendable {
  /// Players that have left (come) at each point of the curve.
  public let counts: [Int]
  /// [method][example][point].
  public let curves: [[[Double]]]
  /// [method][example].
  public let areas: [[Double]]
}

extension MaskedGame {
  /// - Parameters:
  ///   - methods: per method, [example][player]; the largest value goes first.
  ///   - steps: points of the curve after the first one; at most one per player.
  /// - Throws: `usage` for no steps or a game of several targets, `shapeMismatch` for values that do not fit.
  public func removalCurves(
    _ kind: RemovalKind, _ methods: [[[Double]]], steps: Int = 224,
    _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> RemovalCurves {
    guard steps >= 1 else {
      throw CoalitionError(
        .usage, "a curve needs steps", expected: "1 or more", found: "\(steps)")
    }
    try check(methods)
    let playerCount = players.playerCount
    let steps = min(steps, playerCount)
    let counts = (0...steps).map { step in
      Int((Double(step) * Double(playerCount) / Double(steps)).rounded())
    }
    var curves: [[[Double]]] = []
    // About 16 MB of coalitions at a time.
    let wordCount = Coalitions(playerCount: playerCount).wordCount
    let block = max((4 << 20) / (wordCount * counts.count), 1)
    for method in methods {
      var curve: [[Double]] = []
      for start in stride(from: 0, to: exampleCount, by: block) {
        let end = min(start + block, exampleCount)
        var coalitions = Coalitions(playerCount: playerCount)
        var rows = [Range<Int>](repeating: 0..<0, count: exampleCount)
        for example in start..<end {
          rows[example] = coalitions.count..<coalitions.count + counts.count
          let order = Self.order(method[example])
          for count in counts { coalitions.append(order.prefix(count)) }
        }
        if kind == .deletion { coalitions = coalitions.complemented() }
        let values = try await values(coalitions, rows: rows, options)
        for place in 0..<end - start {
          curve.append(Array(values[place * counts.count..<(place + 1) * counts.count]))
        }
      }
      curves.append(curve)
    }
    let shares = counts.map { Double($0) / Double(playerCount) }
    return RemovalCurves(
      counts: counts, curves: curves,
      areas: curves.map { $0.map { Self.area(under: $0, at: shares) } })
  }

  /// Players by falling value.
  static func order(_ values: [Double]) -> [Int] {
    values.indices.sorted { (values[$1], $0) < (values[$0], $1) }
  }

  /// The trapezium rule.
  static func area(under curve: [Double], at places: [Double]) -> Double {
    var area = 0.0
    for point in curve.indices.dropFirst() {
      area += (curve[point - 1] + curve[point]) / 2 * (places[point] - places[point - 1])
    }
    return area
  }
}
