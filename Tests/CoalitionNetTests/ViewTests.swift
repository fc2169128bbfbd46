// The algebra of views against arithmetic on indices, and the places of buffers.

import CoalitionBase
import TestSupport
import Testing

import CLanes

@testable import CoalitionNet

@Suite struct ViewTests {
  /// Positions of all elements of a view in row-major order.
  private func positions(_ view: View) -> [Int] {
    (0..<view.count).map { flat in
      var rest = flat
      var position = view.operand.offset
      for digit in view.axes.flatMap({ $0 }).reversed() {
        position += rest % digit.size * digit.stride
        rest /= digit.size
      }
      return position
    }
  }

  @Test(arguments: 0..<40)
  func chainsOfMovementKeepEveryElement(seed: Int) {
    var random = Seeded(seed)
    var shape = (0..<Int.random(in: 1...4, using: &random)).map { _ in
      [1, 2, 3, 4, 6].randomElement(using: &random) ?? 1
    }
    let order = Array(shape.indices).shuffled(using: &random)
    var view = View(Operand(space: .buffer(0)), shape: shape, order: order)
    var grid = Grid(shape, positions(view).map { Double($0) })
    #expect(Set(grid.values).count == view.count && view.isDense && view.isDense(inOrder: order))
    for _ in 0..<6 {
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        let permutation = Array(shape.indices).shuffled(using: &random)
        let old = grid
        grid = Grid(permutation.map { shape[$0] }) { index in
          var own = index
          for (place, axis) in permutation.enumerated() { own[axis] = index[place] }
          return old[own]
        }
        view = view.transposed(permutation)
      case 1:
        let count = shape.reduce(1, *)
        let first = (1...count).filter { count % $0 == 0 }.randomElement(using: &random) ?? 1
        let target = [first, count / first]
        guard let reshaped = view.reshaped(to: target) else { continue }
        view = reshaped
        grid = Grid(target, grid.values)
      case 2:
        let axis = Int.random(in: shape.indices, using: &random)
        let start = Int.random(in: 0..<shape[axis], using: &random)
        let back = Bool.random(using: &random)
        let room = back ? start + 1 : shape[axis] - start
        let step = Int.random(in: 1...2, using: &random)
        let count = Int.random(in: 1...((room + step - 1) / step), using: &random)
        let signed = back ? -step : step
        guard let sliced = view.sliced(axis, start: start, step: signed, count: count) else {
          continue
        }
        view = sliced
        grid = grid.picking(axis, (0..<count).map { start + $0 * signed })
      default:
        let target = [2] + shape.map { $0 == 1 ? 3 : $0 }
        let old = grid
        guard target.reduce(1, *) < 5000, shape.count < 5 else { continue }
        grid = Grid(target) { old.broadcast($0) }
        view = view.broadcast(to: target)
      }
      shape = grid.shape
      #expect(view.shape == shape)
      #expect(positions(view).map { Double($0) } == grid.values)
      let rowMajor =
        positions(view) == Array(view.operand.offset..<(view.operand.offset + view.count))
      #expect(view.isRowMajor == rowMajor)
      // A nest over a copy meets every element once and in step.
      let copy = View(Operand(space: .buffer(1)), shape: shape)
      if let nest = Nest(over: [copy, view]) {
        let pairs = walk(nest)
        #expect(pairs.map(\.[0]).sorted() == Array(0..<view.count))
        let expected = positions(view)
        #expect(pairs.allSatisfy { $0[1] + view.operand.offset == expected[$0[0]] })
      }
      #expect(Set(positions(view.denseLike(copy.operand))).count == view.count)
    }
  }

  /// Offsets of all views at every step of a nest.
  private func walk(_ nest: Nest) -> [[Int]] {
    (0..<nest.count).map { flat in
      let index = Grid.unflatten(flat, nest.sizes)
      return nest.strides.map { zip($0, index).reduce(0) { $0 + $1.0 * $1.1 } }
    }
  }

  @Test func everyPartOfAnAxisOfOneElementIsAView() {
    let view = View(Operand(space: .buffer(0)), shape: [1, 3])
    #expect(view.sliced(0, start: 0, step: 0, count: 4)?.shape == [4, 3])
  }
}

