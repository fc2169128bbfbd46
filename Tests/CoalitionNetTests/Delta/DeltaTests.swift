// The delta mode against full passes of every coalition, with and without each player.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

/// Players of a graph's inputs: how elements are divided, and how many there are.
enum Division: CaseIterable, CustomStringConvertible {
  case elements, halves, channels, scattered, someAlwaysPresent

  var description: String {
    switch self {
    case .elements: "elements"
    case .halves: "halves"
    case .channels: "channels"
    case .scattered: "scattered"
    case .someAlwaysPresent: "some always present"
    }
  }

  /// The players of an input of so many elements, numbered from `first`, and how many they are.
  func ids(_ shape: [Int], _ random: inout Seeded) -> (ids: [Int32], count: Int) {
    let count = shape.reduce(1, *)
    let inner = shape.dropFirst().reduce(1, *)
    switch self {
    case .elements: return ((0..<count).map { Int32($0) }, count)
    case .halves: return ((0..<count).map { $0 * 2 < count ? 0 : 1 }, 2)
    case .channels: return ((0..<count).map { Int32($0 / inner) }, shape.first ?? 1)
    case .scattered:
      return ((0..<count).map { _ in Int32.random(in: 0..<3, using: &random) }, 3)
    case .someAlwaysPresent:
      return ((0..<count).map { Int32($0 % 4) - 1 }, 3)
    }
  }
}

/// Everything that a toggle run and its reference need.
struct ToggleExperiment {
  let plan: Plan
  let masked: MaskedPlan
  let toggle: TogglePlan
  let subject: MaskedPlan.Subject
  let playerCount: Int
  var variants = MaskedPlan.Variants()
  var words: [UInt32] = []
  var segments: [Int32] = []
  var segmentCount = 0
  let wordCount: Int

  init(
    _ graph: Graph, _ division: Division, _ precision: Precision, range: ClosedRange<Double>,
    coalitions: Int = 24, elements chosen: [Int]? = nil, nullShare: Double = 0.2
  ) throws {
    var options = PlanOptions()
    options.precision = precision
    plan = try Plan(try Model(graph), options)
    var random = Seeded(coalitions + division.description.count)
    var players: [String: Masking.ElementPlayers] = [:]
    var count = 0
    for input in plan.inputs {
      let (ids, own) = division.ids(input.shape, &random)
      players[input.name] = Masking.ElementPlayers(
        ids: ids.map { $0 < 0 ? -1 : $0 + Int32(count) }, hasRows: false)
      count += own
    }
    playerCount = count
    wordCount = (count + 31) / 32
    masked = try MaskedPlan(plan, masking: .coalitions(players: players, words: wordCount))
    toggle = try TogglePlan(
      masked, playerCount: count, elements: chosen ?? Array(0..<masked.output.count))
    var rows: [String: Tensor] = [:]
    var baselines: [String: Tensor] = [:]
    for input in plan.inputs {
      let x = random.grid([2] + input.shape, range)
      var b = random.grid([2] + input.shape, range)
      // Elements that equal the baseline of the same number: players without effect.
      for place in b.values.indices where Double.random(in: 0..<1, using: &random) < nullShare {
        b.values[place] = x.values[place]
      }
      rows[input.name] = x.tensor(precision == .single ? .float32 : .float64)
      baselines[input.name] = b.tensor(precision == .single ? .float32 : .float64)
    }
    subject = try masked.subject(rows, baselines: baselines)
    for index in 0..<coalitions {
      for word in 0..<wordCount {
        let used = min(32, count - word * 32)
        let all = used == 32 ? UInt32.max : (1 << UInt32(used)) - 1
        words.append(UInt32(truncatingIfNeeded: random.next()) & all)
      }
      // Segments of 5, and of 1 where the next one would cross a multiple of 16.
      let place = index % 16
      variants.append(example: place % 5 % 2, baseline: index / 5 % 2, mask: index)
      if index > 0 && place % 5 == 0 { segmentCount += 1 }
      segments.append(Int32(segmentCount))
    }
    segmentCount += 1
  }

  func run(_ options: RunOptions = RunOptions()) async throws -> [Double] {
    try await toggle.marginalSums(
      toggle.subject(subject), variants, segments: segments, words: words,
      weights: (0..<variants.count).map { 1 - Double($0) / 64 }, segmentCount: segmentCount,
      options)
  }

