// One turn's steps: what changes, from the input on.

import CoalitionBase

struct DeltaPass {
  /// New values of a box of a buffer.
  struct Region {
    var box: Box
    /// Compact, in a buffer of its own.
    var operand: Operand
  }

  var lowering: Lowering
  private let forward: DeltaAnalysis
  /// What has changed so far.
  private var regions: [Int: Region] = [:]
  /// Steps that were done together with one before them.
  private var done = Set<Int>()
  private var label = "" { didSet { lowering.label = label } }

  init(_ lowering: Lowering, _ forward: DeltaAnalysis) {
    self.lowering = lowering
    self.forward = forward
  }

  /// Begins the steps of a turn.
  mutating func begin(_ turn: [Int], slot: Int, words: Int) {
    label = Self.label(turn)
    lowering.emit(GuardStep(turn: turn, slot: slot, words: words, count: 0))
  }

  private static func label(_ turn: [Int]) -> String { "player \(turn.first ?? 0)" }

  // MARK: From the input to the output

  /// The new values of an input.
  mutating func toggle(
    _ turn: [Int], _ input: DeltaInput, slot: Int, words: Int
  ) throws(CoalitionError) {
    guard let box = input.box(turn), let buffer = input.now.buffer else { return }
    label = input.name
    let output = lowering.buffer(box.count)
    guard
      let nest = Nest(over: [
        View(output, shape: box.extents), input.grid.view(box, of: Operand(space: output.space)),
      ])
    else { throw CoalitionError(.internalFault, "a box has no loop nest", node: input.name) }
    let start = input.grid.view(box, of: Operand(space: output.space)).operand.offset
    func moved(_ operand: Operand) -> Operand {
      Operand(space: operand.space, offset: operand.offset + start)
    }
    lowering.emit(
      ToggleStep(
        present: moved(input.present), absent: moved(input.absent), now: moved(input.now),
        owners: input.ownsBox(turn) ? nil : moved(input.owners), output: output, turn: turn,
        slot: slot, words: words, nest: nest))
    regions[buffer] = Region(box: box, operand: output)
  }

  /// Takes the change through all steps.
  mutating func run() throws(CoalitionError) {
    for (index, step) in forward.steps.enumerated() where !done.contains(index) {
      if case .untouched = forward.passages[index] {
        // Something that does not change lies over something that may.
        guard let buffer = step.writes?.buffer, forward.overlapping.contains(buffer),
          regions[buffer] != nil
        else { continue }
      } else if !step.reads.contains(where: changes), !isOverlaid(step) {
        continue
      }
      label = forward.labels[index]
      do throws(CoalitionError) {
        try pass(step, forward.passages[index])
      } catch {
        throw error.at(label)
      }
    }
  }

  private func changes(_ operand: Operand) -> Bool {
    operand.buffer.map { regions[$0] != nil } ?? false
  }

  private func isOverlaid(_ step: any Step) -> Bool {
    guard let buffer = step.writes?.buffer else { return false }
    return forward.overlapping.contains(buffer) && regions[buffer] != nil
  }

  private mutating func pass(
    _ step: any Step, _ passage: DeltaAnalysis.Passage
  ) throws(CoalitionError) {
    if let buffer = step.writes?.buffer, forward.overlapping.contains(buffer) {
      return try repeatWhole(step)
    }
    switch passage {
    case .layer(let layer): try change(layer)
    case .pool(let pool): try change(pool)
    case .nest(let walks): try change(step, walks)
    case .gather(let gather): try change(gather)
    case .whole, .untouched: try repeatWhole(step)
    }
  }

  /// Adds the sums of the marginal contributions of turn `number`.
  /// - Parameter positions: of the elements, in the buffer of `target`.
  /// - Returns: whether any element depends on the turn's players.
  mutating func marginals(
    _ turn: [Int], _ number: Int, of target: Operand, at positions: [Int], rowCount: Int,
    coalitions: Int, words: Int
  ) -> Bool {
    guard let buffer = target.buffer, let region = regions[buffer], let grid = forward.grids[buffer]
    else { return false }
    label = Self.label(turn)
    var last: MarginalStep?
    var isTouched = false
    for (index, position) in positions.enumerated() {
      guard let place = region.box.place(grid.coordinates(position)) else { continue }
      isTouched = true
      let first = number * positions.count + index
      if var step = last, step.before.offset + step.count == position,
        step.after.offset + step.count == place, step.first + step.count == first
      {
        step.count += 1
        last = step
        continue
      }
      if let last { lowering.emit(last) }
      last = MarginalStep(
        before: Operand(space: target.space, offset: position),
        after: Operand(space: region.operand.space, offset: place), count: 1, turn: turn,
        first: first, rowCount: rowCount, coalitions: coalitions, words: words)
    }
    if let last { lowering.emit(last) }
    return isTouched
  }

