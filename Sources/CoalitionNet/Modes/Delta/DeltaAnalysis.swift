// What the delta mode knows of a forward pass before it looks at players: the grids of its buffers, and how a change
// goes through each step.

import CLanes
import CoalitionBase

struct DeltaAnalysis: Sendable {
  /// How a change of its inputs goes through a step.
  enum Passage: Sendable {
    /// What the step reads depends on no player.
    case untouched
    case layer(DeltaLayer)
    case pool(PoolStep)
    /// Element by element: the walks of the output and of what is read.
    case nest(Walks)
    case gather(GatherStep)
    /// The step is run once more on all of its input.
    case whole
  }

  struct Walks: Sendable {
    /// Over the output and what is read.
    var nest: Nest
    /// nil for what is constant.
    var walks: [GridWalk?]
  }

  private(set) var steps: [any Step]
  let labels: [String]
  private(set) var grids: [Int: BufferGrid] = [:]
  private(set) var passages: [Passage] = []
  /// Buffers that several steps write, some over what others wrote: a change runs all later ones again.
  private(set) var overlapping = Set<Int>()

  /// - Parameters:
  ///   - inputs: the grids of the masked inputs.
  ///   - output: the buffer whose values are explained.
  init(
    _ steps: [any Step], _ labels: [String], inputs: [Int: BufferGrid], output: Int?,
    _ lowering: inout Lowering
  ) {
    self.steps = steps
    self.labels = labels
    grids = inputs
    for step in steps {
      let changes = step.reads.contains { $0.buffer.map { grids[$0] != nil } ?? false }
      guard changes, let buffer = step.writes?.buffer, let step = step as? any RepeatableStep else {
        passages.append(.untouched)
        continue
      }
      let (passage, grid) = passage(step, lowering.draft.buffers[buffer], &lowering)
      passages.append(passage)
      if grids[buffer] == nil { grids[buffer] = grid }
    }
    findOverlaps(lowering.draft.buffers)
    joinLayers(output: output)
  }

  // MARK: Single steps

  private func grid(_ operand: Operand) -> BufferGrid? { operand.buffer.flatMap { grids[$0] } }

  /// The passage through a step, and the grid of its output, which has `count` positions.
  private func passage(
    _ step: any RepeatableStep, _ count: Int, _ lowering: inout Lowering
  ) -> (Passage, BufferGrid) {
    let flat = BufferGrid([count])
    switch step {
    case let step as ConvolutionStep:
      let geometry = step.geometry
      let output = BufferGrid(
        geometry.vertical == .point && geometry.horizontal == .point
          ? [geometry.images, geometry.outChannels * geometry.groups]
          : [
            geometry.images, geometry.vertical.outputSize, geometry.horizontal.outputSize,
            geometry.groups * geometry.outChannels,
          ])
      guard let grid = grid(step.input), output.count == count,
        let layer = Self.layer(step, grid, &lowering)
      else { return (.whole, output.count == count ? output : flat) }
      return (.layer(layer), output)
    case let step as PoolStep:
      let sizes = [
        step.images, step.vertical.outputSize, step.horizontal.outputSize, step.channels,
      ]
      let output = BufferGrid(sizes)
      let input = BufferGrid([step.vertical.size, step.horizontal.size, step.channels])
      guard output.count == count else { return (.whole, flat) }
      if case .winner = step.kind { return (.whole, output) }
      guard step.images == 1, step.input.offset == 0, step.output.offset == 0,
        grid(step.input) == input
      else { return (.whole, output) }
      return (.pool(step), output)
    case let step as PointwiseStep:
      return nest(
        Nest(sizes: [step.count], strides: [[1], [1]]), [step.output, step.input], count)
    case let step as BinaryStep:
      return nest(step.nest, [step.output, step.left, step.right], count)
    case let step as CopyStep:
      return nest(step.nest, [step.output, step.input], count)
    case let step as GatherStep:
      let output = BufferGrid([step.count, step.width])
      guard step.indices.offset == 0, step.output.offset == 0, output.count == count,
        grid(step.indices) == BufferGrid([step.count])
      else { return (.whole, flat) }
      return (.gather(step), output)
    case let step as SoftmaxStep:
      // The grid of what is normalised stays.
      return (.whole, grid(step.input).flatMap { $0.count == count ? $0 : nil } ?? flat)
    default:
      return (.whole, flat)
    }
  }

