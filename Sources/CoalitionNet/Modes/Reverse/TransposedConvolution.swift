// The transpose of a convolution, as convolutions.
//
// With o = (y + P - k D) / S the gradient of input y is the sum over taps k for which o is a whole number on the output
// of gradient[o] w[k]. For a stride of 1 that is a convolution of the gradient with the flipped kernel. For a
// stride S the inputs fall into S phases (y + P) mod S; the taps of a phase are every (S / gcd(S, D))th one, and
// along it the gradient is convolved with these taps, flipped. So the forward kernels do all the work.

import CoalitionBase

/// One phase along one axis: which inputs it covers, and the convolution that makes them.
struct TransposedWindow: Sendable {
  /// Inputs first, first + step, ...: as many as `window.outputSize`.
  var first: Int
  var step: Int
  /// Over the gradient along this axis.
  var window: PlacedWindow
  /// Elements of the gradient before the first one that the phase reads: they are cut off.
  var cropped: Int
  /// The taps in the order in which the convolution walks them: first, and the (negative) step to the next.
  var lastTap: Int
  var tapStep: Int

  /// The phases of an axis that receive anything.
  static func phases(of forward: PlacedWindow) -> [TransposedWindow] {
    let stride = forward.stride
    let tapStep = stride / greatestCommonDivisor(stride, forward.dilation)
    let dilation = tapStep * forward.dilation / stride
    return (0..<stride).compactMap { phase in
      guard
        let firstTap = (0..<min(tapStep, forward.kernel)).first(where: {
          ($0 * forward.dilation - phase) % stride == 0
        })
      else { return nil }
      let taps = (forward.kernel - 1 - firstTap) / tapStep + 1
      // Inputs y = phase + stride m - padBegin within 0 ..< size.
      let low = max(0, forward.padBegin - phase)
      let firstIndex = (low + stride - 1) / stride
      let high = forward.size - 1 + forward.padBegin - phase
      guard high >= 0, high / stride >= firstIndex else { return nil }
      let count = high / stride - firstIndex + 1
      // The gradient's place for input index i and walked tap j is i + j dilation - pad.
      let shift = (phase - firstTap * forward.dilation) / stride
      var pad = (taps - 1) * dilation - shift - firstIndex
      let cropped = max(0, -pad)
      pad = max(0, pad)
      guard cropped < forward.outputSize else { return nil }
      return TransposedWindow(
        first: phase + stride * firstIndex - forward.padBegin, step: stride,
        window: PlacedWindow(
          size: forward.outputSize - cropped, kernel: taps, stride: 1, dilation: dilation,
          padBegin: pad, padEnd: 0, outputSize: count),
        cropped: cropped, lastTap: firstTap + (taps - 1) * tapStep, tapStep: tapStep)
    }
  }

  private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : greatestCommonDivisor(b, a % b)
  }
}

extension Lowering {
  /// W^T s for the weights of a convolution under a lens: s lies [N][OH][OW][G*O] in `signal`, the result
  /// [N][H][W][G*C].
  mutating func transposedConvolution(
    _ geometry: ConvolutionGeometry, weights: Operand, lens: Lens, signal: Operand
  ) throws(CoalitionError) -> Operand {
    let source = try constantSource(weights)
    let (rows, columns) = (geometry.vertical, geometry.horizontal)
    let channels = geometry.groups * geometry.inChannels
    let inputShape = [geometry.images, rows.size, columns.size, channels]
    let vertical = TransposedWindow.phases(of: rows)
    let horizontal = TransposedWindow.phases(of: columns)
    let isWhole = { (phases: [TransposedWindow], size: Int) in
      phases.count == 1 && phases[0].first == 0 && phases[0].step == 1
        && phases[0].window.outputSize == size
    }
    if isWhole(vertical, rows.size) && isWhole(horizontal, columns.size) {
      return try transposedPhase(
        geometry, source, lens, signal, vertical: vertical[0], horizontal: horizontal[0])
    }
    let whole = View(buffer(inputShape.reduce(1, *)), shape: inputShape)
    let covered = { (phases: [TransposedWindow]) in phases.reduce(0) { $0 + $1.window.outputSize } }
    if covered(vertical) < rows.size || covered(horizontal) < columns.size {
      try fill(whole.operand, count: whole.count, with: 0)
    }
    for y in vertical {
      for x in horizontal {
        let part = try transposedPhase(
          geometry, source, lens, signal, vertical: y, horizontal: x)
        var place = whole
        for (axis, phase) in [(1, y), (2, x)] {
          var slice = AxisSlice(axis: axis, first: phase.first, count: phase.window.outputSize)
          slice.step = phase.step
          place = try sliced(place, slice)
        }
        try copy(View(part, shape: place.shape), to: place)
      }
    }
    return whole.operand
  }

  private mutating func transposedPhase(
    _ forward: ConvolutionGeometry, _ source: ConstantSource, _ lens: Lens, _ signal: Operand,
    vertical: TransposedWindow, horizontal: TransposedWindow
  ) throws(CoalitionError) -> Operand {
    var geometry = ConvolutionGeometry(
      images: forward.images, groups: forward.groups, inChannels: forward.outChannels,
      outChannels: forward.inChannels, vertical: vertical.window, horizontal: horizontal.window)
    geometry.isDirect = forward.isDirect
    var input = signal
    if vertical.cropped > 0 || horizontal.cropped > 0 {
      var view = View(
        signal,
        shape: [
          forward.images, forward.vertical.outputSize, forward.horizontal.outputSize,
          forward.groups * forward.outChannels,
        ])
      for (axis, phase) in [(1, vertical), (2, horizontal)] {
        view = try sliced(
          view, AxisSlice(axis: axis, first: phase.cropped, count: phase.window.size))
      }
      input = try copied(view).operand
    }
    // [G*O][C][KH][KW] to [G*C][O][taps][taps], both axes of taps backwards.
    let shape = [
      forward.groups, forward.outChannels, forward.inChannels, forward.vertical.kernel,
      forward.horizontal.kernel,
    ]
    let walk = [vertical, horizontal].map { "\($0.lastTap)-\($0.tapStep)" }
    let weights = constant(
      try source.seen(through: lens).moved(
        "transposed \(walk[0]) \(walk[1])", layout: .convolution(geometry)
      ) { view throws(CoalitionError) in
        var taps = try view.reshaped(to: shape)
        for (axis, phase) in [(3, vertical), (4, horizontal)] {
          taps = taps.sliced(
            axis, start: phase.lastTap, step: -phase.tapStep, count: phase.window.kernel)
        }
        return taps.transposed([0, 2, 1, 3, 4])
      })
    let output = buffer(geometry.outputCount)
    emit(
      ConvolutionStep(
        geometry: geometry, input: input, output: output, weights: weights, bias: nil,
        fusion: Fusion()))
    return output
  }

  /// What a block of constants is made from.
  func constantSource(_ operand: Operand) throws(CoalitionError) -> ConstantSource {
    guard case .constant(let id) = operand.space else {
      throw CoalitionError(.internalFault, "weights are not constant")
    }
    return draft.constants[id]
  }
}
