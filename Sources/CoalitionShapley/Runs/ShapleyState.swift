// The state of a run between two slices of work: what a checkpoint holds, and a shard gives to be merged.

public import CoalitionBase

/// Everything that a run needs to go on where it is: partial sums, and the results of examples that are done.
public struct ShapleyState: Sendable {
  /// An example that is being worked on.
  struct Progress: Sendable {
    var sums = ReplicateSums()
    /// How later samples are drawn, for schemes that look back.
    var adaptation: [Double]?
    /// Values at the last check points, by number of blocks, for the rule of stable ranks.
    var history: [(blocks: Int, values: [Double])] = []
  }

  /// An example that is done.
  struct Result: Sendable {
    var values: [Double]
    var standardErrors: [Double]
    var replicates: Int
    var samples: Int
    var stop: StopReason
    /// [target][player][player], or nothing.
    var interactions: [Double] = []
    var interactionErrors: [Double] = []
  }

  enum Example: Sendable {
    case waiting
    case running(Progress)
    /// All blocks of a shard are added up; what they say is for the merged run to tell.
    case summed(Progress)
    case done(Result)
  }

  var examples: [Example]
  /// Per example and target; nothing before the first slice.
  var ends: [[GameEnds]]
  /// Per example, players that are known to add nothing.
  var nullPlayers: [[Int]] = []
  /// The next block of the examples that run.
  var nextBlock: Int
  /// All blocks of the run, or of its shard.
  var blocks: Range<Int>

  var isDone: Bool { examples.indices.allSatisfy(isDone(example:)) }

  func isDone(example: Int) -> Bool {
    switch examples[example] {
    case .waiting, .running: false
    case .summed, .done: true
    }
  }

  /// How many numbers the rows of sums hold: one answer in a state that is whole, none before the first block.
  var sumWidths: Set<Int> {
    var widths = Set<Int>()
    for case .running(let progress) in examples { widths.formUnion(progress.sums.widths) }
    for case .summed(let progress) in examples { widths.formUnion(progress.sums.widths) }
    return widths
  }
}

// MARK: - As arrays

extension ShapleyState {
  /// The state as named arrays, exact to the last bit.
  public var arrays: [String: Tensor] {
    get throws(CoalitionError) {
      var nodes: [Int64] = []
      var sums: [Double] = []
      var stages: [Int64] = []
      var results: [Double] = []
      var adaptations: [Double] = []
      var history: [Double] = []
      for (example, stage) in examples.enumerated() {
        switch stage {
        case .waiting: stages += [0, 0, 0, 0, 0, 0]
        case .running(let progress), .summed(let progress):
          for (replicate, tree) in progress.sums.replicates.enumerated() {
            for node in tree.nodes {
              nodes += [Int64(example), Int64(replicate), Int64(node.level), Int64(node.index)]
              sums += node.sum
            }
          }
          let adaptation = progress.adaptation ?? []
          adaptations += adaptation
          for entry in progress.history { history += [Double(entry.blocks)] + entry.values }
          let isSummed = if case .summed = stage { true } else { false }
          stages += [
            isSummed ? 3 : 1, 0, 0, 0, Int64(adaptation.count), Int64(progress.history.count),
          ]
        case .done(let result):
          results += result.values + result.standardErrors + result.interactions
          results += result.interactionErrors
          let reason = StopReason.ordered.firstIndex(of: result.stop) ?? 0
          stages += [
            2, Int64(result.samples), Int64(result.replicates), Int64(reason),
            Int64(result.interactions.count), Int64(result.interactionErrors.count),
          ]
        }
      }
      func numbers(_ values: [Double], _ shape: [Int]? = nil) throws(CoalitionError) -> Tensor {
        try Tensor(shape: shape ?? [values.count], elements: .float64(values))
      }
      func integers(_ values: [Int64], width: Int) throws(CoalitionError) -> Tensor {
        try Tensor(shape: [values.count / width, width], elements: .int64(values))
      }
      let targets = ends.first?.count ?? 0
      let nulls = nullPlayers.enumerated().flatMap { example, players in
        players.flatMap { [Int64(example), Int64($0)] }
      }
      return [
        "null-players": try integers(nulls, width: 2),
        "nodes": try integers(nodes, width: 4),
        "sums": try numbers(sums),
        "stages": try integers(stages, width: 6),
        "results": try numbers(results),
        "adaptations": try numbers(adaptations),
        "history": try numbers(history),
        "ends": try numbers(
          ends.flatMap { $0.flatMap { [$0.empty, $0.full] } }, [ends.count, targets, 2]),
        "blocks": try Tensor(
          shape: [3],
          elements: .int64([
            Int64(blocks.lowerBound), Int64(nextBlock), Int64(blocks.upperBound),
          ])),
      ]
    }
  }

