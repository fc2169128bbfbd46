// A command of the shell with pipes to its standard input and from its standard output.
//
// Started by posix_spawn in a process group of its own, so that whatever the command starts ends with it. Our ends of
// the pipes do not block and are closed in every other child. Nothing here waits longer than it is told to; what
// goes through the pipes is GameConversation's subject.

import CoalitionBase
import Synchronization

#if canImport(Glibc)
  @preconcurrency import Glibc
#elseif canImport(Darwin)
  @preconcurrency import Darwin
#elseif canImport(Musl)
  @preconcurrency import Musl
#endif

final class ChildProcess {
  /// How a process ended.
  enum Ending: Equatable {
    case exited(Int32)
    case killed(signal: Int32)

    /// As a clause: "exited with code 1".
    var clause: String {
      switch self {
      case .exited(127): "exited with code 127 (the shell did not find the command)"
      case .exited(let code): "exited with code \(code)"
      case .killed(let signal): "was killed by signal \(signal)"
      }
    }
  }

  private let process: pid_t
  /// Where the process reads; -1 when it has been closed.
  private(set) var input: Int32
  /// Where the process writes.
  let output: Int32
  private var ending: Ending?

  /// Starts `/bin/sh -c command`. Standard error is ours.
  /// - Throws: `unavailable` when no process can be had.
  init(shell command: String) throws(CoalitionError) {
    // No two at a time: a process that is started between the making of a pipe and its marking inherits the ends.
    let started = Self.starting.withLock { _ in
      Result { () throws(CoalitionError) in try Self.start(command) }
    }
    (process, input, output) = try started.get()
  }

  private static let starting = Mutex(())

  /// A process, and our ends of its pipes.
  private static func start(
    _ command: String
  ) throws(CoalitionError) -> (process: pid_t, input: Int32, output: Int32) {
    let toChild = try pipe()
    let fromChild: (reading: Int32, writing: Int32)
    do throws(CoalitionError) {
      fromChild = try pipe()
    } catch {
      _ = (close(toChild.reading), close(toChild.writing))
      throw error
    }
    let (process, problem) = spawn(
      ["/bin/sh", "-c", command], input: toChild.reading, output: fromChild.writing)
    _ = (close(toChild.reading), close(fromChild.writing))
    guard problem == 0 else {
      _ = (close(toChild.writing), close(fromChild.reading))
      throw unavailable("the game's program cannot be started", problem)
    }
    for end in [toChild.writing, fromChild.reading] {
      _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK)
    }
    return (process, toChild.writing, fromChild.reading)
  }

  deinit {
    if input >= 0 { _ = close(input) }
    _ = close(output)
    guard ending == nil else { return }
    _ = kill(-process, SIGKILL)
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
  }

  /// The process reads the end of its input.
  func closeInput() {
    guard input >= 0 else { return }
    _ = close(input)
    input = -1
  }

  /// How the process ended; nil when it still runs after so many seconds.
  func wait(seconds: Double) -> Ending? {
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(seconds)
    while ending == nil {
      var status: Int32 = 0
      let found = waitpid(process, &status, WNOHANG)
      if found == process {
        let signal = status & 0x7F
        ending = signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal: signal)
      } else if found < 0 && errno != EINTR {
        // Somebody else has reaped it.
        ending = .exited(0)
      } else if clock.now >= deadline {
        break
      } else {
        usleep(2000)
      }
    }
    return ending
  }

  /// Ends the process and all that it started, the hard way if it does not listen.
  func stop() {
    closeInput()
    guard ending == nil else { return }
    _ = kill(-process, SIGTERM)
    if wait(seconds: 0.2) == nil {
      _ = kill(-process, SIGKILL)
      _ = wait(seconds: 5)
    }
  }

  // MARK: Starting

  private static func pipe() throws(CoalitionError) -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    let status = openPipe(&ends)
    for end in ends where status == 0 { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    guard status == 0 else {
      throw unavailable("no pipe to the game's program can be made", errno)
    }
    return (ends[0], ends[1])
  }

  private static func unavailable(_ message: String, _ problem: Int32) -> CoalitionError {
    CoalitionError(.unavailable, "\(message): \(String(cString: strerror(problem)))")
  }

  private static func spawn(
    _ arguments: [String], input: Int32, output: Int32
  ) -> (process: pid_t, problem: Int32) {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
    #else
      var actions = posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    // Pipes get the lowest free numbers, and `input` was made first: neither line undoes the other.
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    // What we block or ignore is our business.
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for signal in [SIGPIPE, SIGINT, SIGTERM] { sigaddset(&signals, signal) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var pointers = arguments.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    var process: pid_t = 0
    let problem = posix_spawn(
      &process, arguments[0], &actions, &attributes, pointers, environ)
    return (process, problem)
  }
}

/// The system call, under a name that `ChildProcess.pipe` does not hide.
private func openPipe(_ ends: inout [Int32]) -> Int32 { pipe(&ends) }
