// The steps of moment propagation through max pooling (csrc/ops/clark.c, unclark.c). Operands as in MomentsStep.

import CLanes

/// The moments of the maxima of windows.
struct ClarkStep: Step {
  var images: Int
  var channels: Int
  var vertical: PlacedWindow
  var horizontal: PlacedWindow
  var mean: Operand
  var rest: Operand
  var factors: Operand?
  var outMean: Operand
  var outRest: Operand
  var outFactors: Operand?
  var rank: Int

  var reads: [Operand] { [mean, rest] + [factors].compactMap { $0 } }
  var writes: Operand? { outMean }
  var alsoWrites: [Operand] { [outRest] + [outFactors].compactMap { $0 } }
  var operations: Int {
    images * channels * vertical.tapsOnInput * horizontal.tapsOnInput * (80 + 6 * rank)
  }
  var summary: String {
    "moments of max pool \(Self.name(vertical, horizontal, channels)), rank \(rank)"
  }

  static func name(_ vertical: PlacedWindow, _ horizontal: PlacedWindow, _ channels: Int) -> String
  {
    "\(vertical.kernel)x\(horizontal.kernel) \(channels)x\(vertical.size)x\(horizontal.size) -> "
      + "\(channels)x\(vertical.outputSize)x\(horizontal.outputSize)"
  }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_clark.rawValue)
    step.clark = ln_clark(
      mean: places(mean), rest: places(rest), factors: places(factors), out_mean: places(outMean),
      out_rest: places(outRest), out_factors: places(outFactors), rank: Int32(rank),
      pool: ln_pool(images: images, channels: channels, vertical, horizontal))
    return step
  }
}

/// Its reverse: signals of the outputs (nil: zeros) to signals of the inputs.
struct UnclarkStep: Step {
  var images: Int
  var channels: Int
  var vertical: PlacedWindow
  var horizontal: PlacedWindow
  var mean: Operand
  var rest: Operand
  var factors: Operand?
  var signalMean: Operand?
  var signalRest: Operand?
  var signalFactors: Operand?
  var outMean: Operand
  var outRest: Operand
  var outFactors: Operand?
  var rank: Int

  var reads: [Operand] {
    [mean, rest] + [factors, signalMean, signalRest, signalFactors].compactMap { $0 }
  }
  var writes: Operand? { outMean }
  var alsoWrites: [Operand] { [outRest] + [outFactors].compactMap { $0 } }
  var operations: Int {
    images * channels * vertical.tapsOnInput * horizontal.tapsOnInput * (200 + 20 * rank)
  }
  var summary: String {
    "slopes of the moments of max pool \(ClarkStep.name(vertical, horizontal, channels)), "
      + "rank \(rank)"
  }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_unclark.rawValue)
    step.unclark = ln_unclark(
      mean: places(mean), rest: places(rest), factors: places(factors),
      signal_mean: places(signalMean), signal_rest: places(signalRest),
      signal_factors: places(signalFactors), out_mean: places(outMean), out_rest: places(outRest),
      out_factors: places(outFactors), rank: Int32(rank),
      pool: ln_pool(images: images, channels: channels, vertical, horizontal))
    return step
  }
}
