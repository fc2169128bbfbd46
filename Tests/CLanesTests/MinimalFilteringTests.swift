// Convolution by minimal filtering (Winograd): its error against the exact sums, the same bytes from every
// form of the kernels, and what numbers that are not finite do.

import CLanes
import Testing

/// Layers of which each runs by minimal filtering: all tile sizes, whole and ragged tiles, groups, pools.
private let shapes: [ConvolutionShape] = {
  let square = ConvolutionShape(
    label: "16 -> 16 on 8x8", inChannels: 16, outChannels: 16, size: (8, 8), kernel: (3, 3),
    pad: (1, 1, 1, 1), function: LN_FUNCTION_relu)
  let five = square.with {
    $0.label = "16 -> 16, 5x5"; $0.size = (12, 12); $0.kernel = (5, 5); $0.pad = (0, 0, 0, 0)
  }
  return [
    square,
    five,
    square.with {
      $0.label = "43 -> 49, ragged tiles, unequal pads"
      $0.inChannels = 43
      $0.outChannels = 49
      $0.images = 2
      $0.size = (9, 7)
      $0.pad = (0, 2, 1, 2)
      $0.function = LN_FUNCTION_leaky_relu
    },
    square.with {
      $0.label = "long sums"; $0.inChannels = 150; $0.outChannels = 20
    },
    square.with {
      $0.label = "several slices, no bias"; $0.outChannels = 150; $0.hasBias = false
      $0.function = LN_FUNCTION_identity
    },
    square.with {
      $0.label = "ragged tiles pooled"; $0.images = 2; $0.size = (11, 10); $0.pool = (2, 2)
      $0.inChannels = 20
      $0.outChannels = 20
      $0.function = LN_FUNCTION_clip
    },
    square.with {
      $0.label = "pooled 4x2"; $0.pool = (4, 2)
    },
    square.with {
      $0.label = "pooled 1x2, gelu"; $0.pool = (1, 2); $0.function = LN_FUNCTION_gelu
      $0.outChannels = 21
    },
    square.with {
      $0.label = "gelu on ragged tiles"; $0.size = (7, 8); $0.inChannels = 40
      $0.outChannels = 35; $0.function = LN_FUNCTION_gelu
    },
    square.with {
      $0.label = "2 groups of 24 -> 17"; $0.groups = 2; $0.inChannels = 24; $0.outChannels = 17
    },
    square.with {
      $0.label = "one tile"; $0.size = (4, 4); $0.inChannels = 70; $0.outChannels = 70
      $0.pool = (4, 4)
    },
    square.with {
      $0.label = "small tiles"; $0.size = (6, 6); $0.inChannels = 80; $0.outChannels = 70
      $0.pool = (2, 2)
    },
    square.with {
      $0.label = "small tiles, no padding"; $0.size = (4, 4); $0.inChannels = 40
      $0.outChannels = 33; $0.pad = (0, 0, 0, 0)
    },
    square.with {
      $0.label = "2x2 maps"; $0.images = 3; $0.size = (2, 2); $0.inChannels = 64
      $0.outChannels = 67
    },
    square.with {
      $0.label = "2x2 maps pooled"; $0.size = (2, 2); $0.inChannels = 130; $0.outChannels = 64
      $0.pool = (2, 2)
    },
    five.with {
      $0.label = "5x5 pooled"; $0.inChannels = 16; $0.pool = (2, 2)
    },
    five.with {
      $0.label = "5x5, ragged tiles, long sums"; $0.inChannels = 33; $0.outChannels = 20
      $0.size = (9, 8)
      $0.pad = (2, 2, 2, 2)
    },
  ]
}()

/// Whether a layer runs by minimal filtering: windows of 3x3 divide none of its tiles, and the direct form takes all.
private func isFiltered(_ shape: ConvolutionShape) -> Bool {
  var conv = shape.step(in: 0, out: 0)
  (conv.pool_h, conv.pool_w) = (3, 3)
  return ln_conv_takes_pool(&conv) == 0
}

@Suite("Minimal filtering", .serialized)
struct MinimalFilteringTests {
  @Test(
    "Errors stay within 4e-6 of the largest output, and all forms give the same bytes",
    arguments: shapes)
  func agreesWithDefinition(shape: ConvolutionShape) {
    #expect(isFiltered(shape))
    let single = ConvolutionData<Float>(shape, seed: 7)
    if let sums = checkedSums(shape, single) { checkForms(shape, single, sums) }
    let double = ConvolutionData<Double>(shape, seed: 7)
    if let sums = checkedSums(shape, double) { checkForms(shape, double, sums) }
  }

  /// Forms of the direct sum are those of other direct layers (ConvolutionKernelTests).
  @Test("A step that asks for the direct sum gets it", arguments: shapes)
  func directSums(shape: ConvolutionShape) throws {
    let direct = shape.with { $0.isDirect = true }
    #expect(!isFiltered(direct))
    let data = ConvolutionData<Float>(shape, seed: 7)
    let summed = try #require(checkedSums(direct, data))
    // It rounds otherwise.
    #expect(try #require(run(shape.linear, data, Form.all[0])) != summed)
  }

