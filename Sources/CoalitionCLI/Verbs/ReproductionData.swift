// The networks and images of `coalition reproduce grad`: in the program, or in a folder of the same names.

import CDemoData
import Coalition
import CoalitionBase
import CoalitionData

struct ReproductionData: Sendable {
  struct Network: Sendable {
    /// The activation.
    let name: String
    let file: ModelFile
    fileprivate let bytes: [UInt8]
  }

  let networks: [Network]
  /// N x 1 x 28 x 28, -1 (no ink) to 1: the zero baseline is mid-gray.
  let images: Tensor
  private let imageBytes: [UInt8]

  private static let imageFile = "mnist-images.npz"

  /// - Parameter folder: nil for the data in the program.
  init(folder: String?, memoryLimit: Int) async throws(CoalitionError) {
    var networks: [Network] = []
    for (name, embedded) in Self.embedded {
      let path = folder.map { "\($0)/mlp-\(name).onnx" } ?? "mlp-\(name).onnx"
      let bytes = try folder == nil ? embedded() : Files.read(path, limit: memoryLimit)
      networks.append(
        Network(
          name: name,
          file: try await ModelFile(bytes, path: path, folder: folder, memoryLimit: memoryLimit),
          bytes: bytes))
    }
    self.networks = networks
    let path = folder.map { "\($0)/\(Self.imageFile)" } ?? Self.imageFile
    imageBytes =
      try folder == nil
      ? Self.bytes(reproduction_images, reproduction_images_size)
      : Files.read(path, limit: memoryLimit)
    do throws(CoalitionError) {
      let pixels = try Npz.decode(imageBytes, key: "images", limit: memoryLimit)
      guard pixels.elementType == .uint8, pixels.count > 0, pixels.count % (28 * 28) == 0 else {
        throw CoalitionError(
          .shapeMismatch, "the images are not those of the experiment",
          expected: "uint8 [N, 1, 28, 28]", found: "\(pixels.elementType) \(pixels.shape)")
      }
      images = try Tensor(
        shape: [pixels.count / (28 * 28), 1, 28, 28],
        elements: .float32(pixels.floats.map { $0 / 127.5 - 1 }))
    } catch {
      throw error.at(path)
    }
  }

  private static let embedded: [(String, @Sendable () -> [UInt8])] = [
    ("relu", { bytes(reproduction_mlp_relu, reproduction_mlp_relu_size) }),
    ("tanh", { bytes(reproduction_mlp_tanh, reproduction_mlp_tanh_size) }),
    ("sigmoid", { bytes(reproduction_mlp_sigmoid, reproduction_mlp_sigmoid_size) }),
    ("softplus", { bytes(reproduction_mlp_softplus, reproduction_mlp_softplus_size) }),
  ]

  private static func bytes(_ start: UnsafePointer<UInt8>, _ count: Int) -> [UInt8] {
    Array(UnsafeBufferPointer(start: start, count: count))
  }

  /// The files as they were read, and the images as the networks take them.
  func write(to folder: String) throws(CoalitionError) {
    for network in networks {
      try Files.writeAtomically(network.bytes, to: "\(folder)/mlp-\(network.name).onnx")
    }
    try Files.writeAtomically(imageBytes, to: "\(folder)/\(Self.imageFile)")
    try Files.writeAtomically(Npy.encode(images), to: "\(folder)/images.npy")
  }
}
