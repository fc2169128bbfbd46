// What `coalition train` says of its epochs: the model as it came, lines as they end, columns, and cancellation.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

@Suite struct TrainingReportTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  private static let data = ["--input", Digits.images, Digits.scale, "--labels", Digits.labels]
  /// Steps that spoil the network of the digits, which reads all of them.
  private static let wild = ["--learning-rate", "0.1", "--epochs", "3"]

  private func train(_ arguments: [String]) throws -> Outcome {
    try Running(["train"] + arguments, in: place.folder, [:]).outcome()
  }

  private func headings(_ outcome: Outcome) -> [Substring] {
    (outcome.output.split(separator: "\n").first ?? "").split(separator: " ")
  }

  @Test("A model that training makes worse stays as it came, and that is said")
  func keptAsItCame() throws {
    let outcome = try train(
      [Digits.model] + Self.data + Self.wild
        + ["--validation", "0.3", "--output", "a.onnx", "--history", "h.npz"])
    #expect(outcome.code == 0)
    #expect(outcome.error.contains("no epoch was better than the model as it came"))
    #expect(outcome.output.contains("as of epoch 0"))
    #expect(headings(outcome) == ["epoch", "loss", "validation", "loss", "accuracy"])
    #expect(outcome.output.contains("\n      0 "), "\(outcome.output)")
    let history = try Explained(place.path("h.npz"))
    let losses = try history.doubles("validation_loss")
    #expect(losses.count == 4 && losses.min() == losses[0])
    #expect(try history.shape("loss") == [4] && history.shape("validation_accuracy") == [4])
    #expect(try history.doubles("validation_accuracy")[0] == 1)
    #expect(history.file.metadata["result"]?["epoch"] == .integer(0))
    #expect(history.file.metadata["result"]?["start-loss"] == .number(losses[0]))
    let (before, after) = (
      try ONNX.read(contentsOf: Digits.model), try ONNX.read(contentsOf: place.path("a.onnx"))
    )
    #expect(before.constants.mapValues(\.doubles) == after.constants.mapValues(\.doubles))
  }

  @Test("Without a validation a larger loss than at the start is a warning with both")
  func worse() throws {
    let outcome = try train(
      [Digits.model] + Self.data + Self.wild + ["--output", "a.onnx", "--history", "h.json"])
    #expect(outcome.code == 0)
    let history = try Explained(place.path("h.json")).file
    guard case .number(let start)? = history.metadata["result"]?["start-loss"],
      case .number(let end)? = history.metadata["result"]?["loss"],
      case .array(let warnings)? = history.metadata["warnings"]
    else {
      Issue.record("no losses or warnings")
      return
    }
    #expect(end > start)
    let warning = try #require(warnings.compactMap(\.text).first { $0.contains("larger than") })
    #expect(outcome.error.contains(warning))
    for loss in [start, end] {
      #expect(warning.contains(String("\(loss)".prefix(5))), "\(warning)")
    }
    #expect(headings(outcome) == ["epoch", "loss"])
    let fine = try train(
      [Digits.model] + Self.data + ["--learning-rate", "1e-4", "--output", "a.onnx"])
    #expect(fine.code == 0 && fine.error.isEmpty, "\(fine.error)")
  }

  @Test("Numbers as targets have no accuracy")
  func regression() throws {
    let rows = (0..<40).map { Float($0) / 40 }
    _ = try place.write(try Tensor(shape: [40, 1], elements: .float32(rows)), "x.npy")
    let outcome = try train(
      [
        "--architecture", "input 1; dense 1", "--input", "x.npy", "--labels", "x.npy", "--loss",
        "squared-error", "--validation", "0.25", "--output", "a.onnx",
      ])
    #expect(outcome.code == 0, "\(outcome.error)")
    #expect(headings(outcome) == ["epoch", "loss", "validation", "loss"])
  }

  @Test("Epochs are told of as they end, to people and to programs")
  func progress() throws {
    let options =
      [Digits.model] + Self.data + [
        "--learning-rate", "1e-4", "--epochs", "3", "--output", "a.onnx",
      ]
    let plain = try train(options + ["--validation", "0.3", "--progress", "plain"])
    let lines = plain.error.split(separator: "\n").filter { $0.contains("epoch ") }
    #expect(lines.count == 4, "\(plain.error)")
    for (epoch, line) in lines.enumerated() {
      #expect(line.hasPrefix("epoch \(epoch) of 3: loss "))
      #expect(line.contains(", validation loss ") && line.hasSuffix(", accuracy 100.00 %"))
    }
    let json = try train(
      options + ["--validation", "0.3", "--progress", "json", "--history", "h.npz"])
    let losses = try Explained(place.path("h.npz")).doubles("loss")
    let objects = try json.error.split(separator: "\n").map {
      try #require(
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any], "\($0)")
    }
    let epochs = objects.filter { $0["epoch"] != nil }
    #expect(epochs.compactMap { $0["epoch"] as? Int } == [0, 1, 2, 3])
    #expect(relativeDifference(epochs.compactMap { $0["loss"] as? Double }, losses) < 1e-12)
    #expect(epochs.compactMap { $0["done"] as? Int } == [0, 70, 140, 210])
    #expect(epochs.allSatisfy { $0["total"] as? Int == 210 })
    #expect(epochs.allSatisfy { $0["validation-loss"] is Double && $0["accuracy"] is Double })
    let alone = try train(options + ["--progress", "json"])
    #expect(alone.error.contains("\"validation-loss\": null, \"accuracy\": null}"))
  }

  @Test(
    "A signal ends training with how far it was, and no file",
    arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
  func cancelled(signal: Int32, code: Int32) throws {
    let running = try Running(
      ["train", Digits.model] + Self.data + ["--epochs", "1000000", "--output", "a.onnx"],
      in: place.folder, [:])
    Thread.sleep(forTimeInterval: 1.5)
    running.send(signal)
    let outcome = try running.outcome()
    #expect(outcome.code == code, "\(outcome.error)")
    #expect(
      outcome.error.contains(/cancelled (after|before) epoch \d+ of 1000000/)
        && outcome.error.contains("nothing was written"), "\(outcome.error)")
    #expect(place.files.isEmpty)
  }

  @Test("Errors speak of the files, not of the share that is left of them, and count words")
  func errors() throws {
    func refused(_ arguments: [String], _ words: String...) throws {
      let outcome = try train(arguments + ["--validation", "0.2", "--output", "a.onnx"])
      #expect([64, 65].contains(outcome.code))
      for part in words { #expect(outcome.error.contains(part), "\(outcome.error)") }
      #expect(!place.files.contains("a.onnx"))
    }
    try refused(
      ["--architecture", "input 19; dense 10"] + Self.data, "[N, 19]", "found [100, 28, 28]")
    var labels = [Int64](repeating: 1, count: 100)
    labels[97] = 12
    _ = try place.write(Tensor(.int64(labels)), "wrong.npy")
    let images = ["--input", Digits.images, Digits.scale]
    try refused([Digits.model, "--labels", "wrong.npy"] + images, "label of example 97 ")
    var shares = [Float](repeating: 0.1, count: 1000)
    shares[413] = 0.25
    _ = try place.write(try Tensor(shape: [100, 10], elements: .float32(shares)), "shares.npy")
    try refused(
      [Digits.model, "--labels", "shares.npy"] + images, "labels of example 41 ", "a sum of 1.15")
    let dense = ["--architecture", "input 1x28x28; flatten; dense"] + Self.data
    try refused(dense, "expected one word behind dense")
    try refused(
      ["--architecture", "input 1x28x28; flatten 3"] + Self.data, "expected nothing behind flatten")
    let score = ["score", Digits.model, "--metric", "weight", "--layer"]
    for (layers, words) in [(["conv1"], "8 units in 1 layer"), (["all"], " layers")] {
      let outcome = try Running(score + layers, in: place.folder, [:]).outcome()
      #expect(
        outcome.output.split(separator: "\n").contains { $0.hasSuffix(words) }, "\(outcome.output)")
    }
  }
}
