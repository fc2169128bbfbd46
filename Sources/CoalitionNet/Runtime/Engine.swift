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
    if !isStarted { isStarted = start() }
    let isRunning = isStarted
    if isRunning {
      jobs.append(job)
      pthread_cond_signal(wake)
    }
    pthread_mutex_unlock(lock)
    // A process that may not have another thread does the work where it stands.
    if !isRunning { job.runSynchronously(on: asUnownedSerialExecutor()) }
  }

  /// Starts the thread, which lives as long as the process. Returns whether it could be had.
  private func start() -> Bool {
    let context = Unmanaged.passRetained(self)
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<EngineThread>.fromOpaque(context).takeUnretainedValue().loop() }
        return nil
      }, context.toOpaque())
    guard status == 0 else {
      context.release()
      return false
    }
    pthread_detach(thread)
    return true
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
