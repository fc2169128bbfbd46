// Linear systems by Gaussian elimination, as a reference.

/// The x with `matrix` x = `right`, the matrix row by row; by the largest pivot of each column.
func solution(_ matrix: [[Double]], _ right: [Double]) -> [Double] {
  var rows = zip(matrix, right).map { $0 + [$1] }
  let count = rows.count
  for column in 0..<count {
    let best = (column..<count).max { abs(rows[$0][column]) < abs(rows[$1][column]) } ?? column
    rows.swapAt(column, best)
    for row in 0..<count where row != column {
      let factor = rows[row][column] / rows[column][column]
      for place in column...count { rows[row][place] -= factor * rows[column][place] }
    }
  }
  return (0..<count).map { rows[$0][count] / rows[$0][$0] }
}

/// The x that minimises sum of w (y - features x)^2 under equations, by the normal equations with multipliers.
func constrainedFit(
  _ features: [[Double]], _ targets: [Double], weights: [Double],
  equations: [(features: [Double], value: Double)]
) -> [Double] {
  let unknowns = features[0].count
  var matrix: [[Double]] = []
  var right: [Double] = []
  for row in 0..<unknowns {
    var line = [Double](repeating: 0, count: unknowns)
    var value = 0.0
    for (index, feature) in features.enumerated() {
      for column in 0..<unknowns { line[column] += weights[index] * feature[row] * feature[column] }
      value += weights[index] * feature[row] * targets[index]
    }
    matrix.append(line + equations.map { $0.features[row] })
    right.append(value)
  }
  for equation in equations {
    matrix.append(equation.features + equations.map { _ in 0 })
    right.append(equation.value)
  }
  return Array(solution(matrix, right).prefix(unknowns))
}
