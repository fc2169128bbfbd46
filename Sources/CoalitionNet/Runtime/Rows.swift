// The caller's arrays during a call: rows of examples in the element type of the program.

import CoalitionBase

/// Rows of one input, converted to the element type of a program.
struct InputRows: Sendable {
  private let elements: Tensor.Elements

  init(_ tensor: Tensor, _ precision: Precision) {
    switch precision {
    case .single: elements = .float32(tensor.floats)
    case .double: elements = .float64(tensor.doubles)
    }
  }

  /// Pointers to the rows of several inputs, valid during `body`.
  static func withPointers(
    _ rows: ArraySlice<InputRows>, _ pointers: [UnsafeRawPointer?] = [],
    _ body: ([UnsafeRawPointer?]) throws(CoalitionError) -> Void
  ) throws(CoalitionError) {
    guard let first = rows.first else { return try body(pointers) }
    var outcome: Result<Void, CoalitionError> = .success(())
    func next(_ bytes: UnsafeRawBufferPointer) {
      outcome = Result { () throws(CoalitionError) in
        try withPointers(rows.dropFirst(), pointers + [bytes.baseAddress], body)
      }
    }
    switch first.elements {
    case .float32(let values): values.withUnsafeBytes(next)
    case .float64(let values): values.withUnsafeBytes(next)
    default: throw CoalitionError(.internalFault, "rows are floating-point numbers")
    }
    try outcome.get()
  }
}

/// Room for the rows of all outputs.
struct OutputRows {
  private let memory: [AlignedMemory]
  private let counts: [Int]
  private let precision: Precision

  init(counts: [Int], precision: Precision) throws(CoalitionError) {
    self.counts = counts
    self.precision = precision
    var memory: [AlignedMemory] = []
    for count in counts {
      memory.append(try AlignedMemory(byteCount: count * precision.byteCount, zeroed: false))
    }
    self.memory = memory
  }

  var pointers: [UnsafeMutableRawPointer?] { memory.map(\.address) }

  /// The rows as arrays.
  var elements: [Tensor.Elements] {
    zip(memory, counts).map { memory, count in
      switch precision {
      case .single:
        let values = memory.address.bindMemory(to: Float.self, capacity: count)
        return .float32(Array(UnsafeBufferPointer(start: values, count: count)))
      case .double:
        let values = memory.address.bindMemory(to: Double.self, capacity: count)
        return .float64(Array(UnsafeBufferPointer(start: values, count: count)))
      }
    }
  }
}
