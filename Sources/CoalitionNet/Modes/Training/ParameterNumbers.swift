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

  /// - Throws: `unsupported` for a parameter that the model also uses through arithmetic on constants.
  init(_ analysis: Analysis) throws(CoalitionError) {
    let learned = LearnedConstants(analysis)
    for parameter in learned.parameters {
      parameters.append(
        Parameter(name: parameter.name, count: parameter.count, start: count))
      count += parameter.count
    }
    if let obstacle = learned.obstacle { throw obstacle }
    guard count <= Int(Int32.max) else {
      throw CoalitionError(
        .limitExceeded, "the model has too many parameters to be trained",
        expected: "at most \(Int32.max)", found: "\(count)")
    }
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
  /// - Parameter first: its first number, in double precision.
  func begins(_ first: Double?) -> Bool { first.map(isNumber) ?? false }

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
