// Values of coalitions of units from sums of what each unit gives to the next layer.
//
// Behind a layer's units come steps that treat units apart (pools, reshapes) and then affine maps, in which their
// contributions add up, until a step that is not affine reads the sum: a front. With c_u what unit u alone adds there,
//     front(S) = front(nobody) + sum of c_u over u in S
// so an order of units is a chain of additions, and only what is behind the fronts runs for every coalition. Sums are made
// in whole numbers, multiples of 2^-30 of the largest that can come up, so that they do not depend on their order:
// the value of a coalition is the same number whoever asks for it after which other.

import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct UnitFronts: Sendable {
  /// From the fronts to the payoff.
  private let plan: Plan
  private let fronts: [Plan.Value]
  /// Rows of the plan's other inputs.
  private let held: [String: Tensor]
  private let exampleCount: Int
  private let unitCount: Int
  /// Elements of all fronts.
  private let width: Int
  /// [example][element]: what 1 stands for.
  private let steps: [Float]
  /// [example][element]
  private let base: [Int32]
  /// [example][unit][element]
  private let contributions: [Int32]

  /// The part of the memory limit that the contributions of all units may take.
  private static let contributionShare = 4
  /// Bytes of contributions that are made together.
  private static let groupLimit = 64 << 20
  /// Bytes of the rows of one call.
  private static let rowLimit = 32 << 20

  /// Nil where the units' contributions do not add up in a front that is smaller than them all, or take too much memory.
  init?(
    _ tail: LayerTail, _ rows: [String: Tensor], examples: Int, _ run: RunOptions
  ) async throws(CoalitionError) {
    guard tail.plan.options.precision == .single,
      let names = Self.fronts(of: tail.units, tail.cut.model.graph)
    else { return nil }
    let behind = try BehindFronts(tail, names)
    guard let behind else { return nil }
    plan = behind.plan
    fronts = behind.plan.inputs.filter { names.contains($0.name) }
    width = fronts.reduce(0) { $0 + $1.count }
    exampleCount = examples
    unitCount = tail.unitCount
    let perExample = unitCount.multipliedReportingOverflow(by: width * 4)
    guard width > 0, !perExample.overflow,
      perExample.partialValue <= run.memoryLimit / Self.contributionShare / max(examples, 1)
    else { return nil }

    var held: [String: Tensor] = [:]
    let moved = try await behind.cut.inputs(rows, run)
    for input in plan.inputs where !names.contains(input.name) {
      held[input.name] = try moved[input.name]?.reshaped(to: [examples] + input.shape)
    }
    self.held = held
    var numbers = WholeNumbers(units: unitCount, width: width)
    var games: [MaskedGame] = []
    for front in fronts {
      games.append(try tail.game(rows, output: front.name, elements: front.count))
    }
    var nobody = Coalitions(playerCount: unitCount)
    nobody.appendEmpty()
    let groupSize = max(1, Self.groupLimit / (2 * perExample.partialValue))
    for first in stride(from: 0, to: examples, by: groupSize) {
      let group = first..<min(first + groupSize, examples)
      let picks = (0..<examples).map { group.contains($0) ? 0..<1 : 0..<0 }
      var base: [[Double]] = []
      var own: [[Double]] = []
      for game in games {
        base.append(try await game.values(nobody, rows: picks, run))
        own.append(
          try await game.marginalSums(nobody, blocks: [0..<1], examples: Array(group), run))
      }
      for example in group.indices {
        guard numbers.append(base, own, example: example - first, counts: fronts.map(\.count))
        else {
          throw CoalitionError(
            .notFinite, "the sums of the units in example \(example) are not finite",
            node: fronts.first?.name)
        }
      }
    }
    (steps, base, contributions) = (numbers.steps, numbers.base, numbers.contributions)
  }

  /// Units that give nothing to any front in any example.
  var nullUnits: Set<Int> {
    let count = unitCount * width
    return Set(
      (0..<unitCount).filter { unit in
        (0..<exampleCount).allSatisfy { example in
          let start = example * count + unit * width
          return contributions[start..<start + width].allSatisfy { $0 == 0 }
        }
      })
  }

  /// The value of every coalition of a range for every example: [example][coalition].
  func values(
    _ coalitions: Coalitions, _ range: Range<Int>, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    let walk = CoalitionWalk(coalitions, range)
    var values: [Double] = []
    values.reserveCapacity(exampleCount * range.count)
    let limit = max(1, Self.rowLimit / (width * 4))
    var rows = Rows(width: width)
    for example in 0..<exampleCount {
      var sums = Array(base[example * width..<(example + 1) * width])
      var next = 0
      while next < range.count {
        let end = min(next + limit - rows.count, range.count)
        append(walk, next..<end, example, &sums, to: &rows)
        next = end
        if rows.count >= limit { values += try await evaluate(&rows, run) }
      }
    }
    if rows.count > 0 { values += try await evaluate(&rows, run) }
    return values
  }

  /// Rows of all fronts, one after the other, and the example of each.
  private struct Rows {
    let width: Int
    var numbers: [Float] = []
    var examples: [Int] = []
    var count: Int { examples.count }
  }

  /// Appends the sums of coalitions, each from those of the one before it.
  private func append(
    _ walk: CoalitionWalk, _ range: Range<Int>, _ example: Int, _ sums: inout [Int32],
    to rows: inout Rows
  ) {
    let (place, width, units) = (example * width, width, example * unitCount)
    let first = rows.numbers.count
    rows.numbers.append(contentsOf: repeatElement(0, count: range.count * width))
    rows.examples.append(contentsOf: repeatElement(example, count: range.count))
    rows.numbers.withUnsafeMutableBufferPointer { numbers in
      sums.withUnsafeMutableBufferPointer { sums in
        contributions.withUnsafeBufferPointer { own in
          for row in range {
            if walk.beginsAnew[row] {
              for element in 0..<width { sums[element] = base[place + element] }
            }
            for change in walk.changes(of: row) {
              let isAdded = change >= 0
              let start = (units + Int(isAdded ? change : ~change)) * width
              if isAdded {
                for element in 0..<width { sums[element] &+= own[start + element] }
              } else {
                for element in 0..<width { sums[element] &-= own[start + element] }
              }
            }
            let target = first + (row - range.lowerBound) * width
            for element in 0..<width {
              numbers[target + element] = Float(sums[element]) * steps[place + element]
            }
          }
        }
      }
    }
  }

  private func evaluate(
    _ rows: inout Rows, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var inputs: [String: Tensor] = [:]
    var first = 0
    for front in fronts {
      var numbers = rows.numbers
      if fronts.count > 1 {
        numbers = []
        numbers.reserveCapacity(rows.count * front.count)
        for row in 0..<rows.count {
          let start = row * width + first
          numbers += rows.numbers[start..<start + front.count]
        }
      }
      inputs[front.name] = try Tensor(
        shape: [rows.count] + front.shape, elements: .float32(numbers))
      first += front.count
    }
    for (name, tensor) in held { inputs[name] = try tensor.rows(rows.examples) }
    rows = Rows(width: width)
    let outputs = try await plan.run(inputs, run)
    guard let payoff = outputs[PayoffGraph.payoff] else {
      throw CoalitionError(.internalFault, "the payoff was not computed")
    }
    return payoff.doubles
  }
}

