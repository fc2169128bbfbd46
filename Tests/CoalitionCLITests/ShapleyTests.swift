// `coalition shapley` on models: the arrays of the contract, exact values, targets, players, and what is refused.

import CoalitionBase
import CoalitionData
import CoalitionNet
import Foundation
import Testing

@Suite struct ShapleyTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private func model(_ name: String = "mlp-relu") -> [String] {
    [Fixtures.model(name), "--input", Fixtures.input(name)]
  }

  @Test("Arrays have the names and shapes of the contract")
  func arrays() throws {
    let result = try place.result(
      model() + ["--players", "patch:7x7", "--estimator", "permutation", "--samples", "64"])
    let count = try Fixtures.array("mlp-relu", "target").count
    #expect(
      result.names == [
        "attributions", "values", "standard_errors", "output", "baseline_output", "residual",
        "evaluations", "target", "players",
      ])
    #expect(try result.shape("values") == [count, 16])
    #expect(try result.shape("standard_errors") == [count, 16])
    #expect(try result.shape("attributions") == [count, 1, 28, 28])
    #expect(try result.shape("players") == [1, 28, 28])
    for name in ["output", "baseline_output", "residual", "evaluations", "target"] {
      #expect(try result.shape(name) == [count])
    }
    #expect(try result.tensor("players").elementType == .int32)
    #expect(try result.tensor("evaluations").elementType == .int64)
    #expect(
      try result.tensor("target").integers == Fixtures.array("mlp-relu", "target").integers)
    // Permutations are complete, and attributions are values in equal parts.
    let values = try result.doubles("values")
    let maps = try result.doubles("attributions")
    for example in 0..<count {
      let sum = values[example * 16..<(example + 1) * 16].reduce(0, +)
      let difference =
        try result.doubles("output")[example] - result.doubles("baseline_output")[example]
      #expect(abs(sum - difference) < 1e-5 * max(1, abs(difference)))
      #expect(abs(maps[example * 784] - values[example * 16] / 49) < 1e-12)
    }
    #expect(try result.doubles("standard_errors").allSatisfy { $0 >= 0 })
    #expect(result.metadata("verb") == "shapley")
    #expect(result.metadata("options", "estimator") == "permutation")
    #expect(result.metadata("options", "samples") == 64)
    #expect(result.metadata("result", "stop-reason") == "samples")
    #expect(result.metadata("result", "samples") == 64)
    #expect(result.metadata("run", "resumes") == 0)
  }

  @Test("Values of all targets have an axis of their own, and a difference is one of values")
  func targets() throws {
    let common = ["--players", "patch:14x14", "--estimator", "exact"]
    let all = try place.result(model() + common + ["--target", "all"])
    let count = try Fixtures.array("mlp-relu", "target").count
    #expect(try all.shape("values") == [count, 10, 4])
    #expect(try all.shape("attributions") == [count, 10, 1, 28, 28])
    #expect(try all.shape("output") == [count, 10])
    #expect(try all.shape("evaluations") == [count, 10])
    #expect(try all.shape("target") == [10])
    let difference = try place.result(model() + common + ["--target", "3-5"])
    #expect(try difference.shape("target") == [count, 2])
    let values = try all.doubles("values")
    let expected = (0..<count * 4).map { index in
      let (example, player) = (index / 4, index % 4)
      return values[(example * 10 + 3) * 4 + player] - values[(example * 10 + 5) * 4 + player]
    }
    #expect(relativeDifference(try difference.doubles("values"), expected) < 1e-5)
    #expect(try difference.doubles("standard_errors").allSatisfy { $0 == 0 })
  }

  @Test(
    "Exact values are those of the definition, and sampled ones agree with them by their errors")
  func exactAndSampled() throws {
    let common = model("cnn") + ["--players", "patch:14x7", "--target", "3"]
    let exact = try place.result(common + ["--estimator", "exact"], "exact.npz")
    #expect(exact.metadata("result", "stop-reason") == "exact")
    #expect(exact.metadata("result", "evaluations-per-example") == 256)
    let sampled = try place.result(
      common + ["--estimator", "permutation", "--antithetic", "--samples", "400"], "sampled.npz")
    let errors = try sampled.doubles("standard_errors")
    let pairs = zip(try exact.doubles("values"), try sampled.doubles("values"))
    let outside = zip(pairs, errors).count { abs($0.0 - $0.1) > 5 * $1 + 1e-6 }
    #expect(outside == 0)
    let compared = try place.coalition("compare", "exact.npz", "sampled.npz", "--array", "values")
    #expect(compared.code == 0 && compared.output.contains("Spearman"))
  }

  @Test("auto takes all coalitions where they fit, and says why")
  func auto() throws {
    let result = try place.result(model() + ["--players", "patch:14x14"])
    #expect(result.metadata("result", "estimator") == "exact")
    #expect(result.metadata("options", "estimator") == "auto")
    #expect(result.metadata("result", "choice")?.text?.isEmpty == false)
    #expect(result.metadata("options", "tolerance") == .number(0.02))
    #expect(result.metadata("options", "evaluations") == 8000)
  }

  @Test("Owen values keep groups together, Banzhaf values are not complete")
  func otherValues() throws {
    let groups = try place.write(
      Tensor(.int64([0, 0, 1, 1])), "groups.npy")
    let common = model() + ["--players", "patch:14x14"]
    let owen = try place.result(common + ["--value", "owen", "--groups", groups], "o.npz")
    #expect(owen.metadata("options", "groups") == [0, 0, 1, 1])
    #expect(try owen.doubles("residual").allSatisfy { abs($0) < 1e-4 })
    let banzhaf = try place.result(
      common + ["--value", "banzhaf", "--estimator", "exact"], "b.npz")
    #expect(try banzhaf.doubles("residual").contains { abs($0) > 1e-3 })
  }

  @Test("Interactions of a program are those of the definition, sampled ones come close")
  func interactions() throws {
    try place.writeGame()
    let players = 6
    // |S|^3 alone makes pairs interact: its second difference at t others is 6 t + 6, by chances p(t).
    let game = ShellGame.options(players) + ["--interactions", "2"]
    let exact = try place.result(game, "exact.npz")
    #expect(try exact.shape("interactions") == [1, players, players])
    #expect(try exact.doubles("interaction_standard_errors").allSatisfy { $0 == 0 })
    // Of the Shapley index every t in 0 ... P - 2 has the same chance.
    let differences: [Double] = (0...players - 2).map { Double(6 * $0 + 6) }
    let expected: Double = differences.reduce(0, +) / Double(players - 1)
    for (place, value) in try exact.doubles("interactions").enumerated() {
      let isDiagonal = place / players == place % players
      #expect(abs(value - (isDiagonal ? 0 : expected)) < 1e-9)
    }
    #expect(relativeDifference(try exact.doubles("values"), ShellGame.values(players)) < 1e-12)
    let faithful = try place.result(
      game + ["--index", "faith-sii", "--estimator", "leverage", "--evaluations", "600"], "f.npz")
    #expect(faithful.metadata("options", "interactions") == "faith-sii")
    let numbers = try faithful.doubles("interactions")
    for row in 0..<players {
      for column in 0..<players {
        #expect(numbers[row * players + column] == numbers[column * players + row])
      }
      #expect(numbers[row * players + row] == 0)
    }
    let alone = try place.shapley(game.dropLast(2) + ["--index", "sii"])
    #expect(alone.code == 64 && alone.error.contains("--interactions 2"))
    let other = try place.shapley(game + ["--estimator", "permutation", "--samples", "10"])
    #expect(other.code == 64 && other.error.contains("leverage"))
  }

  @Test("explain has the same values, in equal parts on elements")
  func explained() throws {
    let common = ["--players", "patch:14x14", "--target", "3"]
    let shapley = try place.result(model() + common, "s.npz")
    let explained = try place.explained(
      "mlp-relu", "shapley", "--players", "patch:14x14", "--target", "3")
    for name in ["values", "attributions", "standard_errors", "output", "residual"] {
      #expect(try explained.tensor(name) == shapley.tensor(name), "\(name)")
    }
    for name in ["estimator", "choice", "stop-reason", "evaluations"] {
      #expect(explained.metadata("result", name) != nil)
      #expect(explained.metadata("result", name) == shapley.metadata("result", name), "\(name)")
    }
  }

  @Test("Without --output the largest values are printed with their errors")
  func summary() throws {
    let outcome = try place.shapley(
      model() + ["--players", "patch:7x7", "--estimator", "toggle", "--samples", "640"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.hasPrefix("values of 16 players"))
    #expect(outcome.output.contains("example 0, target "))
    #expect(outcome.output.contains(" +- ") && outcome.output.contains("  player "))
    #expect(place.files.isEmpty)
  }

  @Test("The same values in npz, JSON and npy")
  func formats() throws {
    let common = model() + ["--players", "patch:14x14", "--estimator", "exact"]
    let archive = try place.result(common, "r.npz")
    let json = try place.result(common, "r.json")
    #expect(try archive.tensor("values") == json.tensor("values"))
    _ = try place.shapley(common + ["--quiet", "--output", "r.npy"])
    #expect(try ArrayFile.load(place.path("r.npy")) == archive.tensor("values"))
  }

  @Test("A dry run foresees evaluations, memory and time, and writes nothing")
  func dryRun() throws {
    let outcome = try place.shapley(
      model() + [
        "--players", "patch:7x7", "--estimator", "permutation", "--samples", "100", "--dry-run",
        "--output", "r.npz", "--checkpoint", "c",
      ])
    #expect(outcome.code == 0, "\(outcome.error)")
    for word in ["evaluations", "memory", "allowed", "time", "permutation", "players"] {
      #expect(outcome.output.contains(word))
    }
    #expect(place.files.isEmpty)
    let auto = try place.shapley(model() + ["--players", "patch:14x14", "--dry-run"])
    #expect(auto.output.contains("exact (all 16 coalitions"))
  }

  @Test("Progress for programs is lines of JSON, the last with everything done")
  func progress() throws {
    let outcome = try place.shapley(
      model() + [
        "--players", "patch:7x7", "--estimator", "permutation", "--samples", "100", "--progress",
        "json", "--output", "r.npz",
      ])
    #expect(outcome.code == 0, "\(outcome.error)")
    let last = try #require(outcome.error.split(separator: "\n").last)
    let value = try JSONValue(parsing: Array(last.utf8))
    #expect(value["done"] == value["total"])
    #expect(value["rate"] != nil && value["error"] != nil && value["seconds-left"] != nil)
  }

  // MARK: Refusals

  @Test(
    "Wrong usage ends with 64 and one sentence, and leaves no file",
    arguments: [
      (["--estimator", "permutaton"], "did you mean permutation?"),
      (["--shrink", "toggle"], "dasp, moment-gradient or none"),
      (["--shrink", "dasp", "--estimator", "exact"], "--shrink is for sampled values"),
      (["--shrink", "dasp", "--project"], "--project does not go with --shrink"),
      (["--interactions", "3"], "2, for pairs"),
      (["--estimator", "toggle", "--antithetic"], "--antithetic"),
      (["--value", "owen"], "--groups"),
      (["--samples", "0"], "a whole number from 1"),
      (["--tolerance", "0"], "a number above 0"),
      (["--time", "-1"], "seconds above 0"),
      (["--shard", "4/3", "--estimator", "toggle", "--samples", "64"], "I from 1 to N"),
      (["--shard", "0/3", "--estimator", "toggle", "--samples", "64"], "I from 1 to N"),
      (["--shard", "1", "--estimator", "toggle", "--samples", "64"], "I/N"),
      (["--shard", "1/2", "--estimator", "permutation"], "needs the budget"),
      (["--shard", "1/2", "--samples", "64"], "auto"),
      (["--shard", "1/2", "--samples", "64", "--estimator", "stratified"], "stratified"),
      (
        ["--shard", "1/2", "--samples", "64", "--estimator", "toggle", "--tolerance", "0.1"],
        "--tolerance"
      ),
      (["--shard", "1/2", "--samples", "64", "--estimator", "toggle", "--top", "3"], "--top"),
      (["--shard", "1/2", "--samples", "64", "--estimator", "toggle", "--time", "3"], "--time"),
      (["--player-count", "3"], "--player-count needs --game"),
      (["--game", "cat", "--player-count", "3"], "leave one out"),
      (["--checkpoint-every", "3"], "--checkpoint-every needs --checkpoint"),
      (["--checkpoint", "r.npz"], "two files"),
      (["--players", "pach:2x2"], "did you mean patch?"),
      (["--estimator", "exact", "--players", "patch:14x14", "--evaluations", "15"], "exact"),
      (["--top", "784"], "top"),
    ] as [([String], String)])
  func wrongUsage(options: [String], sentence: String) throws {
    let outcome = try place.shapley(model() + ["--output", "r.npz"] + options)
    #expect(outcome.code == 64, "\(outcome.error)")
    #expect(outcome.error.contains(sentence), "\(outcome.error)")
    #expect(outcome.error.split(separator: "\n").count == 1)
    #expect(place.files.isEmpty)
  }

  @Test("Neither a model nor a game, and models' options with a game")
  func gameUsage() throws {
    let nothing = try place.shapley(["--samples", "10"])
    #expect(nothing.code == 64 && nothing.error.contains("--game COMMAND"))
    let count = try place.shapley(["--game", "cat"])
    #expect(count.code == 64 && count.error.contains("--player-count"))
    let mixed = try place.shapley(
      ["--game", "cat", "--player-count", "3", "--baseline", "zero"])
    #expect(mixed.code == 64 && mixed.error.contains("--baseline is for models"))
    let shard = try place.shapley(
      ["--game", "cat", "--player-count", "3", "--shard", "1/2", "--estimator", "toggle"]
        + ["--samples", "64"])
    #expect(shard.code == 64 && shard.error.contains("--output"))
    let npy = try place.shapley(
      ["--game", "cat", "--player-count", "3", "--shard", "1/2", "--estimator", "toggle"]
        + ["--samples", "64", "--output", "r.npy"])
    #expect(npy.code == 64 && npy.error.contains(".npz"))
  }

  @Test("A map of players with a gap, of a wrong size, or with an id below -1 is refused")
  func brokenMaps() throws {
    var ids = [Int32](repeating: 0, count: 784)
    ids[5] = 2
    let gap = try place.write(Tensor(shape: [1, 28, 28], elements: .int32(ids)), "gap.npy")
    ids[5] = -2
    let below = try place.write(Tensor(shape: [1, 28, 28], elements: .int32(ids)), "below.npy")
    let small = try place.write(
      Tensor(shape: [1, 27, 28], elements: .int32([Int32](repeating: 0, count: 756))), "small.npy")
    for (path, word) in [(gap, "player 1"), (below, "-2"), (small, "27")] {
      let outcome = try place.shapley(model() + ["--players", path, "--output", "r.npz"])
      #expect(outcome.code == 65, "\(outcome.error)")
      #expect(outcome.error.contains(word), "\(outcome.error)")
    }
    #expect(!place.files.contains("r.npz"))
    let groups = try place.write(Tensor(.int64([0, 1])), "groups.npy")
    let unlike = try place.shapley(
      model() + ["--players", "patch:14x14", "--value", "owen", "--groups", groups])
    #expect(unlike.code == 65 && unlike.error.contains("4"))
  }

  @Test("A place that cannot be written to is refused before the work")
  func unwritable() throws {
    for option in ["--output", "--checkpoint"] {
      let outcome = try place.shapley(
        model() + ["--estimator", "permutation", "--samples", "8", option, "no/folder.npz"])
      #expect(outcome.code == 73, "\(option): \(outcome.error)")
    }
  }
}
