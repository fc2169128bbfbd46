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
    var numbers = WholeNumbers(units: unitCount, examples: examples, widths: fronts.map(\.count))
    var games: [MaskedGame] = []
    for front in fronts {
      games.append(try tail.game(rows, output: front.name, elements: front.count))
    }
    let grouped =
      fronts.count == 1
      ? try UnitContributions(
        tail, front: fronts[0], within: run.memoryLimit / Self.contributionShare) : nil
    var nobody = Coalitions(playerCount: unitCount)
    nobody.appendEmpty()
    let groupSize = max(1, Self.groupLimit / (2 * perExample.partialValue))
    for first in stride(from: 0, to: examples, by: groupSize) {
      let group = first..<min(first + groupSize, examples)
      let picks = (0..<examples).map { group.contains($0) ? 0..<1 : 0..<0 }
      for (front, game) in games.enumerated() {
        let base = try await game.values(nobody, rows: picks, run)
        let isFinite: Bool
        if let grouped {
          isFinite = numbers.append(base, try await grouped.values(rows, group, run), front, group)
        } else {
          let own = try await game.marginalSums(
            nobody, blocks: [0..<1], examples: Array(group), run)
          isFinite = numbers.append(base, own, front, group)
        }
        guard isFinite else {
          throw CoalitionError(
            .notFinite, "the sums of the units in the examples \(group) are not finite",
            node: fronts[front].name)
        }
      }
    }
    (steps, base, contributions) = (numbers.steps, numbers.base, numbers.contributions)
  }

  /// Units that give nothing to any front in any example.
  var nullUnits: [Int] {
    let count = unitCount * width
    return (0..<unitCount).filter { unit in
      (0..<exampleCount).allSatisfy { example in
        let start = example * count + unit * width
        return contributions[start..<start + width].allSatisfy { $0 == 0 }
      }
    }
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
    let (changes, ends) = (walk.changes, walk.ends)
    rows.numbers.withUnsafeMutableBufferPointer { numbers in
      sums.withUnsafeMutableBufferPointer { sums in
        contributions.withUnsafeBufferPointer { own in
          for row in range {
            if walk.beginsAnew[row] {
              for element in 0..<width { sums[element] = base[place + element] }
            }
            for index in (row == 0 ? 0 : ends[row - 1])..<ends[row] {
              let change = changes[index]
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
  private let units: Int
  /// Per front its elements, and where they begin among those of all.
  private let widths: [Int]
  private let starts: [Int]
  private let width: Int
  /// [example][element]
  private(set) var steps: [Float]
  private(set) var base: [Int32]
  /// [example][unit][element]
  private(set) var contributions: [Int32]

  private static let largest = Double(1 << 30)

  init(units: Int, examples: Int, widths: [Int]) {
    (self.units, self.widths) = (units, widths)
    starts = widths.indices.map { widths[..<$0].reduce(0, +) }
    width = widths.reduce(0, +)
    steps = [Float](repeating: 0, count: examples * width)
    base = [Int32](repeating: 0, count: examples * width)
    contributions = [Int32](repeating: 0, count: examples * units * width)
  }

  /// - Parameters:
  ///   - values: of the front for nobody, [example of the group][element].
  ///   - own: what the units add, [example of the group][unit][element].
  /// - Returns: whether all of them are finite.
  mutating func append<Number: BinaryFloatingPoint>(
    _ values: [Double], _ own: [Number], _ front: Int, _ group: Range<Int>
  ) -> Bool {
    let count = widths[front]
    var sums = [Double](repeating: 0, count: count)
    for (place, example) in group.enumerated() {
      let first = place * units * count
      for element in 0..<count { sums[element] = abs(values[place * count + element]) }
      for unit in 0..<units {
        for element in 0..<count {
          sums[element] += abs(Double(own[first + unit * count + element]))
        }
      }
      let start = example * width + starts[front]
      for element in 0..<count {
        let step = sums[element] / Self.largest
        guard step.isFinite else { return false }
        steps[start + element] = Float(step)
        // From here on how often the step goes into a number.
        sums[element] = step > 0 ? 1 / step : 0
        base[start + element] = Int32((values[place * count + element] * sums[element]).rounded())
      }
      contributions.withUnsafeMutableBufferPointer { contributions in
        for unit in 0..<units {
          let row = (example * units + unit) * width + starts[front]
          for element in 0..<count {
            let number = Double(own[first + unit * count + element]) * sums[element]
            contributions[row + element] = Int32(number.rounded())
          }
        }
      }
    }
    return true
  }
}