  /// The same sums from full masked passes, and the scale of the values that they are differences of.
  /// - Parameter counts: the coalitions that have a weight.
  func reference(
    where counts: (Int) -> Bool = { _ in true }
  ) async throws -> (sums: [Double], scale: Double) {
    var passes = MaskedPlan.Variants()
    var rows: [UInt32] = []
    for index in 0..<variants.count {
      let own = Array(words[index * wordCount..<(index + 1) * wordCount])
      for player in -1..<playerCount {
        var toggled = own
        if player >= 0 { toggled[player / 32] ^= 1 << UInt32(player % 32) }
        passes.append(
          example: Int(variants.example[index]), baseline: Int(variants.baseline[index]),
          mask: passes.count)
        rows += toggled
      }
    }
    let outputs = Tensor(try await masked.outputs(subject, passes, .words(rows))).doubles
    let width = masked.output.count
    let elements = toggle.elements
    var sums = [Double](repeating: 0, count: segmentCount * playerCount * elements.count)
    for index in 0..<variants.count where counts(index) {
      let first = index * (playerCount + 1) * width
      for player in 0..<playerCount {
        let holds = words[index * wordCount + player / 32] >> UInt32(player % 32) & 1 == 1
        for (place, element) in elements.enumerated() {
          let change = outputs[first + (player + 1) * width + element] - outputs[first + element]
          let row = (Int(segments[index]) * playerCount + player) * elements.count
          sums[row + place] += (1 - Double(index) / 64) * (holds ? -change : change)
        }
      }
    }
    return (sums, outputs.map(abs).max() ?? 0)
  }
}

@Suite(.serialized) struct DeltaTests {
  private func check(
    _ graph: Graph, _ division: Division, range: ClosedRange<Double> = -1...1
  ) async throws {
    for (precision, limit) in [(Precision.single, 1e-5), (.double, 1e-12)] {
      let experiment = try ToggleExperiment(graph, division, precision, range: range)
      let found = try await experiment.run()
      let (expected, scale) = try await experiment.reference()
      try #require(found.count == expected.count)
      let error = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
      #expect(error <= limit * max(scale, 1) * 5, "\(division), \(precision): \(error) of \(scale)")
    }
  }

  @Test(
    "Deltas agree with full passes through every operator",
    arguments: ReverseNet.all.filter { !$0.name.hasPrefix("whole") })
  func operators(net: ReverseNet) async throws {
    for division in Division.allCases {
      try await check(net.graph, division, range: net.range)
    }
  }

  @Test("Deltas agree with full passes through whole networks", arguments: DeltaNet.all)
  func networks(net: DeltaNet) async throws {
    for division in Division.allCases { try await check(net.graph, division) }
  }

