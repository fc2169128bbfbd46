// Which methods of `coalition explain` hold for a model, operator by operator.

import Coalition
import CoalitionBase
import CoalitionExplain
import CoalitionNet

struct MethodSupport {
  let name: String
  /// By operator of the graph.
  let support: [String: ModelSummary.Support]
  /// What is done at the nodes that are approximated: one clause per node.
  var reasons: [String] = []

  /// All methods for a model that runs. With several outputs each counts, and the worst is said.
  static func all(
    of model: Model, operations: [String], inputShapes: [String: [Int]], memoryLimit: Int
  ) -> [MethodSupport] {
    let outputs = model.graph.outputs.map(\.name)
    let explainers = (outputs.count == 1 ? [nil] : outputs.map { $0 }).map { output in
      Result { () throws(CoalitionError) in
        var options = ExplainerOptions()
        options.scores = output
        options.plan.inputShapes = inputShapes
        options.plan.memoryLimit = memoryLimit
        return try Explainer(model, options)
      }
    }
    return ExplainMethod.all.map { method in
      do throws(CoalitionError) {
        let work = try method.byDefault.work
        var doubts: [SupportDoubt] = []
        for explainer in explainers {
          let explainer = try explainer.get()
          try work.check(explainer)
          doubts += work.doubts(explainer)
          if work.usesMoments { doubts += try explainer.momentDoubts() }
        }
        return MethodSupport(name: method.name, operations, doubts)
      } catch {
        return MethodSupport(name: method.name, operations, unsupported: error)
      }
    }
  }

  private init(name: String, _ operations: [String], _ doubts: [SupportDoubt]) {
    self.name = name
    let approximate = Set(doubts.map(\.operation))
    support = Dictionary(
      uniqueKeysWithValues: operations.map {
        ($0, approximate.contains($0) ? .approximate : .exact)
      })
    for doubt in doubts where !doubt.isByNature {
      let reason = "\(doubt.node) (\(doubt.operation)): \(doubt.reason)"
      if !reasons.contains(reason) { reasons.append(reason) }
    }
  }

  private init(name: String, _ operations: [String], unsupported error: CoalitionError) {
    self.name = name
    support = Dictionary(uniqueKeysWithValues: operations.map { ($0, .unsupported) })
    reasons = [error.description]
  }

  // MARK: Text

  /// A row per method: the operators that some method does not treat exactly have columns, the others one together.
  static func table(_ methods: [MethodSupport], operations: [String]) -> String {
    let special = operations.filter { operation in
      methods.contains { $0.support[operation] == .approximate }
    }
    let others = operations.filter { !special.contains($0) }
    var columns: [(heading: String, alignment: Table.Alignment)] = [("method", .left)]
    columns += special.map { ($0, .left) }
    if let first = others.first {
      columns.append((special.isEmpty ? "operators" : others.count == 1 ? first : "others", .left))
    }
    var table = Table(columns: columns)
    for method in methods {
      table.add(
        cells: [method.name]
          + (special + others.prefix(1)).map { method.support[$0]?.rawValue ?? "" })
    }
    var text = table.text
    for method in methods {
      for reason in method.reasons.prefix(4) { text += "  \(method.name): \(reason)\n" }
      if method.reasons.count > 4 {
        text += "  \(method.name): and \(method.reasons.count - 4) more nodes\n"
      }
    }
    return text
  }
}

extension ExplainMethod.Work {
  /// - Throws: `unsupported` for a model that the method cannot explain at all.
  func check(_ explainer: Explainer) throws(CoalitionError) {
    switch self {
    case .gradient: try explainer.checkReverse()
    case .gradCAM: try explainer.checkGradCAM()
    case .occlusion, .windows, .shapley: break
    case .rise:
      guard explainer.sources.count == 1, !explainer.explainsEmbeddings else {
        throw CoalitionError(
          .unsupported, "RISE explains one input of floating-point numbers")
      }
    }
  }
}
