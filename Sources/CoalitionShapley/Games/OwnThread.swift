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
      let work = Unmanaged.passRetained(Work { continuation.resume(returning: body()) })
      var thread = pthread_t()
      let status = pthread_create(&thread, nil, { start($0) }, work.toOpaque())
      if status == 0 {
        pthread_detach(thread)
      } else {
        // A process that may not have another thread waits where it stands.
        work.takeRetainedValue().body()
      }
    }
  }

  private static func start(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
    return nil
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
