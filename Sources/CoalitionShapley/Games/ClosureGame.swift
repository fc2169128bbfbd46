// A game whose values a Swift function knows.

public import CoalitionBase
public import CoalitionNet

/// A game of one example and one target. The function is called with many coalitions at a time.
public struct ClosureGame: Game {
  public let playerCount: Int
  private let function: @Sendable (Coalitions) async throws -> [Double]

  /// - Parameter values: one value per coalition, in order.
  public init(
    playerCount: Int, values: @escaping @Sendable (Coalitions) async throws -> [Double]
  ) {
    self.playerCount = playerCount
    function = values
  }

  public func values(
    _ coalitions: Coalitions, rows: [Range<Int>], _ run: RunOptions
  ) async throws(CoalitionError) -> [Double] {
    guard let range = rows.first, rows.count == 1 else {
      throw CoalitionError(.usage, "the game has one example", found: "\(rows.count)")
    }
    var asked = coalitions
    if range != 0..<coalitions.count {
      asked = Coalitions(playerCount: coalitions.playerCount)
      asked.append(coalitions, rows: range)
    }
    let values: [Double]
    do {
      values = try await function(asked)
    } catch let error as CoalitionError {
      throw error
    } catch is CancellationError {
      throw CoalitionError(.cancelled, "the run was cancelled")
    } catch {
      throw CoalitionError(.invalidData, "the game's function failed: \(error)")
    }
    guard values.count == asked.count else {
      throw CoalitionError(
        .shapeMismatch, "the game's function gives another number of values than coalitions",
        expected: "\(asked.count)", found: "\(values.count)")
    }
    if let place = values.firstIndex(where: { !$0.isFinite }) {
      throw CoalitionError(
        .notFinite, "the value of a coalition is not finite",
        node: "coalition \(asked.players(of: place))", found: "\(values[place])")
    }
    return values
  }
}
