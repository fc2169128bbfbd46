// `coalition prune` with repairs that train: what its report holds of examples that are only measured, and of the epochs.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX
import Foundation
import Testing

@Suite struct PruneTrainingTests {
  let place: Workplace

  /// The first 60 digits to prune and train on, the others to measure.
  init() throws {
    place = try Workplace()
    let images = try ArrayFile.load(Digits.images, options: .init())
    let labels = try ArrayFile.load(Digits.labels, options: .init())
    for (name, rows) in [("t", 0..<60), ("v", 60..<100)] {
      for (kind, tensor) in [("x", images), ("y", labels)] {
        let size = tensor.count / tensor.shape[0]
        let numbers = tensor.doubles[rows.lowerBound * size..<rows.upperBound * size]
        _ = try place.write(
          try Tensor(
            shape: [rows.count] + tensor.shape.dropFirst(),
            elements: .uint8(numbers.map { UInt8($0) })), "\(kind)\(name).npy")
      }
    }
  }

  private static let prune = [
    "prune", Digits.model, "--metric", "weight", "--keep", "0.5", "--input", "xt.npy", Digits.scale,
    "--output", "p.onnx", "--report", "p.npz", "--batch", "20", "--epochs", "12",
  ]

  private func coalition(_ arguments: [String]) throws -> Outcome {
    try Running(arguments, in: place.folder, [:]).outcome()
  }

  private func report(_ options: [String]) throws -> (Explained, Outcome) {
    let outcome = try coalition(Self.prune + options)
    #expect(outcome.code == 0, "\(outcome.error)")
    return (try Explained(place.path("p.npz")), outcome)
  }

  private func number(_ report: Explained, _ state: String, _ name: String) -> Double? {
    guard case .number(let number)? = report.file.metadata["result"]?[state]?[name] else {
      return nil
    }
    return number
  }

  /// log softmax of a model's scores of the digits that are measured, [40][10].
  private func logarithms(_ model: String) throws -> [[Double]] {
    let outcome = try coalition(
      ["run", model, "--input", "xv.npy", Digits.scale, "--output", "s.npy"])
    #expect(outcome.code == 0, "\(outcome.error)")
    let scores = try Npy.decode(try Files.read(place.path("s.npy"))).doubles
    return (0..<40).map { example in
      let row = scores[example * 10..<example * 10 + 10]
      let normaliser = log(row.reduce(0) { $0 + exp($1) })
      return row.map { $0 - normaliser }
    }
  }

  @Test("Loss and accuracy of unseen examples before and after, and the epochs")
  func finetuned() throws {
    let (report, outcome) = try report(
      ["--labels", "yt.npy", "--repair", "bias,finetune", "--validation", "xv.npy"]
        + ["--validation-labels", "yv.npy"])
    let labels = try Npy.decode(try Files.read(place.path("yv.npy"))).doubles.map { Int($0) }
    for (state, model) in [("before", Digits.model), ("after", "p.onnx")] {
      let rows = try logarithms(model)
      let loss = zip(rows, labels).reduce(0) { $0 - $1.0[$1.1] } / 40
      let right = zip(rows, labels).filter { $0[$1] == $0.max() }.count
      let found = try #require(number(report, state, "validation-loss"))
      #expect(abs(found - loss) < 1e-5 * (1 + loss))
      #expect(number(report, state, "validation-accuracy") == Double(right) / 40)
    }
    let losses = try report.doubles("validation_loss")
    #expect(try losses.count == 13 && report.shape("loss") == [13])
    #expect(try report.shape("validation_accuracy") == [13])
    guard case .integer(let epoch)? = report.file.metadata["result"]?["training"]?["epoch"] else {
      Issue.record("no epoch")
      return
    }
    #expect(losses[epoch] == losses.min())
    #expect(number(report, "after", "validation-loss") == losses[epoch])
    for word in ["validation loss", "validation accuracy", "as of epoch \(epoch) of 12"] {
      #expect(outcome.output.contains(word), "\(outcome.output)")
    }
    #expect(!outcome.output.contains("were fitted to"))
    let drawing = try coalition(["plot", "p.npz", "--output", "p.svg"])
    #expect(drawing.code == 0 && drawing.output.contains("2 curves"), "\(drawing.error)")
  }

  @Test("A share that is kept apart is measured by the labels, whatever is trained towards")
  func share() throws {
    let (report, _) = try report(
      ["--labels", "yt.npy", "--repair", "distill", "--validation", "0.5"])
    #expect(number(report, "before", "validation-accuracy") == 1)
    #expect(number(report, "after", "validation-accuracy") != nil)
  }

  @Test("Distillation needs no labels of the examples that are measured")
  func distilled() throws {
    let (report, outcome) = try report(["--repair", "bias,distill", "--validation", "xv.npy"])
    let whole = try logarithms(Digits.model)
    for (state, model) in [("before", Digits.model), ("after", "p.onnx")] {
      let own = try logarithms(model)
      let loss =
        zip(whole, own).reduce(0.0) { sum, rows in
          sum - zip(rows.0, rows.1).reduce(0) { $0 + exp($1.0) * $1.1 }
        } / 40
      let found = try #require(number(report, state, "validation-loss"))
      #expect(abs(found - loss) < 1e-5 * (1 + loss))
    }
    #expect(!outcome.output.contains("accuracy"), "\(outcome.output)")
    let refused = try coalition(
      Self.prune + ["--labels", "yt.npy", "--repair", "finetune,distill", "--validation", "xv.npy"])
    #expect(refused.code == 64 && refused.error.contains("--validation-labels"))
  }

  @Test(
    "Without a validation the report says what it is measured on, and warnings what they are of")
  func fitted() throws {
    let (report, outcome) = try report(
      ["--labels", "yt.npy", "--repair", "finetune", "--learning-rate", "0.5"])
    #expect(outcome.output.contains("the examples that the repairs were fitted to"))
    #expect(report.file.metadata["result"]?["after-is-fitted"] == .bool(true))
    #expect(!report.names.contains("validation_loss") && report.names.contains("loss"))
    #expect(outcome.error.contains("warning: fine-tuning: training ended with a loss of"))
    let plain = try coalition([
      "prune", Digits.model, "--metric", "weight", "--keep", "0.5", "--input", "xt.npy",
      Digits.scale, "--labels", "yt.npy", "--report", "p.npz",
    ])
    #expect(plain.code == 0 && !plain.output.contains("fitted"))
    let file = try Explained(place.path("p.npz")).file
    #expect(file.metadata["result"]?["after-is-fitted"] == .bool(false))
    #expect(file.metadata["result"]?["training"] == .null)
  }

  @Test("A signal during fine-tuning says so")
  func cancelled() throws {
    let running = try Running(
      Self.prune.dropLast() + [
        "1000000", "--labels", "yt.npy", "--repair", "finetune", "--progress", "plain",
      ], in: place.folder, [:])
    Thread.sleep(forTimeInterval: 2)
    running.send(SIGINT)
    let outcome = try running.outcome()
    #expect(outcome.code == 130)
    #expect(
      outcome.error.contains(/fine-tuning cancelled (after|before) epoch \d+ of 1000000/),
      "\(outcome.error.suffix(300))")
    #expect(!place.files.contains("p.onnx"))
    #expect(outcome.error.contains("fine-tuning, epoch 0 of 1000000: loss "))
  }
}
