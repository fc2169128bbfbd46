// The family unpool, the reverse of pooling, against a scatter written naively in double.

import CLanes
import Testing

/// The reverse of a pooling: slots are the gradient, the map and the reference map.
struct UnpoolCase: CustomStringConvertible, Sendable {
  var kind: ln_unpool_kind
  var pool: PoolCase
  var constantReference = false

  var description: String {
    let name =
      switch kind {
      case LN_UNPOOL_WINNER: "winner"
      case LN_UNPOOL_AVERAGE: "average"
      case LN_UNPOOL_SUM: "sum"
      default: "pair"
      }
    return "\(name)\(constantReference ? " with a constant" : "") through \(pool)"
  }

  private var readsMap: Bool { kind == LN_UNPOOL_WINNER || kind == LN_UNPOOL_PAIR }

  func experiment<Element: LaneElement>(examples: Int = 2) -> LaneExperiment<Element> {
    var random = TestRandom(UInt64(pool.inCount))
    let counts = [pool.outCount, pool.inCount, pool.inCount]
    var inputs: [[Element]] = counts.map { random.numbers($0 * examples) }
    if constantReference {
      let row = Array(inputs[2][..<pool.inCount])
      inputs[2] = Array((0..<examples).map { _ in row }.joined())
    }
    let constants = Array(inputs[2][..<pool.inCount])
    return LaneExperiment(examples: examples, inputs: inputs, outputRows: [pool.inCount]) {
      program in
      let absent = ln_ref(offset: 0, block: Int32(LN_ABSENT))
      let gradient = program.input(slot: 0, counts[0])
      let map = readsMap ? program.input(slot: 1, counts[1]) : absent
      var reference = absent
      if kind == LN_UNPOOL_PAIR {
        reference =
          constantReference ? program.constant(constants) : program.input(slot: 2, counts[2])
      }
      let out = program.value(pool.inCount)
      program.add(LN_unpool) {
        $0.unpool = ln_unpool(
          gradient: gradient, out: out, reference: reference, kind: Int32(kind.rawValue),
          pool: pool.lanePool(in: map, out: absent))
      }
      program.output(out, pool.inCount)
    }
  }

  /// The taps of a window that lie on the map, as places in it, and the divisor of the average.
  private func window(_ n: Int, _ oy: Int, _ ox: Int, _ c: Int) -> (places: [Int], divisor: Int) {
    var places: [Int] = []
    var padding = 0
    for ky in 0..<pool.kernel.0 {
      for kx in 0..<pool.kernel.1 {
        let y = oy * pool.stride.0 + ky * pool.dilation.0 - pool.pads.0
        let x = ox * pool.stride.1 + kx * pool.dilation.1 - pool.pads.1
        if y >= 0 && y < pool.height && x >= 0 && x < pool.width {
          places.append(((n * pool.height + y) * pool.width + x) * pool.channels + c)
        } else if y < pool.height + pool.pads.2 && x < pool.width + pool.pads.3 {
          padding += 1
        }
      }
    }
    return (places, places.count + (pool.countPadding ? padding : 0))
  }

  func reference(_ rows: [[Double]]) -> [Double] {
    let gradient = rows[0]
    let x = rows[1]
    let b = rows[2]
    var result = [Double](repeating: 0, count: pool.inCount)
    var next = 0
    for n in 0..<pool.images {
      for oy in 0..<pool.outHeight {
        for ox in 0..<pool.outWidth {
          for c in 0..<pool.channels {
            let g = gradient[next]
            next += 1
            let (places, divisor) = window(n, oy, ox, c)
            func winner(_ map: [Double]) -> Int? {
              places.max { map[$0] < map[$1] || (map[$0] == map[$1] && $0 > $1) }
            }
            switch kind {
            case LN_UNPOOL_WINNER:
              if let i = winner(x) { result[i] += g }
            case LN_UNPOOL_PAIR:
              guard var i = winner(x), var j = winner(b) else { continue }
              if b[i] == b[j] { j = i }
              if x[i] == x[j] { i = j }
              if i == j {
                result[i] += g
                continue
              }
              // The two-player game v(S) = max over i and j, players in S at x, the others at b.
              func value(_ first: Bool, _ second: Bool) -> Double {
                max(first ? x[i] : b[i], second ? x[j] : b[j])
              }
              let none = value(false, false)
              let both = value(true, true)
              let shareI = ((value(true, false) - none) + (both - value(false, true))) / 2
              let shareJ = ((value(false, true) - none) + (both - value(true, false))) / 2
              result[i] += x[i] == b[i] ? 0 : g * shareI / (x[i] - b[i])
              result[j] += x[j] == b[j] ? 0 : g * shareJ / (x[j] - b[j])
            default:
              for place in places {
                result[place] += kind == LN_UNPOOL_AVERAGE ? g / Double(divisor) : g
              }
            }
          }
        }
      }
    }
    return result
  }

