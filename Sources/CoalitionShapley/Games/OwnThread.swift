// Work that blocks, off Swift's cooperative threads.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

enum OwnThread {
  /// Runs `body` on a thread that it may block, with SIGPIPE held back: a signal that is pending when the thread ends
  /// goes with it, so that writing to a closed pipe is an error of `write` and nothing else.
  static func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      start { continuation.resume(returning: body()) }
    }
  }

  private static func start(_ body: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(Work(body)).toOpaque()
    guard !begin(context) else { return }
    Unmanaged<Work>.fromOpaque(context).release()
    // A process that may not have another thread waits where it stands.
    body()
  }

  /// Whether there is a thread for it.
  private static func begin(_ context: UnsafeMutableRawPointer) -> Bool {
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { context in
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
        return nil
      }, context)
    if status == 0 { pthread_detach(thread) }
    return status == 0
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
