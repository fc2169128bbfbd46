// Which players reach which positions of the fronts, by the structure of the affine steps: a weight that is 0 counts.
//
// Players who reach no position together can share a row: at every position the row's contribution is that of one of
// them. Patches of an image under a small kernel need a handful of rows, whatever their number.

import CLanes

/// Sets of players, each kept once and known by a number; 0 is the empty one.
private struct PlayerSets {
  private(set) var members: [[Int32]] = [[]]
  private var numbers: [[Int32]: Int32] = [[]: 0]
  private var unions: [[Int32]: Int32] = [:]
  private var latest: (parts: [Int32], union: Int32) = ([], 0)

  mutating func number(of players: [Int32]) -> Int32 {
    if let known = numbers[players] { return known }
    let number = Int32(members.count)
    members.append(players)
    numbers[players] = number
    return number
  }

  /// The union of the sets with these numbers.
  mutating func union(_ parts: [Int32]) -> Int32 {
    if parts == latest.parts { return latest.union }
    var distinct: [Int32] = []
    for part in parts.sorted() where part != 0 && part != distinct.last { distinct.append(part) }
    let union: Int32
    if distinct.count < 2 {
      union = distinct.first ?? 0
    } else if let known = unions[distinct] {
      union = known
    } else {
      union = number(of: Set(distinct.flatMap { members[Int($0)] }).sorted())
      unions[distinct] = union
    }
    latest = (parts, union)
    return union
  }
}

/// For every position of the buffers in front of the fronts the set of players who reach it.
private struct Reach {
  var sets = PlayerSets()
  private var buffers: [Int: [Int32]] = [:]
  private let counts: [Int]

  init(_ counts: [Int]) { self.counts = counts }

  subscript(buffer: Int) -> [Int32] {
    buffers[buffer] ?? [Int32](repeating: 0, count: counts[buffer])
  }

  /// - Parameter ids: per element of the input's rows its player, or below 0.
  mutating func enter(_ step: InputStep, _ ids: [Int32]) {
    guard let output = step.output.buffer else { return }
    let numbers = ids.map { $0 < 0 ? 0 : sets.number(of: [$0]) }
    var places = self[output]
    step.nest.walk { offsets in
      places[step.output.offset + offsets[0]] = numbers[offsets[1]]
    }
    buffers[output] = places
  }

  mutating func pass(_ step: any Step) {
    guard let output = step.writes?.buffer else { return }
    var places = self[output]
    switch step {
    case let step as CopyStep: pass(step.nest, [step.input], to: step.output, &places)
    case let step as BinaryStep: pass(step.nest, [step.left, step.right], to: step.output, &places)
    case let step as PointwiseStep:
      let source = source(step.input)
      for place in 0..<step.count { places[step.output.offset + place] = source[place] }
    case let step as ConvolutionStep: pass(step, &places)
    case let step as PoolStep: pass(step, &places)
    default:
      // Of others it is only known what they read.
      let all = sets.union(step.reads.compactMap(\.buffer).flatMap { self[$0] })
      places = places.map { _ in all }
    }
    buffers[output] = places
  }

  /// The sets from an operand on; of constants none.
  private func source(_ operand: Operand) -> [Int32] {
    operand.buffer.map { Array(self[$0][operand.offset...]) } ?? []
  }

  /// Elementwise, the output first in the nest.
  private mutating func pass(
    _ nest: Nest, _ inputs: [Operand], to output: Operand, _ places: inout [Int32]
  ) {
    let sources = inputs.map { $0.buffer.map { self[$0] } }
    nest.walk { offsets in
      var parts: [Int32] = []
      for (index, source) in sources.enumerated() {
        if let source { parts.append(source[inputs[index].offset + offsets[index + 1]]) }
      }
      places[output.offset + offsets[0]] = parts.count == 1 ? parts[0] : sets.union(parts)
    }
  }

  /// All output channels of a group at a place read the same.
  private mutating func pass(_ step: ConvolutionStep, _ places: inout [Int32]) {
    let shape = step.geometry
    let width = shape.groups * shape.inChannels
    let source = source(step.input)
    var at = step.output.offset
    Self.windows(shape.images, shape.vertical, shape.horizontal) { taps in
      for group in 0..<shape.groups {
        var parts: [Int32] = []
        for tap in taps {
          let start = tap * width + group * shape.inChannels
          parts += source[start..<start + shape.inChannels]
        }
        let union = sets.union(parts)
        for channel in 0..<shape.outChannels { places[at + channel] = union }
        at += shape.outChannels
      }
    }
  }

