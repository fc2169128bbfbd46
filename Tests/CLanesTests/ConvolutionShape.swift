// Shapes of convolutions for tests of the C kernels, and the sum each output is, by definition.

import CLanes

/// A convolution with its input, weights and bias for 64 examples, as whole numbers over 1024 (exact in
/// every element type).
struct ConvolutionShape: Sendable, CustomStringConvertible {
  var label: String
  var groups = 1
  var inChannels = 1
  var outChannels = 1
  var images = 1
  var size = (height: 1, width: 1)
  var kernel = (height: 1, width: 1)
  var stride = (height: 1, width: 1)
  var dilation = (height: 1, width: 1)
  var pad = (top: 0, left: 0, bottom: 0, right: 0)
  var pool = (height: 0, width: 0)
  var function = LN_FUNCTION_identity
  var hasBias = true
  /// Never by minimal filtering.
  var isDirect = false

  var description: String { label }

  var outHeight: Int {
    Self.outputs(size.height, kernel.height, stride.height, dilation.height, pad.top + pad.bottom)
  }
  var outWidth: Int {
    Self.outputs(size.width, kernel.width, stride.width, dilation.width, pad.left + pad.right)
  }
  var pooledHeight: Int { pool.height == 0 ? outHeight : outHeight / pool.height }
  var pooledWidth: Int { pool.width == 0 ? outWidth : outWidth / pool.width }
  var allIn: Int { groups * inChannels }
  var allOut: Int { groups * outChannels }
  var inputCount: Int { images * size.height * size.width * allIn }
  var outputCount: Int { images * pooledHeight * pooledWidth * allOut }
  var weightCount: Int { allOut * inChannels * kernel.height * kernel.width }

  /// Parameters that make every function a different one from identity.
  var laneFunction: ln_function {
    ln_function(id: Int32(function.rawValue), a: 0.125, b: 0.75)
  }

  private static func outputs(
    _ size: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ pad: Int
  )
    -> Int
  {
    (size + pad - (kernel - 1) * dilation - 1) / stride + 1
  }

  func step(in input: Int, out output: Int) -> ln_conv {
    var conv = ln_conv()
    conv.in = ln_ref(offset: Int64(input), block: Int32(LN_ARENA))
    conv.out = ln_ref(offset: Int64(output), block: Int32(LN_ARENA))
    conv.weights = ln_ref(offset: 0, block: 0)
    conv.bias = ln_ref(offset: 0, block: hasBias ? 1 : Int32(LN_ABSENT))
    conv.groups = Int32(groups)
    conv.in_channels = Int32(inChannels)
    conv.out_channels = Int32(outChannels)
    conv.images = Int32(images)
    (conv.height, conv.width) = (Int32(size.height), Int32(size.width))
    (conv.out_height, conv.out_width) = (Int32(outHeight), Int32(outWidth))
    (conv.kernel_h, conv.kernel_w) = (Int32(kernel.height), Int32(kernel.width))
    (conv.stride_h, conv.stride_w) = (Int32(stride.height), Int32(stride.width))
    (conv.dilation_h, conv.dilation_w) = (Int32(dilation.height), Int32(dilation.width))
    (conv.pad_top, conv.pad_left) = (Int32(pad.top), Int32(pad.left))
    (conv.pool_h, conv.pool_w) = (Int32(pool.height), Int32(pool.width))
    conv.direct = isDirect ? 1 : 0
    conv.function = laneFunction
    return conv
  }

  func with(_ change: (inout ConvolutionShape) -> Void) -> ConvolutionShape {
    var copy = self
    change(&copy)
    return copy
  }
}

extension ConvolutionShape {
  /// Before function and pooling: every output [image][y][x][channel][example] as a sum, and the sum of its absolute
  /// products, which bounds its rounding error. Both exact: products of `ConvolutionData` are multiples of 2^-20 within 1.
  func sums<Element: ConvolutionElement>(_ data: ConvolutionData<Element>) -> [(
    value: Double, scale: Double
  )] {
    let input = data.input.map { Double($0) }
    var result: [(value: Double, scale: Double)] = []
    result.reserveCapacity(images * outHeight * outWidth * allOut * examples)
    input.withUnsafeBufferPointer { input in
      for image in 0..<images {
        for y in 0..<outHeight {
          for x in 0..<outWidth {
            for channel in 0..<allOut {
              result += sums(input, data.weights, bias: data.bias, at: (image, y, x, channel))
            }
          }
        }
      }
    }
    return result
  }

  /// One output for all examples.
  private func sums<Element: ConvolutionElement>(
    _ input: UnsafeBufferPointer<Double>, _ weights: [Element], bias: [Element],
    at place: (image: Int, y: Int, x: Int, channel: Int)
  ) -> [(value: Double, scale: Double)] {
    let start = hasBias ? Double(bias[place.channel]) : 0
    var sums = [(value: Double, scale: Double)](repeating: (start, abs(start)), count: examples)
    let group = place.channel / outChannels
    for ky in 0..<kernel.height {
      let iy = place.y * stride.height + ky * dilation.height - pad.top
      guard (0..<size.height).contains(iy) else { continue }
      for kx in 0..<kernel.width {
        let ix = place.x * stride.width + kx * dilation.width - pad.left
        guard (0..<size.width).contains(ix) else { continue }
        for c in 0..<inChannels {
          let position =
            ((place.image * size.height + iy) * size.width + ix) * allIn + group * inChannels + c
          let tap = ((place.channel * inChannels + c) * kernel.height + ky) * kernel.width + kx
          let weight = Double(weights[tap])
          for example in 0..<examples {
            let product = input[position * examples + example] * weight
            sums[example].value += product
            sums[example].scale += abs(product)
          }
        }
      }
    }
    return sums
  }

  /// Max pooling of [image][y][x][channel][example]; a NaN stays.
  func pooled<Element: ConvolutionElement>(_ map: [Element]) -> [Element] {
    guard pool.height > 0 else { return map }
    var result: [Element] = []
    result.reserveCapacity(outputCount * examples)
    let pixel = allOut * examples
    for image in 0..<images {
      for y in 0..<pooledHeight {
        for x in 0..<pooledWidth {
          for element in 0..<pixel {
            var best = -Element.infinity
            for dy in 0..<pool.height {
              for dx in 0..<pool.width {
                let row = image * outHeight + y * pool.height + dy
                let v = map[(row * outWidth + x * pool.width + dx) * pixel + element]
                if v > best || v.isNaN { best = v }
              }
            }
            result.append(best)
          }
        }
      }
    }
    return result
  }
}
