// Axes of functions of elements: those of their inputs, aligned at the last one.

import CoalitionBase

extension Pointwise {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.broadcast([0])
  }
}

extension Arithmetic {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.broadcast(relations.inputs.values.indices)
  }
}

extension Identity {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.broadcast([0])
  }
}

extension Cast {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.broadcast([0])
  }
}

extension ConstantOperator {
  /// What is folded away follows the constants that it is made of; sizes and other numbers do not shrink.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    if isElementwise {
      relations.broadcast(relations.inputs.values.indices)
    } else {
      for index in relations.outputs.indices {
        relations.fixAxes(of: .output(index), "makes a constant of a written size")
      }
    }
  }
}

extension ConstantNode {
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.fixAxes(of: .output(0), "holds a constant of a written size")
  }
}

extension ShapeOf {
  /// The input may shrink: its sizes are asked for again.
  func relateAxes(_ relations: inout AxisRelations) throws(CoalitionError) {
    relations.fixAxes(of: .output(0), "tells sizes")
  }
}
