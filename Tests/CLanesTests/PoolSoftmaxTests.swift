// Pooling and softmax against their formulas.

import CLanes
import Testing

/// A pooling of [N][H][W][C].
struct PoolCase: CustomStringConvertible, Sendable {
  var images = 1
  var height: Int, width: Int, channels: Int
  var kernel: (Int, Int)
  var stride = (1, 1)
  var dilation = (1, 1)
  /// top, left, bottom, right
  var pads = (0, 0, 0, 0)
  var roundUp = false
  var kind = LN_POOL_MAX
  var countPadding = false
  /// Winners count along columns first.
  var swapped = false

  private var name: String {
    switch kind {
    case LN_POOL_AVERAGE: "average"
    case LN_POOL_SUM: "sum"
    case LN_POOL_WINNER: "winners\(swapped ? " by columns" : "")"
    default: "max"
    }
  }

  var description: String {
    "\(name)\(countPadding ? " counting padding" : "") of "
      + "\([images, height, width, channels]), kernel \(kernel), stride \(stride), "
      + "dilation \(dilation), pads \(pads)\(roundUp ? ", rounded up" : "")"
  }

  private func outSize(_ size: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ pads: Int)
    -> Int
  {
    let room = size + pads - ((kernel - 1) * dilation + 1)
    return (room + (roundUp ? stride - 1 : 0)) / stride + 1
  }

  var outHeight: Int { outSize(height, kernel.0, stride.0, dilation.0, pads.0 + pads.2) }
  var outWidth: Int { outSize(width, kernel.1, stride.1, dilation.1, pads.1 + pads.3) }
  var inCount: Int { images * height * width * channels }
  var outCount: Int { images * outHeight * outWidth * channels }

  /// The step's struct.
  func lanePool(in x: ln_ref, out: ln_ref) -> ln_pool {
    ln_pool(
      in: x, out: out, kind: Int32(kind.rawValue),
      count_padding: countPadding ? 1 : 0, swapped: swapped ? 1 : 0, channels: Int32(channels),
      images: Int32(images),
      height: Int32(height), width: Int32(width), out_height: Int32(outHeight),
      out_width: Int32(outWidth), kernel_h: Int32(kernel.0), kernel_w: Int32(kernel.1),
      stride_h: Int32(stride.0), stride_w: Int32(stride.1), dilation_h: Int32(dilation.0),
      dilation_w: Int32(dilation.1), pad_top: Int32(pads.0), pad_left: Int32(pads.1),
      pad_bottom: Int32(pads.2), pad_right: Int32(pads.3))
  }

  func add<Element>(to program: inout ProgramBuilder<Element>, from x: ln_ref) -> ln_ref {
    let result = program.value(outCount)
    program.add(LN_pool) { $0.pool = lanePool(in: x, out: result) }
    return result
  }

