// What a model file says of itself that a graph does not keep.

package import CoalitionBase

extension ONNX {
  /// The version of the intermediate representation in the bytes of a model file: nil when they do not say.
  package static func irVersion(of bytes: [UInt8]) throws(CoalitionError) -> Int? {
    var reader = WireReader(bytes)
    while let field = try reader.next() {
      if field.number == Schema.Model.irVersion { return try field.integer() }
    }
    return nil
  }
}
