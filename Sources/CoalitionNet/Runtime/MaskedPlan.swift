// Masked forward passes in bulk: many variants of few rows.
//
// A variant names an example, a row of the baseline and a row of masks; rows are held once, whatever the number of
// variants. What coalitions mean, averages over baselines and choices of targets are made above this (CoalitionExplain).

package import CoalitionBase

/// A plan whose inputs pass through a mask. Immutable and safe to share.
package final class MaskedPlan: Sendable {
  package let plan: Plan
  /// The value that is computed, for one example.
  package let output: Plan.Value
  let masking: Masking
  private let routine: Routine

  /// - Parameter output: one of the plan's outputs; nil: its only one.
  /// - Throws: `usage` for an output that the plan does not have or that depends on no input, `shapeMismatch` for
  ///   players that do not fit an input.
  package init(
    _ plan: Plan, output: String? = nil, masking: Masking
  ) throws(CoalitionError) {
    let candidates = plan.outputs.filter { output == nil || $0.name == output }
    guard candidates.count == 1, let chosen = candidates.first else {
      throw CoalitionError(
        .usage, output == nil ? "say which output is explained" : "the plan has no such output",
        node: output, expected: plan.outputs.map(\.name).joined(separator: ", "))
    }
    guard !chosen.isConstant else {
      throw CoalitionError(.usage, "the output is the same for all inputs", node: chosen.name)
    }
    self.plan = plan
    self.output = chosen
    self.masking = masking
    try Self.check(masking, plan)
    routine = Routine(
      try MaskedMode.draft(plan.analysis, output: chosen.name, masking: masking),
      plan.options.precision, plan.model.store)
  }

  private static func check(_ masking: Masking, _ plan: Plan) throws(CoalitionError) {
    func input(_ name: String) throws(CoalitionError) -> Plan.Value {
      guard let input = plan.inputs.first(where: { $0.name == name }) else {
        throw CoalitionError(
          .usage, "the model has no such input", node: name,
          expected: plan.inputs.map(\.name).joined(separator: ", "))
      }
      return input
    }
    switch masking {
    case .coalitions(let players, let words):
      // The numbers of players stand among the numbers of the program.
      let exact = plan.options.precision == .single ? 1 << 24 : Int(Int32.max)
      for name in players.keys.sorted() {
        let input = try input(name)
        let ids = players[name]?.ids ?? []
        let rows = ids.count / max(input.count, 1)
        guard ids.count == rows * input.count, rows == 1 || players[name]?.hasRows == true else {
          throw CoalitionError(
            .shapeMismatch, "the players do not fit the input", node: name,
            expected: "\(input.count) elements", found: "\(ids.count)")
        }
        guard (ids.max() ?? -1) < min(words * 32, exact), (ids.min() ?? -1) >= -1 else {
          throw CoalitionError(
            .limitExceeded, "players have too high numbers", node: name,
            expected: "less than \(min(words * 32, exact))", found: "\(ids.max() ?? -1)")
        }
      }
    case .weights(let name, let axes):
      let input = try input(name)
      guard (0...input.shape.count).contains(axes) else {
        throw CoalitionError(
          .usage, "a mask has more axes than the input", node: name,
          expected: "at most \(input.shape.count)", found: "\(axes)")
      }
    }
  }

  private var maskedInputs: [String] {
    switch masking {
    case .coalitions(let players, _): players.keys.sorted()
    case .weights(let input, _): [input]
    }
  }

  // MARK: Rows

  /// Rows that variants are made of.
  package struct Subject: Sendable {
    package let examples: Int
    package let baselines: Int
    /// Per input of the graph, in the plan's precision.
    package let inputs: [Tensor]
    /// nil for inputs that are not masked.
    package let baselineRows: [Tensor?]
  }

  /// - Parameters:
  ///   - inputs: rows of all inputs, as for `Plan.run`.
  ///   - baselines: per masked input, [B, one example's shape] or the shape alone; the same B for all. Zeros for inputs
  ///     that are not named.
  /// - Throws: as `Plan.run`; `shapeMismatch` and `notFinite` for baselines.
  package func subject(
    _ inputs: [String: Tensor], baselines: [String: Tensor] = [:]
  ) throws(CoalitionError) -> Subject {
    let examples = try plan.check(inputs)
    for name in baselines.keys.sorted() where !maskedInputs.contains(name) {
      throw CoalitionError(
        .usage, "a baseline is given for something that is not masked", node: name,
        expected: maskedInputs.joined(separator: ", "))
    }
    var count = 1
    for name in baselines.keys.sorted() {
      guard let input = plan.inputs.first(where: { $0.name == name }), let rows = baselines[name]
      else { continue }
      let hasRows = rows.rank == input.shape.count + 1
      guard rows.shape == (hasRows ? Array(rows.shape.prefix(1)) : []) + input.shape,
        rows.count > 0
      else {
        throw CoalitionError(
          .shapeMismatch, "the baseline has another shape than the input", node: name,
          expected: "\(input.shape), or that behind an axis of rows", found: "\(rows.shape)")
      }
      if let place = rows.firstNonFinite {
        throw CoalitionError(
          .notFinite, "the baseline is not finite at element \(place)", node: name)
      }
      let rowCount = hasRows ? rows.shape[0] : 1
      guard rowCount == count || rowCount == 1 || count == 1 else {
        throw CoalitionError(
          .shapeMismatch, "baselines have different numbers of rows", node: name,
          expected: "\(count)", found: "\(rowCount)")
      }
      count = max(count, rowCount)
    }
    var rows: [Tensor] = []
    var baselineRows: [Tensor?] = []
    for input in plan.inputs {
      guard let tensor = inputs[input.name] else { continue }
      if let place = tensor.firstNonFinite {
        throw CoalitionError(
          .notFinite, "the input is not finite at element \(place)", node: input.name)
      }
      rows.append(converted(tensor))
      guard maskedInputs.contains(input.name) else {
        baselineRows.append(nil)
        continue
      }
      baselineRows.append(
        try repeated(baselines[input.name], of: input, rows: count))
    }
    return Subject(examples: examples, baselines: count, inputs: rows, baselineRows: baselineRows)
  }

  private func converted(_ tensor: Tensor) -> Tensor {
    tensor.converted(to: plan.options.precision == .single ? .float32 : .float64)
  }

  /// The rows of a baseline: one row stands for all, none is zeros.
  private func repeated(
    _ baseline: Tensor?, of input: Plan.Value, rows: Int
  ) throws(CoalitionError) -> Tensor {
    guard let baseline else {
      return converted(
        try Tensor(
          shape: [rows, input.count],
          elements: .float32([Float](repeating: 0, count: rows * input.count))))
    }
    guard baseline.count < rows * input.count else { return converted(baseline) }
    let row = baseline.doubles
    return converted(
      try Tensor(
        shape: [rows, input.count], elements: .float64((0..<rows).flatMap { _ in row })))
  }

  // MARK: Running

  /// Which rows each variant takes.
  package struct Variants: Sendable {
    package var example: [Int32] = []
    package var baseline: [Int32] = []
    package var mask: [Int32] = []

    package init() {}

    package var count: Int { example.count }

    package mutating func append(example: Int, baseline: Int, mask: Int) {
      self.example.append(Int32(example))
      self.baseline.append(Int32(baseline))
      self.mask.append(Int32(mask))
    }

    /// Every mask of some rows with each of the first rows of the baseline.
    package mutating func append(example: Int, masks: Range<Int>, baselines: Int) {
      let added = masks.count * baselines
      self.example.append(contentsOf: repeatElement(Int32(example), count: added))
      guard baselines > 1 else {
        baseline.append(contentsOf: repeatElement(0, count: added))
        mask.append(contentsOf: Int32(masks.lowerBound)..<Int32(masks.upperBound))
        return
      }
      for row in masks {
        baseline.append(contentsOf: 0..<Int32(baselines))
        mask.append(contentsOf: repeatElement(Int32(row), count: baselines))
      }
    }
  }

  /// Rows of masks.
  package enum Masks: Sendable {
    /// Rows of 32-bit words, for coalitions.
    case words([UInt32])
    /// Rows of numbers, for weights.
    case weights([Float])
  }

  /// Variants of one call: enough to keep all threads busy, with outputs that stay in the last-level cache.
  package var comfortableVariants: Int {
    let bytes = output.count * plan.options.precision.byteCount + 3 * 4
    return min(max((4 << 20) / bytes, 256), 1 << 14)
  }

  /// The outputs of all variants, [variant][output].
  /// - Throws: as `Plan.run`.
  package func outputs(
    _ subject: Subject, _ variants: Variants, _ masks: Masks, _ options: RunOptions = RunOptions()
  ) async throws(CoalitionError) -> Tensor.Elements {
    let call = ProgramCall(
      inputs: slotRows(subject, variants, masks),
      outputs: [SlotResult(count: variants.count * output.count, plan.options.precision)],
      examples: variants.count)
    return try await routine.run(call, options)[0]
  }

  /// The rows of all slots of a masked program.
  func slotRows(_ subject: Subject, _ variants: Variants, _ masks: Masks) -> [SlotRows] {
    let slots = MaskedMode.Slots(inputs: subject.inputs.count)
    let precision = plan.options.precision
    let unused = SlotRows(words: [])
    var rows = [SlotRows](repeating: unused, count: slots.count)
    for (index, input) in plan.inputs.enumerated() {
      rows[slots.input(index)] = SlotRows(
        subject.inputs[index], precision, rowOf: variants.example)
      if let baseline = subject.baselineRows[index] {
        rows[slots.baseline(index)] = SlotRows(baseline, precision, rowOf: variants.baseline)
      }
      if case .coalitions(let players, _) = masking, let ids = players[input.name], ids.hasRows {
        rows[slots.players(index)] = SlotRows(
          Tensor(.int32(ids.ids)), precision, rowOf: variants.example)
      }
    }
    switch masks {
    case .words(let words):
      rows[slots.mask] = SlotRows(
        words: words.map { Int32(bitPattern: $0) }, rowOf: variants.mask)
    case .weights(let weights):
      rows[slots.mask] = SlotRows(Tensor(.float32(weights)), precision, rowOf: variants.mask)
    }
    return rows
  }
}