  /// The sums in the first form, compared with the definition.
  private func checkedSums<Element: ConvolutionElement>(
    _ shape: ConvolutionShape, _ data: ConvolutionData<Element>
  ) -> [Element]? {
    let linear = shape.linear
    guard let sums = run(linear, data, Form.all[0]) else {
      Issue.record("\(shape): wrote past its outputs")
      return nil
    }
    var worst: Double = 0
    var largest: Double = 0
    for (got, (value, _)) in zip(sums, linear.sums(data)) {
      let error = abs(Double(got) - value)
      worst = error.isNaN ? .infinity : max(worst, error)
      largest = max(largest, abs(value))
    }
    // 4e-6 in single precision is 67 roundings.
    let roundings = worst / (largest * Element.rounding)
    #expect(
      roundings < 67, "\(shape) \(Element.self): \(roundings) roundings of the largest output")
    print("\(shape), \(Element.self): worst error \(roundings) roundings")
    return sums
  }

  @Test("Programs of filtered layers give the same bytes in all variants", arguments: [1, 7, 65])
  func sameBytes(examples: Int) {
    let first = shapes[0].with {
      $0.outChannels = 96; $0.pool = (4, 4)
    }
    let second = shapes[0].with {
      $0.size = (2, 2); $0.inChannels = 96; $0.outChannels = 64
    }
    #expect(isFiltered(first) && isFiltered(second))
    var random = TestRandom(UInt64(examples))
    let weights = [first, second].map { layer in
      let numbers: [Float] = random.numbers(layer.weightCount)
      var conv = layer.step(in: 0, out: 0)
      var packed = [Float](repeating: 0, count: ln_conv_packed_count(&conv))
      ln_conv_pack_float32(&conv, numbers, &packed)
      return packed
    }
    let bias: [Float] = random.numbers(96)
    let experiment = LaneExperiment<Float>(
      examples: examples, inputs: [random.numbers(first.inputCount * examples)],
      outputRows: [second.outputCount]
    ) { program in
      var value = program.input(first.inputCount)
      let offsets = program.constant(bias)
      for (layer, packed) in zip([first, second], weights) {
        let out = program.value(layer.outputCount)
        let block = program.constant(packed)
        let input = value
        program.add(LN_conv) {
          $0.conv = layer.step(in: 0, out: 0)
          ($0.conv.in, $0.conv.out, $0.conv.weights, $0.conv.bias) = (input, out, block, offsets)
        }
        value = out
      }
      program.output(value, second.outputCount)
    }
    #expect(LaneInvariance().firstDifference(experiment) == nil)
  }

  @Test("A number that is not finite stays in its channel, or its example and tiles")
  func badNumbersStay() throws {
    let shape = shapes[0].with { $0.function = LN_FUNCTION_identity }
    let clean = ConvolutionData<Float>(shape, seed: 3)
    let expected = try #require(run(shape, clean, Form.all[0]))
    for bad in [Float.nan, .infinity] {
      var weights = clean
      weights.weights[5 * 16 * 9] = bad
      var input = clean
      // Example 3 at (1, 1): reached by no output outside the first tile, rows and columns 0 to 3.
      input.input[(1 * 8 + 1) * 16 * examples + 3] = bad
      for form in Form.all where form.threads == 1 {
        let byWeight = try #require(run(shape, weights, form))
        let byInput = try #require(run(shape, input, form))
        for i in expected.indices {
          let (position, example) = (i / examples, i % examples)
          let (pixel, channel) = (position / 16, position % 16)
          let inTile = pixel / 8 < 4 && pixel % 8 < 4
          if channel == 5 ? byWeight[i].isFinite : byWeight[i] != expected[i] {
            Issue.record("\(form): weight \(bad), output \(i)")
            return
          }
          if example == 3 && inTile ? byInput[i].isFinite : byInput[i] != expected[i] {
            // Within the tile, outputs that the input does not reach may keep their values.
            let reached = pixel / 8 <= 2 && pixel % 8 <= 2
            if example == 3 && inTile && !reached { continue }
            Issue.record("\(form): input \(bad), output \(i)")
            return
          }
        }
      }
    }
  }

  @Test("Large finite numbers stay finite", arguments: [shapes[0], shapes[1]])
  func largeNumbers(shape: ConvolutionShape) throws {
    var data = ConvolutionData<Float>(shape, seed: 9)
    for i in data.input.indices { data.input[i] *= 1e33 }
    let sums = try #require(run(shape, data, Form.all[0]))
    #expect(sums.allSatisfy { $0.isFinite })
  }

  @Test("A pool is taken when its windows divide a tile, and by direct layers always")
  func pools() {
    func takes(_ shape: ConvolutionShape, _ height: Int, _ width: Int) -> Bool {
      var conv = shape.with { $0.pool = (height, width) }.step(in: 0, out: 0)
      return ln_conv_takes_pool(&conv) != 0
    }
    #expect(takes(shapes[0], 2, 2) && takes(shapes[0], 4, 1) && !takes(shapes[0], 3, 2))
    let direct = shapes[0].with { $0.inChannels = 3 }
    #expect(!isFiltered(direct) && takes(direct, 3, 2))
  }
}
