// Convolutions and dense layers as the delta mode sees them: a kernel over one map.
//
// A dense layer is a kernel that covers its whole input, whatever grid that has; a dense layer over several rows a
// 1x1 kernel over a column of positions.

import CLanes
import CoalitionBase

struct DeltaLayer: Sendable {
  /// The step of the forward pass.
  let step: ConvolutionStep
  let groups: Int
  /// Channels of one group.
  let inChannels: Int
  let outChannels: Int
  let vertical: PlacedWindow
  let horizontal: PlacedWindow
  /// The multiply-adds up to which the change costs no more than the full layer: it must be written down first.
  let limit: Double
  /// Weights in the layout that the step reads.
  var weights: Operand
  /// The steps of a function and of a max pool behind the layer that can be done with it.
  var function: Int?
  var pool: Int?

  /// nil for a layer that has no delta form on an input of this grid.
  init?(_ step: ConvolutionStep, grid: BufferGrid, weights: Operand) {
    let geometry = step.geometry
    guard step.input.offset == 0, step.output.offset == 0, step.fusion.function == .identity,
      step.fusion.pool == (1, 1)
    else { return nil }
    self.step = step
    self.weights = weights
    groups = geometry.groups
    outChannels = geometry.outChannels
    var shape = geometry.encoded
    let channels = geometry.groups * geometry.inChannels
    let isDense = geometry.vertical == .point && geometry.horizontal == .point
    let full = min(ln_conv_cost(&shape) * Double(geometry.images), Double(geometry.operations / 2))
    limit = 0.9 * full
    if isDense && geometry.groups == 1 && geometry.images == 1 && grid.sizes.count <= 3 {
      guard grid.count == channels else { return nil }
      let sizes = [Int](repeating: 1, count: 3 - grid.sizes.count) + grid.sizes
      inChannels = sizes[2]
      vertical = Self.covering(sizes[0])
      horizontal = Self.covering(sizes[1])
    } else if isDense && geometry.groups == 1 {
      guard grid == BufferGrid([geometry.images, channels]) else { return nil }
      inChannels = channels
      var column = PlacedWindow.point
      column.size = geometry.images
      column.outputSize = geometry.images
      vertical = column
      horizontal = .point
    } else {
      guard geometry.images == 1,
        grid == BufferGrid([geometry.vertical.size, geometry.horizontal.size, channels])
      else { return nil }
      inChannels = geometry.inChannels
      vertical = geometry.vertical
      horizontal = geometry.horizontal
    }
  }

  private static func covering(_ size: Int) -> PlacedWindow {
    var window = PlacedWindow.point
    window.size = size
    window.kernel = size
    return window
  }

  /// Rows, columns and channels of the input.
  var inputSizes: [Int] { [vertical.size, horizontal.size, groups * inChannels] }
  /// Rows, columns and channels of the sums.
  var outputSizes: [Int] { [vertical.outputSize, horizontal.outputSize, groups * outChannels] }

  func multiplyAdds(
    _ inputs: (y: Range<Int>, x: Range<Int>, channels: Range<Int>),
    _ outputs: (y: Range<Int>, x: Range<Int>)
  ) -> Int {
    vertical.taps(of: outputs.y, in: inputs.y) * horizontal.taps(of: outputs.x, in: inputs.x)
      * inputs.channels.count * outChannels
  }
}

extension PlacedWindow {
  /// The outputs whose windows may reach into a range of the input.
  func outputs(reaching range: Range<Int>) -> Range<Int> {
    let behind = range.lowerBound + padBegin - (kernel - 1) * dilation
    let low = behind > 0 ? (behind + stride - 1) / stride : 0
    let high = min(outputSize, (range.upperBound - 1 + padBegin) / stride + 1)
    return low < high ? low..<high : 0..<0
  }

  /// Taps of some outputs that fall into a range of the input, all together.
  func taps(of outputs: Range<Int>, in range: Range<Int>) -> Int {
    (0..<kernel).reduce(0) { sum, tap in
      // Outputs at which this tap lies at range.lowerBound <= output * stride + shift < range.upperBound.
      let shift = tap * dilation - padBegin
      let behind = range.lowerBound - shift
      let first = behind > 0 ? (behind + stride - 1) / stride : 0
      let ahead = range.upperBound - 1 - shift
      guard ahead >= 0 else { return sum }
      return sum
        + (max(
          first, outputs.lowerBound)..<max(
          max(first, outputs.lowerBound), min(ahead / stride + 1, outputs.upperBound))).count
    }
  }

  /// The places of the input that the windows of some outputs reach.
  func places(of outputs: Range<Int>) -> Range<Int> {
    let low = max(0, outputs.lowerBound * stride - padBegin)
    let high = min(size, (outputs.upperBound - 1) * stride - padBegin + reach)
    return low..<max(low, high)
  }

  /// The window over some of its outputs, whose input begins and ends with `places`.
  func cut(to outputs: Range<Int>, places: Range<Int>) -> PlacedWindow {
    var window = self
    window.size = places.count
    window.outputSize = outputs.count
    window.padBegin = places.lowerBound - (outputs.lowerBound * stride - padBegin)
    window.padEnd = size + padEnd - places.upperBound
    return window
  }
}
