// The game of players on a model: the value of a coalition is the score when everybody else's elements are the
// baseline's.
//
// value(S) = mean over baseline rows b of score(x where players are in S or always present, else b). Values are asked
// for in bulk and come from masked forward passes in chunks, so memory is bounded whatever is asked.

public import CoalitionBase
public import CoalitionNet
import Synchronization

/// Coalitions of players in, scores out. Immutable and safe to share.
public final class MaskedGame: Sendable {
  public let players: PlayerSet
  /// Examples.
  public let exampleCount: Int
  /// Scores per example.
  public let targetCount: Int
  let masked: MaskedPlan
  let subject: MaskedPlan.Subject
  let targets: [[Int]]
  let isDifference: Bool
  /// The plan that toggles players, once it has been asked for.
  let toggles = Mutex<Toggling>(.unknown)
  /// The same for the plan that removes one player at a time.
  let removals = Mutex<Removal>(.unknown)

  /// - Parameters:
  ///   - output: which of the plan's outputs; nil: its only one.
  ///   - inputs: rows of all inputs.
  ///   - baselines: rows per input, averaged over; zeros for inputs that are not named.
  ///   - targets: per example the elements of its output that are scores, as many for each.
  ///   - isDifference: of two targets, the first minus the second is the only score.
  /// - Throws: `CoalitionError` for what does not fit.
  public init(
    _ plan: Plan, output: String? = nil, players: PlayerSet, inputs: [String: Tensor],
    baselines: [String: Tensor] = [:], targets: [[Int]], isDifference: Bool = false
  ) throws(CoalitionError) {
    let masked = try MaskedPlan(plan, output: output, masking: players.masking)
    let subject = try masked.subject(inputs, baselines: baselines)
    for (name, map) in zip(players.names, players.maps)
    where (map.exampleCount ?? subject.examples) != subject.examples {
      throw CoalitionError(
        .shapeMismatch, "the map of players is for another number of examples", node: name,
        expected: "\(subject.examples)", found: "\(map.exampleCount ?? 0)")
    }
    try TargetElements.check(targets, examples: subject.examples, output: masked.output)
    guard !isDifference || targets.allSatisfy({ $0.count == 2 }) else {
      throw CoalitionError(
        .usage, "a difference is of two targets", expected: "2",
        found: "\(targets.first?.count ?? 0)")
    }
    self.players = players
    self.masked = masked
    self.subject = subject
    self.targets = targets
    self.isDifference = isDifference
    exampleCount = subject.examples
    targetCount = isDifference ? 1 : targets.first?.count ?? 0
  }

  /// Players of an example whose elements are those of every row of the baseline.
  public func nullPlayers(ofExample example: Int) -> [Int] {
    masked.nullPlayers(subject, playerCount: players.playerCount, example: example)
  }

  /// Multiply-adds of the value of one coalition.
  package var multiplyAdds: Double {
    Double(masked.plan.operationsPerExample) / 2 * Double(subject.baselines)
  }

  /// Bytes of the rows and results of one call, about.
  package var callByteCount: Int {
    let row = masked.output.count * masked.plan.options.precision.byteCount + 3 * 4
    return max(masked.comfortableVariants * row, ToggleChunk.byteLimit)
  }

  /// Evaluations of the network that the values of so many coalitions take.
  public func evaluations(coalitions: Int) -> Int { coalitions * subject.baselines }

  /// The values of every coalition for every example: [example][coalition][target].
  public func values(
    _ coalitions: Coalitions, _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    try await values(
      coalitions, rows: Array(repeating: 0..<coalitions.count, count: exampleCount), options)
  }

