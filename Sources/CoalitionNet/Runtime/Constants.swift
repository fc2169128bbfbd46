// Blocks of constants in the form that the kernels read, shared between programs of one model.

import CLanes
import CoalitionBase
import Synchronization

/// The element type that a program computes in.
public enum Precision: String, Sendable, Hashable, CaseIterable {
  case single, double

  package var byteCount: Int { self == .single ? 4 : 8 }
  var encoded: ln_type { self == .single ? LN_FLOAT32 : LN_FLOAT64 }
}

/// One block, packed.
final class ConstantBlock: Sendable {
  let memory: AlignedMemory

  init(_ source: ConstantSource, _ precision: Precision) throws(CoalitionError) {
    memory = try AlignedMemory(byteCount: Self.byteCount(source, precision), zeroed: true)
    switch precision {
    case .single:
      fill(source, source.floats, ln_conv_pack_float32, ln_conv_pack_plain_float32)
    case .double:
      fill(source, source.doubles, ln_conv_pack_float64, ln_conv_pack_plain_float64)
    }
  }

  static func byteCount(_ source: ConstantSource, _ precision: Precision) -> Int {
    switch source.layout {
    case .rowMajor: return source.count * precision.byteCount
    case .convolution(let geometry):
      var shape = geometry.encoded
      return ln_conv_packed_count(&shape) * precision.byteCount
    case .plain(let geometry):
      var shape = geometry.encoded
      return ln_conv_plain_count(&shape) * precision.byteCount
    }
  }

  private typealias Packing<Number> = (
    UnsafePointer<ln_conv>?, UnsafePointer<Number>?, UnsafeMutablePointer<Number>?
  ) -> Void

  private func fill<Number>(
    _ source: ConstantSource, _ numbers: [Number], _ pack: Packing<Number>,
    _ packPlain: Packing<Number>
  ) {
    let target = memory.address.bindMemory(to: Number.self, capacity: numbers.count)
    numbers.withUnsafeBufferPointer { numbers in
      guard let start = numbers.baseAddress else { return }
      switch source.layout {
      case .rowMajor: target.update(from: start, count: numbers.count)
      case .convolution(let geometry):
        var shape = geometry.encoded
        pack(&shape, start, target)
      case .plain(let geometry):
        var shape = geometry.encoded
        packPlain(&shape, start, target)
      }
    }
  }
}

/// The blocks of a model that some program still uses, by what they are made from.
///
/// The store keeps no block alive: memory is what the living plans hold.
final class ConstantStore: Sendable {
  struct Key: Hashable {
    var name: ConstantSource.Name
    var layout: ConstantSource.Layout
    var precision: Precision

    /// Nil for a block of one program alone.
    init?(_ source: ConstantSource, _ precision: Precision) {
      guard let name = source.name else { return nil }
      (self.name, layout, self.precision) = (name, source.layout, precision)
    }
  }

  private struct Entry { weak var block: ConstantBlock? }

  private let entries = Mutex<[Key: Entry]>([:])

  func block(_ source: ConstantSource, _ precision: Precision) throws(CoalitionError)
    -> ConstantBlock
  {
    guard let key = Key(source, precision) else { return try ConstantBlock(source, precision) }
    if let block = entries.withLock({ $0[key]?.block }) { return block }
    let block = try ConstantBlock(source, precision)
    return entries.withLock { entries in
      if let other = entries[key]?.block { return other }
      entries[key] = Entry(block: block)
      return block
    }
  }

  /// Bytes of all blocks that are alive.
  var byteCount: Int {
    entries.withLock { entries in
      entries = entries.filter { $0.value.block != nil }
      return entries.values.reduce(0) { $0 + ($1.block?.memory.byteCount ?? 0) }
    }
  }
}
