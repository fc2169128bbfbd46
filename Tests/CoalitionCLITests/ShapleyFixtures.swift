// Games, runs and comparisons for the tests of `coalition shapley` and `merge`.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

/// A game for the shell: v(S) = sum over i in S of (i + 1)^2, plus |S|^3. Before every answer it sleeps as long as
/// the file `delay` beside it says, so that tests can make a run slow without making it another run.
enum ShellGame {
  static let script = """
    while read -r x; do
      [ -z "$x" ] && continue
      [ -s delay ] && sleep "$(cat delay)"
      n=0; v=0; i=1
      while [ -n "$x" ]; do
        case $x in 1*) v=$((v + i * i)); n=$((n + 1));; esac
        x=${x#?}; i=$((i + 1))
      done
      echo $((v + n * n * n))
    done

    """

  /// The Shapley values: |S|^3 is symmetric, so its share is the same for all.
  static func values(_ players: Int) -> [Double] {
    (1...players).map { Double($0 * $0) + Double(players * players) }
  }

  static func options(_ players: Int) -> [String] {
    ["--game", "sh game.sh", "--player-count", "\(players)"]
  }
}

extension Workplace {
  func shapley(_ options: [String]) throws -> Outcome {
    try Running(["shapley"] + options, in: folder, [:]).outcome()
  }

  /// A run that must be silent and write its result.
  func result(
    _ options: [String], _ name: String = "r.npz",
    location: SourceLocation = #_sourceLocation
  ) throws -> Explained {
    let outcome = try shapley(options + ["--quiet", "--output", name])
    #expect(outcome.code == 0, "\(outcome.error)", sourceLocation: location)
    #expect(outcome.output.isEmpty && outcome.error.isEmpty, sourceLocation: location)
    return try Explained(path(name))
  }

  func merge(_ options: [String]) throws -> Outcome {
    try Running(["merge"] + options, in: folder, [:]).outcome()
  }

  func writeGame() throws { _ = try write(Array(ShellGame.script.utf8), "game.sh") }
  func setDelay(_ seconds: String) throws { _ = try write(Array(seconds.utf8), "delay") }
}

extension Explained {
  /// Everything but what is said of the run itself.
  var essence: [[UInt8]] {
    var parts = file.arrays.map { Array($0.name.utf8) + Npz.encode([$0]) }
    if case .object(let members) = file.metadata {
      parts.append(JSONValue.object(members.filter { $0.name != "run" }).utf8)
    }
    return parts
  }

  func metadata(_ path: String...) -> JSONValue? {
    path.reduce(file.metadata) { value, name in value?[name] }
  }
}
