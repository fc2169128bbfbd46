// RISE (Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models, BMVC 2018):
// the mean of random masks, weighted by the score of the masked input.
//
// A mask is a grid of cells that are 1 with probability p, enlarged by linear interpolation to one cell more than the
// input along each axis, and cut out at a random offset of less than a cell. With m the mask,
//     attribution[i] = sum over masks of score(x m + b (1 - m)) m[i] / (masks * p).
// Attributions are those of the paper: they are no differences to a baseline's score and sum to nothing in particular.

public import CoalitionBase
public import CoalitionNet

/// How RISE draws its masks.
public struct RISE: Sendable, Hashable {
  public var masks = 4000
  /// Cells of the grid along each of the last (up to two) axes.
  public var cells = 8
  /// The probability that a cell is present.
  public var probability = 0.5
  public var seed: UInt64 = 0

  public init(masks: Int = 4000, cells: Int = 8, probability: Double = 0.5, seed: UInt64 = 0) {
    self.masks = masks
    self.cells = cells
    self.probability = probability
    self.seed = seed
  }

  /// One mask over axes of these sizes, row-major: a function of seed and index alone.
  func mask(_ index: Int, _ sizes: [Int]) -> [Float] {
    var random = CounterRandom(seed: seed, purpose: .riseMasks, index: UInt64(index))
    // Per position along an axis: the two cells that it lies between, and the share of the second.
    var axes: [[(first: Int, second: Int, share: Double)]] = []
    for size in sizes {
      let cell = (size + cells - 1) / cells
      let enlarged = (cells + 1) * cell
      let offset = random.below(cell)
      axes.append(
        (0..<size).map { position in
          let place = (Double(position + offset) + 0.5) * Double(cells) / Double(enlarged) - 0.5
          let inside = min(max(place, 0), Double(cells - 1))
          let first = Int(inside)
          return (first, min(first + 1, cells - 1), inside - Double(first))
        })
    }
    var grid = (0..<sizes.reduce(1) { product, _ in product * cells }).map { _ in
      random.uniform() < probability ? 1.0 : 0.0
    }
    // One axis after the other, from the last: [outer][cells] -> [outer][size].
    var inner = 1
    for axis in axes.reversed() {
      let outer = grid.count / (cells * inner)
      var next: [Double] = []
      next.reserveCapacity(outer * axis.count * inner)
      for row in 0..<outer {
        for (first, second, share) in axis {
          for column in 0..<inner {
            let a = grid[(row * cells + first) * inner + column]
            let b = grid[(row * cells + second) * inner + column]
            next.append(a + share * (b - a))
          }
        }
      }
      grid = next
      inner *= axis.count
    }
    return grid.map { Float($0) }
  }

  /// - Returns: attributions and their standard errors, [N, T, input shape]; leading axes share the map of the last ones.
  /// - Throws: `CoalitionError` for options, inputs or targets that do not fit.
  public func explain(
    _ plan: Plan, output: String? = nil, input: String, inputs: [String: Tensor],
    baselines: [String: Tensor] = [:], targets: [[Int]], _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> (attributions: Tensor, standardErrors: Tensor) {
    guard masks >= 2, cells >= 1, probability > 0, probability <= 1 else {
      throw CoalitionError(
        .usage, "RISE needs at least 2 masks, 1 cell, and a probability above 0",
        found: "\(masks), \(cells), \(probability)")
    }
    guard let shape = plan.inputs.first(where: { $0.name == input })?.shape else {
      throw CoalitionError(
        .usage, "the model has no such input", node: input,
        expected: plan.inputs.map(\.name).joined(separator: ", "))
    }
    let axes = min(2, shape.count)
    let sizes = Array(shape.suffix(axes))
    let positions = sizes.reduce(1, *)
    let masked = try MaskedPlan(
      plan, output: output, masking: .weights(input: input, axes: axes))
    let subject = try masked.subject(inputs, baselines: baselines)
    try TargetElements.check(targets, examples: subject.examples, output: masked.output)
    let targetCount = targets[0].count
    var moments = [WeightedMasks](
      repeating: WeightedMasks(positions: positions), count: subject.examples * targetCount)
    let perMask = subject.examples * subject.baselines
    // About 16 MB of masks at a time.
    let block = max(min((4 << 20) / positions, masked.comfortableVariants / perMask), 1)
    for start in stride(from: 0, to: masks, by: block) {
      let indices = start..<min(start + block, masks)
      let drawn = indices.map { mask($0, sizes) }
      let weights = MaskedPlan.Masks.weights(drawn.flatMap { $0 })
      for example in 0..<subject.examples {
        var variants = MaskedPlan.Variants()
        for row in drawn.indices {
          for baseline in 0..<subject.baselines {
            variants.append(example: example, baseline: baseline, mask: row)
          }
        }
        let outputs = try await masked.outputs(subject, variants, weights, options)
        var scores: [Double] = []
        TargetElements.append(
          outputs, width: masked.output.count, examples: variants.example, targets: targets,
          averaging: subject.baselines, to: &scores)
        for (row, mask) in drawn.enumerated() {
          for target in 0..<targetCount {
            moments[example * targetCount + target].add(mask, scores[row * targetCount + target])
          }
        }
      }
    }
    let outer = shape.dropLast(axes).reduce(1, *)
    let resultShape = [subject.examples, targetCount] + shape
    func tensor(_ numbers: (WeightedMasks) -> [Double]) throws(CoalitionError) -> Tensor {
      let maps = moments.map(numbers)
      return try Tensor(
        shape: resultShape,
        elements: .float64(maps.flatMap { map in (0..<outer).flatMap { _ in map } }))
    }
    return (
      try tensor { $0.means(masks, probability) }, try tensor { $0.errors(masks, probability) }
    )
  }
}

/// Sums of score * mask and of its square, per position, in the order of the masks.
private struct WeightedMasks {
  private var sums: [Double]
  private var squares: [Double]

  init(positions: Int) {
    sums = [Double](repeating: 0, count: positions)
    squares = sums
  }

  mutating func add(_ mask: [Float], _ score: Double) {
    for position in sums.indices {
      let product = score * Double(mask[position])
      sums[position] += product
      squares[position] += product * product
    }
  }

  func means(_ count: Int, _ probability: Double) -> [Double] {
    sums.map { $0 / (Double(count) * probability) }
  }

  /// The standard error of the mean.
  func errors(_ count: Int, _ probability: Double) -> [Double] {
    let count = Double(count)
    return zip(sums, squares).map { sum, square in
      let variance = max(square - sum * sum / count, 0) / (count - 1)
      return (variance / count).squareRoot() / probability
    }
  }
}
