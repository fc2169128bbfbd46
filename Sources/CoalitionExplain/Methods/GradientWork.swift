// One run of a gradient method: variants of the examples, chunk by chunk.
//
// An example becomes one variant, or one per step of its path and per baseline, whose signals are summed in double
// precision by the engine.

import CoalitionBase
import CoalitionNet

struct GradientWork: Sendable {
  let explainer: Explainer
  let method: GradientMethod
  let rows: [String: Tensor]
  let examples: Int
  let weights: ScoreWeights
  /// The scores of the examples, where the target has asked for them.
  let knownScores: Tensor?
  let baselines: BaselineRows
  let keepsLedger: Bool
  let run: RunOptions

  /// Scores explained in one program: their forward pass is shared.
  private static let seedsPerProgram = 16
  /// Variants of one call, about: bounds the memory of their indices.
  private static let variantsPerCall = 1 << 14
  /// The same where every example is its own variant: no more memory than its input and its attributions.
  private static let examplesPerCall = 1 << 18
  /// Bytes of the sums of one call, and of reference values that belong to single examples, about.
  private static let sumBytesPerCall = 1 << 28

  func explanation() async throws(CoalitionError) -> Explanation {
    if method.remakesRows { try checkFinite() }
    if case .adaptiveIntegratedGradients(let tolerance) = method {
      return try await adaptive(tolerance)
    }
    let firstVariants = try method.variants(ofExample: 0, baselines: baselines.count)
    let variants = firstVariants.count
    let seeds = weights.isAll ? min(weights.count, Self.seedsPerProgram) : 1
    var request = explainer.request(method, seeds: seeds)
    if variants > 1 { request.isSummed = true }
    request.keepsLedger = keepsLedger
    if keepsLedger && request.isSummed {
      throw CoalitionError(
        .unsupported, "a ledger is kept for methods of one pass and one baseline only")
    }
    let plan = try explainer.plan(request)

    let convertedRows = plan.converted(rows)
    let segment = request.isSummed ? Self.segmentLength(variants) : 1
    let padded = (variants + segment - 1) / segment * segment
    var chunk = request.isSummed ? max(1, Self.variantsPerCall / padded) : Self.examplesPerCall
    if request.isSummed {
      let row = plan.sources.reduce(0) { $0 + $1.count } * seeds * MemoryLayout<Double>.stride
      chunk = max(1, min(chunk, Self.sumBytesPerCall / max(1, padded / segment * row)))
    }
    let references = plan.ownReferenceByteCount * (request.isSummed ? variants : 1)
    if references > 0 { chunk = max(1, min(chunk, Self.sumBytesPerCall / references)) }
    var sums = ResultRows(sources: plan.sources, targets: weights.isAll ? weights.count : nil)
    var residuals: [Double] = []
    var scores: [Double] = []
    var baselineScores: [Double]?
    for first in stride(from: 0, to: examples, by: chunk) {
      let range = first..<min(first + chunk, examples)
      let work = try work(
        for: range, of: convertedRows, method.variesByExample ? nil : firstVariants,
        segment: segment, padded: padded, plan)
      let groups = stride(from: 0, to: weights.isAll ? weights.count : 1, by: seeds)
      var results: [[Tensor]] = []
      var chunkResiduals: [Tensor] = []
      for start in groups {
        var seeded = work
        // The last program of several may have seeds to spare: they repeat the last score.
        let picked = (0..<seeds).map { min(start + $0, weights.count - 1) }
        seeded.seeds = weights.isAll ? try picked.map(seedRow) : [weights.rows]
        let outcome = try await plan.run(seeded, run)
        let used = weights.isAll ? min(seeds, weights.count - start) : 1
        results += outcome.results.prefix(used)
        chunkResiduals += outcome.residuals.prefix(used)
        if start == 0, let target = outcome.target { scores += target.doubles }
        baselineScores = outcome.baselineTarget?.doubles
      }
      sums.append(results, examples: range.count)
      residuals += interleaved(chunkResiduals, examples: range.count)
    }
    if scores.isEmpty { scores = try await exampleScores() }
    let shape = explainer.forward.outputs[0].shape
    let output = try weights.applied(
      to: Tensor(shape: [examples] + shape, elements: .float64(scores)))
    var explanation = Explanation(
      attributions: try sums.tensors(), output: output, target: weights.description,
      evaluations: [Int](repeating: variants, count: output.count))
    if method.usesBaseline {
      try await complete(&explanation, baselineScores)
    }
    if keepsLedger {
      let nodes = plan.ledgerNodes
      explanation.ledger = (
        nodes,
        try Tensor(
          shape: [examples] + (weights.isAll ? [weights.count] : []) + [nodes.count],
          elements: .float64(residuals))
      )
    }
    return explanation
  }

