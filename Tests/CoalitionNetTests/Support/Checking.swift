// Comparing runs with the reference, and runs with each other.

import CoalitionBase
import CoalitionNet
import TestSupport
import Testing

/// Examples of all inputs, drawn at random; the axis of examples is `axis`.
func examples(
  of graph: Graph, count: Int, seed: Int, range: ClosedRange<Double> = -1...1
) -> [String: Grid] {
  var random = Seeded(seed)
  var grids: [String: Grid] = [:]
  for port in graph.inputs {
    let shape = (port.shape ?? []).map { size in
      if case .fixed(let size) = size { size } else { count }
    }
    grids[port.name] = random.grid(shape, range)
  }
  return grids
}

/// Runs a graph in both precisions and compares every example with the reference run on that example alone, and with
/// the reference run on all of them.
/// - Parameters:
///   - inputs: with the real batch along `axis`.
///   - joint: whether the graph means the same for several examples as for each alone.
func check(
  _ graph: Graph, _ inputs: [String: Grid], axis: Int? = 0, outputAxis: Int? = nil,
  together: Bool = true, joint: Bool = true, tolerance: Double = 2e-6,
  location: SourceLocation = #_sourceLocation
) async throws {
  let examples = axis.map { axis in inputs.values.first?.shape[axis] ?? 1 } ?? 1
  let alone = (0..<examples).map { example in
    Reference.run(
      graph, axis.map { axis in inputs.mapValues { $0.slice(axis, example) } } ?? inputs)
  }
  let all = joint ? Reference.run(graph, inputs) : nil
  for (precision, type, limit) in [
    (Precision.single, ElementType.float32, tolerance), (.double, .float64, 1e-12),
  ] {
    var options = PlanOptions()
    options.precision = precision
    let plan = try Plan(try Model(graph), options)
    if case .together = plan.batching {
      #expect(together, "runs together", sourceLocation: location)
    } else {
      #expect(!together, "\(plan.batching)", sourceLocation: location)
    }
    var tensors: [String: Tensor] = [:]
    for port in graph.inputs {
      guard let grid = inputs[port.name] else { continue }
      let isFloat = port.elementType == .float32
      let rows = axis.map { grid.examplesFirst($0) } ?? Grid([1] + grid.shape, grid.values)
      // Examples that run one by one keep their axis of size 1.
      var shape = rows.shape
      if !together && axis != nil { shape.insert(1, at: 1 + (axis ?? 0)) }
      tensors[port.name] = try rows.tensor(isFloat ? type : port.elementType).reshaped(to: shape)
    }
    let results = try await plan.run(tensors)
    for port in graph.outputs {
      let result = try #require(results[port.name], sourceLocation: location)
      let known = plan.outputs.first { $0.name == port.name }
      // Of what is the same for all examples and has no axis for them there is one.
      let isConstant = !(known?.hasExamples ?? true)
      let found = result.doubles
      let expected =
        isConstant
        ? alone[0][port.name]?.values ?? [] : alone.flatMap { $0[port.name]?.values ?? [] }
      try #require(found.count == expected.count, "\(port.name)", sourceLocation: location)
      if let joint = all?[port.name], !isConstant, examples > 1 {
        let together = outputAxis.map { joint.examplesFirst($0) } ?? joint
        #expect(
          zip(together.values, expected).allSatisfy {
            abs($0 - $1) <= 1e-12 * (1 + abs($0)) || $0 == $1
          }, "the reference mixes examples", sourceLocation: location)
      }
      let scale = expected.reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
      for (index, (a, b)) in zip(found, expected).enumerated() where a != b {
        let error = abs(a - b) / scale
        guard error <= limit else {
          Issue.record(
            "\(port.name) \(precision) element \(index): \(a), reference \(b)",
            sourceLocation: location)
          break
        }
      }
    }
  }
}

/// Whether two tensors are the same bit by bit.
func identical(_ a: Tensor?, _ b: Tensor?) -> Bool {
  guard let a, let b, a.shape == b.shape else { return false }
  return switch (a.elements, b.elements) {
  case (.float32(let a), .float32(let b)): a.map(\.bitPattern) == b.map(\.bitPattern)
  case (.float64(let a), .float64(let b)): a.map(\.bitPattern) == b.map(\.bitPattern)
  default: a == b
  }
}

/// Examples `range` of a tensor whose first axis counts them.
func rows(_ tensor: Tensor, _ range: Range<Int>) -> Tensor {
  let width = tensor.count / tensor.shape[0]
  let part = (range.lowerBound * width)..<(range.upperBound * width)
  let elements: Tensor.Elements =
    switch tensor.elements {
    case .float32(let values): .float32(Array(values[part]))
    case .float64(let values): .float64(Array(values[part]))
    case .int32(let values): .int32(Array(values[part]))
    case .int64(let values): .int64(Array(values[part]))
    case .uint8(let values): .uint8(Array(values[part]))
    case .bool(let values): .bool(Array(values[part]))
    }
  return Tensor(filling: [range.count] + tensor.shape.dropFirst(), with: elements)
}
