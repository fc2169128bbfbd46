// A game whose values an outside command computes.
//
// The command runs by `/bin/sh -c` for as long as the game is played; GameConversation says what goes to and fro. It
// is started when the first values are asked for, ended by `close` (or with the game), and killed when a run is
// cancelled or it fails. Values are asked for in batches of a bounded size, one batch at a time.

public import CoalitionBase
public import CoalitionNet
import Synchronization

/// A game of one example and one target, played by a program in any language.
///
/// The program reads a line of `playerCount` characters 0 or 1 per coalition, player 0 first, and an empty line at the
/// end of a batch; it writes one number per line in the same order. Its output must have arrived when
/// it waits for the next batch: programs that buffer flush at the empty line.
public final class ProcessGame: Game {
  public let command: String
  public let playerCount: Int
  /// Seconds without an answer after which the program is given up.
  public let timeout: Double
  private let conversation = Mutex<GameConversation?>(nil)

  /// Coalitions of a batch, and characters: what a program may have to keep.
  private static let batchLimit = 4096
  private static let characterLimit = 1 << 22

  /// - Parameters:
  ///   - command: for `/bin/sh -c`; it is trusted like any command that the caller runs.
  ///   - timeout: seconds, counted anew whenever the program reads or answers.
  /// - Throws: `usage` for numbers that cannot be.
  public init(
    command: String, playerCount: Int, timeout: Double = 60
  ) throws(CoalitionError) {
    guard playerCount >= 1, playerCount <= Int(Int32.max) else {
      throw CoalitionError(
        .usage, "a game has at least one player", expected: "1 to \(Int32.max)",
        found: "\(playerCount)")
    }
    guard timeout > 0, timeout <= 1e9 else {
      throw CoalitionError(
        .usage, "the time that a program has for its answer is a positive number of seconds",
        found: "\(timeout)")
    }
    self.command = command
    self.playerCount = playerCount
    self.timeout = timeout
  }

  public func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    guard coalitions.playerCount == playerCount, rows.count == 1, let range = rows.first,
      range.lowerBound >= 0, range.upperBound <= coalitions.count
    else {
      throw CoalitionError(
        .usage, "the coalitions are not those of this game",
        expected: "\(playerCount) players, 1 example",
        found: "\(coalitions.playerCount) players, \(rows.count) examples")
    }
    let batch = max(1, min(Self.batchLimit, Self.characterLimit / (playerCount + 1)))
    var values: [Double] = []
    values.reserveCapacity(range.count)
    for start in stride(from: range.lowerBound, to: range.upperBound, by: batch) {
      values += try await answer(coalitions, start..<min(start + batch, range.upperBound))
    }
    return values
  }

  /// Ends the program in order, and checks that it has nothing more to say. The next values start it again.
  public func close() async throws(CoalitionError) {
    let result = await OwnThread.run { [self] in
      conversation.withLock { conversation -> Result<Void, CoalitionError> in
        defer { conversation = nil }
        do throws(CoalitionError) {
          try conversation?.finish()
          return .success(())
        } catch {
          return .failure(error)
        }
      }
    }
    try result.get()
  }

  private func answer(
    _ coalitions: Coalitions, _ rows: Range<Int>
  ) async throws(CoalitionError) -> [Double] {
    let cancellation = GameConversation.Cancellation()
    let result = await withTaskCancellationHandler {
      await OwnThread.run { [self] in
        conversation.withLock { conversation -> Result<[Double], CoalitionError> in
          do throws(CoalitionError) {
            if conversation == nil { conversation = try GameConversation(command: command) }
            let values = try conversation?.answer(
              Self.lines(coalitions, rows), count: rows.count, patience: timeout, cancellation)
            return .success(values ?? [])
          } catch {
            // What the program says from here on belongs to nothing that is known.
            conversation = nil
            return .failure(error)
          }
        }
      }
    } onCancel: {
      cancellation.cancel()
    }
    return try result.get()
  }

  /// A line of characters 0 and 1 per coalition.
  private static func lines(_ coalitions: Coalitions, _ rows: Range<Int>) -> [UInt8] {
    var lines: [UInt8] = []
    lines.reserveCapacity(rows.count * (coalitions.playerCount + 1))
    for row in rows {
      for player in 0..<coalitions.playerCount {
        lines.append(coalitions[row, player] ? UInt8(ascii: "1") : UInt8(ascii: "0"))
      }
      lines.append(0x0A)
    }
    return lines
  }
}
