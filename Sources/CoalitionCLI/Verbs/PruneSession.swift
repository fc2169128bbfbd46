// The work of `coalition prune`: round by round, scores, a choice of units, a smaller model that is checked.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

struct PruneSession {
  let subject: ScoreSubject
  let flags: PruneFlags
  let score: ScoreFlags
  private let training: TrainFlags
  private let labels: Tensor?
  /// nil without labels.
  let examples: LabelledExamples?
  /// nil without a repair that trains.
  private(set) var tuning: PruneTraining?
  /// What is left.
  private(set) var model: Model
  private(set) var coupling: UnitCoupling
  /// Of the whole model.
  let whole: UnitCoupling
  /// Per layer, the units of the whole model that are left.
  private(set) var kept: [[Int]]
  /// The largest difference that a round's check has found.
  private(set) var difference = 0.0
  private(set) var rounds = 0
  private(set) var evaluations = 0
  /// What a user should know of the work.
  private(set) var warnings: [String] = []
  /// What one example takes, beside the whole model.
  private var latency: NetworkLatency {
    NetworkLatency(whole.model, inputs: subject.inputs, subject.plan, subject.execution.options)
  }
  /// What `--reach` takes a share of, of the whole model; nil for a time, which is measured beside it.
  private var wholeSize: Double?
  /// The options by which the scores of a file were made.
  private(set) var scoring: JSONValue?

  private let excluded: Set<Int>
  /// Whether units would have gone, had their errors left no doubt.
  private var isDoubtful = false
  /// Groups that have been removed, by part.
  private var removed: [Int: Int] = [:]

  init(
    _ subject: ScoreSubject, _ flags: PruneFlags, _ score: ScoreFlags, _ training: TrainFlags,
    labels: Tensor?
  ) throws(CoalitionError) {
    (self.subject, self.flags, self.score, self.labels) = (subject, flags, score, labels)
    self.training = training
    model = subject.model
    whole = try UnitCoupling(subject.model, inputShapes: subject.arrays.shapes)
    coupling = whole
    kept = whole.layers.map { Array(0..<$0.unitCount) }
    if flags.repairs.withoutTraining.contains(.normalisation),
      !subject.model.graph.nodes.contains(where: { $0.operation == "BatchNormalization" })
    {
      throw CoalitionError(
        .usage, "--repair bn is for models with batch normalisations: this one has none")
    }
    excluded = Set(
      try ScoreSubject.layers(
        flags.excluded, whole, option: PruneFlags.excludeOption.declaration))
    examples = labels.map {
      var examples = LabelledExamples(
        inputs: subject.inputs, labels: $0, loss: score.options.loss)
      examples.output = score.options.output
      examples.plan = subject.plan
      examples.run = subject.execution.options
      return examples
    }
  }

  /// - Parameter count: of units that are scored.
  mutating func run(_ count: WorkCount) async throws(CoalitionError) {
    if case .reach(let goal) = flags.amount { wholeSize = try await size(goal) }
    for round in 1...flags.rounds {
      try Signals.check()
      let scores = try await scores(count)
      var ranking = try UnitRanking(
        coupling, scores: scores.mapValues(\.scores), errors: scores.mapValues(\.errors),
        excluded: excluded)
      if flags.scores != nil { warnings += withoutScores(ranking) }
      ranking.multiple = flags.multiple
      ranking.degreesOfFreedom = scores.values.map(\.degreesOfFreedom).min() ?? 0
      var groups = try await choice(ranking, round)
      if flags.isConfident, !groups.isEmpty {
        groups = try await certain(groups, ranking, round)
        isDoubtful = groups.isEmpty
      }
      if groups.isEmpty { continue }
      try await remove(groups, ranking)
      // Before the next round scores what is left.
      if !flags.repairs.withoutTraining.isEmpty { try await repair() }
    }
    guard rounds > 0 else {
      if isDoubtful {
        throw CoalitionError(
          .invalidData,
          "nothing would be removed, and no file was written: the errors leave every unit in doubt",
          expected: "more examples or samples, or no --confident")
      }
      throw CoalitionError(
        .invalidData, "nothing would be removed, and no file was written",
        expected: "units that can go by these options",
        found: "\(Numbers.grouped(kept.reduce(0) { $0 + $1.count })) units that stay")
    }
    try await train(count)
    if !flags.repairs.isEmpty { try await checkGoal() }
  }

