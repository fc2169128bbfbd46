// Which constants of a graph are parameters, and where each of their elements ends up in a program.
//
// The graph is lowered with numbers in place of parameters: element i of a parameter is first + start + i. Whatever
// operators do to a constant on its way into a block (transposing, reordering of features, slicing), the block then says
// which elements it is made from, and training can fill it anew after every step. Numbers are far above all
// weights and exact in double precision, in which constants are kept until they are packed.

import CoalitionBase

/// The parameters of a graph, numbered.
struct ParameterNumbers: Sendable {
  struct Parameter: Sendable {
    /// A constant of the graph.
    var name: String
    var count: Int
    /// The number of its first element, counted over all parameters.
    var start: Int
  }

  private(set) var parameters: [Parameter] = []
  private var count = 0

  /// Numbers begin here.
  private static let first = Double(sign: .plus, exponent: 40, significand: 1)

  /// The weights and biases of convolutions and products, scales and shifts of normalisations, slopes of PRelu,
  /// tables whose rows are chosen, and factors and terms of more than one number behind any of these.
  /// - Throws: `unsupported` for a parameter that the model also uses through arithmetic on constants.
  init(_ analysis: Analysis) throws(CoalitionError) {
    let graph = analysis.graph
    // Per constant value: the constants of the graph that its elements are moved from.
    var origins: [String: [String]] = [:]
    for (name, tensor) in graph.constants
    where tensor.elementType == .float32 || tensor.elementType == .float64 {
      origins[name] = [name]
    }
    var computedWith: [String: String] = [:]
    // Constants that come out of arithmetic on others, and by which node.
    var computed: [String: String] = [:]
    // Values of products, behind which a single number may be a bias.
    var products = Set<String>()
    var dependent = Set<String>()
    for (index, node) in graph.nodes.enumerated() {
      let isConstant = node.outputs.allSatisfy {
        $0.isEmpty || analysis.values[$0]?.constant != nil
      }
      if isConstant {
        let read = node.inputs.flatMap { origins[$0] ?? [] }
        let source = node.inputs.lazy.compactMap { computed[$0] }.first
        // A cast rounds: numbers would not come through it.
        let moves =
          analysis.operators[index].kind == .movement
          && !["Cast", "CastLike"].contains(node.operation)
        if moves {
          for output in node.outputs where !read.isEmpty { origins[output] = read }
        } else {
          for name in read { computedWith[name] = node.label }
        }
        if let origin = source ?? (moves || read.isEmpty ? nil : node.label) {
          for output in node.outputs { computed[output] = origin }
        }
        continue
      }
      var places = Self.places(node)
      if Self.isElementwise(node), node.inputs.contains(where: dependent.contains) {
        let isBias = node.operation == "Add" && node.inputs.contains(where: products.contains)
        places = node.inputs.indices.filter {
          guard let constant = analysis.values[node.inputs[$0]]?.constant?.value else {
            return false
          }
          return constant.count > 1 || isBias && constant.rank == 1
        }
      }
      if node.operation == "MatMul" { products.formUnion(node.outputs) }
      for place in places {
        guard let name = node.input(place), let origin = computed[name] else { continue }
        throw CoalitionError(
          .unsupported, "weights that come out of arithmetic on constants cannot be trained",
          node: node.label, found: "'\(name)', by \(origin)")
      }
      try Self.checkScales(node, origins)
      let names = places.compactMap(node.input).flatMap { origins[$0] ?? [] }
      for name in names where !parameters.contains(where: { $0.name == name }) {
        let size = graph.constants[name]?.count ?? 0
        parameters.append(Parameter(name: name, count: size, start: count))
        count += size
      }
      if !names.isEmpty || node.inputs.contains(where: dependent.contains) {
        dependent.formUnion(node.outputs)
      }
    }
    guard count <= Int(Int32.max) else {
      throw CoalitionError(
        .limitExceeded, "the model has too many parameters to be trained",
        expected: "at most \(Int32.max)", found: "\(count)")
    }
    for parameter in parameters {
      if let node = computedWith[parameter.name] {
        throw CoalitionError(
          .unsupported,
          "the parameter '\(parameter.name)' is also used through arithmetic on constants",
          node: node)
      }
    }
  }

  /// Factors that lowering would multiply the numbers by.
  private static func checkScales(
    _ node: Node, _ origins: [String: [String]]
  ) throws(CoalitionError) {
    guard node.operation == "Gemm" else { return }
    for (attribute, places) in [("alpha", [0, 1]), ("beta", [2])] {
      guard case .float(let factor)? = node.attributes[attribute], factor != 1,
        places.contains(where: { node.input($0).map { origins[$0] != nil } ?? false })
      else { continue }
      throw CoalitionError(
        .unsupported, "a scaled product of a rearranged constant cannot be trained",
        node: node.label, expected: "\(attribute) = 1", found: "\(factor)")
    }
  }

  private static func places(_ node: Node) -> [Int] {
    switch node.operation {
    case "Conv", "BatchNormalization": [1, 2]
    case "Gemm": [0, 1, 2]
    case "MatMul": [0, 1]
    case "PRelu": [1]
    case "Gather": [0]
    default: []
    }
  }

  private static func isElementwise(_ node: Node) -> Bool {
    ["Add", "Sub", "Mul", "Div", "Sum"].contains(node.operation)
  }

  /// The graph with the numbers in place of the parameters' elements.
  func numbered(_ graph: Graph) -> Graph {
    var copy = graph
    for parameter in parameters {
      guard let tensor = graph.constants[parameter.name] else { continue }
      let start = Self.first + Double(parameter.start)
      let numbers = (0..<parameter.count).map { start + Double($0) }
      copy.constants[parameter.name] = Tensor(filling: tensor.shape, with: .float64(numbers))
    }
    return copy
  }

  private func isNumber(_ value: Double) -> Bool {
    value >= Self.first && value < Self.first + Double(count)
  }

  /// Whether a constant of the numbered graph is made from a parameter.
  func begins(_ tensor: Tensor) -> Bool {
    guard case .float64(let values) = tensor.elements else { return false }
    return values.first.map(isNumber) ?? false
  }

  /// The parameter that a constant of the numbered graph is made from, and per element of the constant which of the
  /// parameter's: nil for other constants.
  /// - Throws: `unsupported` for a constant that is made from several parameters, or only in part from one.
  func origin(
    _ tensor: Tensor
  ) throws(CoalitionError) -> (parameter: Int, elements: [Int32])? {
    guard case .float64(let values) = tensor.elements, values.contains(where: isNumber) else {
      return nil
    }
    let number = values[0] - Self.first
    let index = parameters.firstIndex {
      number >= Double($0.start) && number < Double($0.start + $0.count)
    }
    guard let index else { throw mixed() }
    let start = Self.first + Double(parameters[index].start)
    let end = start + Double(parameters[index].count)
    guard values.allSatisfy({ $0 >= start && $0 < end }) else { throw mixed() }
    return (index, values.map { Int32($0 - start) })
  }

  private func mixed() -> CoalitionError {
    CoalitionError(
      .unsupported,
      "the model joins parameters with other constants before it uses them: they cannot be trained")
  }
}