  static let all: [UnpoolCase] = PoolCase.all.flatMap { pool -> [UnpoolCase] in
    switch pool.kind {
    case LN_POOL_MAX:
      return [
        .init(kind: LN_UNPOOL_WINNER, pool: pool), .init(kind: LN_UNPOOL_SUM, pool: pool),
        .init(kind: LN_UNPOOL_PAIR, pool: pool),
        .init(kind: LN_UNPOOL_PAIR, pool: pool, constantReference: true),
      ]
    case LN_POOL_AVERAGE: return [.init(kind: LN_UNPOOL_AVERAGE, pool: pool)]
    default: return []
    }
  }
}

private let everyKind = [LN_UNPOOL_WINNER, LN_UNPOOL_AVERAGE, LN_UNPOOL_SUM, LN_UNPOOL_PAIR]

@Suite(.serialized) struct UnpoolTests {
  private func check<Element: LaneElement>(_ item: UnpoolCase, _: Element.Type) {
    var worst = WorstError()
    let experiment: LaneExperiment<Element> = item.experiment()
    // Gradients lie within 3; a few roundings of each, and one of each of the sums of up to `taps` windows.
    let taps = Double(item.pool.kernel.0 * item.pool.kernel.1)
    let allowed = (taps + 4) * 3 * Double(Element.ulpOfOne)
    worstError(
      experiment, into: &worst, allowed: { _ in allowed }, reference: { [item.reference($0)] })
    #expect(worst.ratio <= 1, "\(item), \(Element.self): \(worst)")
  }

  @Test("Gradients go where pooling took its results from", arguments: UnpoolCase.all)
  func values(_ item: UnpoolCase) {
    check(item, Float.self)
    check(item, Double.self)
  }

  @Test("Maps of 1 to 33 channels") func widths() {
    for channels in 1...33 {
      for kind in everyKind {
        let tiled = PoolCase(
          height: 4, width: 4, channels: channels, kernel: (2, 2), stride: (2, 2))
        let shared = PoolCase(
          height: 3, width: 3, channels: channels, kernel: (2, 2), pads: (1, 0, 0, 1))
        check(UnpoolCase(kind: kind, pool: tiled), Float.self)
        check(UnpoolCase(kind: kind, pool: shared), Double.self)
      }
    }
  }

  @Test("The same bytes in all variants", arguments: everyKind) func sameBytes(
    kind: ln_unpool_kind
  ) {
    let pools: [PoolCase] = [
      .init(images: 2, height: 6, width: 8, channels: 5, kernel: (2, 2), stride: (2, 2)),
      .init(
        height: 7, width: 6, channels: 9, kernel: (3, 3), stride: (2, 1), pads: (1, 1, 1, 1)),
      .init(height: 9, width: 7, channels: 3, kernel: (2, 3), stride: (3, 2), roundUp: true),
      .init(height: 5, width: 4, channels: 11, kernel: (5, 4)),
    ]
    for pool in pools {
      for constant in [false, true] where kind == LN_UNPOOL_PAIR || !constant {
        let item = UnpoolCase(kind: kind, pool: pool, constantReference: constant)
        let single: LaneExperiment<Float> = item.experiment(examples: 19)
        #expect(LaneInvariance().firstDifference(single) == nil, "\(item)")
        let double: LaneExperiment<Double> = item.experiment(examples: 65)
        #expect(LaneInvariance(threads: [1, 3]).firstDifference(double) == nil, "\(item)")
      }
    }
  }

  /// Rows of one window: gradient, map, reference.
  private func window(
    _ kind: ln_unpool_kind, gradient: Float, _ x: [Float], _ b: [Float] = [0, 0, 0, 0],
    _ expect: ([Float]) -> Void
  ) {
    let pool = PoolCase(height: 2, width: 2, channels: 1, kernel: (2, 2), stride: (2, 2))
    var experiment: LaneExperiment<Float> = UnpoolCase(kind: kind, pool: pool).experiment(
      examples: 1)
    experiment.inputs = [[gradient], x, b]
    for isa in availableISAs {
      for lanes in allLaneCounts {
        expect(experiment.run(LaneVariant(isa: isa, lanes: lanes, threads: 1))[0])
      }
    }
  }