  /// Repairs and training change what units were chosen by.
  /// - Throws: `invalidData` when a goal that was met no longer is.
  private func checkGoal() async throws(CoalitionError) {
    guard case .reach(let goal) = flags.amount else { return }
    if case .latency = goal { return }
    let found = try await goal.measure(
      model, examples: examples, latency: nil, inputShapes: subject.arrays.shapes)
    let limit = limit(goal, 1)
    guard found > limit else { return }
    throw CoalitionError(
      .invalidData, "behind its repairs the smaller model misses the goal",
      expected: "at most \(goal.text(limit))", found: goal.text(found))
  }

  private func repair(kept: [[Int]]) -> NetworkRepair {
    var repair = NetworkRepair(whole, kept: kept, inputs: subject.inputs)
    repair.plan = subject.plan
    repair.run = subject.execution.options
    return repair
  }

  private func repaired(
    _ graph: Graph, kept: [[Int]]
  ) async throws(CoalitionError) -> Graph {
    try await repair(kept: kept).repaired(graph, by: flags.repairs.withoutTraining)
  }

  private mutating func repair() async throws(CoalitionError) {
    model = try subject.model.rebuilt(try await repaired(model.graph, kept: kept))
    coupling = try UnitCoupling(model, inputShapes: subject.arrays.shapes)
  }

  /// Before the work, as it finds examples and labels that do not fit.
  mutating func prepareTraining() async throws(CoalitionError) {
    guard !flags.repairs.training.isEmpty else { return }
    tuning = try await PruneTraining(
      flags.repairs.training, training, subject, score, labels: labels)
  }

  private mutating func train(_ count: WorkCount) async throws(CoalitionError) {
    guard let trained = try await tuning?.train(model, count) else { return }
    warnings += tuning?.warnings ?? []
    model = try subject.model.rebuilt(trained.graph)
    coupling = try UnitCoupling(model, inputShapes: subject.arrays.shapes)
  }

  /// Layers that are scored; none with scores from a file. A layer without a batch normalisation of its own has no scale: it
  /// is ranked by those it hangs together with.
  var scoredLayers: [Int] {
    guard flags.scores == nil else { return [] }
    return coupling.layers.indices.filter { layer in
      (score.options.metric != .scale || coupling.layers[layer].hasNormalisation)
        && !excluded.contains(layer) && coupling.obstacle(toLayer: layer) == nil
    }
  }

  /// What one example takes in the whole model and in what is left of it.
  /// - Throws: `invalidData` when a time that was to be reached is missed after all.
  func seconds() async throws(CoalitionError) -> (own: Double, other: Double) {
    guard case .reach(.latency(let share)) = flags.amount else {
      return try await latency.seconds(model)
    }
    let seconds = try await latency.seconds(model, within: share)
    guard seconds.other > share * seconds.own else { return seconds }
    let goal = RemovalGoal.latency(share)
    throw CoalitionError(
      .invalidData,
      "measured again, the smaller model is not so fast; a quieter machine or a lower share may help",
      expected: "at most \(goal.text(share))", found: goal.text(seconds.other / seconds.own))
  }

  /// Of layers that could lose units and keep all, as the file has no scores of them nor of what they hang together with.
  private func withoutScores(_ ranking: UnitRanking) -> [String] {
    let ranked = Set(
      ranking.candidates.flatMap { coupling.groups[$0].units.map(\.layer) })
    let left = coupling.layers.indices.filter { layer in
      coupling.obstacle(toLayer: layer) == nil && !ranked.contains(layer)
        && !coupling.groups.contains { group in
          group.units.contains { $0.layer == layer }
            && group.units.contains { excluded.contains($0.layer) }
        }
    }
    guard !left.isEmpty else { return [] }
    return [
      "the scores are not of all layers, and these keep all units: "
        + left.map { coupling.layers[$0].name }.joined(separator: ", ")
    ]
  }

  func units(_ layer: Int) -> Int { coupling.layers[layer].unitCount }

  /// For a dry run.
  var forecast: String {
    let scored = scoredLayers.map { coupling.layers[$0] }
    let rounds = flags.rounds > 1 ? "\(flags.rounds) rounds with, at first:\n" : ""
    return rounds
      + ScoreForecast(score.options, scored).text(held: subject.execution.held)
  }

  /// By layer.
  private mutating func scores(_ count: WorkCount) async throws(CoalitionError) -> [Int:
    KnownScores]
  {
    if let path = flags.scores {
      let file = try ScoreResult.read(
        path, coupling, model: subject.file.record, memoryLimit: subject.plan.memoryLimit)
      scoring = file.options
      return file.scores
    }
    var options = score.options
    options.plan = subject.plan
    options.run = subject.execution.options
    let scorer = try UnitScorer(
      coupling, inputs: subject.inputs, labels: labels, options)
    var scores: [Int: KnownScores] = [:]
    let (layers, warning) = ScoreSubject.leading(scoredLayers, scorer)
    if rounds == 0, let warning { warnings.append(warning) }
    for layer in layers {
      try Signals.check()
      let result = try await scorer.scores(layer: layer)
      scores[layer] = KnownScores(
        scores: result.scores, errors: result.errors, degreesOfFreedom: result.degreesOfFreedom)
      evaluations += result.evaluations
      count.add(units(layer))
    }
    return scores
  }

