// Reshape, Flatten, Squeeze and Unsqueeze: the same elements in row-major order under another shape.
//
// The axis of examples goes along with its elements: a digit of the flat index with so many elements before it. A
// shape that was computed from a tensor with examples says where the axis goes, by what two examples would have
// changed. So does a shape that is written down in a file that leaves the number of examples open. In a file for one
// example a written shape holds only for that one: its axis of size 1 with as many elements before it is taken for
// the examples. Squeeze never drops the examples unless it is told to, and then they mix.

import CoalitionBase

struct Reshape: Operator {
  static let operations = ["Reshape", "Flatten", "Squeeze", "Unsqueeze"]

  private enum Form: Sendable {
    case reshape(allowsZero: Bool)
    case flatten(axis: Int)
    /// nil: the axes are an input.
    case squeeze([Int]?)
    case unsqueeze([Int]?)
  }

  private let operation: String
  private let form: Form

  init(reading node: NodeReader) throws(CoalitionError) {
    operation = node.operation
    switch node.operation {
    case "Reshape":
      guard node.opset >= 5 else { throw node.unsupported("its shape as an attribute") }
      form = .reshape(allowsZero: try node.flag("allowzero", false))
    case "Flatten": form = .flatten(axis: try node.int("axis", 1))
    case "Squeeze": form = .squeeze(node.opset < 13 ? try node.ints("axes") : nil)
    case "Unsqueeze": form = .unsqueeze(node.opset < 13 ? try node.ints("axes") : nil)
    default: throw node.unsupported("this operator")
    }
  }

  var kind: OperatorKind { .movement }

  // MARK: Shapes

  /// The output's shape for an input of shape `shape` and the elements of the second input.
  private func target(_ shape: [Int], _ parameter: [Int]?) throws(CoalitionError) -> [Int] {
    switch form {
    case .reshape(let allowsZero):
      guard let parameter else { throw CoalitionError(.invalidData, "Reshape has no shape") }
      return try Self.resolved(parameter, from: shape, allowsZero: allowsZero)
    case .flatten(let axis):
      let cut = axis < 0 ? axis + shape.count : axis
      guard (0...shape.count).contains(cut) else {
        throw CoalitionError(
          .invalidData, "the axis of Flatten lies outside of the tensor",
          expected: "-\(shape.count) to \(shape.count)", found: "\(axis)")
      }
      return [shape[..<cut].reduce(1, *), shape[cut...].reduce(1, *)]
    case .squeeze(let written):
      guard let axes = written ?? parameter else { return shape.filter { $0 != 1 } }
      var dropped = Set<Int>()
      for axis in axes {
        let axis = try resolveAxis(axis, rank: shape.count)
        guard axis < shape.count, shape[axis] == 1 else {
          throw CoalitionError(
            .shapeMismatch, "Squeeze drops an axis that is not of size 1", expected: "1",
            found: "axis \(axis) of \(shape)")
        }
        dropped.insert(axis)
      }
      return shape.indices.filter { !dropped.contains($0) }.map { shape[$0] }
    case .unsqueeze(let written):
      guard let axes = written ?? parameter else {
        throw CoalitionError(.invalidData, "Unsqueeze has no axes")
      }
      let rank = shape.count + axes.count
      var added = Set<Int>()
      for axis in axes {
        guard added.insert(try resolveAxis(axis, rank: rank)).inserted else {
          throw CoalitionError(.invalidData, "Unsqueeze adds an axis twice", found: "\(axes)")
        }
      }
      var rest = shape.makeIterator()
      return (0..<rank).map { added.contains($0) ? 1 : rest.next() ?? 1 }
    }
  }

  /// A written shape with 0 (the input's size) and -1 (what is left) filled in.
  private static func resolved(
    _ wanted: [Int], from shape: [Int], allowsZero: Bool
  ) throws(CoalitionError) -> [Int] {
    func mismatch() -> CoalitionError {
      CoalitionError(
        .shapeMismatch, "the shape of Reshape does not hold its input's elements",
        expected: "\(shape.reduce(1, *)) elements of \(shape)", found: "\(wanted)")
    }
    var result = wanted
    for (axis, size) in wanted.enumerated() {
      guard size >= -1 else { throw mismatch() }
      if size == 0 && !allowsZero {
        guard axis < shape.count else { throw mismatch() }
        result[axis] = shape[axis]
      }
    }
    let open = result.indices.filter { result[$0] == -1 }
    guard open.count <= 1, let count = Tensor.count(of: shape),
      let known = Tensor.count(of: result.filter { $0 != -1 })
    else { throw mismatch() }
    if let axis = open.first {
      guard known > 0, count % known == 0 else { throw mismatch() }
      result[axis] = count / known
    } else if known != count {
      throw mismatch()
    }
    return result
  }

