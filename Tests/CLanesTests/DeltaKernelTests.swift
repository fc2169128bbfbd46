// The families delta, toggle, marginal and guard against chains written out here, bit by bit.

import CLanes
import Testing

/// An element type that plain weights can be packed in.
private protocol PlainElement: LaneElement {
  static func packPlain(_ shape: inout ln_conv, _ weights: [Self]) -> [Self]
}

extension Float: PlainElement {
  fileprivate static func packPlain(_ shape: inout ln_conv, _ weights: [Float]) -> [Float] {
    var packed = [Float](repeating: 0, count: ln_conv_plain_count(&shape))
    ln_conv_pack_plain_float32(&shape, weights, &packed)
    return packed
  }
}

extension Double: PlainElement {
  fileprivate static func packPlain(_ shape: inout ln_conv, _ weights: [Double]) -> [Double] {
    var packed = [Double](repeating: 0, count: ln_conv_plain_count(&shape))
    ln_conv_pack_plain_float64(&shape, weights, &packed)
    return packed
  }
}

/// A layer, the box of its input that changes, and the outputs that are made.
struct DeltaCase: Sendable, CustomStringConvertible {
  var groups = 1, channels = 1, outputs = 1
  var map = [1, 1], kernel = [1, 1], stride = [1, 1], dilation = [1, 1], pad = [0, 0]
  /// First row and column, rows and columns.
  var box = [0, 0, 1, 1]
  var firstChannel = 0, channelCount = 1
  /// First row and column of the sums, rows and columns.
  var result = [0, 0, 1, 1]
  var pool = [1, 1]
  var function = ln_function(id: Int32(LN_FUNCTION_identity.rawValue), a: 0, b: 0)

  var description: String {
    "\(groups)x\(channels) -> \(outputs), map \(map), kernel \(kernel), box \(box), pool \(pool)"
  }

  var outputMap: [Int] {
    (0..<2).map {
      (map[$0] + 2 * pad[$0] - (kernel[$0] - 1) * dilation[$0] - 1) / stride[$0] + 1
    }
  }

  static let relu = ln_function(id: Int32(LN_FUNCTION_relu.rawValue), a: 0, b: 0)
  static let leaky = ln_function(id: Int32(LN_FUNCTION_leaky_relu.rawValue), a: 0.1, b: 0)
  static let clip = ln_function(id: Int32(LN_FUNCTION_clip.rawValue), a: -0.5, b: 0.75)

  static let all = [
    // Dense layers: a kernel that covers its input.
    DeltaCase(
      channels: 20, outputs: 35, firstChannel: 3, channelCount: 11, function: relu),
    DeltaCase(
      channels: 3, outputs: 10, map: [4, 5], kernel: [4, 5], box: [1, 2, 2, 3], channelCount: 3),
    DeltaCase(
      channels: 4, outputs: 17, map: [7, 6], kernel: [3, 3], box: [2, 1, 2, 3], channelCount: 4,
      result: [0, 0, 4, 4], pool: [2, 2], function: relu),
    DeltaCase(
      channels: 2, outputs: 5, map: [8, 9], kernel: [3, 2], stride: [2, 1], pad: [1, 1],
      box: [3, 4, 3, 2], channelCount: 2, result: [1, 3, 3, 5], function: leaky),
    DeltaCase(
      channels: 2, outputs: 6, map: [9, 9], kernel: [3, 3], dilation: [2, 3], pad: [2, 1],
      box: [4, 2, 2, 4], channelCount: 2, result: [0, 0, 9, 4], function: clip),
    DeltaCase(
      groups: 3, channels: 2, outputs: 4, map: [5, 5], kernel: [2, 2], box: [1, 1, 2, 2],
      firstChannel: 1, channelCount: 4, result: [0, 0, 4, 4]),
    DeltaCase(
      groups: 6, channels: 1, outputs: 2, map: [6, 5], kernel: [3, 3], pad: [1, 1],
      box: [0, 0, 3, 3], channelCount: 6, result: [0, 0, 6, 4], pool: [3, 2], function: relu),
  ]
}

