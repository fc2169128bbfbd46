// Which constants of a graph are parameters: what training would change, and what is counted as such everywhere.

import CoalitionBase

/// The weights and biases of convolutions and products, scales and shifts of normalisations, slopes of PRelu,
/// tables whose rows are chosen, and factors and terms of more than one number behind any of these. What is not learned by a
/// gradient is none: running statistics, the share that a dropout drops, bounds, single factors.
struct LearnedConstants {
  /// A constant of the graph.
  struct Parameter {
    var name: String
    var count: Int
    /// The node that is the first to use it, by its place in the graph.
    var node: Int
  }

  private(set) var parameters: [Parameter] = []
  /// The first reason why they cannot be trained.
  private(set) var obstacle: CoalitionError?

  init(_ analysis: Analysis) {
    let graph = analysis.graph
    // Per constant value: the constants of the graph that its elements are moved or computed from.
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
    var known = Set<String>()
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
        for output in node.outputs where !read.isEmpty { origins[output] = read }
        if !moves {
          for name in read { computedWith[name] = node.label }
        }
        if let origin = source ?? (moves || read.isEmpty ? nil : node.label) {
          for output in node.outputs { computed[output] = origin }
        }
        continue
      }
      var places = node.learnedPlaces ?? []
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
        note(
          CoalitionError(
            .unsupported, "weights that come out of arithmetic on constants cannot be trained",
            node: node.label, found: "'\(name)', by \(origin)"))
      }
      checkScales(node, origins)
      let names = places.compactMap(node.input).flatMap { origins[$0] ?? [] }
      for name in names where known.insert(name).inserted {
        parameters.append(
          Parameter(name: name, count: graph.constants[name]?.count ?? 0, node: index))
      }
      if !names.isEmpty || node.inputs.contains(where: dependent.contains) {
        dependent.formUnion(node.outputs)
      }
    }
    for parameter in parameters {
      guard let node = computedWith[parameter.name] else { continue }
      note(
        CoalitionError(
          .unsupported,
          "the parameter '\(parameter.name)' is also used through arithmetic on constants",
          node: node))
    }
  }

  private mutating func note(_ error: CoalitionError) {
    if obstacle == nil { obstacle = error }
  }

  /// Factors that lowering would multiply the numbers by.
  private mutating func checkScales(_ node: Node, _ origins: [String: [String]]) {
    guard node.operation == "Gemm" else { return }
    for (attribute, places) in [("alpha", [0, 1]), ("beta", [2])] {
      guard case .float(let factor)? = node.attributes[attribute], factor != 1,
        places.contains(where: { node.input($0).map { origins[$0] != nil } ?? false })
      else { continue }
      note(
        CoalitionError(
          .unsupported, "a scaled product of a rearranged constant cannot be trained",
          node: node.label, expected: "\(attribute) = 1", found: "\(factor)"))
    }
  }

  private static func isElementwise(_ node: Node) -> Bool {
    ["Add", "Sub", "Mul", "Div", "Sum"].contains(node.operation)
  }
}

extension Node {
  /// The inputs that are parameters where they are constants; nil for operators that are not known to have any.
  var learnedPlaces: [Int]? {
    switch operation {
    case "Conv", "BatchNormalization": [1, 2]
    case "Gemm": [0, 1, 2]
    case "MatMul": [0, 1]
    case "PRelu": [1]
    case "Gather": [0]
    default: nil
    }
  }
}
