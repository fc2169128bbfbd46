// `coalition inspect`: what a model holds, and what can be done with it.
//
// Prints any model that can be read: operators that are missing are listed, not refused.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

extension Command {
  static let inspect = Command(
    name: "inspect",
    summary: "shows operators, shapes, parameters, work and what is supported",
    positionals: [ModelFile.positional],
    groups: [
      OptionGroup(
        title: "Options",
        options: [
          Inspect.nodesFlag.declaration, Inspect.jsonFlag.declaration,
          ModelFile.shapeOption.declaration, RuntimeOptions.memoryOption.declaration,
        ])
    ],
    examples: [
      "coalition inspect model.onnx --nodes",
      "coalition inspect model.onnx --json --input-shape image=1x3x224x224",
    ],
    notes: [
      "Exit code 0 also when operators are missing: they are listed. Only a file that is no model fails."
    ]
  ) { arguments throws(CoalitionError) in
    let (file, memoryLeft) = try await ModelFile.read(arguments)
    let inspection = try Inspect(
      file, inputShapes: file.inputShapes(arguments), memoryLimit: memoryLeft)
    if arguments[Inspect.jsonFlag] {
      try Terminal.write(String(decoding: inspection.json.utf8, as: UTF8.self) + "\n")
    } else {
      try Terminal.write(inspection.text(withNodes: arguments[Inspect.nodesFlag]))
    }
  }
}

struct Inspect {
  static let nodesFlag = Flag("nodes", "lists every node")
  static let jsonFlag = Flag("json", "prints everything as JSON")

  let file: ModelFile
  let summary: ModelSummary
  /// By number of examples: nil for a model that cannot run.
  private let memory: [(examples: Int, Plan.Memory)]
  /// Those that `memory` is for.
  private let threads: Int
  /// Of the methods of `explain`, for a model that runs.
  let methods: [MethodSupport]
  /// Those of the file; where it gives no type or shape, that of the results of a run.
  private let outputs: [Port]

  /// - Parameter memoryLimit: bytes that folded constants may take.
  init(
    _ file: ModelFile, inputShapes: [String: [Int]],
    memoryLimit: Int = PlanOptions.defaultMemoryLimit
  ) throws(CoalitionError) {
    self.file = file
    let threads = try Plan.threads(nil)
    self.threads = threads
    var found = try ModelSummary(
      file.graph, inputShapes: inputShapes, memoryLimit: memoryLimit)
    var plan: Plan?
    if found.problems.isEmpty, found.shapeProblem == nil {
      var options = PlanOptions()
      options.inputShapes = inputShapes
      options.memoryLimit = memoryLimit
      do throws(CoalitionError) {
        plan = try Plan(try Model(file.graph), options)
      } catch {
        found = found.adding(error)
      }
    }
    summary = found
    guard let plan else {
      memory = []
      methods = []
      outputs = summary.outputs
      return
    }
    methods = MethodSupport.all(
      of: plan.model, operations: summary.operationCounts.map(\.operation),
      inputShapes: inputShapes, memoryLimit: memoryLimit)
    memory = try [1, 64].map { examples throws(CoalitionError) in
      (examples, try plan.memory(examples: examples, threads: threads))
    }
    outputs = summary.outputs.map { port in
      guard let known = plan.outputs.first(where: { $0.name == port.name }) else {
        return port
      }
      var port = port
      if port.leavesTypeOpen { port = Port(port.name, known.elementType, shape: port.shape) }
      guard port.shape == nil else { return port }
      let examples: [Dimension] = known.hasExamples ? ["N"] : []
      port.shape = examples + known.shape.map { .fixed($0) }
      return port
    }
  }

  var isRunnable: Bool { !memory.isEmpty }

  private var opsets: String {
    file.graph.opsets.sorted { $0.key < $1.key }
      .map { ($0.key.isEmpty ? "" : "\($0.key) ") + "\($0.value)" }.joined(separator: ", ")
  }

  /// How examples are run, as a clause.
  var batching: String {
    switch summary.batching {
    case .together(let axes):
      let places = Set(axes.values)
      if places.count == 1, let axis = places.first { return "together, along axis \(axis)" }
      return "together, along "
        + axes.sorted { $0.key < $1.key }.map { "axis \($0.value) of \($0.key)" }
        .joined(separator: ", ")
    case .oneByOne(let node?): return "one by one: \(node) mixes them"
    case .oneByOne(nil): return "one by one: an input has no axis for them"
    case nil: return "not known"
    }
  }

  // MARK: Text

  func text(withNodes: Bool) -> String {
    var text =
      "\(file.name): \(Numbers.bytes(file.byteCount)), SHA-256 \(file.sha256.prefix(16))...\n"
    let version = file.irVersion.map { "IR version \($0), " } ?? ""
    text += "ONNX \(version)opset \(opsets)\n\n"
    for port in summary.inputs { text += line("input", port) }
    for port in outputs { text += line("output", port) }
    text += "examples  \(batching)\n\n"
    text += totals
    text += "\n" + operators
    if !methods.isEmpty {
      text +=
        "\n"
        + MethodSupport.table(
          methods, operations: summary.operationCounts.map(\.operation))
    }
    if withNodes { text += "\n" + nodes }
    for problem in summary.problems { text += "\nunsupported: \(problem.description)" }
    if let problem = summary.shapeProblem { text += "\nshapes unknown: \(problem.description)" }
    if !isRunnable { text += "\n" }
    return text
  }