@Suite(.serialized) struct DeltaKernelTests {
  private func check<Element: PlainElement>(_ c: DeltaCase, _: Element.Type) {
    var random = TestRandom(UInt64(c.outputs * 100 + c.map[0]))
    let examples = 70
    let out = c.outputMap
    let channels = c.groups * c.channels
    let outputs = c.groups * c.outputs
    let mapCount = c.map[0] * c.map[1] * channels
    let boxCount = c.box[2] * c.box[3] * c.channelCount
    let sumCount = out[0] * out[1] * outputs
    let before: [Element] = random.numbers(mapCount * examples)
    var after: [Element] = random.numbers(boxCount * examples)
    let sums: [Element] = random.numbers(sumCount * examples)
    let weights: [Element] = random.numbers(outputs * c.channels * c.kernel[0] * c.kernel[1])
    func place(_ y: Int, _ x: Int, _ channel: Int) -> Int {
      ((c.box[0] + y) * c.map[1] + c.box[1] + x) * channels + c.firstChannel + channel
    }
    // Some elements stay in all lanes, some in the first tile only, some in single lanes.
    for example in 0..<examples {
      for i in 0..<boxCount {
        let (y, x) = (i / c.channelCount / c.box[3], i / c.channelCount % c.box[3])
        let stays = i % 4 == 1 || (i % 4 == 2 && example < 16) || (i + example) % 5 == 0
        if stays {
          after[example * boxCount + i] =
            before[example * mapCount + place(y, x, i % c.channelCount)]
        }
      }
    }
    let rows = c.result[2] / c.pool[0], columns = c.result[3] / c.pool[1]
    let resultCount = rows * columns * outputs

    var shape = ln_conv()
    shape.groups = Int32(c.groups)
    shape.in_channels = Int32(c.channels)
    shape.out_channels = Int32(c.outputs)
    shape.images = 1
    (shape.height, shape.width) = (Int32(c.map[0]), Int32(c.map[1]))
    (shape.out_height, shape.out_width) = (Int32(out[0]), Int32(out[1]))
    (shape.kernel_h, shape.kernel_w) = (Int32(c.kernel[0]), Int32(c.kernel[1]))
    (shape.stride_h, shape.stride_w) = (1, 1)
    (shape.dilation_h, shape.dilation_w) = (1, 1)
    let packed = Element.packPlain(&shape, weights)

    let experiment = LaneExperiment<Element>(
      examples: examples, inputs: [before, after, sums], outputRows: [resultCount]
    ) { program in
      let map = program.input(slot: 0, mapCount)
      let box = program.input(slot: 1, boxCount)
      let old = program.input(slot: 2, sumCount)
      let block = program.constant(packed)
      let result = program.value(resultCount)
      program.add(LN_delta) {
        $0.delta = ln_delta(
          before: map, after: box, sums: old, weights: block, out: result,
          groups: Int32(c.groups), in_channels: Int32(c.channels), out_channels: Int32(c.outputs),
          width: Int32(c.map[1]), out_width: Int32(out[1]), kernel_h: Int32(c.kernel[0]),
          kernel_w: Int32(c.kernel[1]), stride_h: Int32(c.stride[0]), stride_w: Int32(c.stride[1]),
          dilation_h: Int32(c.dilation[0]), dilation_w: Int32(c.dilation[1]),
          pad_top: Int32(c.pad[0]), pad_left: Int32(c.pad[1]), in_y: Int32(c.box[0]),
          in_x: Int32(c.box[1]), first_channel: Int32(c.firstChannel), in_h: Int32(c.box[2]),
          in_w: Int32(c.box[3]), in_c: Int32(c.channelCount), out_y: Int32(c.result[0]),
          out_x: Int32(c.result[1]), out_h: Int32(c.result[2]), out_w: Int32(c.result[3]),
          pool_h: Int32(c.pool[0]), pool_w: Int32(c.pool[1]), function: c.function)
      }
      program.output(result, resultCount)
    }

    var expected = [Element](repeating: 0, count: resultCount * examples)
    for example in 0..<examples {
      for row in 0..<rows * c.pool[0] {
        for column in 0..<columns * c.pool[1] {
          for o in 0..<outputs {
            var sum: Element = 0
            let (oy, ox) = (c.result[0] + row, c.result[1] + column)
            for ky in 0..<c.kernel[0] {
              for kx in 0..<c.kernel[1] {
                let y = oy * c.stride[0] - c.pad[0] + ky * c.dilation[0] - c.box[0]
                let x = ox * c.stride[1] - c.pad[1] + kx * c.dilation[1] - c.box[1]
                guard (0..<c.box[2]).contains(y), (0..<c.box[3]).contains(x) else { continue }
                for channel in 0..<c.channelCount {
                  let all = c.firstChannel + channel
                  guard all / c.channels == o / c.outputs else { continue }
                  let tap =
                    ((o * c.channels + all % c.channels) * c.kernel[0] + ky) * c.kernel[1] + kx
                  let i = (y * c.box[3] + x) * c.channelCount + channel
                  let change =
                    after[example * boxCount + i]
                    - before[example * mapCount + place(y, x, channel)]
                  sum.addProduct(change, weights[tap])
                }
              }
            }
            let old = sums[example * sumCount + (oy * out[1] + ox) * outputs + o]
            let value = applyFunction(c.function, [old + sum], isa: LN_GENERIC)[0]
            let target =
              example * resultCount
              + (row / c.pool[0] * columns + column / c.pool[1]) * outputs + o
            let isFirst = row % c.pool[0] == 0 && column % c.pool[1] == 0
            expected[target] = isFirst ? value : max(expected[target], value)
          }
        }
      }
    }
    for isa in availableISAs {
      for lanes in allLaneCounts where lanes > 1 {
        for threads in [1, 2, 5] {
          let variant = LaneVariant(isa: isa, lanes: lanes, threads: threads)
          let found = experiment.run(variant)[0]
          let wrong = found.indices.first { found[$0] != expected[$0] }
          #expect(wrong == nil, "\(variant): element \(wrong ?? -1)")
        }
      }
    }
  }

