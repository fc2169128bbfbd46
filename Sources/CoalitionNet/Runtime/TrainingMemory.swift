// The numbers of a training session: parameters, what the rule remembers of them, and how they go into blocks. The
// pointers of an update are taken in this file only.

import CLanes
import CoalitionBase

/// The elements of one parameter.
///
/// They lie in the order in which the first source of their gradient has its numbers, so that sums and updates run
/// through memory from end to end; `elements` says which is which.
struct ParameterMemory: Sendable {
  let name: String
  let shape: [Int]
  /// Per place the element.
  let elements: [Int32]
  /// Per element its place.
  let places: [Int32]
  let value: AlignedMemory
  private let first: AlignedMemory
  private let second: AlignedMemory?
  /// Room for sources that do not go place by place.
  private let gradient: AlignedMemory?
  private let sources: [Source]

  private struct Source: Sendable {
    var slot: Int
    var places: AlignedMemory?
  }

  init(
    _ tensor: Tensor, name: String, _ sources: [GradientSource], _ precision: Precision,
    _ rule: UpdateRule
  ) throws(CoalitionError) {
    self.name = name
    shape = tensor.shape
    let count = tensor.count
    var order: [Int32] = []
    var places = [Int32](repeating: -1, count: count)
    for element in sources.first?.elements ?? [] where places[Int(element)] < 0 {
      places[Int(element)] = Int32(order.count)
      order.append(element)
    }
    for element in 0..<count where places[element] < 0 {
      places[element] = Int32(order.count)
      order.append(Int32(element))
    }
    elements = order
    self.places = places
    let bytes = count * precision.byteCount
    value = try AlignedMemory(byteCount: bytes, zeroed: true)
    first = try AlignedMemory(byteCount: bytes, zeroed: true)
    second = rule.hasSecond ? try AlignedMemory(byteCount: bytes, zeroed: true) : nil
    var own: [Source] = []
    for source in sources {
      let targets = source.elements.map { places[Int($0)] }
      let isInOrder = targets.enumerated().allSatisfy { $0.offset == Int($0.element) }
      own.append(
        Source(slot: source.slot, places: isInOrder ? nil : try AlignedMemory(indices: targets)))
    }
    self.sources = own
    gradient =
      own.contains { $0.places != nil } ? try AlignedMemory(byteCount: bytes, zeroed: true) : nil
    switch precision {
    case .single: value.fill(order.map { [floats = tensor.floats] in floats[Int($0)] })
    case .double: value.fill(order.map { [doubles = tensor.doubles] in doubles[Int($0)] })
    }
  }

  /// The parameter as a tensor.
  func tensor(_ precision: Precision) -> Tensor {
    switch precision {
    case .single:
      let numbers = value.numbers(Float.self, count: elements.count)
      return Tensor(filling: shape, with: .float32(places.map { numbers[Int($0)] }))
    case .double:
      let numbers = value.numbers(Double.self, count: elements.count)
      return Tensor(filling: shape, with: .float64(places.map { numbers[Int($0)] }))
    }
  }

  /// - Parameter rows: per slot, its address, how many rows it has, and numbers of a row.
  fileprivate func encodedSources(
    _ rows: (Int) -> (UnsafeMutableRawPointer?, rows: Int, count: Int, isWide: Bool)
  ) -> [ln_gradient_rows] {
    sources.map { source in
      let (address, rows, count, isWide) = rows(source.slot)
      return ln_gradient_rows(
        values: address, rows: Int64(rows), count: Int64(count), is_wide: isWide ? 1 : 0,
        of: source.places?.indices)
    }
  }

  fileprivate func encoded(
    _ sources: UnsafePointer<ln_gradient_rows>?, count: Int
  ) -> ln_parameter {
    ln_parameter(
      count: Int64(elements.count), value: value.address, first: first.address,
      second: second?.address, gradient: gradient?.address, sources: sources,
      source_count: Int32(count))
  }
}

