// Functions of one number, element by element (csrc/ops/pointwise.c).
//
// A new function is a row of LN_FUNCTIONS, its arithmetic in csrc/simd/functions.h, and a case here.

import CLanes
import CoalitionBase

struct Pointwise: Operator {
  static let operations = [
    "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
    "Softplus", "Softsign", "Gelu", "Swish", "Mish", "Erf", "Exp", "Log", "Sqrt", "Abs", "Neg",
    "Clip",
  ]

  private let operation: String
  /// nil for Clip with bounds that are inputs: they are read during lowering.
  private let fixed: Function?

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    switch node.operation {
    case "Relu": fixed = Function(LN_FUNCTION_relu)
    case "LeakyRelu": fixed = Function(LN_FUNCTION_leaky_relu, try node.float("alpha", 0.01))
    case "Elu": fixed = Function(LN_FUNCTION_elu, try node.float("alpha", 1), 1)
    case "Selu":
      // ONNX gives the defaults to more digits than a float attribute can hold.
      fixed = Function(
        LN_FUNCTION_elu, try node.float("alpha", 1.67326319217681884765625),
        try node.float("gamma", 1.05070102214813232421875))
    case "Celu": fixed = Function(LN_FUNCTION_celu, try node.float("alpha", 1))
    case "Sigmoid": fixed = Function(LN_FUNCTION_sigmoid)
    case "HardSigmoid":
      fixed = Function(
        LN_FUNCTION_hard_sigmoid, try node.float("alpha", 0.2), try node.float("beta", 0.5))
    case "HardSwish": fixed = Function(LN_FUNCTION_hard_swish)
    case "Tanh": fixed = Function(LN_FUNCTION_tanh)
    case "Softplus": fixed = Function(LN_FUNCTION_softplus)
    case "Softsign": fixed = Function(LN_FUNCTION_softsign)
    case "Gelu":
      switch try node.string("approximate", "none") {
      case "none": fixed = Function(LN_FUNCTION_gelu)
      case "tanh": fixed = Function(LN_FUNCTION_gelu_tanh)
      case let other: throw node.unsupported("approximate '\(other)'")
      }
    case "Swish": fixed = Function(LN_FUNCTION_swish, try node.float("alpha", 1))
    case "Mish": fixed = Function(LN_FUNCTION_mish)
    case "Erf": fixed = Function(LN_FUNCTION_erf)
    case "Exp": fixed = Function(LN_FUNCTION_exp)
    case "Log": fixed = Function(LN_FUNCTION_log)
    case "Sqrt": fixed = Function(LN_FUNCTION_sqrt)
    case "Abs": fixed = Function(LN_FUNCTION_absolute)
    case "Neg": fixed = Function(LN_FUNCTION_negative)
    case "Clip" where node.opset < 11:
      fixed = Function(
        LN_FUNCTION_clip, try node.float("min", -Double.infinity),
        try node.float("max", Double.infinity))
    case "Clip": fixed = nil
    default: throw node.unsupported("this operator")
    }
  }

  var kind: OperatorKind { .pointwise }

  /// The function of one node.
  func function(_ inputs: Inputs) throws(CoalitionError) -> Function {
    if let fixed { return fixed }
    let low = try inputs.constant(1, "lower bound")?.doubles.first ?? -Double.infinity
    let high = try inputs.constant(2, "upper bound")?.doubles.first ?? Double.infinity
    // ONNX: when the bounds cross, everything becomes the upper one.
    return Function(LN_FUNCTION_clip, min(low, high), high)
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    var info = try inputs.required(0)
    info.constant = nil
    if operation == "Neg" { try inputs.checkBytes(info) }
    _ = try function(inputs)
    return [info]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    // Signs of whole numbers occur in the arithmetic of shapes.
    guard let tensor = inputs.first ?? nil, let integers = tensor.integers,
      operation == "Neg" || operation == "Abs"
    else { return nil }
    // The smallest number has no opposite: it stays itself.
    let results = integers.map { operation == "Neg" || $0 < 0 ? 0 &- $0 : $0 }
    return [Tensor.integers(results, shape: tensor.shape, like: tensor.elementType)]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    lowering.set(try lowering.applied(try function(lowering.inputs), to: try lowering.lanes(0)))
  }
}

struct PointwiseStep: Step {
  var function: Function
  var input: Operand
  var output: Operand
  var count: Int

  var reads: [Operand] { [input] }
  var writes: Operand? { output }
  var overwrites: Operand? { input }
  var summary: String { "\(function.name) \(count)" }

  func encoded(_ places: Places) -> ln_step {
    var step = ln_step()
    step.family = Int32(LN_pointwise.rawValue)
    step.pointwise = ln_pointwise(
      in: places(input), out: places(output), count: Int64(count), function: function.encoded)
    return step
  }
}

extension Lowering {
  /// The function of every element, in the same memory order where the view has no gaps.
  mutating func applied(_ function: Function, to view: View) throws(CoalitionError) -> View {
    let source = view.isDense ? view : try copied(view)
    let output = buffer(view.count)
    emit(
      PointwiseStep(
        function: function, input: source.operand, output: output, count: view.count))
    return source.denseLike(output)
  }
}