  // MARK: Inference

  func infer(_ inputs: Inputs) throws(CoalitionError) -> [ValueInfo] {
    let x = try inputs.required(0)
    let parameter = try inputs.constantIntegers(1, "shape or axes")
    var output = x
    output.constant = nil
    if let kept = keepingExamples(x, inputs) {
      output.shape = kept
    } else {
      output.shape = try target(x.shape, parameter)
    }
    output.example = place(x, output.shape, inputs)
    return [output]
  }

  /// The output's shape of a Squeeze to which no axes are given: it drops every axis of size 1, but for that of the
  /// examples. nil: another node.
  private func keepingExamples(_ x: ValueInfo, _ inputs: Inputs) -> [Int]? {
    guard case .squeeze(nil) = form, inputs[optional: 1] == nil, let axis = x.example.axis else {
      return nil
    }
    return x.shape.indices.filter { $0 == axis || x.shape[$0] != 1 }.map { x.shape[$0] }
  }

  private func place(_ x: ValueInfo, _ shape: [Int], _ inputs: Inputs) -> ExampleAxis {
    guard case .at(let axis, let outer, let inner) = x.example else { return x.example }
    let before = x.shape[..<axis].reduce(1, *) * outer
    let after = inner * x.shape[(axis + 1)...].reduce(1, *)
    /// The place within `target` when it is the right one.
    func fits(_ target: Int) -> ExampleAxis? {
      let outside = shape[..<target].reduce(1, *)
      let inside = shape[(target + 1)...].reduce(1, *)
      guard outside > 0, inside > 0, before % outside == 0, after % inside == 0 else { return nil }
      return .at(target, outer: before / outside, inner: after / inside)
    }
    if case .squeeze(let axes) = form, axes == nil, inputs[optional: 1] == nil {
      return fits(x.shape[..<axis].count { $0 != 1 }) ?? .mixed
    }
    // What two examples would give.
    let parameter = inputs[optional: 1]?.constant
    var two = x.shape
    two[axis] *= 2
    let doubled = try? target(two, (parameter?.probe ?? parameter?.value)?.integers)
    let grown = doubled.flatMap { doubled in
      doubled.count == shape.count
        ? shape.indices.filter { doubled[$0] != shape[$0] } : nil
    }
    if let grown, let target = grown.first, grown.count == 1,
      doubled?[target] == 2 * shape[target], shape[target] == 1 || parameter?.probe != nil
    {
      return fits(target) ?? .mixed
    }
    // The examples are within an axis that also holds other elements.
    var merged: ExampleAxis?
    if parameter?.probe == nil, let target = grown?.first, grown?.count == 1 {
      merged = fits(target)
    }
    // Whether a written shape was meant for one example: it does not hold for two, or the file never has two.
    let isForOne = doubled == nil || !inputs.hasOpenBatch
    guard case .reshape = form, parameter?.probe == nil, isForOne else { return merged ?? .mixed }
    let candidates = shape.indices.filter { shape[$0] == 1 && fits($0) == .at($0) }
    if let target = candidates.contains(axis) ? axis : candidates.first { return .at(target) }
    return merged ?? shape.indices.lazy.compactMap(fits).first ?? .mixed
  }

  // MARK: Values

  func fold(_ inputs: [Tensor?]) throws(CoalitionError) -> [Tensor]? {
    guard let tensor = inputs.first ?? nil else { return nil }
    let parameter = inputs.count > 1 ? inputs[1]?.integers : nil
    return [try tensor.reshaped(to: try target(tensor.shape, parameter))]
  }

  func lower(_ lowering: inout Lowering) throws(CoalitionError) {
    lowering.set(try lowering.reshaped(try lowering.view(0), to: try lowering.outputInfo().shape))
  }
}

extension Lowering {
  /// The same elements in row-major order under another shape: a copy where no view can say it.
  mutating func reshaped(_ view: View, to shape: [Int]) throws(CoalitionError) -> View {
    if let reshaped = view.reshaped(to: shape) { return reshaped }
    guard let reshaped = try copied(view).reshaped(to: shape) else {
      throw CoalitionError(.internalFault, "\(view.shape) has no view of shape \(shape)")
    }
    return reshaped
  }
}
