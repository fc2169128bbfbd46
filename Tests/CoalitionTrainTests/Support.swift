// Data and naive references of the tests of training.

import CoalitionBase
import CoalitionData
import Foundation
import TestSupport

enum MNIST {
  /// Where the checkout has the data beside it, or the folder COALITION_DATA.
  static let folder: String = {
    if let folder = ProcessInfo.processInfo.environment["COALITION_DATA"] {
      return folder + "/mnist"
    }
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("shared/data/mnist").path
  }()

  static var isThere: Bool { FileManager.default.fileExists(atPath: folder) }

  /// Images as 0 to 1, [N, 1, 28, 28], and their labels.
  static func examples(_ part: String) throws -> (images: Tensor, labels: Tensor) {
    let images = try ArrayFile.load("\(folder)/\(part)-images-idx3-ubyte.gz")
    let labels = try ArrayFile.load("\(folder)/\(part)-labels-idx1-ubyte.gz")
    let scaled = images.floats.map { $0 / 255 }
    return (
      try Tensor(shape: [images.shape[0], 1, 28, 28], elements: .float32(scaled)), labels
    )
  }

  /// The inner 24 x 24 averaged three by three: [N, 64].
  static func small(_ images: Tensor) throws -> Tensor {
    let pixels = images.floats
    let count = images.shape[0]
    var rows = [Float](repeating: 0, count: count * 64)
    for image in 0..<count {
      for y in 0..<24 {
        for x in 0..<24 {
          rows[image * 64 + y / 3 * 8 + x / 3] += pixels[image * 784 + (y + 2) * 28 + x + 2] / 9
        }
      }
    }
    return try Tensor(shape: [count, 64], elements: .float32(rows))
  }
}

/// Two classes of points, apart by a curve.
func points(_ count: Int, seed: Int = 5) throws -> (inputs: Tensor, labels: Tensor) {
  var random = Seeded(seed)
  var rows: [Float] = []
  var labels: [Int64] = []
  for _ in 0..<count {
    let point = random.numbers(2, -1...1)
    rows += point.map { Float($0) }
    labels.append(point[1] > point[0] * point[0] - 0.25 ? 1 : 0)
  }
  return (try Tensor(shape: [count, 2], elements: .float32(rows)), Tensor(.int64(labels)))
}
