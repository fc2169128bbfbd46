// Games played by outside programs: small awk and sh programs, honest and broken ones.

import CoalitionBase
import CoalitionNet
import CoalitionShapley
import Foundation
import Testing

// Limits of time are wide: a test that waits in vain must end, and a loaded machine must not matter.
@Suite(.timeLimit(.minutes(30)))
struct ProcessGameTests {
  /// The value of a coalition is the sum of 1, 2, 4, ... over its players, answered line by line.
  static let binary = """
    awk '/^$/ { fflush(); next }
      { v = 0; for (i = 1; i <= length($0); i++) if (substr($0, i, 1) == "1") v += 2 ^ (i - 1)
        print v; fflush() }'
    """

  private static func all(_ players: Int) -> Coalitions {
    var coalitions = Coalitions(playerCount: players)
    for mask in 0..<1 << players {
      coalitions.append((0..<players).filter { mask >> $0 & 1 == 1 })
    }
    return coalitions
  }

  private static func values(
    _ command: String, players: Int = 4, timeout: Double = 300
  ) async throws -> [Double] {
    let game = try ProcessGame(
      command: interactive(command), playerCount: players, timeout: timeout)
    return try await game.values(all(players))
  }

  /// mawk reads ahead unless it is told not to.
  private static func interactive(_ command: String) -> String {
    let isMawk =
      (try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/etc/alternatives/awk"))?.hasSuffix("mawk") ?? false
    return isMawk
      ? command.replacingOccurrences(of: "awk '", with: "awk -W interactive '") : command
  }

  private func error(
    of command: String, players: Int = 4, timeout: Double = 300
  ) async throws -> CoalitionError? {
    do {
      _ = try await Self.values(command, players: players, timeout: timeout)
    } catch let error as CoalitionError {
      return error
    }
    return nil
  }

  @Test("Values come back in the order of the coalitions")
  func order() async throws {
    #expect(try await Self.values(Self.binary) == (0..<16).map { Double($0) })
  }

  @Test("A program may answer at the empty line only, and end its answer by one")
  func answersAtTheEnd() async throws {
    let command = """
      awk '/^$/ { printf "%s\\n", answer; fflush(); answer = ""; next }
        { answer = answer gsub(/1/, "") "\\n" }'
      """
    let game = try ProcessGame(command: Self.interactive(command), playerCount: 5)
    for _ in 0..<3 {
      let values = try await game.values(Self.all(5))
      #expect(values == (0..<32).map { Double($0.nonzeroBitCount) })
    }
    try await game.close()
  }

  @Test("Large batches fill no pipe for good, whoever reads first")
  func fullPipes() async throws {
    var coalitions = Coalitions(playerCount: 1000)
    for row in 0..<5000 { coalitions.append([row % 1000]) }
    // The second program says nothing before it has read everything: 4 MB are on their way by then.
    for command in [
      "awk '/^$/ { fflush(); next } { print index($0, \"1\") \".00000000000000000000\" }'",
      """
      awk '/^$/ { for (i = 0; i < n; i++) print v[i]; n = 0; fflush(); next }
        { v[n++] = index($0, "1") }'
      """,
    ] {
      let game = try ProcessGame(
        command: Self.interactive(command), playerCount: 1000, timeout: 60)
      #expect(try await game.values(coalitions) == (0..<5000).map { Double($0 % 1000 + 1) })
      try await game.close()
    }
  }

  @Test("One program serves all batches, and only the rows that are asked for")
  func staysAlive() async throws {
    let count = "awk '/^$/ { next } { print ++n; fflush() }'"
    let game = try ProcessGame(command: Self.interactive(count), playerCount: 3)
    let run = RunOptions()
    #expect(try await game.values(Self.all(3), rows: [2..<5], run) == [1, 2, 3])
    #expect(try await game.values(Self.all(3), rows: [0..<1], run) == [4])
    #expect(try await game.values(Self.all(3), rows: [0..<0], run) == [])
    try await game.close()
    // A new one.
    #expect(try await game.values(Self.all(3), rows: [0..<1], run) == [1])
  }

  @Test("Batches that are asked for at the same time do not mix")
  func concurrentBatches() async throws {
    let game = try ProcessGame(command: Self.interactive(Self.binary), playerCount: 6)
    let results = try await withThrowingTaskGroup(of: [Double].self) { group in
      for _ in 0..<8 { group.addTask { try await game.values(Self.all(6)) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results == Array(repeating: (0..<64).map { Double($0) }, count: 8))
  }

  // MARK: Faults

  @Test(
    "A program that is not there, dies or stops reading is unavailable",
    arguments: [
      "/nowhere/program", "exit 3", "read line; echo 1; exit 0", "kill -9 $$",
      "head -n 3 | tr 01 12", "exec 0<&-; sleep 30 >/dev/null & exec 1>&-; exit 1",
    ])
  func dies(_ command: String) async throws {
    #expect(try await error(of: command)?.code == .unavailable)
  }

  @Test("How it ended is said")
  func ending() async throws {
    let missing = try #require(try await error(of: "/nowhere/program"))
    #expect(missing.message.contains("127"))
    #expect(missing.node == "/nowhere/program")
    let died = try #require(try await error(of: "read line; echo 1; exit 3"))
    #expect(died.message.contains("exited with code 3"))
    #expect(died.found == "1")
    let killed = try #require(try await error(of: "kill -11 $$"))
    #expect(killed.message.contains("signal 11"))
  }

  @Test("A program that hangs is given up and ended with all that it started")
  func hangs() async throws {
    // The program starts another one and tells its number. Both would run for ten minutes.
    let note = FileManager.default.temporaryDirectory
      .appendingPathComponent("coalition-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: note) }
    let found = try await error(
      of: "sleep 600 & echo $! > \(note); cat > /dev/null; wait", timeout: 0.3)
    #expect(found?.code == .unavailable)
    #expect(found?.message.contains("0.3 seconds") == true)
    // On a loaded machine the time may be over before the shell has begun: nothing is left running then either.
    guard let text = try? String(contentsOfFile: note, encoding: .utf8),
      let child = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines))
    else { return }
    while isRunning(child) { try await Task.sleep(for: .seconds(0.05)) }
  }

  /// Whether a process exists and is not merely waited for.
  private func isRunning(_ process: Int32) -> Bool {
    guard let line = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
      let state = line.split(separator: ")").last?.split(separator: " ").first
    else { return false }
    return state != "Z" && state != "X"
  }

  @Test(
    "Answers that are not one finite number per line are refused",
    arguments: [
      ("read x; echo hello; cat > /dev/null", CoalitionError.Code.invalidData),
      ("while read -r x; do echo \"$x,\"; done", .invalidData),
      ("read x; echo nan; cat > /dev/null", .notFinite),
      ("read x; echo -inf; cat > /dev/null", .notFinite),
      ("yes 1", .invalidData),
      ("head -c 100000 /dev/zero | tr '\\0' 1; cat > /dev/null", .invalidData),
      ("echo 1; echo 2; echo; cat > /dev/null", .invalidData),
      ("echo; cat > /dev/null", .invalidData),
    ])
  func garbled(_ command: String, _ code: CoalitionError.Code) async throws {
    let found = try await error(of: command)
    #expect(found?.code == code, "\(String(describing: found))")
  }

  @Test("A surplus value is found at the next batch or at the end")
  func surplus() async throws {
    let late = "awk '/^$/ { fflush(); system(\"sleep 0.2\"); print 7; fflush(); next } { print 1 }'"
    for isNext in [true, false] {
      let game = try ProcessGame(command: Self.interactive(late), playerCount: 2)
      _ = try await game.values(Self.all(2))
      try await Task.sleep(for: .seconds(0.5))
      await #expect {
        if isNext { _ = try await game.values(Self.all(2)) } else { try await game.close() }
      } throws: {
        ($0 as? CoalitionError)?.code == .invalidData
      }
    }
  }

  @Test("Cancelling ends the program and the wait for it")
  func cancel() async throws {
    // Left alone, the program would end the test by the suite's limit of time.
    let game = try ProcessGame(command: "sleep 3600", playerCount: 3)
    let work = Task { try await game.values(Self.all(3)) }
    try await Task.sleep(for: .seconds(0.2))
    work.cancel()
    await #expect {
      try await work.value
    } throws: {
      ($0 as? CoalitionError)?.code == .cancelled
    }
  }