  private static func layer(
    _ step: ConvolutionStep, _ grid: BufferGrid, _ lowering: inout Lowering
  ) -> DeltaLayer? {
    guard case .constant(let block) = step.weights.space else { return nil }
    let source = lowering.draft.constants[block]
    // A difference of 0 adds nothing, but 0 times infinity would.
    guard source.floats.allSatisfy(\.isFinite) else { return nil }
    guard var layer = DeltaLayer(step, grid: grid, weights: step.weights) else { return nil }
    var shape = step.geometry.encoded
    if ln_conv_is_plain(&shape) == 0 {
      layer.weights = lowering.constant(source.laidOut(.plain(step.geometry)))
    }
    return layer
  }

  private func nest(
    _ nest: Nest, _ operands: [Operand], _ count: Int
  ) -> (Passage, BufferGrid) {
    let refined = nest.refined(by: operands.map(grid))
    let moving = refined.sizes.indices.filter { refined.sizes[$0] > 1 }
    let output =
      grid(operands[0])
      ?? BufferGrid(strides: moving.map { refined.strides[0][$0] }, count: count)
    var walks: [GridWalk?] = []
    for (index, operand) in operands.enumerated() {
      guard let grid = index == 0 ? output : grid(operand) else {
        walks.append(nil)
        continue
      }
      guard
        let walk = GridWalk(
          grid, offset: operand.offset, sizes: refined.sizes, strides: refined.strides[index])
      else { return (.whole, output) }
      walks.append(walk)
    }
    guard refined.sizes.count <= Nest.axisLimit else { return (.whole, output) }
    return (.nest(Walks(nest: refined, walks: walks)), output)
  }

  /// Puts another layer in the place of one, with its output in a buffer of its own.
  mutating func replace(
    _ index: Int, _ step: ConvolutionStep, _ layer: DeltaLayer, grid: BufferGrid, at buffer: Int
  ) {
    steps[index] = step
    passages[index] = .layer(layer)
    grids[buffer] = grid
  }

  // MARK: Steps together

  /// Parts that fill a buffer side by side may change one by one; a part over another one may not.
  private mutating func findOverlaps(_ sizes: [Int]) {
    var written: [Int: Int] = [:]
    for step in steps {
      guard let buffer = step.writes?.buffer, let step = step as? any RepeatableStep else {
        continue
      }
      // Constants that are laid first, such as the padding around a map, stay under what comes later.
      let isFilling = written[buffer] == nil && step.reads.allSatisfy(\.isConstant)
      if isFilling { continue }
      written[buffer, default: 0] += step.writtenCount
    }
    for (buffer, count) in written where count > sizes[buffer] { overlapping.insert(buffer) }
  }

  /// Finds functions and max pools that are done with the layer before them: nobody else reads its sums.
  private mutating func joinLayers(output: Int?) {
    var readers: [Int: [Int]] = [:]
    var writers: [Int: Int] = [:]
    for (index, step) in steps.enumerated() {
      for buffer in Set(step.reads.compactMap(\.buffer)) {
        readers[buffer, default: []].append(index)
      }
      if let buffer = step.writes?.buffer { writers[buffer, default: 0] += 1 }
    }
    func reader(_ operand: Operand) -> Int? {
      guard let buffer = operand.buffer, buffer != output, writers[buffer] == 1,
        let all = readers[buffer], all.count == 1
      else { return nil }
      return all[0]
    }
    let taken: Set<Int32> = Set(
      [LN_FUNCTION_relu, LN_FUNCTION_clip, LN_FUNCTION_leaky_relu].map { Int32($0.rawValue) })
    for index in steps.indices {
      guard case .layer(var layer) = passages[index] else { continue }
      var last = layer.step.output
      if let next = reader(last), let step = steps[next] as? PointwiseStep,
        taken.contains(step.function.id), step.input == last, step.output.offset == 0,
        step.count == grid(last)?.count, grid(step.output) == grid(last)
      {
        layer.function = next
        last = step.output
      }
      if let next = reader(last), let step = steps[next] as? PoolStep, step.kind == .maximum,
        step.vertical.liesSideBySide, step.horizontal.liesSideBySide,
        [step.vertical.size, step.horizontal.size, step.channels] == layer.outputSizes,
        case .pool = passages[next]
      {
        layer.pool = next
      }
      passages[index] = .layer(layer)
    }
  }
}

extension PlacedWindow {
  /// Whether windows lie side by side, whole and without padding, from the first place on.
  fileprivate var liesSideBySide: Bool { tiles && outputSize == size / kernel }
}