@Suite struct ArenaTests {
  private struct Fill: Step {
    var inputs: [Operand]
    var output: Operand
    var isInPlace: Bool
    var alsoWrites: [Operand] = []
    var reads: [Operand] { inputs }
    var writes: Operand? { output }
    var overwrites: Operand? { isInPlace ? inputs.first : nil }
    var summary: String { "test" }
    func encoded(_ places: Places) -> ln_step { ln_step() }
  }

  @Test(arguments: 0..<60)
  func buffersThatLiveTogetherDoNotOverlap(seed: Int) {
    var random = Seeded(seed)
    var draft = Draft()
    for _ in 0..<Int.random(in: 2...30, using: &random) {
      let made = draft.buffers.count
      let inputs = (0..<min(made, 2)).map { _ in
        Operand(space: .buffer(Int.random(in: max(0, made - 6)..<made, using: &random)))
      }
      let isInPlace = Bool.random(using: &random)
      let size = inputs.first?.buffer.map { draft.buffers[$0] } ?? 40
      draft.buffers.append(isInPlace ? size : Int.random(in: 1...90, using: &random))
      draft.steps.append(
        Fill(
          inputs: inputs, output: Operand(space: .buffer(made)),
          isInPlace: isInPlace && Set(inputs).count == inputs.count,
          alsoWrites: (0..<Int.random(in: 0...2, using: &random)).map {
            Operand(space: .buffer(made + 1 + $0))
          }))
      for _ in draft.steps[draft.steps.count - 1].alsoWrites {
        draft.buffers.append(Int.random(in: 1...90, using: &random))
      }
    }
    // Run it: every buffer is filled with its own number, and readers must find it whole.
    let plan = ArenaPlan(draft)
    var arena = [Int](repeating: -1, count: plan.size)
    for case let step as Fill in draft.steps {
      for operand in step.inputs {
        guard let buffer = operand.buffer else { continue }
        let place = plan.starts[buffer]..<(plan.starts[buffer] + draft.buffers[buffer])
        #expect(place.upperBound <= plan.size && place.lowerBound % 16 == 0)
        #expect(arena[place].allSatisfy { $0 == buffer }, "buffer \(buffer) was overwritten")
      }
      let outputs = ([step.output] + step.alsoWrites).compactMap(\.buffer)
      for output in outputs {
        let place = plan.starts[output]..<(plan.starts[output] + draft.buffers[output])
        if !step.isInPlace || output != outputs[0] {
          for operand in step.inputs {
            guard let buffer = operand.buffer else { continue }
            let other = plan.starts[buffer]..<(plan.starts[buffer] + draft.buffers[buffer])
            #expect(!place.overlaps(other), "an output lies on its input")
          }
        }
        for position in place { arena[position] = output }
      }
      for output in outputs {
        let place = plan.starts[output]..<(plan.starts[output] + draft.buffers[output])
        #expect(arena[place].allSatisfy { $0 == output }, "an output lies on another one")
      }
    }
    let total = draft.buffers.reduce(0, +)
    #expect(plan.size <= (total + 16 * draft.buffers.count))
  }

  @Test func anOutputTakesThePlaceOfItsLastRead() {
    var draft = Draft()
    draft.buffers = [64, 64, 64]
    let places = (0..<3).map { Operand(space: .buffer($0)) }
    draft.steps = [
      Fill(inputs: [], output: places[0], isInPlace: false),
      Fill(inputs: [places[0]], output: places[1], isInPlace: true),
      Fill(inputs: [places[1]], output: places[2], isInPlace: true),
    ]
    #expect(ArenaPlan(draft).size == 64)
  }
}