  /// Closes a turn's steps, which begin with a guard at `start`, and forgets the change.
  mutating func finish(_ start: Int, isTouched: Bool) {
    if isTouched, var first = lowering.draft.steps[start] as? GuardStep {
      first.count = lowering.draft.steps.count - start - 1
      lowering.draft.steps[start] = first
    } else {
      lowering.draft.steps.removeSubrange(start...)
      lowering.draft.labels.removeSubrange(start...)
    }
    regions = [:]
    done = []
  }

  // MARK: Regions

  private func grid(_ buffer: Int) -> BufferGrid {
    forward.grids[buffer] ?? BufferGrid([lowering.draft.buffers[buffer]])
  }

  /// The new values of exactly `box`: as they are where they lie like that, else cut out.
  private mutating func cut(_ buffer: Int, _ box: Box) throws(CoalitionError) -> Operand {
    if let region = regions[buffer], region.box == box { return region.operand }
    let target = lowering.buffer(box.count)
    try fill(target, box, buffer)
    return target
  }

  /// Writes the new values of a box, or what they were where nothing has changed.
  private mutating func fill(
    _ target: Operand, _ box: Box, _ buffer: Int
  ) throws(CoalitionError) {
    let grid = grid(buffer)
    let region = regions[buffer]
    if region?.box.contains(box) != true {
      let old = grid.view(box, of: Operand(space: .buffer(buffer)))
      try lowering.copy(old, to: View(target, shape: box.extents))
    }
    if let region, let common = region.box.common(box) {
      try lowering.copy(
        region.box.view(common, in: region.operand), to: box.view(common, in: target))
    }
  }

  /// All values of a buffer, new where they have changed.
  private mutating func whole(_ buffer: Int) throws(CoalitionError) -> Operand {
    let grid = grid(buffer)
    let operand = try cut(buffer, grid.whole)
    regions[buffer] = Region(box: grid.whole, operand: operand)
    return operand
  }

  // MARK: Steps

  /// Runs a step once more on all of its input.
  private mutating func repeatWhole(_ step: any Step) throws(CoalitionError) {
    guard let step = step as? any RepeatableStep, let output = step.writes?.buffer else {
      throw CoalitionError(.internalFault, "a step cannot be repeated: \(step.summary)")
    }
    var places: [Int: Operand] = [:]
    for buffer in Set(step.reads.compactMap(\.buffer)).sorted() where regions[buffer] != nil {
      places[buffer] = try whole(buffer)
    }
    let isPart = step.writtenCount < lowering.draft.buffers[output] || regions[output] != nil
    let target = isPart ? try whole(output) : lowering.buffer(lowering.draft.buffers[output])
    places[output] = target
    lowering.emit(
      step.repeated { operand in
        guard let place = operand.buffer.flatMap({ places[$0] }) else { return operand }
        return Operand(space: place.space, offset: place.offset + operand.offset)
      })
    regions[output] = Region(box: grid(output).whole, operand: target)
  }

