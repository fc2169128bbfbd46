// Which units go: shares, signs, budgets, rounding, ties; and the check of smaller models.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import TestSupport
import Testing

@Suite struct RemovalTests {
  private func coupling(_ architecture: Architecture = .vgg) throws -> UnitCoupling {
    try UnitCoupling(try Model(architecture.build().graph))
  }

  /// Scores that grow with the unit, for all layers.
  private func scores(_ coupling: UnitCoupling, _ score: (Int, Int) -> Double) -> [Int: [Double]] {
    Dictionary(
      uniqueKeysWithValues: coupling.layers.indices.map { layer in
        (layer, (0..<coupling.layers[layer].unitCount).map { score(layer, $0) })
      })
  }

  private func units(_ groups: Set<Int>, _ coupling: UnitCoupling, layer: Int) -> [Int] {
    groups.flatMap { coupling.groups[$0].units }.filter { $0.layer == layer }.map(\.unit).sorted()
  }

  @Test func sharesOfLayers() throws {
    let coupling = try coupling()
    let ranking = try UnitRanking(coupling, scores: scores(coupling) { Double($0 - $1) })
    let removed = ranking.keeping(0.7, scope: .layer)
    // floor(0.3 n) of 6, 8, 10 and 14 units, those with the lowest scores: the last ones.
    #expect(units(removed, coupling, layer: 0) == [5])
    #expect(units(removed, coupling, layer: 1) == [6, 7])
    #expect(units(removed, coupling, layer: 2) == [7, 8, 9])
    #expect(units(removed, coupling, layer: 3) == [10, 11, 12, 13])
    #expect(units(removed, coupling, layer: 4).isEmpty)
    // A layer keeps its last unit.
    let all = ranking.keeping(0.001, scope: .global)
    for layer in 0..<4 {
      #expect(
        units(all, coupling, layer: layer) == Array(1..<coupling.layers[layer].unitCount))
    }
  }

  @Test func ties() throws {
    let coupling = try coupling()
    let ranking = try UnitRanking(coupling, scores: scores(coupling) { _, _ in 1 })
    #expect(units(ranking.keeping(0.5, scope: .layer), coupling, layer: 1) == [0, 1, 2, 3])
    #expect(ranking.candidates == ranking.candidates.sorted())
  }

  @Test func acrossLayers() throws {
    let coupling = try coupling()
    let ranking = try UnitRanking(
      coupling, scores: scores(coupling) { layer, unit in Double(layer * 100 + unit) },
      excluded: [1])
    let removed = ranking.keeping(0.5, scope: .global)
    // 30 units compete; 15 go: all but one of the first layer, then from the third.
    #expect(removed.count == 15)
    #expect(units(removed, coupling, layer: 0) == [0, 1, 2, 3, 4])
    #expect(units(removed, coupling, layer: 1).isEmpty)
    #expect(units(removed, coupling, layer: 2) == Array(0..<9))
    #expect(units(removed, coupling, layer: 3) == [0])
  }

  @Test func rounds() throws {
    let coupling = try coupling()
    let ranking = try UnitRanking(coupling, scores: scores(coupling) { _, unit in Double(unit) })
    let half = ranking.keeping(0.5, scope: .layer, progress: 0.5)
    #expect(units(half, coupling, layer: 2) == [0, 1])
    var gone: [Int: Int] = [:]
    for group in half { gone[ranking.part(of: group), default: 0] += 1 }
    #expect(gone[2] == 2)
    // What is left of ten units loses three more to come to five.
    let smaller = try UnitCoupling(try Model(try coupling.removing(half)))
    let rest = try UnitRanking(smaller, scores: scores(smaller) { _, unit in Double(unit) })
    #expect(
      units(rest.keeping(0.5, scope: .layer, before: gone), smaller, layer: 2) == [0, 1, 2])
  }

  @Test func multiples() throws {
    let coupling = try coupling(.mobilenet)
    var ranking = try UnitRanking(coupling, scores: scores(coupling) { _, unit in Double(unit) })
    ranking.multiple = 4
    let removed = ranking.keeping(0.5, scope: .layer)
    let smaller = try UnitCoupling(try Model(try coupling.removing(removed)))
    for (old, new) in zip(coupling.layers, smaller.layers) {
      #expect(new.unitCount % 4 == 0 || new.unitCount == old.unitCount, "\(new.name)")
    }
    #expect(!removed.isEmpty)
  }

  @Test func negativeUnits() throws {
    let coupling = try coupling(.resnet)
    // The mean of joined units counts: 3 of the stem and -1 of the layer that it is added to.
    let ranking = try UnitRanking(
      coupling, scores: scores(coupling) { layer, unit in layer == 0 ? 3 : unit == 2 ? -1 : 2 })
    let removed = ranking.negative()
    #expect(units(removed, coupling, layer: 0).isEmpty)
    #expect(units(removed, coupling, layer: 1) == [2])
    let group = coupling.group(of: HiddenUnit(layer: 0, unit: 2))
    #expect(ranking.scores[group] == 1)
  }

  @Test func budgets() async throws {
    let coupling = try coupling()
    let ranking = try UnitRanking(coupling, scores: scores(coupling) { _, unit in Double(unit) })
    let whole = try NetworkSize(coupling.model.graph, coupling)
    for (goal, count) in [
      (RemovalGoal.parameters(0.5), whole.parameters), (.multiplyAdds(0.4), whole.multiplyAdds),
    ] {
      let limit = Double(count) * (goal == .parameters(0.5) ? 0.5 : 0.4)
      let groups = try await ranking.reaching(goal, limit: limit, scope: .layer)
      func size(_ groups: Set<Int>) throws -> Int {
        let summary = try ModelSummary(try coupling.removing(groups))
        return goal == .parameters(0.5) ? summary.parameters : summary.multiplyAdds
      }
      #expect(Double(try size(groups)) <= limit)
      // One group fewer would not do.
      let fewer = ranking.allowed(ranking.order(.layer), limit: groups.count - 1)
      #expect(Double(try size(fewer)) > limit)
    }
    let error = await failure {
      _ = try await ranking.reaching(.parameters(0.001), limit: 1, scope: .layer)
    }
    #expect(error.code == .invalidData && error.found?.contains("at best") == true)
  }

  @Test func boundOfTheLoss() async throws {
    let (graph, builder) = Architecture.vgg.build()
    let coupling = try UnitCoupling(try Model(graph))
    let rows = builder.rows(20)
    // The labels are what the network says.
    let scores = try await outputs(graph, rows).doubles
    let labels = (0..<20).map { example -> Int64 in
      let own = scores[example * 5..<example * 5 + 5]
      return Int64((own.firstIndex(of: own.max() ?? 0) ?? 0) - example * 5)
    }
    let examples = LabelledExamples(inputs: ["x": rows], labels: Tensor(.int64(labels)))
    let whole = try await examples.measure(coupling.model)
    #expect(whole.accuracy == 1)
    var options = UnitScoreOptions()
    options.metric = .leaveOneOut
    let scorer = try UnitScorer(
      coupling, inputs: examples.inputs, labels: examples.labels, options)
    var found: [Int: [Double]] = [:]
    for layer in 0..<4 { found[layer] = try await scorer.scores(layer: layer).scores }
    let ranking = try UnitRanking(coupling, scores: found)
    let limit = whole.loss * 1.2
    let groups = try await ranking.reaching(
      .loss(percent: 20), limit: limit, scope: .global, examples: examples)
    #expect(!groups.isEmpty)
    let smaller = try Model(try coupling.removing(groups))
    #expect(try await examples.measure(smaller).loss <= limit)
  }

  @Test(arguments: Architecture.allCases) func networks(_ architecture: Architecture) async throws {
    let coupling = try coupling(architecture)
    let ranking = try UnitRanking(coupling, scores: scores(coupling) { _, unit in Double(unit) })
    let removed = ranking.keeping(0.6, scope: .layer)
    let network = try await PrunedNetwork(coupling, removing: removed)
    #expect(network.difference < 1e-10)
    let smaller = try UnitCoupling(try Model(network.graph))
    let size = try NetworkSize(network.graph, smaller)
    let before = coupling.layers.map(\.unitCount).reduce(0, +)
    let fewer = removed.map { coupling.groups[$0].units.count }.reduce(0, +)
    #expect(size.units.values.reduce(0, +) == before - fewer)
  }

  /// Units go only if their errors leave no doubt.
  @Test func confidence() throws {
    let coupling = try coupling()
    let layer = try coupling.layer(named: "c2")
    func removed(
      _ scores: [Double], _ errors: [Double], keep: Double = 0.5, degrees: Int = 1 << 30
    ) throws -> [Int] {
      var ranking = try UnitRanking(coupling, scores: [layer: scores], errors: [layer: errors])
      ranking.degreesOfFreedom = degrees
      let groups = try ranking.confident(
        ranking.keeping(keep, scope: .layer), .lowestThatStays(.layer))
      return units(groups, coupling, layer: layer)
    }
    let scores = [0.0, 1, 2, 3, 4, 5, 6, 7]
    let none = [Double](repeating: 0, count: 8)
    // Without errors, and with errors that are small against the distance to unit 4, which stays.
    #expect(try removed(scores, none) == [0, 1, 2, 3])
    #expect(try removed(scores, [Double](repeating: 0.3, count: 8)) == [0, 1, 2, 3])
    // 1.96 sqrt(2) 0.6 = 1.66: unit 3 is too near; 1.96 sqrt(2) 1.2 = 3.3: so are 1, 2 and 3.
    #expect(try removed(scores, [Double](repeating: 0.6, count: 8)) == [0, 1, 2])
    #expect(try removed(scores, [Double](repeating: 1.2, count: 8)) == [0])
    // With three degrees of freedom 3.18 sqrt(2) 0.6 = 2.7, with one 12.7 sqrt(2) 0.3 = 5.4.
    #expect(try removed(scores, [Double](repeating: 0.6, count: 8), degrees: 3) == [0, 1])
    #expect(try removed(scores, [Double](repeating: 0.3, count: 8), degrees: 1) == [])
    #expect(throws: CoalitionError.self) { try removed(scores, none, degrees: 0) }
    // The error of the unit that stays counts as well.
    var errors = none
    errors[4] = 1.1
    #expect(try removed(scores, errors) == [0, 1])
    #expect(throws: CoalitionError.self) { try removed(scores, []) }
    #expect(throws: CoalitionError.self) {
      try removed(scores, [Double](repeating: .nan, count: 8))
    }
  }

  @Test func confidentlyNegative() throws {
    let coupling = try coupling()
    let layer = try coupling.layer(named: "c1")
    let ranking = try UnitRanking(
      coupling, scores: [layer: [-3, -1, -0.1, 1, 2, 3]],
      errors: [layer: [1, 0.6, 0.01, 0, 0, 0]])
    let groups = try ranking.confident(ranking.negative(), .zero)
    #expect(units(groups, coupling, layer: layer) == [0, 2])
  }

  @Test func scoresThatRankNothing() async throws {
    let coupling = try coupling()
    let short = await failure { _ = try UnitRanking(coupling, scores: [0: [1, 2]]) }
    #expect(short.code == .shapeMismatch && short.node == "c1")
    var values = [Double](repeating: 1, count: 6)
    values[4] = .nan
    let unknown = await failure { [values] in
      _ = try UnitRanking(coupling, scores: [0: values])
    }
    #expect(unknown.code == .notFinite && unknown.message.contains("unit 4"))
  }
}