  /// The values of some coalitions for each example, one example after the other: [coalition][target] each.
  /// - Parameter rows: per example, which coalitions.
  public func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> [Double] {
    guard coalitions.playerCount == players.playerCount, rows.count == exampleCount,
      rows.allSatisfy({ $0.lowerBound >= 0 && $0.upperBound <= coalitions.count })
    else {
      throw CoalitionError(
        .usage, "the coalitions are not those of this game's players and examples",
        expected: "\(players.playerCount) players, \(exampleCount) examples",
        found: "\(coalitions.playerCount) players, \(rows.count) examples")
    }
    let limit = max(masked.comfortableVariants / subject.baselines, 1)
    var values: [Double] = []
    let width = targets.first?.count ?? 0
    values.reserveCapacity(rows.reduce(0) { $0 + $1.count } * width)
    var chunk: [Part] = []
    var count = 0
    for (example, range) in rows.enumerated() {
      var next = range.lowerBound
      while next < range.upperBound {
        let end = min(next + limit - count, range.upperBound)
        chunk.append(Part(example: example, rows: next..<end))
        count += end - next
        next = end
        if count >= limit {
          try await evaluate(chunk, coalitions, options, &values)
          chunk = []
          count = 0
        }
      }
    }
    if !chunk.isEmpty { try await evaluate(chunk, coalitions, options, &values) }
    guard isDifference else { return values }
    return stride(from: 0, to: values.count, by: 2).map { values[$0] - values[$0 + 1] }
  }

  /// Coalitions of one example.
  private struct Part {
    let example: Int
    let rows: Range<Int>
  }

  /// Appends the values of a chunk, whose baselines of one coalition follow each other.
  private func evaluate(
    _ chunk: [Part], _ coalitions: Coalitions, _ options: RunOptions, _ values: inout [Double]
  ) async throws(CoalitionError) {
    // Only the rows of this chunk travel with it.
    let first = chunk.map(\.rows.lowerBound).min() ?? 0
    let end = chunk.map(\.rows.upperBound).max() ?? 0
    var variants = MaskedPlan.Variants()
    for part in chunk {
      variants.append(
        example: part.example, masks: part.rows.lowerBound - first..<part.rows.upperBound - first,
        baselines: subject.baselines)
    }
    let width = coalitions.wordCount
    let words = Array(coalitions.words[first * width..<end * width])
    let outputs = try await masked.outputs(subject, variants, .words(words), options)
    TargetElements.append(
      outputs, width: masked.output.count, examples: variants.example, targets: targets,
      averaging: subject.baselines, to: &values)
  }
}

/// Scores: elements of an output, chosen per example.
enum TargetElements {
  static func check(
    _ targets: [[Int]], examples: Int, output: Plan.Value
  ) throws(CoalitionError) {
    guard targets.count == examples, Set(targets.map(\.count)).count == 1,
      targets.first?.isEmpty == false
    else {
      throw CoalitionError(
        .usage, "every example has the same number of targets, at least one",
        expected: "\(examples) examples", found: "\(targets.count)")
    }
    for row in targets {
      for target in row where !(0..<output.count).contains(target) {
        throw CoalitionError(
          .usage, "a target lies outside of the output", node: output.name,
          expected: "0 to \(output.count - 1)", found: "\(target)")
      }
    }
  }

  /// Appends the chosen elements of rows of outputs, averaged over each `averaging` rows that follow each other.
  static func append(
    _ outputs: Tensor.Elements, width: Int, examples: [Int32], targets: [[Int]], averaging: Int,
    to values: inout [Double]
  ) {
    func append<Number: BinaryFloatingPoint>(_ numbers: [Number]) {
      var start = 0
      while start < examples.count {
        // Rows of one example have the same targets.
        let example = examples[start]
        let end = examples[start...].firstIndex { $0 != example } ?? examples.count
        let own = targets[Int(example)]
        if averaging == 1, own.count == 1 {
          for row in start..<end { values.append(Double(numbers[row * width + own[0]])) }
        } else {
          for first in stride(from: start, to: end, by: averaging) {
            for target in own {
              var sum = 0.0
              for row in first..<first + averaging { sum += Double(numbers[row * width + target]) }
              values.append(averaging == 1 ? sum : sum / Double(averaging))
            }
          }
        }
        start = end
      }
    }
    switch outputs {
    case .float32(let numbers): append(numbers)
    case .float64(let numbers): append(numbers)
    case .int32, .int64, .uint8, .bool: break
    }
  }
}
