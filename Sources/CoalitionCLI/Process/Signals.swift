// Interrupts: SIGINT and SIGTERM cancel the work, which then ends in order and leaves no partial file.
//
// The handler only writes the signal's number into a pipe; a thread reads it there and cancels. (Waiting for
// blocked signals instead does not work: while Swift's main function is suspended, its thread lets all signals
// through.) A second signal ends the process at once.

import CoalitionBase
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

enum Signals {
  private static let number = Atomic<Int32>(0)
  private static let readingEnd = Atomic<Int32>(-1)
  private static let writingEnd = Atomic<Int32>(-1)

  /// The signal that came: nil when none did.
  static var received: Int32? {
    let number = number.load(ordering: .acquiring)
    return number == 0 ? nil : number
  }

  /// Between two pieces of work that cannot be interrupted themselves.
  static func check() throws(CoalitionError) {
    if received != nil { throw CoalitionError(.cancelled, "interrupted; nothing was written") }
  }

  /// Calls `cancel` on the first signal. A closed pipe becomes an error of `write`.
  static func watch(_ cancel: @escaping @Sendable () -> Void) {
    signal(SIGPIPE, SIG_IGN)
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return }
    readingEnd.store(ends[0], ordering: .releasing)
    writingEnd.store(ends[1], ordering: .releasing)
    let context = Unmanaged.passRetained(Watch(cancel: cancel)).toOpaque()
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<Watch>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
    pthread_detach(thread)
    for number in [SIGINT, SIGTERM] { signal(number) { Signals.handle($0) } }
  }

  /// Runs inside of a signal handler: nothing but `write`, and `errno` as it was.
  private static func handle(_ signal: Int32) {
    let before = errno
    var byte = UInt8(truncatingIfNeeded: signal)
    _ = write(writingEnd.load(ordering: .acquiring), &byte, 1)
    errno = before
  }

  private final class Watch: Sendable {
    let cancel: @Sendable () -> Void
    init(cancel: @escaping @Sendable () -> Void) { self.cancel = cancel }

    func run() {
      var byte: UInt8 = 0
      while true {
        let got = read(Signals.readingEnd.load(ordering: .acquiring), &byte, 1)
        if got < 0 && errno == EINTR { continue }
        guard got == 1 else { return }
        if Signals.received != nil { _exit(128 + Int32(byte)) }
        Signals.number.store(Int32(byte), ordering: .releasing)
        cancel()
      }
    }
  }
}
