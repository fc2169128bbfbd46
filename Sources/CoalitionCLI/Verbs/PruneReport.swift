// What `coalition prune` says of its work: sizes, loss and accuracy before and after, and the units that are left.

import Coalition
import CoalitionBase
import CoalitionData

struct PruneReport {
  /// A network at one end of the work.
  struct State {
    /// Over some examples.
    typealias Measured = (loss: Double, accuracy: Double?)

    let size: NetworkSize
    /// Over the examples; nil without labels.
    let own: Measured?
    /// Over those that are only measured; nil without any.
    let validation: Measured?

    init(
      _ coupling: UnitCoupling, _ session: PruneSession
    ) async throws(CoalitionError) {
      size = try NetworkSize(
        coupling.model.graph, coupling, inputShapes: session.subject.arrays.shapes)
      own = try await session.examples.asyncMap { examples throws(CoalitionError) in
        try await examples.measure(coupling.model)
      }
      validation = try await session.tuning?.validation.asyncMap {
        examples throws(CoalitionError) in
        try await examples.measure(coupling.model)
      }
    }

    /// - Parameter seconds: of one example.
    func record(seconds: Double) -> JSONValue {
      func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
      return .object([
        .init("units", .integer(size.units.values.reduce(0, +))),
        .init("parameters", .integer(size.parameters)),
        .init("multiply-adds", .integer(size.multiplyAdds)),
        .init("latency-seconds", .number(seconds)),
        .init("loss", number(own?.loss)), .init("accuracy", number(own?.accuracy)),
        .init("validation-loss", number(validation?.loss)),
        .init("validation-accuracy", number(validation?.accuracy)),
      ])
    }
  }

  private let session: PruneSession
  private let before: State
  private let after: State
  /// Of one example by itself, in the whole network and in the smaller one.
  private let seconds: (own: Double, other: Double)
  /// Nil without examples, and for models of several outputs of which none is named.
  private let agreement: NetworkAgreement?

  /// - Parameter before: of the whole network.
  init(_ session: PruneSession, before: State) async throws(CoalitionError) {
    self.session = session
    self.before = before
    after = try await State(session.coupling, session)
    seconds = try await session.seconds()
    let subject = session.subject
    let output = session.score.options.output
    guard !subject.inputs.isEmpty, output != nil || subject.model.graph.outputs.count == 1 else {
      agreement = nil
      return
    }
    let run = subject.execution.options
    agreement = try NetworkAgreement(
      try await subject.model.scores(subject.inputs, of: output, subject.plan, run),
      try await session.model.scores(subject.inputs, of: output, subject.plan, run))
  }

  /// Whether loss, accuracy and agreement are of the examples that repairs were fitted to.
  private var isFitted: Bool { !session.flags.repairs.isEmpty }

  /// - Parameter record: without `result`.
  func file(_ record: ResultRecord) throws(CoalitionError) -> ResultFile {
    var record = record
    record.warnings += session.warnings
    let layers = session.whole.layers
    record.result = [
      .init("before", before.record(seconds: seconds.own)),
      .init("after", after.record(seconds: seconds.other)),
      .init(
        "layers",
        .object(
          layers.indices.map { layer in
            .init(
              layers[layer].arrayName,
              .object([
                .init("before", .integer(layers[layer].unitCount)),
                .init("after", .integer(session.kept[layer].count)),
              ]))
          })),
      .init("rounds", .integer(session.rounds)),
      .init(
        "same-largest-score", agreement?.largestScore.map { .number($0) } ?? .null),
      .init(
        "relative-difference", agreement.map { .number($0.relativeDifference) } ?? .null),
      .init("after-is-fitted", .bool(isFitted)),
      .init("training", session.tuning?.trained.map { .object($0.record) } ?? .null),
      .init("difference-from-masked", .number(session.difference)),
      .init("evaluations-per-example", .integer(session.evaluations)),
    ]
    var result = ResultFile(metadata: record.members)
    for (layer, units) in zip(layers, session.kept) {
      try result.append(
        "\(layer.arrayName).kept", Tensor(.int32(units.map { Int32($0) })))
    }
    try session.tuning?.trained?.appendHistory(to: &result)
    return result
  }

  func text(output: String?, took: Double) -> String {
    var table = Table(("", .left), ("before", .right), ("after", .right), ("share", .right))
    func row(_ name: String, _ old: Int, _ new: Int) {
      let share = old == 0 ? "" : Numbers.fixed(100 * Double(new) / Double(old), 1) + " %"
      table.add(name, Numbers.grouped(old), Numbers.grouped(new), share)
    }
    for (layer, units) in zip(session.whole.layers, session.kept)
    where units.count < layer.unitCount {
      row(layer.name, layer.unitCount, units.count)
    }
    row("parameters", before.size.parameters, after.size.parameters)
    row("multiply-adds", before.size.multiplyAdds, after.size.multiplyAdds)
    table.add(
      "time of one example", Numbers.seconds(seconds.own), Numbers.seconds(seconds.other),
      Numbers.fixed(100 * seconds.other / seconds.own, 1) + " %")
    func measured(_ name: String, _ old: State.Measured?, _ new: State.Measured?) {
      if let old, let new {
        table.add("\(name)loss", Numbers.significant(old.loss), Numbers.significant(new.loss))
      }
      if let old = old?.accuracy, let new = new?.accuracy {
        table.add(
          "\(name)accuracy", Numbers.fixed(100 * old, 2) + " %", Numbers.fixed(100 * new, 2) + " %")
      }
    }
    measured("", before.own, after.own)
    measured("validation ", before.validation, after.validation)
    if let agreement {
      if let share = agreement.largestScore {
        table.add("same largest score", "", Numbers.fixed(100 * share, 2) + " %")
      }
      table.add(
        "difference of scores", "", Numbers.fixed(100 * agreement.relativeDifference, 1) + " %")
    }
    var notes = ""
    if let trained = session.tuning?.trained {
      notes += "trained: weights as of epoch \(trained.epoch) of \(trained.history.count - 1)\n"
    }
    if isFitted, after.validation == nil {
      notes += "after: measured on the examples that the repairs were fitted to\n"
    }
    let name = output.map { "\($0): " } ?? ""
    let repairs = session.flags.repairs.isEmpty ? "" : "before it was repaired, "
    return table.text + notes
      + "\(name)\(repairs)equals the masked network to \(Numbers.significant(session.difference, 2)), "
      + "in \(Numbers.seconds(took))\n"
  }
}

extension Optional where Wrapped: Sendable {
  fileprivate func asyncMap<Value: Sendable>(
    _ body: (Wrapped) async throws(CoalitionError) -> Value
  ) async throws(CoalitionError) -> Value? {
    switch self {
    case .some(let value): try await body(value)
    case .none: nil
    }
  }
}
