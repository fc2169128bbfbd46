// Interrupts: SIGINT and SIGTERM cancel the work, which then ends in order and leaves no partial file.
//
// Both signals are blocked in every thread and waited for in one of their own, so that no handler ever runs. A
// second signal ends the process at once. Children inherit the block: whoever starts one unblocks them there.

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

  /// The signal that came: nil when none did.
  static var received: Int32? {
    let number = number.load(ordering: .acquiring)
    return number == 0 ? nil : number
  }

  private static var watched: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGTERM)
    return set
  }

  /// Before any thread starts: threads inherit what is blocked. A closed pipe becomes an error of `write`.
  static func prepare() {
    signal(SIGPIPE, SIG_IGN)
    var set = watched
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Calls `cancel` on the first signal.
  static func watch(_ cancel: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(Watch(cancel: cancel)).toOpaque()
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<Watch>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
    pthread_detach(thread)
  }

  private final class Watch: Sendable {
    let cancel: @Sendable () -> Void
    init(cancel: @escaping @Sendable () -> Void) { self.cancel = cancel }

    func run() {
      var set = Signals.watched
      var signal: Int32 = 0
      while sigwait(&set, &signal) == 0 {
        if Signals.received != nil { _exit(128 + signal) }
        Signals.number.store(signal, ordering: .releasing)
        cancel()
      }
    }
  }
}

extension Signals {
  /// Between two pieces of work that cannot be interrupted themselves.
  static func check() throws(CoalitionError) {
    if received != nil { throw CoalitionError(.cancelled, "interrupted; nothing was written") }
  }
}
