// One node test: its tensors, the ways to run it, and the comparison.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX

struct ConformanceCase {
  typealias Named = (name: String, tensor: Tensor)

  enum Outcome {
    case passed
    /// Not supported, with the reason of the first way.
    case refused(String)
    case wrong(String)
  }

  let name: String
  private let model: String
  private let inputs: [Named]
  private let outputs: [Named]
  private let relative: Double
  private let absolute: Double

  /// The cases that `index.json` lists.
  static func read(_ directory: String) throws(CoalitionError) -> [ConformanceCase] {
    let index = try JSONValue(parsing: try Files.read("\(directory)/index.json"))
    return try index.elements.map { entry throws(CoalitionError) in
      try ConformanceCase(entry, directory)
    }
  }

  private init(_ entry: JSONValue, _ directory: String) throws(CoalitionError) {
    guard let name = entry["name"]?.text, let model = entry["model"]?.text,
      let relative = entry["rtol"]?.number, let absolute = entry["atol"]?.number
    else { throw CoalitionError(.invalidData, "index.json has an incomplete case") }
    self.name = name
    self.model = "\(directory)/\(model)"
    self.relative = relative
    self.absolute = absolute
    func tensors(_ key: String) throws(CoalitionError) -> [Named] {
      try (entry[key]?.elements ?? []).map { value throws(CoalitionError) in
        guard let name = value["name"]?.text, let file = value["file"]?.text else {
          throw CoalitionError(.invalidData, "a tensor has no name or file", node: name)
        }
        return (name, try Npy.decode(try Files.read("\(directory)/\(file)")))
      }
    }
    inputs = try tensors("inputs")
    outputs = try tensors("outputs")
  }

  // MARK: Running

  /// Sets of inputs that are left open; the others are constants.
  private var splits: [Set<String>] {
    let floats = inputs.filter { $0.tensor.elementType == .float32 }.map(\.name)
    let all = Set(inputs.map(\.name))
    let candidates = [Set(floats.prefix(1)), Set(floats), all, []]
    var seen = Set<Set<String>>()
    return candidates.filter { seen.insert($0).inserted }
  }

  func run() async -> Outcome {
    var refusal: CoalitionError?
    var isAccepted = false
    for open in splits {
      do throws(CoalitionError) {
        let found = try await results(open)
        isAccepted = true
        for (name, expected) in outputs {
          if let difference = difference(found[name], expected) {
            return .wrong("\(name), inputs \(open.sorted()): \(difference)")
          }
        }
      } catch {
        if error.code == .internalFault { return .wrong(error.description) }
        refusal = refusal ?? error
      }
    }
    return isAccepted ? .passed : .refused(refusal?.description ?? "no way to run it")
  }

  private func results(_ open: Set<String>) async throws(CoalitionError) -> [String: Tensor] {
    var given: [String: Tensor] = [:]
    var constants: [String: Tensor] = [:]
    for (name, tensor) in inputs {
      if open.contains(name) { given[name] = tensor } else { constants[name] = tensor }
    }
    let graph = try ONNX.read(contentsOf: model)
    let plan = try Plan(try Model(graph, constants: constants, oneByOne: true))
    var found = try await plan.run(given)
    // Without the axis of the one example.
    for output in plan.outputs where !output.isConstant {
      if let tensor = found[output.name] {
        found[output.name] = try tensor.reshaped(to: Array(tensor.shape.dropFirst()))
      }
    }
    return found
  }

  /// How a tensor differs from the expected one: nil when it does not.
  private func difference(_ found: Tensor?, _ expected: Tensor) -> String? {
    guard let found else { return "the output is missing" }
    guard found.shape == expected.shape else {
      return "shape \(found.shape), expected \(expected.shape)"
    }
    let (numbers, wanted) = (found.doubles, expected.doubles)
    for (index, (number, other)) in zip(numbers, wanted).enumerated() {
      if number == other || number.isNaN && other.isNaN { continue }
      // Written so that a NaN on either side fails.
      guard abs(number - other) <= absolute + relative * abs(other) else {
        return "element \(index) is \(number), expected \(other)"
      }
    }
    return nil
  }
}

extension JSONValue {
  fileprivate var elements: [JSONValue] { if case .array(let values) = self { values } else { [] } }

  fileprivate var number: Double? {
    switch self {
    case .number(let value): value
    case .integer(let value): Double(value)
    default: nil
    }
  }
}