  private mutating func change(_ layer: DeltaLayer) throws(CoalitionError) {
    let step = layer.step
    guard let source = step.input.buffer, let sums = step.output.buffer,
      let region = regions[source]
    else { return }
    let ranges = region.box.ranges(along: layer.inputSizes)
    let inputs = (y: ranges[0], x: ranges[1], channels: ranges[2])
    var outputs = (
      y: layer.vertical.outputs(reaching: inputs.y), x: layer.horizontal.outputs(reaching: inputs.x)
    )
    guard !outputs.y.isEmpty && !outputs.x.isEmpty else { return }
    if Double(layer.multiplyAdds(inputs, outputs)) > layer.limit { return try repeatLayer(layer) }
    var result = sums
    var function = Function.identity
    var pool = (height: 1, width: 1)
    var sizes = layer.outputSizes
    if let index = layer.function, let step = forward.steps[index] as? PointwiseStep {
      function = step.function
      result = step.output.buffer ?? result
      done.insert(index)
    }
    if let index = layer.pool, let step = forward.steps[index] as? PoolStep {
      pool = (step.vertical.kernel, step.horizontal.kernel)
      done.insert(index)
      sizes = [step.vertical.outputSize, step.horizontal.outputSize, step.channels]
      result = step.output.buffer ?? result
      func windows(_ range: Range<Int>, _ size: Int, _ count: Int) -> Range<Int> {
        let end = min((range.upperBound + size - 1) / size, count)
        return min(range.lowerBound / size, end)..<end
      }
      outputs.y = windows(outputs.y, pool.height, sizes[0])
      outputs.x = windows(outputs.x, pool.width, sizes[1])
      // The last places of a map may belong to no window.
      guard !outputs.y.isEmpty && !outputs.x.isEmpty else { return }
    }
    let box = Box([outputs.y, outputs.x, 0..<sizes[2]], sizes: sizes)
    let target = lowering.buffer(box.count)
    lowering.emit(
      DeltaStep(
        layer: layer, before: step.input, after: region.operand, sums: step.output, output: target,
        inputs: inputs,
        outputs: (outputs.y.scaled(by: pool.height), outputs.x.scaled(by: pool.width)),
        function: function, pool: pool))
    regions[result] = Region(box: box, operand: target)
  }

  /// The full layer, with what comes behind it.
  private mutating func repeatLayer(_ layer: DeltaLayer) throws(CoalitionError) {
    var step = layer.step
    guard let source = step.input.buffer, var result = step.output.buffer else { return }
    step.input = try whole(source)
    if let index = layer.function, let next = forward.steps[index] as? PointwiseStep {
      step.fusion.function = next.function
      result = next.output.buffer ?? result
      done.insert(index)
    }
    if let index = layer.pool, let next = forward.steps[index] as? PoolStep {
      let window = (height: next.vertical.kernel, width: next.horizontal.kernel)
      if step.geometry.takes(pool: window) {
        step.fusion.pool = window
        result = next.output.buffer ?? result
        done.insert(index)
      }
    }
    step.output = lowering.buffer(lowering.draft.buffers[result])
    lowering.emit(step)
    regions[result] = Region(box: grid(result).whole, operand: step.output)
  }

  private mutating func change(_ step: PoolStep) throws(CoalitionError) {
    guard let source = step.input.buffer, let output = step.output.buffer,
      let region = regions[source]
    else { return }
    let sizes = [step.vertical.size, step.horizontal.size, step.channels]
    let ranges = region.box.ranges(along: sizes)
    let y = step.vertical.outputs(reaching: ranges[0])
    let x = step.horizontal.outputs(reaching: ranges[1])
    guard !y.isEmpty && !x.isEmpty else { return }
    let rows = step.vertical.places(of: y)
    let columns = step.horizontal.places(of: x)
    var part = step
    part.vertical = step.vertical.cut(to: y, places: rows)
    part.horizontal = step.horizontal.cut(to: x, places: columns)
    part.channels = ranges[2].count
    part.input = try cut(source, Box([rows, columns, ranges[2]], sizes: sizes))
    let box = Box(
      [y, x, ranges[2]],
      sizes: [step.vertical.outputSize, step.horizontal.outputSize, step.channels])
    part.output = lowering.buffer(box.count)
    lowering.emit(part)
    regions[output] = Region(box: box, operand: part.output)
  }

  private mutating func change(_ step: GatherStep) throws(CoalitionError) {
    guard let source = step.indices.buffer, let output = step.output.buffer,
      let region = regions[source]
    else { return }
    var part = step
    let rows = region.box.ranges(along: [step.count])[0]
    part.indices = region.operand
    part.count = rows.count
    let box = Box([rows, 0..<step.width], sizes: [step.count, step.width])
    part.output = lowering.buffer(box.count)
    lowering.emit(part)
    regions[output] = Region(box: box, operand: part.output)
  }

