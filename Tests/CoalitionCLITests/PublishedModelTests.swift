// Models of others, where the checkout has them beside it (or in the folder COALITION_DATA): their own reference
// outputs, computed by ONNX Runtime.

import CoalitionBase
import CoalitionData
import Foundation
import Testing

private let data: String = {
  if let folder = ProcessInfo.processInfo.environment["COALITION_DATA"] { return folder }
  return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("shared/data").path
}()

@Suite(
  .enabled(
    if: FileManager.default.fileExists(atPath: data + "/model-mnist-cntk"),
    "there is no ../shared/data/model-*"))
struct PublishedModelTests {
  let place: Workplace
  init() throws { place = try Workplace() }

  struct Reference: Sendable, CustomTestStringConvertible {
    let folder: String
    let model: String
    let input: String
    let output: String
    let outputName: String
    /// The largest difference that is allowed, relative to the largest expected number.
    let tolerance: Float
    var testDescription: String { folder }
  }

  static let references = [
    Reference(
      folder: "model-mnist-cntk", model: "mnist-cntk", input: "ref_input_10x1x28x28.f32",
      output: "ref_output_10x10.f32", outputName: "Plus214_Output_0", tolerance: 1e-5),
    Reference(
      folder: "model-cifar-lenet", model: "cifar-lenet", input: "ref_input_10x3x32x32.f32",
      output: "ref_output_10x10.f32", outputName: "logits", tolerance: 1e-5),
    Reference(
      folder: "model-california-mlp", model: "california-mlp", input: "ref_input_20x8.f32",
      output: "ref_output_20x1.f32", outputName: "value", tolerance: 1e-5),
  ]

  @Test("Reference outputs are reproduced", arguments: references)
  func reproduced(_ reference: Reference) throws {
    let folder = "\(data)/\(reference.folder)"
    let outcome = try place.coalition(
      "run", "\(folder)/\(reference.model).onnx", "--input", "\(folder)/\(reference.input)",
      "--output", "r.npz")
    #expect(outcome.code == 0, "\(outcome.error)")
    let result = try ResultFile(reading: place.path("r.npz"))
    guard case .tensor(let found)? = result[reference.outputName] else {
      Issue.record("no output \(reference.outputName)")
      return
    }
    let expected = try RawArray.decode(
      try Files.read("\(folder)/\(reference.output)"), format: .f32, exampleShape: [1]
    ).floats
    let largest = expected.map(abs).max() ?? 0
    #expect(largestDifference(found.floats, expected) <= reference.tolerance * largest)
  }

  private static let photos = [
    "bald_eagle.jpeg", "pelican.jpeg", "elephants.jpg", "grace_hopper.jpg", "tabby_cat.jpg",
    "husky_dog.jpg",
  ]

  /// Another version of the JPEG decoder may differ by a level of 255 here and there.
  @Test("SqueezeNet sees in photographs what ONNX Runtime sees", arguments: photos.indices)
  func photographs(index: Int) throws {
    let folder = "\(data)/model-squeezenet-dc"
    let outcome = try place.coalition(
      "run", "\(folder)/squeezenet-v1.0-deep-compression.onnx", "--input",
      "\(data)/photos/\(Self.photos[index])", "--resize", "short:256", "--crop", "227x227",
      "--channels", "bgr", "--mean", "104,117,123", "--output", "r.npz")
    #expect(outcome.code == 0, "\(outcome.error)")
    guard case .tensor(let found)? = try ResultFile(reading: place.path("r.npz"))["prob"] else {
      Issue.record("no output prob")
      return
    }
    let all = try RawArray.decode(
      try Files.read("\(folder)/ref_output_6photos_6x1000.f32"), format: .f32,
      exampleShape: [1000]
    ).floats
    let expected = Array(all[index * 1000..<(index + 1) * 1000])
    #expect(found.shape == [1, 1000])
    let best = expected.indices.max { expected[$0] < expected[$1] }
    #expect(found.floats.indices.max { found.floats[$0] < found.floats[$1] } == best)
    #expect(largestDifference(found.floats, expected) < 2e-3)
  }

  @Test("Every verb counts the same multiply-adds")
  func sameWork() throws {
    let folder = "\(data)/model-squeezenet-dc"
    let model = "\(folder)/squeezenet-v1.0-deep-compression.onnx"
    #expect(try place.coalition("inspect", model).output.contains("1 example 813,695,264\n"))
    let forecast = try place.coalition(
      "run", model, "--input", "\(folder)/ref_input_pelican_1x3x227x227.f32", "--dry-run")
    #expect(forecast.output.contains("multiply-adds    813,695,264\n"))
    #expect(try place.coalition("plan", model).output.contains("814 M multiply-adds"))
  }

  @Test("SqueezeNet's probabilities for a prepared photograph are ONNX Runtime's")
  func squeezeNet() throws {
    let folder = "\(data)/model-squeezenet-dc"
    let outcome = try place.coalition(
      "run", "\(folder)/squeezenet-v1.0-deep-compression.onnx", "--input",
      "\(folder)/ref_input_pelican_1x3x227x227.f32", "--output", "r.npy")
    #expect(outcome.code == 0, "\(outcome.error)")
    let found = try Npy.decode(try Files.read(place.path("r.npy"))).floats
    let all = try RawArray.decode(
      try Files.read("\(folder)/ref_output_6photos_6x1000.f32"), format: .f32,
      exampleShape: [1000]
    ).floats
    #expect(largestDifference(found, Array(all[1000..<2000])) < 1e-5)
  }
}