  @Test("A layer's outputs follow from the change alone, as one chain", arguments: DeltaCase.all)
  func deltas(c: DeltaCase) {
    check(c, Float.self)
    check(c, Double.self)
  }

  @Test("A toggled box takes the other side of each lane; sums are signed; guards pass over")
  func toggles() {
    let examples = 75, count = 24
    var random = TestRandom(5)
    let present: [Float] = random.numbers(count * examples)
    let absent: [Float] = random.numbers(count * examples)
    let now: [Float] = random.numbers(count * examples)
    let owners = (0..<count).map { Float($0 % 3 == 0 ? 37 : $0) }
    let words = (0..<examples * 2).map { _ in UInt32(truncatingIfNeeded: random.bits()) }
    // Player 37 is active in some tiles of 16 only.
    let active = (0..<examples * 2).map { i -> UInt32 in
      i % 2 == 1 && (32..<40).contains(i / 2) ? 1 << 5 : 0
    }
    // A box of 3 rows and 2 columns in rows of 6.
    let sizes = [3, 2], strides = [6, 1], start = 2
    for ownsAll in [true, false] {
      // Of a box with several owners, every other lane toggles player 8.
      let turn = ownsAll ? [37, 37] : [37, 8]
      let players = makeTurn(turn)
      var experiment = LaneExperiment<Float>(
        examples: examples, inputs: [present, absent, now], words: [words, active],
        outputRows: [6]
      ) { program in
        let rows = (0..<3).map { program.input(slot: $0, count) }
        let moved = rows.map { program.moved($0, by: start) }
        let (a, b, c) = (moved[0], moved[1], moved[2])
        let block = program.constant(owners)
        let table = program.moved(block, by: start)
        let absentTable = ln_ref(offset: 0, block: Int32(LN_ABSENT))
        let box = program.value(6), old = program.value(6)
        program.add(LN_copy) {
          $0.copy = ln_copy(
            in: c, out: old, nest: makeNest(sizes),
            in_stride: makeStrides(strides), out_stride: makeStrides([2, 1]))
        }
        program.add(LN_guard) { $0.guard = ln_guard(slot: 4, players: players, words: 2, count: 2) }
        program.add(LN_toggle) {
          $0.toggle = ln_toggle(
            present: a, absent: b, now: c, owners: ownsAll ? absentTable : table, out: box, slot: 3,
            players: players, words: 2, nest: makeNest(sizes),
            stride: makeStrides(strides))
        }
        program.add(LN_marginal) {
          $0.marginal = ln_marginal(
            before: old, after: box, slot: 0, coalitions: 3, words: 2, players: players, count: 6,
            row_count: 6, first: 0)
        }
      }
      experiment.segments = (0..<examples).map { Int32($0 / 8) }
      experiment.weights = random.numbers(examples)
      for isa in availableISAs {
        for lanes in allLaneCounts where lanes > 1 {
          for threads in [1, 3] {
            let found = experiment.sums(LaneVariant(isa: isa, lanes: lanes, threads: threads))[0]
            for segment in 0..<(examples + 7) / 8 {
              // The tile of the segment, and whether any of its lanes is active.
              let tile = segment * 8 / lanes * lanes
              let runs = tile < 40 && min(tile + lanes, examples) > 32
              for i in 0..<6 {
                let p = start + i / 2 * 6 + i % 2
                var sum = 0.0
                for e in segment * 8..<min(segment * 8 + 8, examples) {
                  let player = turn[e % 2]
                  let holds = words[e * 2 + player / 32] >> UInt32(player % 32) & 1 == 1
                  let owned = ownsAll || owners[p] == Float(player)
                  let new = owned ? (holds ? absent : present)[e * count + p] : now[e * count + p]
                  let change = Double(new) - Double(now[e * count + p])
                  sum.addProduct(holds ? -experiment.weights[e] : experiment.weights[e], change)
                }
                let expected = runs ? sum : LaneExperiment<Float>.untouched
                #expect(found[segment * 6 + i] == expected, "\(lanes) lanes, segment \(segment)")
              }
            }
          }
        }
      }
    }
  }
}