  private mutating func pass(_ step: PoolStep, _ places: inout [Int32]) {
    let source = source(step.input)
    var at = step.output.offset
    Self.windows(step.images, step.vertical, step.horizontal) { taps in
      for channel in 0..<step.channels {
        places[at] = sets.union(taps.map { source[$0 * step.channels + channel] })
        at += 1
      }
    }
  }

  /// The taps of each window on the map, as places of it, in the order of the outputs.
  private static func windows(
    _ images: Int, _ vertical: PlacedWindow, _ horizontal: PlacedWindow,
    _ body: ([Int]) -> Void
  ) {
    func taps(_ window: PlacedWindow) -> [[Int]] {
      (0..<window.outputSize).map { output in
        (0..<window.kernel).map { output * window.stride - window.padBegin + $0 * window.dilation }
          .filter { (0..<window.size).contains($0) }
      }
    }
    let (rows, columns) = (taps(vertical), taps(horizontal))
    for image in 0..<images {
      for row in rows {
        for column in columns {
          body(
            row.flatMap { y in
              column.map { (image * vertical.size + y) * horizontal.size + $0 }
            })
        }
      }
    }
  }
}

extension Nest {
  /// The offsets of all views, in the order of the nest.
  fileprivate func walk(_ body: ([Int]) -> Void) {
    guard !sizes.contains(0) else { return }
    var index = [Int](repeating: 0, count: sizes.count)
    var offsets = [Int](repeating: 0, count: strides.count)
    while true {
      body(offsets)
      var axis = sizes.count - 1
      while axis >= 0 {
        index[axis] += 1
        for view in offsets.indices { offsets[view] += strides[view][axis] }
        if index[axis] < sizes[axis] { break }
        for view in offsets.indices { offsets[view] -= sizes[axis] * strides[view][axis] }
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}

extension MomentTemplate {
  /// Numbers 0, 1, ... of the players, as few as a greedy choice finds, so that players of one number reach no position
  /// of a front together.
  /// - Parameter ids: per input slot of a source the players of its elements.
  func apartClasses(_ ids: [Int: [Int32]], playerCount: Int) -> [Int32] {
    var reach = Reach(lowering.draft.buffers)
    for (step, _) in steps(for: fronts.map(\.buffer)) {
      if let input = step as? InputStep {
        if let own = ids[input.slot] { reach.enter(input, own) }
      } else {
        reach.pass(step)
      }
    }
    var setsOf = [[Int]](repeating: [], count: playerCount)
    for number in Set(fronts.flatMap { reach[$0.buffer] }).sorted() {
      for player in reach.sets.members[Int(number)] { setsOf[Int(player)].append(Int(number)) }
    }
    var classOf = [Int32](repeating: 0, count: playerCount)
    // Per set the classes of its players so far; per class the last player who could not take it.
    var taken = [[Int32]](repeating: [], count: reach.sets.members.count)
    var refused = [Int](repeating: -1, count: playerCount)
    for player in 0..<playerCount {
      for set in setsOf[player] {
        for number in taken[set] { refused[Int(number)] = player }
      }
      let own = refused.firstIndex { $0 != player } ?? 0
      classOf[player] = Int32(own)
      for set in setsOf[player] { taken[set].append(Int32(own)) }
    }
    return classOf
  }

  /// How the players share the channels of the layer in front of the only front.
  /// - Parameter ids: as above.
  /// - Returns: nil where there is no such layer, or a channel is nobody's or has several players.
  func ownChannels(_ ids: [Int: [Int32]]) -> OwnChannels? {
    guard let layer = ownLayer, let buffer = layer.input.buffer else { return nil }
    var reach = Reach(lowering.draft.buffers)
    for (step, _) in steps(for: [buffer]) {
      if let input = step as? InputStep {
        if let own = ids[input.slot] { reach.enter(input, own) }
      } else {
        reach.pass(step)
      }
    }
    let channels = layer.geometry.inChannels
    let places = reach[buffer].dropFirst(layer.input.offset).prefix(layer.inputCount)
    let first = Array(places.prefix(channels))
    let isSame = zip(places, places.dropFirst(channels)).allSatisfy { $0 == $1 }
    guard isSame, first.allSatisfy({ reach.sets.members[Int($0)].count == 1 }) else { return nil }
    return OwnChannels(first.map { reach.sets.members[Int($0)][0] })
  }
}
