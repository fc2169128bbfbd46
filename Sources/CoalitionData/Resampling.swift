// Bilinear resampling of byte images with antialiasing, bit for bit what Pillow's BILINEAR does.
//
// Each output pixel is a weighted mean under a triangle whose half-width is one input pixel, or one output
// pixel where the image shrinks; pixel centres lie at halves. Rows first, then columns; after each pass the
// values are rounded to bytes. Weights are fixed-point numbers with 22 bits after the point.

/// For one axis: where each output pixel reads and with what weights.
private struct Taps {
  var first: [Int] = []
  var weights: [[Int32]] = []

  private static let one = Double(1 << 22)

  init(from inputSize: Int, to outputSize: Int) {
    let scale = Double(inputSize) / Double(outputSize)
    let support = max(scale, 1)
    for index in 0..<outputSize {
      let center = (Double(index) + 0.5) * scale
      let low = max(Int(center - support + 0.5), 0)
      let high = min(Int(center + support + 0.5), inputSize)
      var window: [Double] = []
      for position in low..<high {
        let distance = (Double(position) - center + 0.5) / support
        window.append(max(1 - abs(distance), 0))
      }
      let sum = window.reduce(0, +)
      first.append(low)
      weights.append(window.map { Int32(($0 / sum * Self.one).rounded(.toNearestOrAwayFromZero)) })
    }
  }
}

private func rounded(_ sum: Int32) -> UInt8 { UInt8(clamping: (sum &+ 1 << 21) >> 22) }

/// An image of bytes: pixels[height][width][channels].
struct ByteImage {
  var height: Int
  var width: Int
  let channels: Int
  var pixels: [UInt8]

  func resized(height: Int, width: Int) -> ByteImage {
    var image = self
    if width != image.width { image = image.widthResized(width) }
    if height != image.height { image = image.heightResized(height) }
    return image
  }

  private func widthResized(_ size: Int) -> ByteImage {
    let taps = Taps(from: width, to: size)
    var out = [UInt8](repeating: 0, count: height * size * channels)
    for y in 0..<height {
      for x in 0..<size {
        let weights = taps.weights[x]
        let source = (y * width + taps.first[x]) * channels
        for channel in 0..<channels {
          var sum: Int32 = 0
          for tap in 0..<weights.count {
            sum &+= weights[tap] &* Int32(pixels[source + tap * channels + channel])
          }
          out[(y * size + x) * channels + channel] = rounded(sum)
        }
      }
    }
    return ByteImage(height: height, width: size, channels: channels, pixels: out)
  }

  private func heightResized(_ size: Int) -> ByteImage {
    let taps = Taps(from: height, to: size)
    let row = width * channels
    var out = [UInt8](repeating: 0, count: size * row)
    var sums = [Int32](repeating: 0, count: row)
    for y in 0..<size {
      for index in 0..<row { sums[index] = 0 }
      for (tap, weight) in taps.weights[y].enumerated() {
        let source = (taps.first[y] + tap) * row
        for index in 0..<row { sums[index] &+= weight &* Int32(pixels[source + index]) }
      }
      for index in 0..<row { out[y * row + index] = rounded(sums[index]) }
    }
    return ByteImage(height: size, width: width, channels: channels, pixels: out)
  }

  /// The middle of the image; where what is cut away is odd, one more row goes at the bottom and one more column at
  /// the right.
  func cropped(height newHeight: Int, width newWidth: Int) -> ByteImage {
    let top = (height - newHeight) / 2
    let left = (width - newWidth) / 2
    var out: [UInt8] = []
    out.reserveCapacity(newHeight * newWidth * channels)
    for y in top..<top + newHeight {
      let start = (y * width + left) * channels
      out += pixels[start..<start + newWidth * channels]
    }
    return ByteImage(height: newHeight, width: newWidth, channels: channels, pixels: out)
  }

  // MARK: Channels

  /// Red, green, blue in the reverse order.
  func reversed() -> ByteImage {
    var image = self
    for start in stride(from: 0, to: pixels.count, by: 3) { image.pixels.swapAt(start, start + 2) }
    return image
  }

  /// Luma after ITU-R BT.601 in 16-bit fixed point, as in Pillow's mode L.
  func gray() -> ByteImage {
    guard channels == 3 else { return self }
    let luma = stride(from: 0, to: pixels.count, by: 3).map { start in
      let sum =
        Int(pixels[start]) * 19595 + Int(pixels[start + 1]) * 38470
        + Int(pixels[start + 2]) * 7471 + 0x8000
      return UInt8(sum >> 16)
    }
    return ByteImage(height: height, width: width, channels: 1, pixels: luma)
  }

  /// Three equal channels from one.
  func color() -> ByteImage {
    guard channels == 1 else { return self }
    return ByteImage(
      height: height, width: width, channels: 3,
      pixels: pixels.flatMap { [$0, $0, $0] })
  }
}
