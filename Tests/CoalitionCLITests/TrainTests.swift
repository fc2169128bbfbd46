// `coalition train` on the digits of the demonstration: files that come out, and what is refused.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

@Suite struct TrainTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private static let data = ["--input", Digits.images, Digits.scale, "--labels", Digits.labels]
  private static let small = [
    "--architecture",
    "input 1x28x28; conv 4 5 stride 2; batchnorm; relu; maxpool 2; flatten; dropout 0.1; dense 10",
  ]

  private func coalition(_ arguments: [String]) throws -> Outcome {
    try Running(arguments, in: place.folder, [:]).outcome()
  }

  @Test("A new model is trained, written with its history, and the same again")
  func newModel() throws {
    let options =
      ["train"] + Self.small + Self.data
      + ["--epochs", "30", "--batch", "20", "--learning-rate", "0.01", "--history", "h.json"]
    let outcome = try coalition(options + ["--output", "a.onnx"])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.contains("a.onnx: ") && outcome.output.contains("parameters"))
    let history = try Explained(place.path("h.json"))
    let losses = try history.doubles("loss")
    #expect(losses.count == 31 && losses[30] < losses[0] / 4)
    #expect(history.metadata("verb") == "train")
    #expect(history.metadata("options", "optimizer") == "adam")
    let again = try coalition(options + ["--output", "b.onnx", "--threads", "1"])
    #expect(again.code == 0, "\(again.error)")
    #expect(try Files.read(place.path("a.onnx")) == Files.read(place.path("b.onnx")))
    let run = try coalition([
      "run", "a.onnx", "--input", Digits.images, Digits.scale, "--output", "scores.npz",
    ])
    #expect(run.code == 0, "\(run.error)")
  }

  @Test("A model that exists goes on, with a validation that stops it")
  func continued() throws {
    let outcome = try coalition(
      ["train", Digits.model] + Self.data
        + [
          "--optimizer", "sgd", "--learning-rate", "0.1", "--epochs", "40", "--validation", "0.3",
          "--patience", "2", "--output", "c.onnx", "--history", "c.npz", "--quiet",
        ])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(outcome.output.isEmpty && outcome.error.isEmpty)
    let history = try Explained(place.path("c.npz"))
    let losses = try history.doubles("validation_loss")
    #expect(losses.count <= 41 && losses.count > 1)
    let before = try ONNX.read(contentsOf: Digits.model)
    let after = try ONNX.read(contentsOf: place.path("c.onnx"))
    #expect(before.inputs == after.inputs && before.outputs == after.outputs)
    #expect(Set(before.constants.keys) == Set(after.constants.keys))
  }

  @Test("A dry run needs no place for the model, and counts the parameters that training counts")
  func dryRun() throws {
    let forecast = try coalition(["train", "--dry-run"] + Self.small + Self.data)
    #expect(forecast.code == 0, "\(forecast.error)")
    // 4 x 25 + 4, scale and shift of 4, and 4 x 36 x 10 + 10: neither running statistics nor the share that is dropped.
    #expect(forecast.output.contains("parameters: 1,562\n"), "\(forecast.output)")
    #expect(place.files.isEmpty)
    let trained = try coalition(
      ["train"] + Self.small + Self.data + ["--epochs", "1", "--output", "a.onnx"])
    #expect(trained.output.contains("a.onnx: 1,562 parameters"), "\(trained.output)")
    let inspected = try coalition(["inspect", "a.onnx"])
    #expect(inspected.output.contains(" 1,562\n"), "\(inspected.output)")
  }

  @Test("Training that runs away is an error or a warning, one that learns nothing a warning")
  func divergence() throws {
    let sgd = ["--optimizer", "sgd", "--epochs", "20"]
    let lost = try coalition(
      ["train"] + Self.small + Self.data + sgd + ["--learning-rate", "1e30", "--output", "a.onnx"])
    #expect(lost.code == 65 && lost.error.contains("no longer finite"), "\(lost.error)")
    #expect(place.files.isEmpty)
    let idle = try coalition(
      ["train"] + Self.small + Self.data + sgd
        + ["--learning-rate", "1e-12", "--output", "a.onnx", "--history", "h.json"])
    #expect(
      idle.code == 0 && idle.error.contains("no better than the same scores"), "\(idle.error)")
    guard case .array(let warnings)? = try Explained(place.path("h.json")).file.metadata["warnings"]
    else {
      Issue.record("no warnings")
      return
    }
    let useless = warnings.compactMap(\.text).filter { $0.contains("no better than the same") }
    #expect(useless.count == 1)
    let good = try coalition(
      ["train"] + Self.small + Self.data + ["--epochs", "30", "--output", "a.onnx"])
    #expect(good.code == 0 && good.error.isEmpty, "\(good.error)")
  }

  @Test("A pruned model is fine-tuned")
  func finetuned() throws {
    let prune = ["prune", Digits.model] + Self.data + ["--metric", "weight", "--keep", "0.5"]
    func loss(_ options: [String]) throws -> Double {
      let outcome = try coalition(prune + options + ["--output", "p.onnx", "--report", "p.json"])
      #expect(outcome.code == 0, "\(outcome.error)")
      let report = try Explained(place.path("p.json")).file
      guard case .number(let loss)? = report.metadata["result"]?["after"]?["loss"] else {
        return .nan
      }
      return loss
    }
    let plain = try loss([])
    let tuned = try loss(["--repair", "bias,finetune", "--epochs", "20", "--batch", "25"])
    #expect(tuned < plain / 2, "\(plain) to \(tuned)")
    let distilled = try loss(["--repair", "bias,distill", "--epochs", "20", "--batch", "25"])
    #expect(distilled < plain / 2 && distilled != tuned, "\(plain) to \(distilled)")
  }

  @Test("What cannot be done is said, and nothing is written")
  func refused() throws {
    func refused(_ arguments: [String], _ code: Int32, _ words: String) throws {
      let outcome = try coalition(["train"] + arguments)
      #expect(outcome.code == code, "\(arguments): \(outcome.error)")
      #expect(outcome.error.contains(words), "\(outcome.error)")
      #expect(place.files.isEmpty)
    }
    let output = ["--output", "x.onnx"]
    let all = Self.small + Self.data + output
    try refused(Self.data + output, 64, "what is trained is said once")
    try refused([Digits.model] + all, 64, "what is trained is said once")
    try refused(Self.small + output, 64, "--input and --labels")
    try refused(Self.small + Self.data, 64, "--output X.onnx")
    try refused(["--architecture", "input 4; desne 3"] + Self.data + output, 64, "no layer of")
    try refused(all + ["--patience", "3"], 64, "give --validation")
    try refused(all + ["--validation", "1.5"], 64, "not a share")
    try refused(all + ["--validation", "rows.npy"], 64, "--validation-labels")
    try refused(all + ["--momentum", "0.5"], 64, "sgd and nesterov")
    try refused(all + ["--learning-rate", "0"], 64, "learning rate")
    try refused(
      ["--architecture", "input 1x28x28; flatten; dense 5"] + Self.data + output, 65, "label")
    try refused(
      Self.small + ["--input", Digits.images, "--labels", "none.npy"] + output, 66, "none.npy")
    try refused(all + ["--max-memory", "300k"], 69, "memory")
  }
}
