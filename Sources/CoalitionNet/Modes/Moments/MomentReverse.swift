// Back through moments (csrc/ops/moment_slope.c, csrc/ops/unclark.c): signals of means, rests and factors.

import CLanes
import CoalitionBase

extension MomentsStep: ReversibleStep {
  var written: View { View(outMean, shape: [count]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    let sent = (
      mean: reversal.lowering.buffer(count), rest: reversal.lowering.buffer(count),
      factors: factors.map { _ in reversal.lowering.buffer(rank * count) }
    )
    reversal.lowering.emit(
      MomentSlopeStep(
        function: function, mean: mean, rest: rest, factors: factors,
        signalMean: reversal.signal(outMean, count: count),
        signalRest: reversal.signal(outRest, count: count),
        signalFactors: outFactors.flatMap { reversal.signal($0, count: rank * count) },
        outMean: sent.mean, outRest: sent.rest, outFactors: sent.factors, count: count, rank: rank))
    try reversal.send(sent.mean, to: mean, count: count)
    try reversal.send(sent.rest, to: rest, count: count)
    if let own = sent.factors, let factors {
      try reversal.send(own, to: factors, count: rank * count)
    }
  }
}

extension ClarkStep: ReversibleStep {
  private var inputCount: Int { images * channels * vertical.size * horizontal.size }
  private var outputCount: Int {
    images * channels * vertical.outputSize * horizontal.outputSize
  }

  var written: View { View(outMean, shape: [outputCount]) }

  func reverse(_ reversal: inout Reversal) throws(CoalitionError) {
    let sent = (
      mean: reversal.lowering.buffer(inputCount), rest: reversal.lowering.buffer(inputCount),
      factors: factors.map { _ in reversal.lowering.buffer(rank * inputCount) }
    )
    reversal.lowering.emit(
      UnclarkStep(
        images: images, channels: channels, vertical: vertical, horizontal: horizontal, mean: mean,
        rest: rest, factors: factors, signalMean: reversal.signal(outMean, count: outputCount),
        signalRest: reversal.signal(outRest, count: outputCount),
        signalFactors: outFactors.flatMap { reversal.signal($0, count: rank * outputCount) },
        outMean: sent.mean, outRest: sent.rest, outFactors: sent.factors, rank: rank))
    try reversal.send(sent.mean, to: mean, count: inputCount)
    try reversal.send(sent.rest, to: rest, count: inputCount)
    if let own = sent.factors, let factors {
      try reversal.send(own, to: factors, count: rank * inputCount)
    }
  }
}
