// A game in place of a model: --game, --player-count, --game-timeout.

import Coalition
import CoalitionBase
import CoalitionData

struct GameFlags: Sendable {
  static let gameOption = Option(
    "game", "COMMAND",
    "in place of MODEL, a program of the shell: it reads a line of P characters 0 or 1 per coalition and an empty line "
      + "after a batch, where what is buffered must be flushed, and writes one number per line",
    as: .text)
  static let countOption = Option(
    "player-count", "P", "players of --game", as: .integer(1...(1 << 24)))
  static let timeoutOption = Option(
    "game-timeout", "S", "seconds without an answer after which the program is given up",
    default: "60",
    as: ValueFormat(expecting: "seconds above 0") { text in
      Double(text).flatMap { $0 > 0 && $0 <= 1e9 ? $0 : nil }
    })

  static let group = OptionGroup(
    title: "Another game than a model",
    options: [gameOption.declaration, countOption.declaration, timeoutOption.declaration])

  let game: ProcessGame

  /// nil when the command line names a model.
  /// - Throws: `usage` for a model and a game at once, neither of them, or options that the other one has.
  init?(_ arguments: Arguments) throws(CoalitionError) {
    guard let command = arguments[Self.gameOption] else {
      for option in [Self.countOption.declaration, Self.timeoutOption.declaration]
      where arguments.isGiven(option) {
        throw CoalitionError(.usage, "--\(option.name) needs --game COMMAND")
      }
      guard !arguments.positionals.isEmpty else {
        throw CoalitionError(
          .usage, "there is nothing to play: see coalition shapley --help",
          expected: "MODEL.onnx, or --game COMMAND --player-count P")
      }
      return nil
    }
    if let model = arguments.positionals.first {
      throw CoalitionError(.usage, "--game takes the place of a model: leave one out", found: model)
    }
    for option in Self.ofModels where arguments.isGiven(option) {
      throw CoalitionError(.usage, "--\(option.name) is for models, not for --game")
    }
    guard let count = arguments[Self.countOption] else {
      throw CoalitionError(.usage, "--game needs --player-count P: how many players it has")
    }
    game = try ProcessGame(
      command: command, playerCount: count, timeout: arguments[Self.timeoutOption] ?? 60)
  }

  private static var ofModels: [OptionDeclaration] {
    InputArrays.group.options + PreprocessingFlags.group.options + TargetFlags.group.options
      + [
        BaselineFlags.option.declaration, PlayerFlags.option.declaration,
        RuntimeOptions.precisionOption.declaration,
      ]
  }

  /// For `options` of a result.
  var record: [JSONValue.Member] {
    [
      .init("game", .string(game.command)), .init("player-count", .integer(game.playerCount)),
    ]
  }
}
