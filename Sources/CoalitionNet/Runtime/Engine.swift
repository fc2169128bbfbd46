// One engine thread per process.
//
// Every call into the C core that may take time starts here, so that one OpenMP team serves all tasks and Swift's
// cooperative threads are never blocked: tasks that wait for the engine are suspended, not stuck.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// The place where programs run, one after the other.
actor Engine {
  static let shared = Engine()
  private static let thread = EngineThread()

  nonisolated var unownedExecutor: UnownedSerialExecutor {
    Self.thread.asUnownedSerialExecutor()
  }

  /// Runs `body` on the engine thread.
  func run<Result: Sendable>(_ body: @Sendable () -> Result) -> Result { body() }
}

/// A serial executor on a thread of its own.
private final class EngineThread: SerialExecutor, @unchecked Sendable {
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wake: UnsafeMutablePointer<pthread_cond_t>
  private var jobs: [UnownedJob] = []  // guarded by `lock`
  private var isStarted = false  // guarded by `lock`

  init() {
    lock = .allocate(capacity: 1)
    wake = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wake, nil)
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    pthread_mutex_lock(lock)
    jobs.append(job)
    if !isStarted {
      isStarted = true
      start()
    }
    pthread_cond_signal(wake)
    pthread_mutex_unlock(lock)
  }

  private func start() {
    // The engine lives as long as the process.
    let context = Unmanaged.passRetained(self).toOpaque()
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<EngineThread>.fromOpaque(context).takeUnretainedValue().loop() }
        return nil
      }, context)
    pthread_detach(thread)
  }

  private func loop() {
    while true {
      pthread_mutex_lock(lock)
      while jobs.isEmpty { pthread_cond_wait(wake, lock) }
      let job = jobs.removeFirst()
      pthread_mutex_unlock(lock)
      job.runSynchronously(on: asUnownedSerialExecutor())
    }
  }
}