  private func choice(
    _ ranking: UnitRanking, _ round: Int
  ) async throws(CoalitionError) -> Set<Int> {
    let progress = Double(round) / Double(flags.rounds)
    switch flags.amount {
    case .keep(let share):
      return ranking.keeping(share, scope: flags.scope, progress: progress, before: removed)
    case .negative: return ranking.negative()
    case .reach(let goal):
      let limit = limit(goal, progress)
      var repair: ((Graph, Set<Int>) async throws(CoalitionError) -> Graph)?
      if !flags.repairs.withoutTraining.isEmpty {
        repair = { [self] graph, groups async throws(CoalitionError) in
          try await repaired(graph, kept: kept(without: groups))
        }
      }
      return try await ranking.reaching(
        goal, limit: limit, scope: flags.scope, examples: examples, latency: latency,
        inputShapes: subject.arrays.shapes,
        growth: { [self] graph, groups throws(CoalitionError) in
          try self.repair(kept: kept(without: groups))
            .parametersAdded(to: graph, by: flags.repairs.withoutTraining)
        }, repair: repair)
    }
  }

  /// Per layer, the units of the whole model that are left when more groups go.
  private func kept(without groups: Set<Int>) -> [[Int]] {
    let gone = groups.flatMap { coupling.groups[$0].units }
    return kept.indices.map { layer in
      let units = Set(gone.filter { $0.layer == layer }.map(\.unit))
      return kept[layer].enumerated().filter { !units.contains($0.offset) }.map(\.element)
    }
  }

  /// Those of the chosen groups that the errors leave no doubt of.
  /// - Throws: `invalidData` when a size that is to be reached needs others as well.
  private func certain(
    _ chosen: Set<Int>, _ ranking: UnitRanking, _ round: Int
  ) async throws(CoalitionError) -> Set<Int> {
    var cut = RemovalCut.lowestThatStays(flags.scope)
    if case .negative = flags.amount { cut = .zero }
    let certain = try ranking.confident(chosen, cut)
    guard case .reach(let goal) = flags.amount, round == flags.rounds, certain != chosen else {
      return certain
    }
    if case .loss = goal { return certain }
    let graph = certain.isEmpty ? model.graph : try coupling.removing(certain)
    let found = try await goal.measure(
      try model.rebuilt(graph), examples: examples, latency: latency,
      inputShapes: subject.arrays.shapes)
    let limit = limit(goal, 1)
    guard found > limit else { return certain }
    throw CoalitionError(
      .invalidData, "the units of which the errors leave no doubt do not suffice",
      expected: "at most \(goal.text(limit))",
      found: "\(goal.text(found)) at best: give more examples or samples")
  }

  /// What a round is to reach, in numbers: a part of the way from the whole model to the goal.
  private func limit(_ goal: RemovalGoal, _ progress: Double) -> Double {
    let share: Double
    switch goal {
    case .parameters(let own), .multiplyAdds(let own), .latency(let own):
      share = 1 - (1 - own) * progress
    case .loss(let percent): share = 1 + percent / 100 * progress
    }
    return share * (wholeSize ?? 1)
  }

  /// - Throws: `invalidData` for a whole model that has none of what a share is wanted of.
  private func size(_ goal: RemovalGoal) async throws(CoalitionError) -> Double? {
    if case .latency = goal { return nil }
    let whole = try await goal.measure(
      whole.model, examples: examples, latency: nil, inputShapes: subject.arrays.shapes)
    guard whole > 0 else {
      throw CoalitionError(
        .invalidData, "the whole model has nothing to take a share of", found: goal.text(whole))
    }
    return whole
  }

  private mutating func remove(
    _ groups: Set<Int>, _ ranking: UnitRanking
  ) async throws(CoalitionError) {
    let network = try await PrunedNetwork(
      coupling, removing: groups, inputs: subject.inputs, subject.plan, subject.execution.options)
    difference = max(difference, network.difference)
    for group in groups { removed[ranking.part(of: group), default: 0] += 1 }
    kept = kept(without: groups)
    model = try subject.model.rebuilt(network.graph)
    coupling = try UnitCoupling(model, inputShapes: subject.arrays.shapes)
    rounds += 1
  }
}