  /// Integrated gradients by bisection of the paths.
  private func adaptive(_ tolerance: Double) async throws(CoalitionError) -> Explanation {
    guard tolerance > 0, tolerance.isFinite else {
      throw CoalitionError(.usage, "the tolerance must be above 0", found: "\(tolerance)")
    }
    guard !keepsLedger else {
      throw CoalitionError(.unsupported, "a ledger is kept for methods of one pass only")
    }
    let path = AdaptivePath(
      explainer: explainer, rows: rows, weights: weights, baselines: baselines,
      tolerance: tolerance, run: run)
    let result = try await path.attributions(examples: examples)
    let value = explainer.forward.outputs[0]
    let output = try weights.applied(
      to: Tensor(
        shape: [examples] + value.shape, elements: .float64(try await exampleScores())))
    var attributions: [String: Tensor] = [:]
    for input in explainer.sources {
      guard let values = result.rows[input.name] else { continue }
      attributions[input.name] = try Tensor(
        shape: output.shape + input.shape, elements: .float64(values))
    }
    var explanation = Explanation(
      attributions: attributions, output: output, target: weights.description,
      evaluations: result.evaluations)
    try await complete(&explanation)
    return explanation
  }

  private func exampleScores() async throws(CoalitionError) -> [Double] {
    if let knownScores { return knownScores.doubles }
    return try await explainer.forward.run(rows, run)[explainer.scores]?.doubles ?? []
  }

  /// What the engine would find, too, but no more as elements of the inputs.
  private func checkFinite() throws(CoalitionError) {
    for (name, tensor) in rows.sorted(by: { $0.key < $1.key }) {
      if let place = tensor.firstNonFinite {
        throw CoalitionError(
          .notFinite, "the input is not finite at element \(place)", node: name)
      }
    }
  }

  private func seedRow(_ index: Int) throws(CoalitionError) -> Tensor {
    let count = weights.rows.shape[1]
    let row = Array(weights.rows.doubles[index * count..<(index + 1) * count])
    return try Tensor(shape: [1, count], elements: .float64(row))
  }

  /// How many of an example's variants are summed in one go: the longest run that does not cost more than a
  /// sixteenth in variants without weight, which fill the last one up. An example's sum then has the same order
  /// wherever the example stands.
  private static func segmentLength(_ variants: Int) -> Int {
    [16, 8, 4, 2].first { (variants + $0 - 1) / $0 * $0 - variants <= variants / 16 } ?? 1
  }

  /// The variants of some examples, `padded` of each.
  /// - Parameters:
  ///   - convertedRows: all inputs in the precision of the program.
  ///   - shared: the variants of each of them; nil when every example has its own.
  private func work(
    for range: Range<Int>, of convertedRows: [String: Tensor], _ shared: [Variant]?, segment: Int,
    padded: Int, _ plan: ReversePlan
  ) throws(CoalitionError) -> ReversePlan.Work {
    guard plan.request.isSummed else {
      var work = ReversePlan.Work(examples: range.count)
      work.inputs = convertedRows
      if range.count != examples { work.rowOf = range.map { Int32($0) } }
      work.baselines = baselines.rows
      work.baselineOf = [Int32](repeating: 0, count: range.count)
      work.seedOf =
        weights.rowOf.map { Array($0[range]) } ?? [Int32](repeating: 0, count: range.count)
      return work
    }
    var variants: [(example: Int, variant: Variant)] = []
    variants.reserveCapacity(range.count * padded)
    /// Per variant its place among those that are not padding.
    var places: [Int32] = []
    places.reserveCapacity(range.count * padded)
    var count = 0
    for example in range {
      let own: [Variant]
      if let shared {
        own = shared
      } else {
        own = try method.variants(ofExample: example, baselines: baselines.count)
      }
      for place in 0..<padded {
        var variant = own[min(place, own.count - 1)]
        if place >= own.count { variant.weight = 0 }
        variants.append((example, variant))
        places.append(Int32(count + min(place, own.count - 1)))
      }
      count += own.count
    }
    var work = ReversePlan.Work(examples: variants.count)
    work.segmentLength = segment
    work.inputs = convertedRows
    work.rowOf = variants.map { Int32($0.example) }
    // What signals do not go to, keeps its values.
    let sources = plan.sources.filter { rows[$0.name] != nil }
    let noisy = try method.noisy(sources.compactMap { rows[$0.name] }, range)
    for (source, tensor) in zip(sources, noisy ?? []) {
      work.inputs[source.name] = tensor
      work.rowOfInput[source.name] = places
    }
    work.baselines = baselines.rows
    work.baselineOf = variants.map { Int32($0.variant.baseline) }
    work.seedOf = variants.map { weights.rowOf?[$0.example] ?? 0 }
    work.alphas = variants.map(\.variant.alpha)
    work.groupOf = variants.map { $0.example - range.lowerBound }
    work.weights = variants.map(\.variant.weight)
    return work
  }

