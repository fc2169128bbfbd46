// ReduceSum, ReduceMean, ReduceProd, ReduceMax and ReduceMin.
//
// Constants of any type are reduced at once. Computed values are pooled: the reduced axes become one window, which
// is as wide as they are.

import CLanes
import CoalitionBase

struct Reduction: Operator {
  static let operations = ["ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin"]

  private let operation: String
  let keepsAxes: Bool
  private let emptyMeansNone: Bool
  /// nil: the second input.
  private let written: [Int]?

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    keepsAxes = try node.flag("keepdims", true)
    emptyMeansNone = try node.flag("noop_with_empty_axes", false)
    written = try node.ints("axes")
  }

  var kind: OperatorKind {
    switch operation {
    case "ReduceSum", "ReduceMean": .affine
    case "ReduceMax", "ReduceMin": .select
    default: .product
    }
  }

  func reduced(_ rank: Int, _ parameter: [Int]?) throws(CoalitionError) -> Set<Int> {
    let axes = written ?? parameter ?? []
    if axes.isEmpty { return emptyMeansNone ? [] : Set(0..<rank) }
    var result = Set<Int>()
    for axis in axes { result.insert(try resolveAxis(axis, rank: rank)) }
    return result
  }

  private func shape(_ shape: [Int], _ axes: Set<Int>) -> [Int] {
    shape.indices.compactMap { axes.contains($0) ? (keepsAxes ? 1 : nil) : shape[$0] }
  }

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let axes = try reduced(x.shape.count, try inputs.constantIntegers(1, "axes"))
    if operation == "ReduceProd" && !inputs.allConstant {
      throw CoalitionError(
        .unsupported, "ReduceProd of values that are computed while the model runs is not supported"
      )
    }
    let kept = x.shape.indices.filter { !axes.contains($0) }
    return [
      ValueInfo(
        shape: shape(x.shape, axes), elementType: x.elementType,
        example: x.example.moved { place in
          axes.contains(place) ? nil : keepsAxes ? place : kept.firstIndex(of: place)
        })
    ]
  }

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    let tensor = try inputs.required(0)
    let axes = try reduced(tensor.rank, inputs.optional(1)?.integers)
    let kept = tensor.shape.indices.filter { !axes.contains($0) }
    let groups = kept.reduce(1) { $0 * tensor.shape[$1] }
    let size = axes.reduce(1) { $0 * tensor.shape[$1] }
    let ordered = HostView(tensor).transposed(kept + axes.sorted()).materialised()
    let result = shape(tensor.shape, axes)
    guard size > 0 || operation == "ReduceSum" || operation == "ReduceProd" else {
      throw CoalitionError(
        .unsupported, "\(operation) over no elements is not supported", found: "\(tensor.shape)")
    }
    if let integers = ordered.integers {
      var results: [Int] = []
      for group in 0..<groups {
        results.append(try integer(integers[(group * size)..<((group + 1) * size)]))
      }
      return [Tensor.integers(results, shape: result, like: tensor.elementType)]
    }
    let numbers = ordered.doubles
    let results = (0..<groups).map { group -> Double in
      let part = numbers[(group * size)..<((group + 1) * size)]
      switch operation {
      case "ReduceSum": return part.reduce(0, +)
      case "ReduceMean": return part.reduce(0, +) / Double(size)
      case "ReduceProd": return part.reduce(1, *)
      case "ReduceMax": return part.max() ?? 0
      default: return part.min() ?? 0
      }
    }
    return [Tensor(filling: result, with: .float64(results)).converted(to: tensor.elementType)]
  }

  private func integer(_ part: ArraySlice<Int>) throws(CoalitionError) -> Int {
    var result = operation == "ReduceProd" ? 1 : 0
    switch operation {
    case "ReduceMax": return part.max() ?? 0
    case "ReduceMin": return part.min() ?? 0
    default:
      for value in part {
        let (next, overflow) =
          operation == "ReduceProd"
          ? result.multipliedReportingOverflow(by: value) : result.addingReportingOverflow(value)
        guard !overflow else {
          throw CoalitionError(.invalidData, "\(operation) of whole numbers overflows")
        }
        result = next
      }
    }
    return operation == "ReduceMean" ? result / max(part.count, 1) : result
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    let view = try lowering.lanes(0)
    let target = try lowering.outputInfo().shape
    let axes = try reduced(
      view.axes.count, lowering.inputs[optional: 1]?.constant?.value.integers)
    if axes.isEmpty { return lowering.set(view) }
    let kept = view.axes.indices.filter { !axes.contains($0) }
    let size = axes.reduce(1) { $0 * view.shape[$1] }
    // [reduced][kept]: a map of one row whose channels are what is kept.
    let order = axes.sorted() + kept
    var source = view.isDense(inOrder: order) ? view : try lowering.copied(view, inOrder: order)
    let count = kept.reduce(1) { $0 * view.shape[$1] }
    var window = PlacedWindow.point
    (window.size, window.kernel) = (size, size)
    let negative = Function(LN_FUNCTION_negative)
    if operation == "ReduceMin" { source = try lowering.applied(negative, to: source) }
    let place = lowering.buffer(count)
    let kind: PoolStep.Kind =
      operation == "ReduceSum" ? .sum : operation == "ReduceMean" ? .average : .maximum
    lowering.emit(
      PoolStep(
        kind: kind, countsPadding: false, images: 1, channels: count, vertical: .point,
        horizontal: window, input: source.operand, output: place))
    let result =
      operation == "ReduceMin"
      ? try lowering.applied(negative, to: View(place, shape: [count])).operand : place
    lowering.set(View(result, shape: target))
  }
}