  func experiment<Element: LaneElement>(examples: Int = 2) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(inCount))
    return LaneExperiment(
      examples: examples, inputs: [random.numbers(inCount * examples)], outputRows: [outCount]
    ) { program in
      let x = program.input(inCount)
      let y = add(to: &program, from: x)
      program.output(y, outCount)
    }
  }

  func reference(_ x: [Double]) -> [Double] {
    var result: [Double] = []
    for n in 0..<images {
      for oy in 0..<outHeight {
        for ox in 0..<outWidth {
          for c in 0..<channels {
            var taps: [Double] = []
            var places: [Int] = []
            var padding = 0
            for ky in 0..<kernel.0 {
              for kx in 0..<kernel.1 {
                let y = oy * stride.0 + ky * dilation.0 - pads.0
                let x0 = ox * stride.1 + kx * dilation.1 - pads.1
                if y >= 0 && y < height && x0 >= 0 && x0 < width {
                  taps.append(x[((n * height + y) * width + x0) * channels + c])
                  places.append(swapped ? x0 * height + y : y * width + x0)
                } else if y < height + pads.2 && x0 < width + pads.3 {
                  padding += 1
                }
              }
            }
            let count = taps.count + (countPadding ? padding : 0)
            let sum = taps.reduce(0, +)
            switch kind {
            case LN_POOL_AVERAGE: result.append(count > 0 ? sum / Double(count) : 0)
            case LN_POOL_SUM: result.append(sum)
            case LN_POOL_WINNER:
              let largest = taps.max() ?? 0
              let winner = taps.firstIndex(of: largest).map { places[$0] } ?? -1
              result.append(Double((n * channels + c) * height * width + winner))
            default: result.append(taps.max() ?? -.infinity)
            }
          }
        }
      }
    }
    return result
  }

  static let all: [PoolCase] = {
    let shapes: [PoolCase] = [
      .init(height: 6, width: 6, channels: 3, kernel: (2, 2), stride: (2, 2)),
      .init(
        images: 2, height: 7, width: 5, channels: 2, kernel: (3, 3), stride: (2, 1),
        pads: (1, 1, 1, 1)),
      .init(height: 9, width: 8, channels: 1, kernel: (3, 2), dilation: (2, 3), pads: (2, 1, 1, 2)),
      .init(
        height: 5, width: 6, channels: 4, kernel: (3, 3), stride: (2, 2), pads: (0, 0, 1, 1),
        roundUp: true),
      .init(
        height: 6, width: 7, channels: 2, kernel: (2, 3), stride: (3, 3), pads: (1, 2, 0, 0),
        roundUp: true),
      .init(height: 1, width: 20, channels: 5, kernel: (1, 4), stride: (1, 3), pads: (0, 2, 0, 3)),
      .init(height: 4, width: 4, channels: 70, kernel: (4, 4)),
    ]
    return shapes.flatMap { shape in
      [
        (LN_POOL_MAX, false), (LN_POOL_AVERAGE, false), (LN_POOL_AVERAGE, true),
        (LN_POOL_SUM, false), (LN_POOL_WINNER, false), (LN_POOL_WINNER, true),
      ].map { kind, option in
        var item = shape
        item.kind = kind
        item.countPadding = option && kind == LN_POOL_AVERAGE
        item.swapped = option && kind == LN_POOL_WINNER
        return item
      }
    }
  }()
}

/// A softmax of [outer][axis][inner].
struct SoftmaxCase: CustomStringConvertible, Sendable {
  var outer: Int, axis: Int, inner: Int
  var logarithm = false

  var count: Int { outer * axis * inner }
  var description: String { "\(logarithm ? "log-" : "")softmax of \([outer, axis, inner])" }

  func add<Element>(to program: inout ProgramBuilder<Element>, from x: ln_ref, into y: ln_ref) {
    program.add(LN_softmax) {
      $0.softmax = ln_softmax(
        in: x, out: y, logarithm: logarithm ? 1 : 0, outer: Int64(outer), axis: Int64(axis),
        inner: Int64(inner))
    }
  }

  func experiment<Element: LaneElement>(
    examples: Int = 2, inPlace: Bool = false
  ) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(count))
    return LaneExperiment(
      examples: examples, inputs: [random.numbers(count * examples, -8, 8)], outputRows: [count]
    ) { program in
      let x = program.input(count)
      let y = inPlace ? x : program.value(count)
      add(to: &program, from: x, into: y)
      program.output(y, count)
    }
  }

  func reference(_ x: [Double]) -> [Double] {
    var result = x
    for o in 0..<outer {
      for i in 0..<inner {
        let places = (0..<axis).map { (o * axis + $0) * inner + i }
        let largest = places.map { x[$0] }.max() ?? 0
        let sum = places.map { Double.exp(x[$0] - largest) }.reduce(0, +)
        for p in places {
          let shifted = x[p] - largest
          result[p] = logarithm ? shifted - .log(sum) : .exp(shifted) / sum
        }
      }
    }
    return result
  }
}