  @Test("No pipe to one program reaches another, and none is lost")
  func descriptors() async throws {
    func open() throws -> Int {
      try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    }
    /// The pipes that a program sees: its own, and what everybody inherits.
    func pipes() async throws -> Double {
      let count =
        "n=$(ls -l /proc/$$/fd | grep -c pipe); while read x; do [ -n \"$x\" ] && echo $n; done"
      let game = try ProcessGame(command: count, playerCount: 2)
      let values = try await game.values(Self.all(2))
      try await game.close()
      return values[0]
    }
    // Tests beside this one start programs of their own: the least of several looks is what everybody inherits.
    func leastPipes() async throws -> Double {
      var least = Double.infinity
      for _ in 0..<5 { least = min(least, try await pipes()) }
      return least
    }
    let alone = try await leastPipes()
    var held: [ProcessGame] = []
    for _ in 0..<5 {
      held.append(try ProcessGame(command: Self.interactive(Self.binary), playerCount: 2))
      _ = try await held.last?.values(Self.all(2))
    }
    // Five programs have ten pipes.
    #expect(try await leastPipes() < alone + 5)
    let before = try open()
    for _ in 0..<20 { _ = try await pipes() }
    // Tests beside this one have files of their own, but not two for each game.
    #expect(try open() < before + 20)
  }
}
