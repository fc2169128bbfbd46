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

  /// Bytes of the contributions of all units.
  private static let contributionLimit = 256 << 20
  /// Examples whose contributions are made together.
  private static let groupSize = 64
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
    guard width > 0, examples * unitCount * width * 4 <= Self.contributionLimit else { return nil }

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
    for first in stride(from: 0, to: examples, by: Self.groupSize) {
      let group = first..<min(first + Self.groupSize, examples)
      let picks = (0..<examples).map { group.contains($0) ? 0..<1 : 0..<0 }
      var base: [[Double]] = []
      var own: [[Double]] = []
      for game in games {
        base.append(try await game.values(nobody, rows: picks, run))
        own.append(
          try await game.marginalSums(nobody, blocks: [0..<1], examples: Array(group), run))
      }
      for example in group.indices {
        numbers.append(base, own, example: example - first, counts: fronts.map(\.count))
      }
    }
    (steps, base, contributions) = (numbers.steps, numbers.base, numbers.contributions)
  }

  /// The value of every coalition of a range for every example: [example][coalition].
  func values(
    _ coalitions: Coalitions, _ range: Range<Int>, _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    var values: [Double] = []
    values.reserveCapacity(exampleCount * range.count)
    let limit = max(1, Self.rowLimit / (width * 4))
    var rows = Rows(width: width)
    for example in 0..<exampleCount {
      var next = range.lowerBound
      while next < range.upperBound {
        let end = min(next + limit - rows.count, range.upperBound)
        append(coalitions, next..<end, example, to: &rows)
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

  /// Appends the sums of coalitions, each from the one before it where they differ in few units.
  private func append(
    _ coalitions: Coalitions, _ range: Range<Int>, _ example: Int, to rows: inout Rows
  ) {
    let words = coalitions.wordCount
    let start = Array(base[example * width..<(example + 1) * width])
    var sums = start
    var before = [UInt32](repeating: 0, count: words)
    for row in range {
      let own = Array(coalitions.words[row * words..<(row + 1) * words])
      var changed = zip(own, before).map { $0 ^ $1 }
      func size(_ set: [UInt32]) -> Int { set.reduce(0) { $0 + $1.nonzeroBitCount } }
      if size(changed) > size(own) {
        sums = start
        changed = own
      }
      for (word, var bits) in changed.enumerated() {
        while bits != 0 {
          let bit = bits.trailingZeroBitCount
          bits &= bits - 1
          let isThere = own[word] >> UInt32(bit) & 1 == 1
          add(unit: word * 32 + bit, example, isAdded: isThere, &sums)
        }
      }
      before = own
      let place = example * width
      steps.withUnsafeBufferPointer { steps in
        sums.withUnsafeBufferPointer { sums in
          for element in 0..<width {
            rows.numbers.append(Float(sums[element]) * steps[place + element])
          }
        }
      }
      rows.examples.append(example)
    }
  }

  private func add(unit: Int, _ example: Int, isAdded: Bool, _ sums: inout [Int32]) {
    let start = (example * unitCount + unit) * width
    contributions.withUnsafeBufferPointer { own in
      sums.withUnsafeMutableBufferPointer { sums in
        if isAdded {
          for element in 0..<width { sums[element] &+= own[start + element] }
        } else {
          for element in 0..<width { sums[element] &-= own[start + element] }
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

extension UnitFronts {
  private enum Sum {
    /// Every element depends on one unit alone, and is 0 without it.
    case apart
    /// A fixed number and one of each unit.
    case together
  }

  /// Operators that leave every unit's elements to it, and 0 where there was 0.
  private static let separate: Set<String> = [
    "MaxPool", "GlobalMaxPool", "Relu", "LeakyRelu",
  ]
  /// Operators that are linear in their first input, and move no unit into another's elements.
  private static let linear: Set<String> = [
    "AveragePool", "GlobalAveragePool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose",
    "Identity", "Dropout",
  ]

  /// The values where sums of units end: nil when something else than a sum is read there.
  private static func fronts(of units: String, _ graph: Graph) -> [String]? {
    var sums: [String: Sum] = [units: .apart]
    var fronts: [String] = []
    var behind: Set<String> = []
    let constants = Set(graph.constants.keys)
    for node in graph.nodes {
      let read = node.inputs.filter { sums[$0] != nil }
      let isBehind = node.inputs.contains(where: behind.contains)
      if isBehind { behind.formUnion(node.outputs) }
      guard let first = read.first, let state = sums[first] else { continue }
      // Places of maxima, and masks, are no sums.
      if node.outputs.dropFirst().contains(where: { !$0.isEmpty }) { return nil }
      if !isBehind, let output = node.outputs.first,
        let next = Self.sum(node, state, read, constants)
      {
        sums[output] = next
        continue
      }
      behind.formUnion(node.outputs)
      for name in read where !fronts.contains(name) { fronts.append(name) }
    }
    guard !fronts.isEmpty, fronts.allSatisfy({ sums[$0] == .together }) else { return nil }
    return fronts
  }

  private static func sum(
    _ node: Node, _ state: Sum, _ read: [String], _ constants: Set<String>
  ) -> Sum? {
    let isFirstAlone = read == [node.input(0)]
    switch node.operation {
    case _ where Self.separate.contains(node.operation):
      return isFirstAlone && state == .apart ? .apart : nil
    case _ where Self.linear.contains(node.operation): return isFirstAlone ? state : nil
    case "Conv", "Gemm", "MatMul":
      let isConstant = node.inputs.dropFirst().allSatisfy { $0.isEmpty || constants.contains($0) }
      return isFirstAlone && isConstant ? .together : nil
    case "BatchNormalization": return isFirstAlone ? .together : nil
    case "Add", "Sub": return .together
    case "Mul", "Div":
      let isConstant = node.input(1).map(constants.contains) ?? false
      return isFirstAlone && isConstant ? .together : nil
    default: return nil
    }
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
  mutating func append(_ base: [[Double]], _ own: [[Double]], example: Int, counts: [Int]) {
    contributions.reserveCapacity(contributions.count + units * width)
    var steps: [Double] = []
    for (front, count) in counts.enumerated() {
      for element in 0..<count {
        let fixed = base[front][example * count + element]
        let sum = (0..<units).reduce(abs(fixed)) {
          $0 + abs(own[front][(example * units + $1) * count + element])
        }
        let step = sum / Self.largest
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
  }
}

/// The part of a tail behind some of its values.
private struct BehindFronts {
  let cut: CutModel
  let plan: Plan

  init?(_ tail: LayerTail, _ fronts: [String]) throws(CoalitionError) {
    let model = tail.cut.model
    let analysis = try model.analysed(tail.plan.options.inputShapes) { $0 }.analysis
    let crossing = LayerTail.crossing(Set(fronts), model.graph, analysis)
    cut = try CutModel(
      model, at: fronts + crossing, target: PayoffGraph.payoff, tail.plan.options)
    guard cut.front != nil else { return nil }
    var options = tail.plan.options
    options.outputs = [PayoffGraph.payoff]
    options.inputShapes = [:]
    plan = try Plan(cut.model, options)
  }
}