@Suite(.serialized) struct PoolSoftmaxTests {
  private func checkPool<Element: LaneElement>(_ item: PoolCase, _: Element.Type) {
    var worst = WorstError()
    let experiment: LaneExperiment<Element> = item.experiment()
    let taps = Double(item.kernel.0 * item.kernel.1)
    // Numbers lie within 3: a sum of n of them is off by less than n roundings of its largest value, which an
    // average divides by n again.
    let allowed =
      switch item.kind {
      case LN_POOL_AVERAGE: taps * 3 * Double(Element.ulpOfOne)
      case LN_POOL_SUM: taps * taps * 3 * Double(Element.ulpOfOne)
      default: Double.leastNonzeroMagnitude
      }
    worstError(
      experiment, into: &worst, allowed: { _ in allowed }, reference: { [item.reference($0[0])] })
    print("\(item), \(Element.self): \(worst)")
    #expect(worst.ratio <= 1, "\(worst)")
  }

  @Test("Pooling with clipped windows, dilation and both divisors", arguments: PoolCase.all)
  func pool(_ item: PoolCase) {
    checkPool(item, Float.self)
    checkPool(item, Double.self)
  }

  @Test("Pooling of 1 to 33 channels") func poolWidths() {
    for channels in 1...33 {
      for kind in [LN_POOL_MAX, LN_POOL_AVERAGE, LN_POOL_SUM] {
        let item = PoolCase(
          height: 3, width: 3, channels: channels, kernel: (2, 2), pads: (1, 0, 0, 1), kind: kind)
        checkPool(item, Float.self)
        checkPool(item, Double.self)
      }
    }
  }

  @Test("A NaN among the taps is the result") func poolNaN() {
    for place in 0..<4 {
      for kind in [LN_POOL_MAX, LN_POOL_AVERAGE, LN_POOL_SUM] {
        let item = PoolCase(height: 2, width: 2, channels: 1, kernel: (2, 2), kind: kind)
        var experiment: LaneExperiment<Float> = item.experiment(examples: 1)
        experiment.inputs[0][place] = .nan
        for lanes in allLaneCounts {
          for isa in availableISAs {
            #expect(experiment.run(LaneVariant(isa: isa, lanes: lanes, threads: 1))[0][0].isNaN)
          }
        }
      }
    }
  }

  private func checkSoftmax<Element: LaneElement>(
    _ item: SoftmaxCase, into worst: inout WorstError, _: Element.Type
  ) {
    let experiment: LaneExperiment<Element> = item.experiment(inPlace: item.axis % 2 == 0)
    // Rounding x - max costs up to 8 ulp of the exponential, the sum one rounding an addend.
    let roundings = Double(item.axis + 16)
    worstError(
      experiment, into: &worst,
      allowed: { roundings * Element.spacing(at: item.logarithm ? max(abs($0), 1) : $0) },
      reference: { [item.reference($0[0])] })
  }

  @Test("Softmax over 1 to 33 entries, with and without inner axes", arguments: [false, true])
  func softmax(logarithm: Bool) {
    var worst = WorstError()
    for length in 1...33 {
      for (outer, inner) in [(1, 1), (3, 1), (2, length)] {
        let item = SoftmaxCase(
          outer: outer, axis: (inner == 1 ? length : 5), inner: inner, logarithm: logarithm)
        checkSoftmax(item, into: &worst, Float.self)
        checkSoftmax(item, into: &worst, Double.self)
      }
    }
    print("\(logarithm ? "log-" : "")softmax: \(worst)")
    #expect(worst.ratio <= 1, "\(worst)")
  }

  @Test("Softmax of numbers whose exponentials overflow") func largeNumbers() {
    var experiment: LaneExperiment<Float> = SoftmaxCase(outer: 1, axis: 3, inner: 1).experiment(
      examples: 1)
    experiment.inputs = [[1000, 1000, -1000]]
    for lanes in allLaneCounts {
      #expect(
        experiment.run(LaneVariant(isa: ln_isa_best(), lanes: lanes, threads: 1))[0] == [
          0.5, 0.5, 0,
        ])
    }
  }
}
