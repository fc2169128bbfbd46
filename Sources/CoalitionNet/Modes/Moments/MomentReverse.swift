// Back through moments (csrc/ops/moment_slope.c, csrc/ops/unclark.c): signals of means, rests and factors.

import CLanes
import CoalitionBase

extension MomentsStep: ReversibleStep {
  var written: View { View(output.mean, shape: [count]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    let sent = reversal.places(like: input, count: count, rank: rank)
    reversal.lowering.emit(
      MomentSlopeStep(
        function: function, input: input,
        signal: reversal.signals(output, count: count, rank: rank), output: sent, count: count,
        rank: rank))
    try reversal.send(sent, to: input, count: count, rank: rank)
  }
}

extension ClarkStep: ReversibleStep {
  var written: View { View(output.mean, shape: [maps.outputCount]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    let sent = reversal.places(like: input, count: maps.inputCount, rank: rank)
    reversal.lowering.emit(
      UnclarkStep(
        maps: maps, input: input,
        signal: reversal.signals(output, count: maps.outputCount, rank: rank), output: sent,
        rank: rank))
    try reversal.send(sent, to: input, count: maps.inputCount, rank: rank)
  }
}

extension Reversal {
  /// Room for the signals of moments.
  fileprivate mutating func places(like moments: MomentPlaces, count: Int, rank: Int)
    -> MomentPlaces
  {
    MomentPlaces(
      mean: lowering.buffer(count), rest: lowering.buffer(count),
      factors: moments.factors.map { _ in lowering.buffer(rank * count) })
  }

  fileprivate mutating func signals(
    _ moments: MomentPlaces, count: Int, rank: Int
  ) -> MomentSignals {
    MomentSignals(
      mean: signal(moments.mean, count: count), rest: signal(moments.rest, count: count),
      factors: moments.factors.flatMap { signal($0, count: rank * count) })
  }

  fileprivate mutating func send(
    _ signals: MomentPlaces, to moments: MomentPlaces, count: Int, rank: Int
  ) throws(CoalitionError) {
    try send(signals.mean, to: moments.mean, count: count)
    try send(signals.rest, to: moments.rest, count: count)
    if let own = signals.factors, let factors = moments.factors {
      try send(own, to: factors, count: rank * count)
    }
  }
}