  @Test("The first of equal maxima wins, a NaN over numbers, the first of infinitely small ones")
  func ties() {
    window(LN_UNPOOL_WINNER, gradient: 5, [1, 3, 3, 2]) { #expect($0 == [0, 5, 0, 0]) }
    window(LN_UNPOOL_WINNER, gradient: 5, [9, .nan, .nan, .infinity]) {
      #expect($0 == [0, 5, 0, 0])
    }
    let least = -Float.infinity
    window(LN_UNPOOL_WINNER, gradient: 5, [least, least, least, least]) {
      #expect($0 == [5, 0, 0, 0])
    }
    // A gradient that is not finite stays at the winner.
    window(LN_UNPOOL_WINNER, gradient: .infinity, [1, 2, 4, 3]) {
      #expect($0 == [0, 0, .infinity, 0])
    }
  }

  @Test("Pairs: one winner, a tie of maps, and a winner whose value did not change")
  func pairs() {
    window(LN_UNPOOL_PAIR, gradient: 4, [1, 7, 2, 3], [0, 1, 0, 0]) { #expect($0 == [0, 4, 0, 0]) }
    // Equal maps: both winners are the same.
    window(LN_UNPOOL_PAIR, gradient: 4, [1, 7, 7, 3], [1, 7, 7, 3]) { #expect($0 == [0, 4, 0, 0]) }
    // A map without a winner of its own: the other's winner takes all.
    window(LN_UNPOOL_PAIR, gradient: 4, [1, 7, 2, 3], [4, 4, 4, 4]) { #expect($0 == [0, 4, 0, 0]) }
    window(LN_UNPOOL_PAIR, gradient: 4, [4, 4, 4, 4], [1, 7, 2, 3]) { #expect($0 == [0, 4, 0, 0]) }
    // So does one whose winner is a matter of rounding, and no other.
    let rounded: Float = 4 * (1 + 32 * .ulpOfOne)
    window(LN_UNPOOL_PAIR, gradient: 4, [1, 7, 2, 3], [rounded, 4, 4, rounded]) {
      #expect($0 == [0, 4, 0, 0])
    }
    window(LN_UNPOOL_PAIR, gradient: 4, [rounded, 4, 4, rounded], [1, 7, 2, 3]) {
      #expect($0 == [0, 4, 0, 0])
    }
    window(LN_UNPOOL_PAIR, gradient: 4, [1, 7, 2, 3], [4 * (1 + 256 * .ulpOfOne), 4, 4, 4]) {
      #expect($0[0] > 0 && $0[1] < 4)
    }
    window(LN_UNPOOL_PAIR, gradient: 4, [1, 7, 2, 3], [.infinity, 4, 4, 4]) {
      #expect($0[1] != 4)
    }
    // x_i = b_i: the other one takes the whole difference 5 - 8 by the factor 3 / 8.
    window(LN_UNPOOL_PAIR, gradient: 8, [5, 0, 0, 0], [5, 8, 0, 0]) { #expect($0 == [0, 3, 0, 0]) }
    // x_j = b_j.
    window(LN_UNPOOL_PAIR, gradient: 8, [9, 5, 0, 0], [1, 5, 0, 0]) { #expect($0 == [4, 0, 0, 0]) }
  }

  @Test("Contributions of a pair sum to the difference of the maxima")
  func complete() {
    let pool = PoolCase(
      images: 2, height: 8, width: 9, channels: 7, kernel: (3, 2), stride: (3, 2))
    var experiment: LaneExperiment<Double> = UnpoolCase(kind: LN_UNPOOL_PAIR, pool: pool)
      .experiment(examples: 3)
    experiment.inputs[0] = experiment.inputs[0].map { _ in 1 }
    // Some elements of the map stay as they were.
    for i in experiment.inputs[1].indices where i % 3 == 0 {
      experiment.inputs[1][i] = experiment.inputs[2][i]
    }
    let factors = experiment.run(LaneVariant(isa: ln_isa_best(), lanes: 16, threads: 2))[0]
    #expect(factors.allSatisfy { $0 >= 0 && $0 <= 1 })
    for example in 0..<3 {
      let range = example * pool.inCount..<(example + 1) * pool.inCount
      let x = Array(experiment.inputs[1][range])
      let b = Array(experiment.inputs[2][range])
      let rise = zip(pool.reference(x), pool.reference(b)).map { $0 - $1 }.reduce(0, +)
      let given = range.map { factors[$0] * (experiment.inputs[1][$0] - experiment.inputs[2][$0]) }
      #expect(abs(given.reduce(0, +) - rise) < 1e-12)
    }
  }
}