  @Test(
    "The bytes are the same for all lanes, threads and instruction sets", arguments: DeltaNet.all)
  func sameBytes(net: DeltaNet) async throws {
    for division in [Division.halves, .scattered] {
      for precision in [Precision.single, .double] {
        let experiment = try ToggleExperiment(
          net.graph, division, precision, range: -1...1, coalitions: 75)
        var expected: [UInt64]?
        for set in InstructionSet.allCases where set.isAvailable {
          for (threads, lanes) in [(1, 16), (2, 32), (3, 64), (2, 16), (1, 48), (3, nil)]
            as [(Int, Int?)]
          {
            var options = RunOptions()
            (options.threads, options.lanes, options.instructionSet) = (threads, lanes, set)
            let found = try await experiment.run(options).map(\.bitPattern)
            expected = expected ?? found
            #expect(
              found == expected,
              "\(division), \(precision), \(set), \(threads) threads, \(lanes ?? 0) lanes")
          }
        }
      }
    }
  }

  @Test("A player that equals the baseline contributes exactly nothing, in company too")
  func nullPlayers() async throws {
    for net in DeltaNet.all {
      for nullShare in [1.0, 0.5] {
        let experiment = try ToggleExperiment(
          net.graph, .elements, .single, range: -1...1, nullShare: nullShare)
        let found = try await experiment.run()
        if nullShare == 1 {
          // Example 0 with baseline 0 (and 1 with 1) is the baseline itself.
          let same = experiment.segments.indices.filter {
            experiment.variants.example[$0] == experiment.variants.baseline[$0]
          }
          #expect(!same.isEmpty)
          let mixed = Set(
            experiment.segments.indices.filter { !same.contains($0) }.map {
              experiment.segments[$0]
            })
          let width = experiment.playerCount * experiment.toggle.elements.count
          for segment in 0..<experiment.segmentCount where !mixed.contains(Int32(segment)) {
            #expect(found[segment * width..<(segment + 1) * width].allSatisfy { $0 == 0 })
          }
        }
      }
    }
  }

  @Test("Some elements of the output, in any order")
  func chosenElements() async throws {
    let graph = DeltaNet.all[0].graph
    let all = try ToggleExperiment(graph, .elements, .single, range: -1...1)
    let few = try ToggleExperiment(
      graph, .elements, .single, range: -1...1, elements: [2, 0, 1, 2])
    let (wanted, found) = (try await all.run(), try await few.run())
    let width = all.toggle.elements.count
    for row in 0..<all.segmentCount * all.playerCount {
      #expect(
        Array(found[row * 4..<row * 4 + 4]) == [2, 0, 1, 2].map { wanted[row * width + $0] })
    }
  }

  @Test("Counted arithmetic is far below that of full passes")
  func arithmetic() throws {
    let net = try #require(DeltaNet.all.first { $0.name == "convolutions and pools" })
    let experiment = try ToggleExperiment(net.graph, .elements, .single, range: -1...1)
    let (base, perPlayer) = experiment.toggle.arithmetic
    #expect(base > 0 && perPlayer.count == experiment.playerCount)
    #expect(perPlayer.allSatisfy { $0 <= base })
    // The last pixel reaches outputs that no window of the second pool reads.
    #expect(perPlayer[0] > 0 && perPlayer[143] == 0)
    #expect(experiment.toggle.isCheaper)
    #expect(perPlayer.reduce(0, +) * 3 < base * experiment.playerCount)
  }

  @Test("Players that take a turn together, each in lanes of its own, have the sums of turns alone")
  func turns() async throws {
    for net in DeltaNet.all {
      for division in [Division.elements, .someAlwaysPresent, .scattered] {
        for (precision, limit) in [(Precision.single, 1e-5), (.double, 1e-12)] {
          let e = try ToggleExperiment(net.graph, division, precision, range: -1...1)
          // Neighbours by numbers, the last ones with some twice.
          let turns = stride(from: 0, to: e.playerCount, by: 2).map {
            [$0, min($0 + 1, e.playerCount - 1)]
          }
          let toggle = try TogglePlan(
            e.masked, playerCount: e.playerCount, turns: turns, elements: e.toggle.elements)
          // Coalitions with an even number toggle the first of two.
          var found: [[Double]] = []
          for side in 0..<2 {
            found.append(
              try await toggle.marginalSums(
                toggle.subject(e.subject), e.variants, segments: e.segments, words: e.words,
                weights: (0..<e.variants.count).map {
                  $0 % 2 == side ? 1 - Double($0) / 64 : 0
                }, segmentCount: e.segmentCount))
          }
          let width = e.toggle.elements.count
          for side in 0..<2 {
            let (expected, scale) = try await e.reference { $0 % 2 == side }
            for segment in 0..<e.segmentCount {
              for (number, turn) in turns.enumerated() {
                for place in 0..<width {
                  let own = found[side][(segment * turns.count + number) * width + place]
                  let wanted = expected[(segment * e.playerCount + turn[side]) * width + place]
                  #expect(abs(own - wanted) <= limit * max(scale, 1) * 5)
                }
              }
            }
          }
        }
      }
    }
  }

  @Test("Coalitions of a share have its turns alone")
  func shares() async throws {
    let net = try #require(DeltaNet.all.first { $0.name == "convolutions and pools" })
    let e = try ToggleExperiment(net.graph, .elements, .single, range: -1...1)
    let subject = e.toggle.subject(e.toggle.subject(e.subject), dealtInto: 2)
    let all = try await e.run()
    let width = e.toggle.elements.count
    for share in 0..<2 {
      let found = try await e.toggle.marginalSums(
        subject, e.variants, segments: e.segments, words: e.words,
        weights: (0..<e.variants.count).map { 1 - Double($0) / 64 },
        shares: [Int32](repeating: Int32(share), count: e.variants.count),
        segmentCount: e.segmentCount)
      for (index, number) in found.enumerated() {
        let isOwn = index / width % e.playerCount % 2 == share
        #expect(number == (isOwn ? all[index] : 0))
      }
    }
  }

  @Test("Segments that do not fit, and programs beyond the memory limit, are refused")
  func refusals() async throws {
    let experiment = try ToggleExperiment(DeltaNet.all[0].graph, .halves, .single, range: -1...1)
    let subject = experiment.toggle.subject(experiment.subject)
    for segments in [[Int32](repeating: 0, count: 24), Array((0..<24).reversed()), [0]] {
      let error = await #expect(throws: CoalitionError.self) {
        try await experiment.toggle.marginalSums(
          subject, experiment.variants, segments: segments, words: experiment.words,
          segmentCount: 24)
      }
      #expect(error?.code == .usage)
    }
    var options = RunOptions()
    options.memoryLimit = 1000
    let error = await #expect(throws: CoalitionError.self) { try await experiment.run(options) }
    #expect(error?.code == .memoryLimit)
  }
}