  /// Per target rows of examples, to per example rows of targets.
  private func interleaved(_ perTarget: [Tensor], examples: Int) -> [Double] {
    guard let size = perTarget.first.map({ $0.count / max(examples, 1) }) else { return [] }
    let values = perTarget.map(\.doubles)
    return (0..<examples).flatMap { example in
      values.flatMap { $0[example * size..<(example + 1) * size] }
    }
  }

  /// Adds the score at the baselines and what is missing in the sums.
  /// - Parameter known: the scores at the baselines, where a program has computed them and they are the same for all
  ///   examples.
  private func complete(
    _ explanation: inout Explanation, _ known: [Double]? = nil
  ) async throws(CoalitionError) {
    let means = try await explainer.baselineScores(
      baselines, beside: rows, examples: examples, known: known, run)
    let baseline = try weights.applied(
      to: Tensor(shape: [examples] + explainer.scoreShape, elements: .float64(means)))
    let outputs = explanation.output.doubles
    let baselines = baseline.doubles
    var sums = [Double](repeating: 0, count: outputs.count)
    for name in explanation.attributions.keys.sorted() {
      guard let rows = explanation.attributions[name] else { continue }
      for (index, sum) in rows.rowSums(outputs.count).enumerated() { sums[index] += sum }
    }
    let residual = outputs.indices.map { outputs[$0] - baselines[$0] - sums[$0] }
    explanation.baselineOutput = baseline
    explanation.residual = Tensor(
      filling: explanation.output.shape, with: .float64(residual))
  }
}

extension Tensor {
  /// The sum of each of `count` rows of floating-point numbers, in order.
  fileprivate func rowSums(_ count: Int) -> [Double] {
    func sums<Number: BinaryFloatingPoint>(_ numbers: [Number]) -> [Double] {
      let width = numbers.count / max(count, 1)
      var sums = [Double](repeating: 0, count: count)
      // Rows side by side: one sum waits for the last addition, four do not.
      for first in stride(from: 0, to: count, by: 4) {
        if first + 4 > count {
          for row in first..<count {
            for index in row * width..<(row + 1) * width { sums[row] += Double(numbers[index]) }
          }
          continue
        }
        var four = SIMD4<Double>.zero
        for index in first * width..<(first + 1) * width {
          four += SIMD4(
            Double(numbers[index]), Double(numbers[index + width]),
            Double(numbers[index + 2 * width]), Double(numbers[index + 3 * width]))
        }
        for row in 0..<4 { sums[first + row] = four[row] }
      }
      return sums
    }
    switch elements {
    case .float32(let numbers): return sums(numbers)
    case .float64(let numbers): return sums(numbers)
    case .int32, .int64, .uint8, .bool: return sums(doubles)
    }
  }
}

/// Attributions gathered over chunks of examples.
private struct ResultRows {
  private let sources: [Plan.Value]
  private let targets: Int?
  /// Per chunk, target and source, rows of the chunk's examples.
  private var chunks: [(results: [[Tensor]], examples: Int)] = []

  init(sources: [Plan.Value], targets: Int?) {
    self.sources = sources
    self.targets = targets
  }

  mutating func append(_ results: [[Tensor]], examples: Int) {
    chunks.append((results, examples))
  }

  func tensors() throws(CoalitionError) -> [String: Tensor] {
    let examples = chunks.reduce(0) { $0 + $1.examples }
    var tensors: [String: Tensor] = [:]
    for (index, source) in sources.enumerated() {
      let shape = [examples] + (targets.map { [$0] } ?? []) + source.shape
      if chunks.count == 1, chunks[0].results.count == 1 {
        tensors[source.name] = try chunks[0].results[0][index].reshaped(to: shape)
        continue
      }
      var values: [Double] = []
      values.reserveCapacity(shape.reduce(1, *))
      for chunk in chunks {
        let perTarget = chunk.results.map { $0[index].doubles }
        for example in 0..<chunk.examples {
          for rows in perTarget {
            values += rows[example * source.count..<(example + 1) * source.count]
          }
        }
      }
      tensors[source.name] = try Tensor(shape: shape, elements: .float64(values))
    }
    return tensors
  }
}