  private func line(_ role: String, _ port: Port) -> String {
    let gap = String(repeating: " ", count: 10 - role.count)
    let type = port.leavesTypeOpen ? "?" : port.elementType.rawValue
    return "\(role)\(gap)\(port.name) \(type) \(port.shapeDescription)\n"
  }

  private var totals: String {
    var text = "parameters               \(Numbers.grouped(summary.parameters))\n"
    if summary.shapeProblem == nil {
      text += "multiply-adds, 1 example \(Numbers.grouped(summary.multiplyAdds))"
      text += isRunnable ? "\n" : " in the part that is supported\n"
    }
    for (examples, memory) in memory {
      let label = examples == 1 ? "memory, 1 example" : "memory, \(examples) examples"
      text += label + String(repeating: " ", count: 25 - label.count)
      text += "\(Numbers.bytes(memory.total)) (weights \(Numbers.bytes(memory.constants)), "
      text += "values \(Numbers.bytes(memory.arenas)), arrays \(Numbers.bytes(memory.rows)))\n"
    }
    if isRunnable {
      text += String(repeating: " ", count: 25)
      text += "with \(threads) \(threads == 1 ? "thread" : "threads"); "
      text += "the model and input files as they are read are not counted\n"
    }
    return text
  }

  private var operators: String {
    let modes = summary.modes
    var table = Table(
      ("operator", .left), ("nodes", .right), (modes.map(\.name).joined(separator: "  "), .left))
    for (operation, count) in summary.operationCounts {
      table.add(
        operation, "\(count)",
        modes.map { $0.support[operation]?.rawValue ?? "" }.joined(separator: "  "))
    }
    return table.text
  }

  private var nodes: String {
    var table = Table(
      ("node", .left), ("operator", .left), ("output", .left), ("parameters", .right),
      ("multiply-adds", .right))
    for node in summary.nodes {
      table.add(
        node.label, node.operation, node.outputShape.map(Numbers.shape) ?? "?",
        node.parameters == 0 ? "" : Numbers.grouped(node.parameters),
        node.multiplyAdds == 0 ? "" : Numbers.grouped(node.multiplyAdds))
    }
    return table.text
  }

  // MARK: JSON

  var json: JSONValue {
    .object([
      "model": .object([
        "name": .string(file.name), "bytes": .integer(file.byteCount),
        "sha256": .string(file.sha256), "ir-version": file.irVersion.map { .integer($0) } ?? .null,
        "opsets": .object(
          file.graph.opsets.sorted { $0.key < $1.key }.map {
            .init($0.key.isEmpty ? "ai.onnx" : $0.key, .integer($0.value))
          }),
      ]),
      "inputs": .array(summary.inputs.map(\.record)),
      "outputs": .array(outputs.map(\.record)),
      "examples": batchingRecord,
      "parameters": .integer(summary.parameters),
      "multiply-adds": summary.shapeProblem == nil ? .integer(summary.multiplyAdds) : .null,
      "memory": .array(
        memory.map { examples, memory in
          .object([
            "examples": .integer(examples), "constants": .integer(memory.constants),
            "arenas": .integer(memory.arenas), "rows": .integer(memory.rows),
            "threads": .integer(threads),
            "total": .integer(memory.total),
          ])
        }),
      "operators": .object(
        summary.operationCounts.map { .init($0.operation, .integer($0.count)) }),
      "support": supportRecord,
      "methods": .object(
        methods.map { .init($0.name, .array($0.reasons.map { .string($0) })) }),
      "nodes": .array(summary.nodes.map(\.record)),
      "problems": .array(
        (summary.problems + [summary.shapeProblem].compactMap { $0 }).map {
          .string($0.description)
        }),
    ])
  }

  /// By mode or method and operator.
  private var supportRecord: JSONValue {
    let all: [(name: String, support: [String: ModelSummary.Support])] =
      summary.modes.map { ($0.name, $0.support) } + methods.map { ($0.name, $0.support) }
    return .object(
      all.map { name, support in
        let operators = support.sorted { $0.key < $1.key }
        return JSONValue.Member(
          name,
          .object(operators.map { JSONValue.Member($0.key, .string($0.value.rawValue)) }))
      })
  }

  private var batchingRecord: JSONValue {
    switch summary.batching {
    case .together(let axes):
      .object([
        "together": true,
        "axes": .object(
          axes.sorted { $0.key < $1.key }.map { .init($0.key, .integer($0.value)) }),
      ])
    case .oneByOne(let node):
      .object(["together": false, "mixing-node": node.map { .string($0) } ?? .null])
    case nil: .null
    }
  }
}

extension Port {
  fileprivate var record: JSONValue {
    .object([
      "name": .string(name), "dtype": leavesTypeOpen ? .null : .string(elementType.rawValue),
      "shape": shape.map { sizes in
        .array(
          sizes.map { size in size.fixedSize.map { .integer($0) } ?? .string(size.description) })
      } ?? .null,
    ])
  }
}

extension ModelSummary.NodeSummary {
  fileprivate var record: JSONValue {
    .object([
      "name": .string(label), "operator": .string(operation), "opset": .integer(opset),
      "shape": outputShape.map { .array($0.map { .integer($0) }) } ?? .null,
      "parameters": .integer(parameters), "multiply-adds": .integer(multiplyAdds),
    ])
  }
}
