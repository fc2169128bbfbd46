// Memory that the C core works in.

import CLanes
import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// Memory of the whole process.
package enum ProcessMemory {
  /// Keeps memory that is given back for what is asked for next. For programs to call, before anything else: how a
  /// process uses memory is not for a library to say.
  package static func keepFreed() { ln_keep_freed_memory() }
}

/// A block of bytes, aligned to cache lines.
///
/// Written by its maker before it is shared, or by one run at a time.
final class AlignedMemory: @unchecked Sendable {
  let address: UnsafeMutableRawPointer
  let byteCount: Int

  /// - Parameter zeroed: whether every byte starts as zero; else the contents are whatever was there.
  init(byteCount: Int, zeroed: Bool) throws(CoalitionError) {
    let alignment = Int(LN_ALIGNMENT)
    let rounded = max(byteCount, 1).addingReportingOverflow(alignment - 1)
    var pointer: UnsafeMutableRawPointer?
    guard !rounded.overflow,
      posix_memalign(&pointer, alignment, rounded.partialValue / alignment * alignment) == 0,
      let pointer
    else {
      throw CoalitionError(.limitExceeded, "\(byteCount) bytes of memory are not to be had")
    }
    if zeroed { memset(pointer, 0, byteCount) }
    address = pointer
    self.byteCount = byteCount
  }

  deinit { free(address) }
}

/// A flag to stop a call and a count of what it has done, readable from any thread while the call runs.
final class CallControl: @unchecked Sendable {
  let cancelFlag: UnsafeMutablePointer<Int32>
  let counter: UnsafeMutablePointer<UInt64>

  init() {
    cancelFlag = .allocate(capacity: 1)
    cancelFlag.initialize(to: 0)
    counter = .allocate(capacity: 1)
    counter.initialize(to: 0)
  }

  deinit {
    cancelFlag.deallocate()
    counter.deallocate()
  }

  func cancel() { ln_flag_raise(cancelFlag) }
  var examplesDone: Int { Int(ln_counter_read(counter)) }
}
