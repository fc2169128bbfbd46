// `--max-memory`: where wide tiles do not fit, narrower ones do the work, and the forecast says so.

import CoalitionBase
import Foundation
import Testing

@Suite struct MemoryLimitTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  /// The bytes that a dry run foresees.
  private func foreseen(_ outcome: Outcome) throws -> Double {
    let line = try #require(
      outcome.output.split(separator: "\n").first { $0.hasPrefix("memory") }, "\(outcome.error)")
    let words = line.split(separator: " ")
    let units = ["B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9]
    return try #require(Double(words[1])) * #require(units[String(words[2])])
  }

  @Test("A run takes narrower tiles where the widest do not fit")
  func narrowTilesOfARun() throws {
    func run(_ options: String...) throws -> Outcome {
      try Running(
        ["run", Digits.model, "--input", Digits.images, Digits.scale, "--threads", "1"] + options,
        in: place.folder, [:]
      ).outcome()
    }
    let wide = try foreseen(try run("--dry-run"))
    let limit = "\(Int(wide * 0.98))"
    let forecast = try run("--max-memory", limit, "--dry-run")
    #expect(forecast.code == 0, "\(forecast.error)")
    #expect(try foreseen(forecast) < wide * 0.98)
    let whole = try run("--quiet", "--output", "wide.npy")
    let narrow = try run("--max-memory", limit, "--quiet", "--output", "narrow.npy")
    #expect(whole.code == 0 && narrow.code == 0, "\(narrow.error)")
    #expect(try Files.read(place.path("wide.npy")) == Files.read(place.path("narrow.npy")))
  }

  /// What a command foresees without a limit, and its results without one and with a share of what it foresees.
  /// - Parameter bound: of what is foreseen under the limit, as a share.
  private func wideAndNarrow(
    _ share: Double, below bound: Double, _ command: ([String]) throws -> Outcome
  ) throws -> (wide: Double, Explained, Explained) {
    let wide = try foreseen(try command(["--dry-run"]))
    let limit = ["--max-memory", "\(Int(wide * share))"]
    let forecast = try command(limit + ["--dry-run"])
    #expect(forecast.code == 0, "\(forecast.error)")
    #expect(try foreseen(forecast) < wide * bound)
    let whole = try command(["--quiet", "--output", "wide.npz"])
    let narrow = try command(limit + ["--quiet", "--output", "narrow.npz"])
    #expect(whole.code == 0 && narrow.code == 0, "\(narrow.error)")
    return (
      wide, try Explained(place.path("wide.npz")), try Explained(place.path("narrow.npz"))
    )
  }

  @Test(
    "A little less than the widest tiles take is enough, a small part of them is not",
    arguments: ["integrated-gradients", "occlusion"])
  func narrowTiles(_ method: String) throws {
    let own = method == "occlusion" ? [] : ["--steps", "200"]
    func explain(_ options: [String]) throws -> Outcome {
      try place.explain("mlp-relu", method, ["--threads", "4"] + own + options)
    }
    let (wide, a, b) = try wideAndNarrow(0.98, below: 0.98, explain)
    if method == "occlusion" {
      // Programs of deltas are large: where they do not fit, full passes give the same to rounding.
      let (all, few) = (try a.doubles("attributions"), try b.doubles("attributions"))
      #expect(relativeDifference(few, all) < 3e-5)
    } else {
      #expect(try a.tensor("attributions") == b.tensor("attributions"))
    }
    let refused = try explain(["--max-memory", "\(Int(wide / 50))", "--output", "none.npz"])
    #expect(refused.code == 69 && refused.error.contains("--max-memory"), "\(refused.error)")
  }

  @Test(
    "Values by moments take less where less is allowed, and are refused before anything is made",
    arguments: ["dasp", "moment-gradient"])
  func moments(_ estimator: String) throws {
    let (wide, a, b) = try wideAndNarrow(0.7, below: 0.71) { options in
      try place.shapley(
        [
          Fixtures.model("mlp-relu"), "--input", Fixtures.input("mlp-relu"), "--players",
          "patch:7x7", "--estimator", estimator, "--checked-players", "0", "--threads", "2",
        ] + options)
    }
    #expect(try a.tensor("values") == b.tensor("values"))
    for dryRun in [["--dry-run"], ["--output", "none.npz"]] {
      let refused = try place.shapley(
        [
          Fixtures.model("mlp-relu"), "--input", Fixtures.input("mlp-relu"), "--estimator",
          estimator, "--max-memory", "\(Int(wide / 4))",
        ] + dryRun)
      #expect(refused.code == 69 && refused.error.contains("--max-memory"), "\(refused.error)")
    }
  }
}