/// Numbers of examples as multiples of a step that is small enough.
private struct WholeNumbers {
  let units: Int
  let width: Int
  var steps: [Float] = []
  var base: [Int32] = []
  var contributions: [Int32] = []

  private static let largest = Double(1 << 30)

  init(units: Int, width: Int) {
    self.units = units
    self.width = width
  }

  /// - Parameters:
  ///   - base: per front, [example][element].
  ///   - own: per front, [example][unit][element].
  /// - Returns: whether all of them are finite.
  mutating func append(
    _ base: [[Double]], _ own: [[Double]], example: Int, counts: [Int]
  ) -> Bool {
    contributions.reserveCapacity(contributions.count + units * width)
    var steps: [Double] = []
    for (front, count) in counts.enumerated() {
      for element in 0..<count {
        let fixed = base[front][example * count + element]
        let sum = (0..<units).reduce(abs(fixed)) {
          $0 + abs(own[front][(example * units + $1) * count + element])
        }
        let step = sum / Self.largest
        guard step.isFinite else { return false }
        steps.append(step)
        self.base.append(step > 0 ? Int32((fixed / step).rounded()) : 0)
      }
    }
    self.steps += steps.map { Float($0) }
    for unit in 0..<units {
      var place = 0
      for (front, count) in counts.enumerated() {
        let row = (example * units + unit) * count
        for element in 0..<count {
          let step = steps[place]
          contributions.append(
            step > 0 ? Int32((own[front][row + element] / step).rounded()) : 0)
          place += 1
        }
      }
    }
    return true
  }
}
