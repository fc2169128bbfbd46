// Batch normalisation in training: mean and variance of each channel over all examples and positions of a batch.
//
//     n = (x - m) / sqrt(v + epsilon),  y = gamma n + beta;   back: dx = (dn - mean(dn) - n mean(dn n)) / sqrt(v + epsilon)
//
// The tiles of a batch meet twice for it (BatchJoint): for m and v, and for the two means of the way back. What an
// example has to say are its own mean over positions and its mean square distance to that, from which
//     m = mean of means,   v = mean of (square distances + (own mean - m)^2)
// follow without cancellation, in double precision and in the order of the examples.

import CLanes
import CoalitionBase

/// n = c / sqrt(v + epsilon) for c = x - m, whose way back leads to x.
struct NormalizedStep: Step {
  var product: BinaryStep
  var x: View
  /// n, of the shape [N, C, ...] of x.
  var output: View
  /// 1 / sqrt(v + epsilon), as a view of that shape.
  var inverse: View

  var reads: [Operand] { product.reads + [x.operand] }
  var writes: Operand? { product.writes }
  var overwrites: Operand? { product.overwrites }
  var operations: Int { product.operations }
  var summary: String { "normalize \(output.shape)" }

  func encoded(_ places: Places) -> ln_step { product.encoded(places) }
}

extension NormalizedStep: ReversibleStep {
  var written: View { output }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    guard reversal.wants(x.operand), let signal = reversal.signal(output) else { return }
    let sent = try reversal.lowering.throughNormalization(signal, n: output, inverse: inverse)
    try reversal.send(sent, to: x)
  }
}

extension Lowering {
  /// n for the values of a batch.
  /// - Parameters:
  ///   - x: [N, C, ...], channels innermost.
  ///   - statistics: what is remembered.
  mutating func normalized(
    _ x: View, _ statistics: RunningStatistics
  ) throws(CoalitionError) -> View {
    let shape = x.shape
    let channels = shape[1]
    let means = averages(x, channels)
    let own = try combined(.subtract, x, try column(means, like: shape), shape: shape)
    let squares = averages(try combined(.multiply, own, own, shape: shape), channels)
    let blocks = try join([means, squares], .statistics(statistics), like: shape)
    let centred = try combined(.subtract, x, blocks[0], shape: shape)
    let inverse = blocks[1].broadcast(to: shape)
    let output = x.denseLike(buffer(x.count))
    emit(
      NormalizedStep(
        product: BinaryStep(
          function: .multiply, left: centred.operand, right: inverse.operand,
          output: output.operand, nest: try nest(over: [output, centred, inverse])),
        x: x, output: output, inverse: blocks[1]))
    return output
  }

  fileprivate mutating func throughNormalization(
    _ signal: View, n: View, inverse: View
  ) throws(CoalitionError) -> View {
    let shape = n.shape
    let dense = View(buffer(n.count), shape: shape, order: n.memoryOrder)
    try copy(signal, to: dense)
    let product = try combined(.multiply, dense, n, shape: shape)
    let blocks = try join(
      [averages(dense, shape[1]), averages(product, shape[1])], .means, like: shape)
    let level = try combined(.subtract, dense, blocks[0], shape: shape)
    let along = try combined(.multiply, n, blocks[1], shape: shape)
    let rest = try combined(.subtract, level, along, shape: shape)
    return try combined(.multiply, rest, inverse, shape: shape)
  }

  /// Lets the tiles meet: two values per channel and example go out, two blocks of the batch come in.
  private mutating func join(
    _ values: [View], _ kind: BatchJoint.Kind, like shape: [Int]
  ) throws(CoalitionError) -> [View] {
    let channels = shape[1]
    var joint = BatchJoint(kind: kind, step: 0, slots: [], blocks: [], channels: channels)
    var views: [View] = []
    for value in values {
      guard let slot = training?.slot(.examples(channels)) else { continue }
      try output(currentLabel, value, slot: slot)
      joint.slots.append(slot)
      let zeros = Tensor(.float64([Double](repeating: 0, count: channels)))
      let block = constant(zeros)
      if case .constant(let id) = block.space { joint.blocks.append(id) }
      views.append(try column(View(block, shape: [channels]), like: shape))
    }
    joint.step = draft.steps.count
    training?.joints.append(joint)
    return views
  }

  /// The averages over everything but the channels, which are innermost.
  mutating func averages(_ view: View, _ channels: Int) -> View {
    var positions = PlacedWindow.point
    positions.size = view.count / channels
    positions.kernel = positions.size
    let output = buffer(channels)
    emit(
      PoolStep(
        kind: .average, countsPadding: false, images: 1, channels: channels, vertical: positions,
        horizontal: .point, input: view.operand, output: output))
    return View(output, shape: [channels])
  }

  /// One number per channel, to be broadcast to `shape`.
  func column(_ view: View, like shape: [Int]) throws(CoalitionError) -> View {
    let perChannel = [shape[1]] + shape.dropFirst(2).map { _ in 1 }
    guard let column = view.reshaped(to: perChannel) else {
      throw CoalitionError(.internalFault, "statistics have no view of shape \(perChannel)")
    }
    return column
  }
}
