// Sliding windows of convolutions and pools: attributes, padding and output sizes.

import CoalitionBase

/// Kernel, stride, dilation and padding along the spatial axes, as a node gives them.
struct Window: Sendable {
  enum Padding: Sendable {
    case explicit(begin: [Int], end: [Int])
    case sameUpper, sameLower, valid
  }

  var kernel: [Int]?
  var strides: [Int]?
  var dilations: [Int]?
  var padding: Padding
  var ceilMode: Bool

  init(reading node: NodeReader) throws(CoalitionError) {
    kernel = try node.ints("kernel_shape")
    strides = try node.ints("strides")
    dilations = try node.ints("dilations")
    ceilMode = try node.flag("ceil_mode", false)
    switch try node.string("auto_pad", "NOTSET") {
    case "NOTSET":
      let pads = try node.ints("pads") ?? []
      guard pads.count % 2 == 0, pads.allSatisfy({ $0 >= 0 && $0 <= Int(Int32.max) }) else {
        throw node.unsupported("pads \(pads)")
      }
      padding = .explicit(
        begin: Array(pads.prefix(pads.count / 2)), end: Array(pads.suffix(pads.count / 2)))
    case "SAME_UPPER": padding = .sameUpper
    case "SAME_LOWER": padding = .sameLower
    case "VALID": padding = .valid
    case let other: throw node.unsupported("auto_pad '\(other)'")
    }
  }

  /// A window that covers a whole map.
  init(covering kernel: [Int]) {
    self.kernel = kernel
    padding = .valid
    ceilMode = false
  }

  /// The window along every spatial axis of an input [N, C, spatial...].
  /// - Throws: `unsupported` for other than one or two spatial axes, `invalidData` for attributes that do not fit.
  func placed(
    over spatial: [Int], kernel known: [Int]? = nil, operation: String
  ) throws(CoalitionError) -> [PlacedWindow] {
    guard spatial.count == 1 || spatial.count == 2 else {
      throw CoalitionError(
        .unsupported, "\(operation) over \(spatial.count) spatial axes is not supported",
        expected: "1 or 2")
    }
    guard let kernel = kernel ?? known else {
      throw CoalitionError(.invalidData, "\(operation) has no kernel_shape")
    }
    if let known, known != kernel {
      throw CoalitionError(
        .shapeMismatch, "kernel_shape disagrees with the weights", expected: "\(known)",
        found: "\(kernel)")
    }
    let strides = strides ?? spatial.map { _ in 1 }
    let dilations = dilations ?? spatial.map { _ in 1 }
    var begin = spatial.map { _ in 0 }
    var end = begin
    if case .explicit(let first, let last) = padding, !first.isEmpty {
      (begin, end) = (first, last)
    }
    guard [kernel, strides, dilations, begin, end].allSatisfy({ $0.count == spatial.count }) else {
      throw CoalitionError(
        .invalidData, "\(operation) has attributes for another number of spatial axes",
        expected: "\(spatial.count)",
        found: "kernel \(kernel), strides \(strides), dilations \(dilations), pads \(begin + end)")
    }
    guard (kernel + strides + dilations).allSatisfy({ $0 >= 1 && $0 <= 1 << 24 }) else {
      throw CoalitionError(
        .invalidData, "\(operation) has a kernel, stride or dilation out of range",
        found: "kernel \(kernel), strides \(strides), dilations \(dilations)")
    }
    var result: [PlacedWindow] = []
    for axis in spatial.indices {
      var window = PlacedWindow(
        size: spatial[axis], kernel: kernel[axis], stride: strides[axis], dilation: dilations[axis],
        padBegin: begin[axis], padEnd: end[axis], outputSize: 0)
      let reach = window.reach
      switch padding {
      case .sameUpper, .sameLower:
        window.outputSize = (window.size + window.stride - 1) / window.stride
        let total = max((window.outputSize - 1) * window.stride + reach - window.size, 0)
        if case .sameUpper = padding {
          window.padBegin = total / 2
        } else {
          window.padBegin = total - total / 2
        }
        window.padEnd = total - window.padBegin
      case .explicit, .valid:
        let room = window.size + window.padBegin + window.padEnd - reach
        guard room >= 0 else {
          throw CoalitionError(
            .shapeMismatch, "the window of \(operation) is larger than its padded input",
            expected: "at most \(window.size + window.padBegin + window.padEnd)", found: "\(reach)")
        }
        window.outputSize = (room + (ceilMode ? window.stride - 1 : 0)) / window.stride + 1
        // A window may not start behind the input: it would see nothing but padding.
        if ceilMode && (window.outputSize - 1) * window.stride >= window.size + window.padBegin {
          window.outputSize -= 1
        }
      }
      try window.checkReach(operation)
      result.append(window)
    }
    // The divisor of an average pool counts the taps of both axes.
    guard Tensor.count(of: kernel).map({ $0 <= Int(Int32.max) }) ?? false else {
      throw CoalitionError(
        .limitExceeded, "the window of \(operation) has too many taps",
        expected: "at most \(Int32.max)", found: "kernel \(kernel)")
    }
    return result
  }
}

