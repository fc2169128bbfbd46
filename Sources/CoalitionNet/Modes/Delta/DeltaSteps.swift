// The steps of the delta mode (csrc/ops/toggle.c, delta.c, marginal.c, guard.c).

import CLanes

extension ln_turn {
  /// Lane l has player l of the turn, over and over.
  init(_ turn: [Int]) {
    self.init()
    withUnsafeMutableBytes(of: &of) { bytes in
      for lane in 0..<Int(LN_LANE_UNIT) where !turn.isEmpty {
        bytes.storeBytes(
          of: Int32(turn[lane % turn.count]), toByteOffset: lane * 4, as: Int32.self)
      }
    }
  }
}

/// A box of an input when the players of a turn change sides.
struct ToggleStep: Step {
  var present: Operand
  var absent: Operand
  /// The masked input.
  var now: Operand
  /// Who owns the positions; nil: the turn is one player's, who owns all of the box.
  var owners: Operand?
  var output: Operand
  var turn: [Int]
  var slot: Int
  var words: Int
  /// Over the output, and the others.
  var nest: Nest

  var reads: [Operand] { [present, absent, now] + (owners.map { [$0] } ?? []) }
  var writes: Operand? { output }
  var summary: String { "toggle \(turn.playersText): \(nest.sizes)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_toggle.rawValue)
    step.toggle = ln_toggle(
      present: places(present), absent: places(absent), now: places(now), owners: places(owners),
      out: places(output), slot: Int32(slot), players: ln_turn(turn), words: Int64(words),
      nest: nest.encoded, stride: nest.encodedStrides(1))
    return step
  }
}

/// A convolution or dense layer from the change of its input.
struct DeltaStep: Step {
  var layer: DeltaLayer
  /// The values before, of the whole map.
  var before: Operand
  /// The new values of the box.
  var after: Operand
  /// The layer's sums before, of the whole map.
  var sums: Operand
  var output: Operand
  /// Ranges of rows, columns and channels.
  var inputs: (y: Range<Int>, x: Range<Int>, channels: Range<Int>)
  /// Ranges of rows and columns of the sums.
  var outputs: (y: Range<Int>, x: Range<Int>)
  var function: Function
  var pool: (height: Int, width: Int)

  var reads: [Operand] { [before, after, sums, layer.weights] }
  var writes: Operand? { output }
  var operations: Int { 2 * layer.multiplyAdds(inputs, outputs) }
  var summary: String {
    var text = "delta \(inputs.channels.count)x\(inputs.y.count)x\(inputs.x.count) -> "
    text += "\(layer.groups * layer.outChannels)x\(outputs.y.count)x\(outputs.x.count)"
    if function != .identity { text += ", \(function.name)" }
    if pool != (1, 1) { text += ", max pool \(pool.height)x\(pool.width)" }
    return text
  }

  func encoded(_ places: Places) -> ln_step {
    let (v, h) = (layer.vertical, layer.horizontal)
    var delta = ln_delta()
    delta.before = places(before)
    delta.after = places(after)
    delta.sums = places(sums)
    delta.weights = places(layer.weights)
    delta.out = places(output)
    delta.groups = Int32(layer.groups)
    delta.in_channels = Int32(layer.inChannels)
    delta.out_channels = Int32(layer.outChannels)
    delta.width = Int32(h.size)
    delta.out_width = Int32(h.outputSize)
    delta.kernel_h = Int32(v.kernel)
    delta.kernel_w = Int32(h.kernel)
    delta.stride_h = Int32(v.stride)
    delta.stride_w = Int32(h.stride)
    delta.dilation_h = Int32(v.dilation)
    delta.dilation_w = Int32(h.dilation)
    delta.pad_top = Int32(v.padBegin)
    delta.pad_left = Int32(h.padBegin)
    delta.in_y = Int32(inputs.y.lowerBound)
    delta.in_x = Int32(inputs.x.lowerBound)
    delta.first_channel = Int32(inputs.channels.lowerBound)
    delta.in_h = Int32(inputs.y.count)
    delta.in_w = Int32(inputs.x.count)
    delta.in_c = Int32(inputs.channels.count)
    delta.out_y = Int32(outputs.y.lowerBound)
    delta.out_x = Int32(outputs.x.lowerBound)
    delta.out_h = Int32(outputs.y.count)
    delta.out_w = Int32(outputs.x.count)
    delta.pool_h = Int32(pool.height)
    delta.pool_w = Int32(pool.width)
    delta.function = function.encoded
    var step = ln_step()
    step.family = Int32(LN_delta.rawValue)
    step.delta = delta
    return step
  }
}

/// Sums of the marginal contributions of a turn's players to elements that follow each other.
struct MarginalStep: Step {
  var before: Operand
  var after: Operand
  var count: Int
  var turn: [Int]
  /// Place of the first sum in a row of `rowCount`.
  var first: Int
  var rowCount: Int
  /// The input slot of the coalitions.
  var coalitions: Int
  var words: Int

  var reads: [Operand] { [before, after] }
  var writes: Operand? { nil }
  var summary: String { "marginal contributions of \(turn.playersText): \(count)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_marginal.rawValue)
    step.marginal = ln_marginal(
      before: places(before), after: places(after), slot: 0, coalitions: Int32(coalitions),
      words: Int64(words), players: ln_turn(turn), count: Int32(count),
      row_count: Int64(rowCount), first: Int64(first))
    return step
  }
}

/// Passes over the steps of a turn whose players no lane has.
struct GuardStep: Step {
  var turn: [Int]
  var slot: Int
  var words: Int
  /// Steps behind this one.
  var count: Int

  var reads: [Operand] { [] }
  var writes: Operand? { nil }
  var summary: String {
    let differ = turn.count == 1 ? "differs" : "differ"
    return "only where \(turn.playersText) \(differ) from the baseline: \(count) steps"
  }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_guard.rawValue)
    step.guard = ln_guard(
      slot: Int32(slot), players: ln_turn(turn), words: Int64(words), count: Int32(count))
    return step
  }
}

extension [Int] {
  /// The players of a turn.
  fileprivate var playersText: String {
    count == 1 ? "player \(self[0])" : "players \(map(String.init).joined(separator: ", "))"
  }
}