  /// Element by element.
  private mutating func change(
    _ step: any Step, _ passage: DeltaAnalysis.Walks
  ) throws(CoalitionError) {
    let (nest, walks) = (passage.nest, passage.walks)
    guard let target = step.writes, let output = target.buffer, let outputWalk = walks[0] else {
      return
    }
    let operands: [Operand]
    switch step {
    case let step as PointwiseStep: operands = [step.input]
    case let step as BinaryStep: operands = [step.left, step.right]
    case let step as CopyStep: operands = [step.input]
    default: return try repeatWhole(step)
    }
    // The indices of the nest that read something new.
    var touched: [Range<Int>]?
    for (operand, walk) in zip(operands, walks.dropFirst()) {
      guard let buffer = operand.buffer, let region = regions[buffer], let walk,
        let ranges = walk.indices(in: region.box, sizes: nest.sizes)
      else { continue }
      touched = touched.map { Box(ranges: $0).joined(Box(ranges: ranges)).ranges } ?? ranges
    }
    guard let touched else { return }
    let part = Box(ranges: touched)
    var box = outputWalk.box(touched)
    let isPart = box.count > part.count || regions[output] != nil
    if let known = regions[output] { box = box.joined(known.box) }
    let result = lowering.buffer(box.count)
    if isPart { try fill(result, box, output) }

    var places: [Operand] = []
    var strides: [[Int]] = []
    for (index, operand) in operands.enumerated() {
      let own = nest.strides[index + 1]
      if let buffer = operand.buffer, regions[buffer] != nil, let walk = walks[index + 1] {
        let needed = walk.box(touched)
        let (offset, steps) = walk.compact(touched, in: needed)
        let cut = try cut(buffer, needed)
        places.append(Operand(space: cut.space, offset: cut.offset + offset))
        strides.append(steps)
      } else {
        let offset = zip(touched, own).reduce(operand.offset) { $0 + $1.0.lowerBound * $1.1 }
        places.append(Operand(space: operand.space, offset: offset))
        strides.append(own)
      }
    }
    let (offset, steps) = outputWalk.compact(touched, in: box)
    let place = Operand(space: result.space, offset: offset)
    let walk = Nest(sizes: part.extents, strides: [steps] + strides).merged
    switch step {
    case var step as PointwiseStep:
      // A function goes over numbers that lie together.
      let isContiguous = walk.sizes.count <= 1 && walk.strides.allSatisfy { ($0.first ?? 1) == 1 }
      guard isContiguous else { return try repeatWhole(step) }
      (step.input, step.output, step.count) = (places[0], place, part.count)
      lowering.emit(step)
    case var step as BinaryStep:
      (step.left, step.right, step.output, step.nest) = (places[0], places[1], place, walk)
      lowering.emit(step)
    case var step as CopyStep:
      (step.input, step.output, step.nest) = (places[0], place, walk)
      lowering.emit(step)
    default: break
    }
    regions[output] = Region(box: box, operand: result)
  }
}

extension Range<Int> {
  fileprivate func scaled(by factor: Int) -> Range<Int> {
    lowerBound * factor..<upperBound * factor
  }
}

extension Box {
  /// The ranges along axes of which the grid leaves out those of size 1.
  fileprivate func ranges(along sizes: [Int]) -> [Range<Int>] {
    var rest = ranges[...]
    return sizes.map { $0 == 1 ? 0..<1 : rest.popFirst() ?? 0..<$0 }
  }
}

extension Nest {
  /// The same walk with neighbouring axes that step like one joined, and without axes of size 1.
  fileprivate var merged: Nest {
    var result = Nest(sizes: [], strides: strides.map { _ in [] })
    for axis in sizes.indices where sizes[axis] != 1 {
      let last = result.sizes.count - 1
      let joins =
        last >= 0
        && strides.indices.allSatisfy {
          result.strides[$0][last] == strides[$0][axis] * sizes[axis]
        }
      if joins {
        result.sizes[last] *= sizes[axis]
        for view in strides.indices { result.strides[view][last] = strides[view][axis] }
      } else {
        result.sizes.append(sizes[axis])
        for view in strides.indices { result.strides[view].append(strides[view][axis]) }
      }
    }
    return result
  }
}