  /// - Parameters:
  ///   - arrays: as `arrays` gave them.
  ///   - targets, players: of the game.
  /// - Throws: `invalidData` for arrays that are no state of such a run.
  public init(
    _ arrays: [String: Tensor], targets: Int, players: Int
  ) throws(CoalitionError) {
    func broken(_ name: String) -> CoalitionError {
      CoalitionError(.invalidData, "the state of a run is damaged or of another run", node: name)
    }
    func integers(_ name: String) throws(CoalitionError) -> [Int] {
      guard let numbers = arrays[name]?.integers else { throw broken(name) }
      return numbers
    }
    func numbers(_ name: String) throws(CoalitionError) -> ArraySlice<Double> {
      guard let tensor = arrays[name], case .float64(let numbers) = tensor.elements else {
        throw broken(name)
      }
      return numbers[...]
    }
    let blocks = try integers("blocks")
    guard blocks.count == 3, 0 <= blocks[0], blocks[0] <= blocks[1], blocks[1] <= blocks[2] else {
      throw broken("blocks")
    }
    self.blocks = blocks[0]..<blocks[2]
    nextBlock = blocks[1]

    var ends = try numbers("ends")
    let nodes = try integers("nodes")
    let stages = try integers("stages")
    var sums = try numbers("sums")
    var results = try numbers("results")
    var adaptations = try numbers("adaptations")
    var history = try numbers("history")
    guard stages.count % 6 == 0, nodes.count % 4 == 0, targets > 0, players > 0 else {
      throw broken("stages")
    }
    let examples = stages.count / 6
    let (perExample, overflow) = targets.multipliedReportingOverflow(by: players)
    guard !overflow else { throw broken("values") }
    func take(
      _ count: Int, _ name: String, from numbers: inout ArraySlice<Double>
    ) throws(CoalitionError) -> [Double] {
      guard count >= 0, count <= numbers.count else { throw broken(name) }
      defer { numbers = numbers.dropFirst(count) }
      return Array(numbers.prefix(count))
    }
    let nulls = try integers("null-players")
    guard nulls.count % 2 == 0 else { throw broken("null-players") }
    nullPlayers = Array(repeating: [], count: examples)
    for start in stride(from: 0, to: nulls.count, by: 2) {
      let (example, player) = (nulls[start], nulls[start + 1])
      guard (0..<examples).contains(example), (0..<players).contains(player),
        player > nullPlayers[example].last ?? -1
      else { throw broken("null-players") }
      nullPlayers[example].append(player)
    }
    self.ends = []
    if !ends.isEmpty {
      for _ in 0..<examples {
        let own = try take(targets * 2, "ends", from: &ends)
        self.ends.append(
          (0..<targets).map { GameEnds(empty: own[2 * $0], full: own[2 * $0 + 1]) })
      }
    }
    // Nodes come by example and replicate.
    let width = nodes.isEmpty ? 0 : sums.count / (nodes.count / 4)
    var trees: [Int: [[DyadicSums.Node]]] = [:]
    for start in stride(from: 0, to: nodes.count, by: 4) {
      let (example, replicate) = (nodes[start], nodes[start + 1])
      let (level, index) = (nodes[start + 2], nodes[start + 3])
      guard (0..<examples).contains(example), (0..<ReplicateSums.count).contains(replicate),
        (0..<48).contains(level), index >= 0, index < 1 << (48 - level)
      else { throw broken("nodes") }
      let sum = try take(width, "sums", from: &sums)
      let none = [[DyadicSums.Node]](repeating: [], count: ReplicateSums.count)
      trees[example, default: none][replicate].append(
        DyadicSums.Node(level: level, index: index, sum: sum))
    }
    self.examples = []
    for example in 0..<examples {
      let stage = Array(stages[example * 6..<(example + 1) * 6])
      switch stage[0] {
      case 0: self.examples.append(.waiting)
      case 1, 3:
        var progress = Progress()
        var replicates: [DyadicSums] = []
        for nodes in trees[example] ?? [] {
          guard let tree = DyadicSums(nodes) else { throw broken("nodes") }
          replicates.append(tree)
        }
        if !replicates.isEmpty { progress.sums = ReplicateSums(replicates) }
        if stage[4] > 0 {
          progress.adaptation = try take(stage[4], "adaptations", from: &adaptations)
        }
        guard (0...CheckPoints.kept).contains(stage[5]) else { throw broken("history") }
        for _ in 0..<stage[5] {
          let row = try take(1 + perExample, "history", from: &history)
          guard let blocks = Int(exactly: row[0]) else { throw broken("history") }
          progress.history.append((blocks, Array(row.dropFirst())))
        }
        self.examples.append(stage[0] == 1 ? .running(progress) : .summed(progress))
      case 2:
        guard StopReason.ordered.indices.contains(stage[3]), (1...1 << 56).contains(stage[1]) else {
          throw broken("stages")
        }
        self.examples.append(
          .done(
            Result(
              values: try take(perExample, "results", from: &results),
              standardErrors: try take(perExample, "results", from: &results),
              replicates: stage[2], samples: stage[1], stop: StopReason.ordered[stage[3]],
              interactions: try take(stage[4], "results", from: &results),
              interactionErrors: try take(stage[5], "results", from: &results))))
      default: throw broken("stages")
      }
    }
  }
}

extension StopReason {
  /// In an order that files keep: new ones come at the end.
  fileprivate static let ordered: [StopReason] = [
    .exact, .samples, .evaluations, .tolerance, .top, .rank, .time, .constant,
  ]
}
