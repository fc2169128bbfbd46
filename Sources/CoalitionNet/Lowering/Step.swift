// Steps: the instructions of a program, before buffers have their places.
//
// Every family declares its step beside its operators; a step knows what it reads and writes, and how
// it becomes the C struct of csrc/include/lanes.h once the arena is planned.

import CLanes
import CoalitionBase

protocol Step: Sendable {
  /// Everything the step reads, constants included.
  var reads: [Operand] { get }
  /// nil for a step that writes to the caller's arrays.
  var writes: Operand? { get }
  /// What it writes besides: none of it shares memory with `writes` or, but for `replacements`, with anything that is
  /// read.
  var alsoWrites: [Operand] { get }
  /// A buffer that is read position by position just before the same position is written: the output may take its
  /// place when nobody reads it later.
  var overwrites: Operand? { get }
  /// Outputs, each with the input whose place it may take in this way.
  var replacements: [(output: Operand, input: Operand)] { get }
  /// The same step with another operand in place of each.
  func encoded(_ places: Places) -> ln_step
  /// A line for `coalition plan`, without operands.
  var summary: String { get }
  /// Floating-point operations for one lane: two per multiply-add, taps on padding not counted.
  var operations: Int { get }
}

extension Step {
  var alsoWrites: [Operand] { [] }
  /// Everything that the step writes into the arena.
  var allWrites: [Operand] { (writes.map { [$0] } ?? []) + alsoWrites }
  var overwrites: Operand? { nil }
  var replacements: [(output: Operand, input: Operand)] {
    guard let writes, let overwrites else { return [] }
    return [(writes, overwrites)]
  }
  var operations: Int { 0 }
}

extension Sequence<Int> {
  /// The sum, or `Int.max` where it is larger: the work that a file asks for has no bound.
  package var saturatingSum: Int {
    reduce(0) { sum, count in
      let (next, overflow) = sum.addingReportingOverflow(count)
      return overflow ? .max : next
    }
  }
}

/// Where the planned operands lie.
struct Places {
  /// Per buffer: the position that it starts at, in elements from the start of the arena for one lane.
  var bufferStarts: [Int]
  var lanes: Int

  func callAsFunction(_ operand: Operand) -> ln_ref {
    switch operand.space {
    case .buffer(let id):
      ln_ref(offset: Int64((bufferStarts[id] + operand.offset) * lanes), block: Int32(LN_ARENA))
    case .constant(let id):
      ln_ref(offset: Int64(operand.offset), block: Int32(id))
    }
  }

  func callAsFunction(_ operand: Operand?) -> ln_ref {
    operand.map { self($0) } ?? ln_ref(offset: 0, block: Int32(LN_ABSENT))
  }
}

/// What a block of constants is made from.
struct ConstantSource: Sendable {
  /// The order of the numbers in memory.
  enum Layout: Hashable, Sendable {
    case rowMajor
    case convolution(ConvolutionGeometry)
    /// The weights of a convolution as deltas read them, whatever its own algorithm.
    case plain(ConvolutionGeometry)
  }

  /// Names the numbers of a block within a model: which constant of the graph, and what was done to it.
  struct Name: Hashable, Sendable {
    var value: String
    var form = ""
  }

  /// What the numbers are read from, and what is done to them one after the other. They are made when a block is filled: where a view
  /// can say it, drafts hold no copies of weights.
  private let view: HostView
  private var lenses: [Lens] = []
  private(set) var layout: Layout
  /// Lets programs of one model share the block; nil: a block of this program alone.
  private(set) var name: Name?

  init(_ view: HostView, layout: Layout = .rowMajor, name: Name? = nil) {
    (self.view, self.layout, self.name) = (view, layout, name)
  }

  var count: Int { view.count }

  private func seen(_ number: Double) -> Double { lenses.reduce(number) { $1($0) } }

  /// The numbers: in double precision where a lens has gone over them.
  var tensor: Tensor {
    let tensor = view.materialised()
    if lenses.isEmpty { return tensor }
    return Tensor(filling: tensor.shape, with: .float64(tensor.doubles.map(seen)))
  }

  var doubles: [Double] { tensor.doubles }

  /// In single precision. Lenses go over doubles.
  var floats: [Float] {
    if !lenses.isEmpty, case .float32(let numbers) = view.materialised().elements {
      return numbers.map { Float(seen(Double($0))) }
    }
    return tensor.floats
  }

  /// The first number of a constant in double precision.
  var firstDouble: Double? { view.firstDouble.map(seen) }

  /// Bytes that making the numbers takes beside them.
  func makingByteCount(_ precision: Precision) -> Int {
    let stored = view.elementType == .float64 ? 8 : 4
    let isPlain = stored == precision.byteCount
    let seen = lenses.isEmpty ? 0 : stored == 4 && precision == .single ? 4 : 16
    return count * (stored + seen + (isPlain ? 0 : precision.byteCount))
  }

  /// The same numbers in another layout.
  func laidOut(_ layout: Layout) -> ConstantSource {
    var source = self
    source.layout = layout
    return source
  }

  /// With a lens applied to every number.
  func seen(through lens: Lens) -> ConstantSource {
    if lens == .identity { return self }
    var source = self
    source.lenses.append(lens)
    source.name?.form += " \(lens)"
    return source
  }

  /// In another order, or some of them.
  /// - Parameter form: says which, for the name.
  func moved(
    _ form: String, layout: Layout, _ move: (HostView) throws(CoalitionError) -> HostView
  ) throws(CoalitionError) -> ConstantSource {
    var source = ConstantSource(try move(view), layout: layout, name: name)
    source.lenses = lenses
    source.name?.form += " \(form)"
    return source
  }
}

/// A program whose buffers have sizes but no places yet.
struct Draft: Sendable {
  /// Positions per buffer.
  var buffers: [Int] = []
  var constants: [ConstantSource] = []
  var steps: [any Step] = []
  /// Per step: the node that it belongs to.
  var labels: [String] = []
  /// Buffers that only the steps of one part of the program use, part by part. Parts share memory.
  var scopes: [Range<Int>] = []
}

// MARK: - C forms

extension Nest {
  var encoded: ln_nest {
    var nest = ln_nest()
    nest.axes = Int32(sizes.count)
    withUnsafeMutableBytes(of: &nest.size) { bytes in
      for (axis, size) in sizes.enumerated() {
        bytes.storeBytes(of: Int32(size), toByteOffset: axis * 4, as: Int32.self)
      }
    }
    return nest
  }

  func encodedStrides(_ view: Int) -> ln_strides {
    var result = ln_strides()
    withUnsafeMutableBytes(of: &result.stride) { bytes in
      for (axis, stride) in strides[view].enumerated() {
        bytes.storeBytes(of: Int64(stride), toByteOffset: axis * 8, as: Int64.self)
      }
    }
    return result
  }
}

/// A function of one number with its parameters, as lanes.h defines it.
struct Function: Hashable, Sendable {
  var id: Int32
  var a = 0.0
  var b = 0.0

  init(_ id: ln_function_id, _ a: Double = 0, _ b: Double = 0) {
    self.id = Int32(id.rawValue)
    self.a = a
    self.b = b
  }

  static let identity = Function(LN_FUNCTION_identity)

  var encoded: ln_function { ln_function(id: id, a: a, b: b) }
  var name: String { String(cString: ln_function_name(ln_function_id(rawValue: UInt32(id)))) }
}
