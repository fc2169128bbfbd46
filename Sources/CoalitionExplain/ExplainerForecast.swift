// What an explainer takes and what it will need: the model's inputs, the memory and the program of a method.

package import CoalitionBase
public import CoalitionNet

extension Explainer {
  /// The inputs of the whole model, in front of every cut.
  public var modelInputs: [Plan.Value] { cut.front?.inputs ?? forward.inputs }

  /// The values that attributions are for.
  package var sources: [Plan.Value] {
    forward.inputs.filter { input in
      [.float32, .float64].contains(input.elementType)
        && (options.sources.isEmpty || options.sources.contains(input.name))
    }
  }

  /// The shape of one example's attributions: those of embeddings are summed to tokens.
  package func attributionShape(of source: Plan.Value) -> [Int] {
    explainsEmbeddings ? Array(source.shape.dropLast()) : source.shape
  }

  /// The shape of one example's scores.
  package var scoreShape: [Int] { forward.outputs.first?.shape ?? [] }

  /// The program that sends one signal back, step by step.
  package func listing(
    _ method: GradientMethod, lanes: Int
  ) throws(CoalitionError) -> Plan.Listing {
    try reversePlan(method).listing(lanes: lanes)
  }

  /// Bytes of packed weights and arenas for a method.
  /// - Parameters:
  ///   - variants: examples times evaluations.
  ///   - limit: bytes that they may take; smaller tiles need less, but the smallest may still need more.
  package func programByteCount(
    _ method: GradientMethod, variants: Int, threads: Int, within limit: Int
  ) throws(CoalitionError) -> Int {
    try reversePlan(method).programByteCount(examples: variants, threads: threads, within: limit)
  }

  /// - Throws: what keeps signals from going back through the model.
  package func checkReverse() throws(CoalitionError) {
    _ = try reversePlan(.gradient)
  }

  /// - Throws: `unsupported` for a model without convolutions or with other inputs than one image.
  package func checkGradCAM() throws(CoalitionError) {
    guard model.graph.nodes.contains(where: { $0.operation == "Conv" }), forward.inputs.count == 1,
      forward.inputs[0].shape.count >= 2
    else {
      throw CoalitionError(
        .unsupported, "Grad-CAM needs a convolution, and one input that has rows and columns")
    }
  }

  /// The programs that take random coalitions to the scores.
  /// - Throws: `unsupported` with the node for steps that moments do not go through.
  package func momentPlan(rank: Int) throws(CoalitionError) -> MomentPlan {
    try MomentPlan(
      cut.model, target: scores, sources: sources.map(\.name), rank: rank, forward.options)
  }

  /// The nodes at which methods that propagate moments take values for normal ones, or less than that.
  /// - Throws: as `momentPlan`.
  package func momentDoubts() throws(CoalitionError) -> [SupportDoubt] {
    let approximations = try momentPlan(rank: 0).approximations
    return cut.model.graph.nodes.compactMap { node in
      approximations.first { $0.label == node.label }.map {
        SupportDoubt(
          node: node.label, operation: node.operation, reason: $0.kind.reason,
          isByNature: $0.kind == .normal)
      }
    }
  }

  /// The program that explains one score by a method.
  package func reversePlan(_ method: GradientMethod) throws(CoalitionError) -> ReversePlan {
    try plan(request(method))
  }
}

extension MomentApproximation {
  fileprivate var reason: String {
    switch self {
    case .normal: "values are taken for normal ones"
    case .tangent: "its tangent at the mean stands for the function"
    case .reciprocalTangent: "its tangent at the mean stands for the divisor's reciprocal"
    case .softmaxOfMean:
      "its mean is the softmax of the mean, which is too sharp where scores are wide"
    }
  }
}
