// What a game's program and we say to each other.
//
// We write a line of P characters 0 or 1 per coalition and an empty line at the end of a batch; the program writes a
// number per line, in order. It may answer each line at once, or all of them at the empty line, and may end its
// answer by an empty line or not. Writing and reading go on at the same time, so that neither side waits for the
// other on a full pipe. Whatever does not belong to the answer is an error, also when it comes late.

import CoalitionBase
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

final class GameConversation {
  /// Set from anywhere: the conversation then ends within a fraction of a second.
  final class Cancellation: Sendable {
    private let flag = Atomic<Bool>(false)
    func cancel() { flag.store(true, ordering: .releasing) }
    var isCancelled: Bool { flag.load(ordering: .acquiring) }
  }

  private let child: ChildProcess
  private let name: String
  /// Bytes that came after the last complete line.
  private var pending: [UInt8] = []
  /// Whether the empty line may still come that ends the last answer.
  private var mayEndAnswer = false

  /// Longer lines are no numbers.
  private static let lineLimit = 4096

  init(command: String) throws(CoalitionError) {
    name = command.count <= 80 ? command : command.prefix(77) + "..."
    do throws(CoalitionError) {
      child = try ChildProcess(shell: command)
    } catch {
      throw error.at(command)
    }
  }

  /// The values of a batch.
  /// - Parameters:
  ///   - question: the lines, each with its end, without the empty one.
  ///   - patience: seconds without a sign of life after which the program is given up.
  func answer(
    _ question: [UInt8], count: Int, patience: Double, _ cancellation: Cancellation
  ) throws(CoalitionError) -> [Double] {
    var values: [Double] = []
    values.reserveCapacity(count)
    var unwritten = (question + [0x0A])[...]
    let clock = ContinuousClock()
    var deadline = clock.now + .seconds(patience)
    // What came since the last batch was not asked for.
    if try receive() == .something { try take(&values, of: 0) }
    while values.count < count {
      if cancellation.isCancelled {
        child.stop()
        throw CoalitionError(.cancelled, "the run was cancelled")
      }
      if clock.now >= deadline {
        child.stop()
        throw error(
          .unavailable, "the game's program gave no answer for \(patience) seconds",
          "\(count) values", "\(values.count)")
      }
      waitForPipes(isWriting: !unwritten.isEmpty)
      if try send(&unwritten) { deadline = clock.now + .seconds(patience) }
      switch try receive() {
      case .nothing: break
      case .something:
        try take(&values, of: count)
        deadline = clock.now + .seconds(patience)
      case .end:
        if !pending.isEmpty {
          pending.append(0x0A)
          try take(&values, of: count)
        }
        if values.count == count { break }
        // The last process of a pipeline may have closed its output long before the shell ends.
        let ending = child.wait(seconds: 0.5)
        child.stop()
        throw error(
          .unavailable,
          "the game's program \(ending?.clause ?? "closed its output") in the middle of a batch",
          "\(count) values", "\(values.count)")
      }
    }
    // Programs that answer line by line need not have read the empty line yet.
    while !unwritten.isEmpty, !cancellation.isCancelled, clock.now < deadline {
      waitForPipes(isWriting: true)
      if try !send(&unwritten) && isClosed { break }
    }
    return values
  }

  /// Ends the program in order: it reads the end of its input and has a second to leave.
  /// - Throws: `invalidData` when it says anything that was not asked for.
  func finish() throws(CoalitionError) {
    child.closeInput()
    let clock = ContinuousClock()
    let deadline = clock.now + .seconds(1)
    var none: [Double] = []
    while clock.now < deadline {
      waitForPipes(isWriting: false)
      let received = try receive()
      if received == .something { try take(&none, of: 0) }
      if received == .end { break }
    }
    _ = child.wait(seconds: 0.2)
    child.stop()
    if !pending.isEmpty {
      pending.append(0x0A)
      try take(&none, of: 0)
    }
  }

  private func error(
    _ code: CoalitionError.Code, _ message: String, _ expected: String? = nil,
    _ found: String? = nil
  ) -> CoalitionError {
    CoalitionError(code, message, node: name, expected: expected, found: found)
  }

  // MARK: Pipes

  /// The program reads no more.
  private var isClosed: Bool { child.input < 0 }

  /// Until one of the pipes is ready, or a twentieth of a second.
  private func waitForPipes(isWriting: Bool) {
    var ends = [pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)]
    if isWriting, !isClosed {
      ends.append(pollfd(fd: child.input, events: Int16(POLLOUT), revents: 0))
    }
    _ = poll(&ends, nfds_t(ends.count), 50)
  }

  /// Writes what the pipe takes. Returns whether it took anything.
  private func send(_ bytes: inout ArraySlice<UInt8>) throws(CoalitionError) -> Bool {
    guard !bytes.isEmpty, !isClosed else { return false }
    let put = bytes.withUnsafeBytes { write(child.input, $0.baseAddress, $0.count) }
    if put > 0 {
      bytes = bytes.dropFirst(put)
      return true
    }
    // Whether it answers nevertheless, or has ended, its output tells.
    if put < 0 && errno != EAGAIN && errno != EINTR { child.closeInput() }
    return false
  }

  private enum Received { case nothing, something, end }

  private func receive() throws(CoalitionError) -> Received {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let got = buffer.withUnsafeMutableBytes { read(child.output, $0.baseAddress, $0.count) }
    if got > 0 {
      pending += buffer[..<got]
      return .something
    }
    return got == 0 ? .end : errno == EAGAIN || errno == EINTR ? .nothing : .end
  }

  // MARK: Lines

  /// Takes the complete lines of what has come.
  private func take(_ values: inout [Double], of count: Int) throws(CoalitionError) {
    var start = 0
    while let end = pending[start...].firstIndex(of: 0x0A) {
      try take(line: pending[start..<end], &values, of: count)
      start = end + 1
    }
    pending.removeFirst(start)
    guard pending.count <= Self.lineLimit else {
      throw garbled("a line is longer than \(Self.lineLimit) characters", pending[...])
    }
  }

  private func take(
    line: ArraySlice<UInt8>, _ values: inout [Double], of count: Int
  ) throws(CoalitionError) {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
    let trimmed = line.drop(while: isBlank).reversed().drop(while: isBlank).reversed()
    if trimmed.isEmpty {
      // One, between the last value of a batch and the first of the next.
      if mayEndAnswer {
        mayEndAnswer = false
        return
      }
      child.stop()
      throw error(
        .invalidData, "the game's program ended its answer too early", "\(count) values",
        "\(values.count)")
    }
    guard values.count < count else {
      throw garbled("more values came than coalitions were asked for", trimmed[...])
    }
    guard let value = Double(String(decoding: trimmed, as: UTF8.self)) else {
      throw garbled("value \(values.count) of a batch is not a number", trimmed[...])
    }
    guard value.isFinite else {
      child.stop()
      throw error(
        .notFinite, "the game's program gave a value that is not finite", nil,
        "\(value) as value \(values.count) of a batch")
    }
    values.append(value)
    mayEndAnswer = values.count == count
  }

  private func garbled(
    _ message: String, _ text: some Collection<UInt8>
  ) -> CoalitionError {
    child.stop()
    let shown = String(decoding: text.prefix(60), as: UTF8.self)
    return error(.invalidData, "the game's program: \(message)", "a number per line", "'\(shown)'")
  }
}
