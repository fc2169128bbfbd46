// Where the zero lies that stands for the absence of a unit.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import TestSupport
import Testing

@Suite struct AbsenceTests {
  /// In front of a relu and behind it, units are the same players: all but the sensitivity agree.
  @Test func placesAroundRelu() async throws {
    let (graph, builder) = Architecture.vgg.build()
    let coupling = try UnitCoupling(try Model(graph))
    let layer = try coupling.layer(named: "c3")
    func scores(_ metric: UnitMetric, atOutput: Bool) async throws -> [Double] {
      var options = UnitScoreOptions()
      options.metric = metric
      options.atOutput = atOutput
      options.plan.precision = .double
      options.sampling.estimator = .exact
      return try await UnitScorer(
        coupling, inputs: ["x": builder.rows(3)], labels: Tensor(.int64([0, 1, 2])), options
      ).scores(layer: layer).scores
    }
    for metric in [UnitMetric.weight, .activationCount, .taylor, .shapley, .leaveOneOut] {
      expectClose(
        try await scores(metric, atOutput: true), try await scores(metric, atOutput: false),
        within: 1e-9)
    }
    #expect(
      try await scores(.sensitivity, atOutput: true) != scores(.sensitivity, atOutput: false))
  }

  /// The zero that stands for a unit's absence is the removal, in every family of networks: units that are groups by
  /// themselves lose what the smaller network loses.
  @Test(arguments: Architecture.allCases) func absenceIsRemoval(
    _ architecture: Architecture
  ) async throws {
    let (graph, builder) = architecture.build()
    let coupling = try UnitCoupling(try Model(graph))
    let rows = builder.rows(4)
    let scores = try await Model(graph).scores(["x": rows])
    let inputs = ["x": rows]
    let labels = Tensor(.int64((0..<4).map { Int64($0 % scores.shape[1]) }))
    var options = UnitScoreOptions()
    options.plan.precision = .double
    options.metric = .leaveOneOut
    var examples = LabelledExamples(inputs: inputs, labels: labels)
    examples.plan.precision = .double
    let full = try await examples.measure(coupling.model).loss
    // Where a normalisation follows an addition or concatenation, a zero is not what a removed unit is (docs/Methods.md).
    let excluded: [Architecture: Set<String>] = [
      .densenet: ["stem", "g0", "g1", "g2"]
    ]
    var compared = 0
    for (index, layer) in coupling.layers.enumerated() {
      if excluded[architecture]?.contains(layer.name) ?? false { continue }
      let alone = (0..<layer.unitCount).filter { unit in
        let group = coupling.group(of: HiddenUnit(layer: index, unit: unit))
        return coupling.groups[group].units.count == 1 && coupling.canRemove([group])
          && coupling.groups[group].obstacle == nil
      }
      if alone.isEmpty { continue }
      let found = try await UnitScorer(coupling, inputs: inputs, labels: labels, options)
        .scores(layer: index)
      for unit in alone {
        let group = coupling.group(of: HiddenUnit(layer: index, unit: unit))
        let without = try await examples.measure(try Model(try coupling.removing([group]))).loss
        #expect(
          abs(found.scores[unit] - (without - full)) < 1e-9, "\(layer.name) unit \(unit)")
        compared += 1
      }
    }
    #expect(compared > 0 || [.mobilenet, .resnext].contains(architecture))
  }
}