/// A window along one axis of a known size.
struct PlacedWindow: Hashable, Sendable {
  var size: Int
  var kernel: Int
  var stride: Int
  var dilation: Int
  var padBegin: Int
  var padEnd: Int
  var outputSize: Int

  /// The window of an axis that is not there.
  static let point = PlacedWindow(
    size: 1, kernel: 1, stride: 1, dilation: 1, padBegin: 0, padEnd: 0, outputSize: 1)

  /// What one window spans, with the gaps between its taps.
  var reach: Int { (kernel - 1) * dilation + 1 }

  /// Checks that the engine's coordinates, which count in 32 bits, can say every place that a window touches
  /// (lanes.h, at ln_conv).
  fileprivate func checkReach(_ operation: String) throws(CoalitionError) {
    let (travel, overflow) = outputSize.multipliedReportingOverflow(by: stride)
    // Pads, strides and the reach are at most 2^48: these sums cannot overflow.
    let extent = max(size + padBegin + padEnd, (overflow ? 1 << 62 : travel) + reach)
    guard !overflow, extent <= Int(Int32.max) - dilation - stride else {
      throw CoalitionError(
        .limitExceeded, "the windows of \(operation) reach too far",
        expected: "at most \(Int32.max) places along an axis",
        found:
          "size \(size), pads \(padBegin) and \(padEnd), kernel \(kernel), dilation \(dilation), "
          + "stride \(stride)")
    }
  }

  /// Whether some window has no tap on the input.
  var hasEmptyWindows: Bool {
    (0..<outputSize).contains { output in
      !(0..<kernel).contains { tap in
        (0..<size).contains(output * stride + tap * dilation - padBegin)
      }
    }
  }

  /// Taps of all windows together that fall on the input.
  var tapsOnInput: Int {
    (0..<kernel).reduce(0) { taps, tap in
      // Outputs at which this tap lies at 0 <= output * stride + shift < size.
      let shift = tap * dilation - padBegin
      let first = max(0, (-shift + stride - 1) / stride)
      let last = size - 1 - shift < 0 ? -1 : min(outputSize - 1, (size - 1 - shift) / stride)
      return taps + max(0, last - first + 1)
    }
  }

  /// Whether the windows lie side by side: each input belongs to one window at most.
  var tiles: Bool {
    kernel == stride && dilation == 1 && padBegin == 0 && outputSize * kernel <= size
  }
}

/// Two windows, vertical first: a missing vertical axis is a point.
func plane(_ windows: [PlacedWindow]) -> (vertical: PlacedWindow, horizontal: PlacedWindow) {
  windows.count == 2 ? (windows[0], windows[1]) : (.point, windows[0])
}

/// The order of axes in memory that convolution and pooling work in: examples, space, channels.
func channelsLast(rank: Int) -> [Int] { [0] + Array(2..<rank) + [1] }