/// A block of constants that is made from a parameter.
struct BlockMemory: Sendable {
  private let value: AlignedMemory
  private let count: Int
  private let places: AlignedMemory
  private let numbers: AlignedMemory
  private let packed: AlignedMemory
  private let shape: AlignedMemory?

  init(
    _ block: TrainingProgram.Block, _ parameter: ParameterMemory, packed: AlignedMemory,
    _ precision: Precision
  ) throws(CoalitionError) {
    value = parameter.value
    count = block.elements.count
    places = try AlignedMemory(indices: block.elements.map { parameter.places[Int($0)] })
    numbers = try AlignedMemory(
      byteCount: block.shape == nil ? 0 : count * precision.byteCount, zeroed: false)
    self.packed = packed
    shape = try block.shape.map { geometry throws(CoalitionError) in
      let memory = try AlignedMemory(byteCount: MemoryLayout<ln_conv>.stride, zeroed: false)
      memory.address.initializeMemory(as: ln_conv.self, to: geometry.encoded)
      return memory
    }
  }

  fileprivate var encoded: ln_repacking {
    ln_repacking(
      shape: shape.map { UnsafePointer($0.address.assumingMemoryBound(to: ln_conv.self)) },
      value: value.address, of: places.indices, count: Int64(count), numbers: numbers.address,
      packed: packed.address)
  }
}

/// All parameters and blocks of a session.
struct TrainingMemory: Sendable {
  let parameters: [ParameterMemory]
  let blocks: [BlockMemory]
  let precision: Precision

  /// Makes the blocks from the parameters.
  func repack(_ run: TrainingRun) {
    let encoded = blocks.map(\.encoded)
    encoded.withUnsafeBufferPointer { blocks in
      var update = ln_update()
      update.type = precision.encoded
      update.blocks = blocks.baseAddress
      update.block_count = blocks.count
      ln_train(&update, run.instructionSet.encoded, Int32(run.threads))
    }
  }

  /// One step of the rule with the gradients in `outputs`, then the blocks anew.
  func update(
    _ outputs: inout [SlotResult], _ plan: TrainingProgram, examples: Int, step: Int,
    _ run: TrainingRun
  ) {
    SlotResult.withPointers(&outputs) { addresses in
      let sources = parameters.map { parameter in
        parameter.encodedSources { slot in
          let (rows, count, isWide) = plan.rows(slot, examples: examples)
          return (addresses[slot], rows, count, isWide)
        }
      }
      var size = run.rule.encoded(step: step)
      Array(sources.joined()).withUnsafeBufferPointer { all in
        var first = 0
        let encoded = zip(parameters, sources).map { parameter, own in
          defer { first += own.count }
          return parameter.encoded(all.baseAddress.map { $0 + first }, count: own.count)
        }
        encoded.withUnsafeBufferPointer { parameters in
          blocks.map(\.encoded).withUnsafeBufferPointer { blocks in
            withUnsafePointer(to: &size) { size in
              var update = ln_update(
                type: precision.encoded, size: size, parameters: parameters.baseAddress,
                parameter_count: parameters.count, blocks: blocks.baseAddress,
                block_count: blocks.count)
              ln_train(&update, run.instructionSet.encoded, Int32(run.threads))
            }
          }
        }
      }
    }
  }
}

extension AlignedMemory {
  fileprivate convenience init(indices: [Int32]) throws(CoalitionError) {
    try self.init(byteCount: indices.count * 4, zeroed: false)
    fill(indices)
  }

  fileprivate var indices: UnsafePointer<Int32> {
    UnsafePointer(address.assumingMemoryBound(to: Int32.self))
  }

  /// Writes numbers from the start on.
  func fill<Number: BitwiseCopyable>(_ numbers: [Number]) {
    address.initializeMemory(as: Number.self, from: numbers, count: numbers.count)
  }

  fileprivate func numbers<Number: BitwiseCopyable>(
    _ type: Number.Type, count: Int
  ) -> [Number] {
    Array(
      UnsafeBufferPointer(start: address.assumingMemoryBound(to: Number.self), count: count))
  }
}
