// The caller's arrays during a call. Their pointers are taken in this file only.

package import CoalitionBase

/// What a call gives one input slot: rows, and which of them each example takes.
package struct SlotRows: Sendable {
  /// Numbers in the program's element type; or, for coalitions, 32-bit words.
  let elements: Tensor.Elements
  /// Per example its row: nil when every example has its own, in order.
  let rowOf: [Int32]?

  package init(_ tensor: Tensor, _ precision: Precision, rowOf: [Int32]? = nil) {
    switch precision {
    case .single: elements = .float32(tensor.floats)
    case .double: elements = .float64(tensor.doubles)
    }
    self.rowOf = rowOf
  }

  /// Rows of 32-bit words, whatever the precision.
  package init(words: [Int32], rowOf: [Int32]? = nil) {
    elements = .int32(words)
    self.rowOf = rowOf
  }

  /// The same for some of the examples.
  func rows(of examples: Range<Int>) -> SlotRows {
    SlotRows(
      elements: elements, rowOf: rowOf.map { Array($0[examples]) } ?? examples.map { Int32($0) })
  }

  /// The same rows, taken by other examples.
  func rows(_ rowOf: [Int32]) -> SlotRows { SlotRows(elements: elements, rowOf: rowOf) }

  private init(elements: Tensor.Elements, rowOf: [Int32]) {
    self.elements = elements
    self.rowOf = rowOf
  }

  var byteCount: Int {
    let rows =
      switch elements {
      case .float32(let values): values.count * 4
      case .float64(let values): values.count * 8
      case .int32(let values): values.count * 4
      case .int64, .uint8, .bool: 0
      }
    return rows + (rowOf?.count ?? 0) * 4
  }

  /// The pointers of several slots, valid during `body`.
  struct Pointers {
    var rows: [UnsafeRawPointer?] = []
    var rowOf: [UnsafePointer<Int32>?] = []
  }

  static func withPointers<Outcome>(
    _ slots: ArraySlice<SlotRows>, _ pointers: Pointers = Pointers(), _ body: (Pointers) -> Outcome
  ) -> Outcome {
    guard let first = slots.first else { return body(pointers) }
    func next(_ bytes: UnsafeRawBufferPointer) -> Outcome {
      var pointers = pointers
      pointers.rows.append(bytes.baseAddress)
      guard let rowOf = first.rowOf else {
        pointers.rowOf.append(nil)
        return withPointers(slots.dropFirst(), pointers, body)
      }
      return rowOf.withUnsafeBufferPointer { indices in
        pointers.rowOf.append(indices.baseAddress)
        return withPointers(slots.dropFirst(), pointers, body)
      }
    }
    return switch first.elements {
    case .float32(let values): values.withUnsafeBytes(next)
    case .float64(let values): values.withUnsafeBytes(next)
    case .int32(let values): values.withUnsafeBytes(next)
    case .int64, .uint8, .bool: next(UnsafeRawBufferPointer(start: nil, count: 0))
    }
  }
}

/// Room for the rows of one output slot. The program writes every element of it, unless it holds sums.
package struct SlotResult: Sendable {
  private let precision: Precision
  // Of the precision's type the elements, of the other one nothing: an array inside an enum would be copied when it is
  // written.
  private var floats: [Float] = []
  private var doubles: [Double] = []

  private let count: Int
  private let isCleared: Bool

  /// Memory is taken when a run writes there: a call that is handed on has none yet.
  package init(count: Int, _ precision: Precision) {
    (self.precision, self.count, isCleared) = (precision, count, false)
  }

  /// Sums in double, for programs that do not write all of them: the others are 0.
  package init(sums count: Int) {
    (precision, self.count, isCleared) = (.double, count, true)
  }

  package var elements: Tensor.Elements {
    precision == .single ? .float32(floats) : .float64(doubles)
  }

  package var byteCount: Int { count * precision.byteCount }

  /// The pointers of several slots, valid during `body`.
  static func withPointers<Outcome>(
    _ results: inout [SlotResult], _ index: Int = 0, _ pointers: [UnsafeMutableRawPointer?] = [],
    _ body: ([UnsafeMutableRawPointer?]) -> Outcome
  ) -> Outcome {
    guard index < results.count else { return body(pointers) }
    // The array leaves `results` while it is written, so that it has one owner.
    switch results[index].precision {
    case .single:
      var values: [Float] = []
      swap(&values, &results[index].floats)
      let count = results[index].count
      if values.isEmpty { values = [Float](unsafeUninitializedCapacity: count) { $1 = count } }
      defer { results[index].floats = values }
      return values.withUnsafeMutableBytes {
        withPointers(&results, index + 1, pointers + [$0.baseAddress], body)
      }
    case .double:
      var values: [Double] = []
      swap(&values, &results[index].doubles)
      let count = results[index].count
      if values.isEmpty {
        values =
          results[index].isCleared
          ? [Double](repeating: 0, count: count)
          : [Double](unsafeUninitializedCapacity: count) { $1 = count }
      }
      defer { results[index].doubles = values }
      return values.withUnsafeMutableBytes {
        withPointers(&results, index + 1, pointers + [$0.baseAddress], body)
      }
    }
  }
}
