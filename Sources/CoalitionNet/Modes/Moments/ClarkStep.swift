// The steps of moment propagation through max pooling (csrc/ops/clark.c, unclark.c).

import CLanes

/// What is pooled.
struct PooledMaps {
  var images: Int
  var channels: Int
  var vertical: PlacedWindow
  var horizontal: PlacedWindow

  var inputCount: Int { images * channels * vertical.size * horizontal.size }
  var outputCount: Int { images * channels * vertical.outputSize * horizontal.outputSize }
  /// Taps of all windows.
  var tapCount: Int { images * channels * vertical.tapsOnInput * horizontal.tapsOnInput }

  var name: String {
    "\(vertical.kernel)x\(horizontal.kernel) \(channels)x\(vertical.size)x\(horizontal.size) -> "
      + "\(channels)x\(vertical.outputSize)x\(horizontal.outputSize)"
  }
  var encoded: ln_pool { ln_pool(images: images, channels: channels, vertical, horizontal) }
}

extension PoolStep {
  var maps: PooledMaps {
    PooledMaps(images: images, channels: channels, vertical: vertical, horizontal: horizontal)
  }
}

/// The moments of the maxima of windows.
struct ClarkStep: Step {
  var maps: PooledMaps
  var input: MomentPlaces
  var output: MomentPlaces
  var rank: Int

  var reads: [Operand] { input.all }
  var writes: Operand? { output.mean }
  var alsoWrites: [Operand] { output.others }
  var operations: Int { maps.tapCount * (80 + 6 * rank) }
  var summary: String { "moments of max pool \(maps.name), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_clark.rawValue)
    step.clark = ln_clark(
      mean: places(input.mean), rest: places(input.rest), factors: places(input.factors),
      out_mean: places(output.mean), out_rest: places(output.rest),
      out_factors: places(output.factors), rank: Int32(rank), pool: maps.encoded)
    return step
  }
}

/// Its reverse: signals of the outputs to signals of the inputs.
struct UnclarkStep: Step {
  var maps: PooledMaps
  var input: MomentPlaces
  var signal: MomentSignals
  var output: MomentPlaces
  var rank: Int

  var reads: [Operand] { input.all + signal.all }
  var writes: Operand? { output.mean }
  var alsoWrites: [Operand] { output.others }
  var operations: Int { maps.tapCount * (200 + 20 * rank) }
  var summary: String { "slopes of the moments of max pool \(maps.name), rank \(rank)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_unclark.rawValue)
    step.unclark = ln_unclark(
      mean: places(input.mean), rest: places(input.rest), factors: places(input.factors),
      signal_mean: places(signal.mean), signal_rest: places(signal.rest),
      signal_factors: places(signal.factors), out_mean: places(output.mean),
      out_rest: places(output.rest), out_factors: places(output.factors), rank: Int32(rank),
      pool: maps.encoded)
    return step
  }
}
