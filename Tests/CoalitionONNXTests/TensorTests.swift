// Elements of tensors in all the forms that a file may give them, and sizes that do not fit.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import Testing

@Suite struct TensorTests {
  private func decoded(_ message: Message) throws -> Tensor? {
    try ONNX.decode(modelBytes(initializer: message)).constants["w"]
  }

  private func refused(_ message: Message) -> CoalitionError? {
    refusal(modelBytes(initializer: message))
  }

  @Test("Raw data of every supported type")
  func rawData() throws {
    func raw(_ type: Int64, _ bytes: [UInt8], count: Int64 = 2) throws -> Tensor.Elements? {
      try decoded(tensorHeader("w", type: type, dims: [count]).data(9, bytes))?.elements
    }
    let le = Message.littleEndian(_:) as (UInt32) -> [UInt8]
    #expect(
      try raw(1, le(Float(1.5).bitPattern) + le(Float(-2).bitPattern)) == .float32([1.5, -2]))
    #expect(
      try raw(11, Message.littleEndian(Double.pi.bitPattern), count: 1) == .float64([.pi]))
    #expect(try raw(2, [0, 255]) == .uint8([0, 255]))
    #expect(try raw(3, [0x80, 0x7F]) == .int32([-128, 127]))
    #expect(try raw(4, [0xFF, 0xFF, 0x01, 0x00]) == .int32([65535, 1]))
    #expect(try raw(5, [0x00, 0x80, 0xFF, 0x7F]) == .int32([-32768, 32767]))
    #expect(try raw(6, le(.max) + le(7)) == .int32([-1, 7]))
    #expect(try raw(7, [UInt8](repeating: 0xFF, count: 8), count: 1) == .int64([-1]))
    #expect(try raw(9, [0, 2]) == .bool([false, true]))
    #expect(try raw(10, [0x00, 0x3C, 0x01, 0x80]) == .float32([1, -0x1p-24]))
    #expect(try raw(12, le(.max) + le(0)) == .int64([4_294_967_295, 0]))
    #expect(try raw(13, Message.littleEndian(UInt64(Int64.max)), count: 1) == .int64([.max]))
    #expect(try raw(16, [0x80, 0x3F, 0x01, 0x00]) == .float32([1, 0x1p-133]))
  }

  @Test("Typed data of every supported type, packed or one by one")
  func typedData() throws {
    func typed(
      _ type: Int64, _ field: UInt64, _ values: [Int64], as expected: Tensor.Elements
    ) throws {
      let header = tensorHeader("w", type: type, dims: [Int64(values.count)])
      let single = values.reduce(header) { $0.int(field, $1) }
      #expect(try decoded(single)?.elements == expected)
      let packed = header.packed(field, values.map { UInt64(bitPattern: $0) })
      #expect(try decoded(packed)?.elements == expected)
    }
    try typed(2, 5, [0, 255], as: .uint8([0, 255]))
    try typed(3, 5, [-128, 127], as: .int32([-128, 127]))
    try typed(4, 5, [65535], as: .int32([65535]))
    try typed(5, 5, [-32768], as: .int32([-32768]))
    try typed(6, 5, [.init(Int32.min), 1], as: .int32([.min, 1]))
    try typed(9, 5, [0, 1], as: .bool([false, true]))
    try typed(10, 5, [0x3C00, 0xFC00], as: .float32([1, -.infinity]))
    try typed(16, 5, [0x3F80, 0x7F80], as: .float32([1, .infinity]))
    try typed(7, 7, [.min, .max, 0], as: .int64([.min, .max, 0]))
    try typed(12, 11, [4_294_967_295], as: .int64([4_294_967_295]))
    try typed(13, 11, [.max], as: .int64([.max]))
    let floats = tensorHeader("w", type: 1, dims: [3])
    let two = Message.littleEndian(Float(2).bitPattern) + Message.littleEndian(Float(3).bitPattern)
    #expect(try decoded(floats.float(4, 1).data(4, two))?.elements == .float32([1, 2, 3]))
    let doubles = tensorHeader("w", type: 11, dims: [2])
    #expect(try decoded(doubles.double(10, 0.1).double(10, -1))?.elements == .float64([0.1, -1]))
  }

  @Test("Every 16-bit float is widened to its exact value")
  func float16() throws {
    let patterns = (0...UInt16.max).flatMap { Message.littleEndian($0) }
    let half = try decoded(tensorHeader("w", type: 10, dims: [65536]).data(9, patterns))?.floats
    let values = try #require(half)
    for bits in 0...UInt16.max {
      let expected = Float(Float16(bitPattern: bits))
      let value = values[Int(bits)]
      #expect(value.isNaN ? expected.isNaN : value.bitPattern == expected.bitPattern, "\(bits)")
    }
    let brain = try decoded(tensorHeader("w", type: 16, dims: [65536]).data(9, patterns))?.floats
    #expect(
      try #require(brain).map(\.bitPattern) == (0...UInt16.max).map { UInt32($0) << 16 })
  }

  @Test("Scalars and empty tensors")
  func smallShapes() throws {
    #expect(try decoded(tensorHeader("w", type: 1, dims: []).float(4, 7)) == Tensor(scalar: 7))
    let empty = try Tensor(shape: [0, 3], elements: .float32([]))
    #expect(try decoded(tensorHeader("w", type: 1, dims: [0, 3])) == empty)
    #expect(try decoded(tensorHeader("w", type: 1, dims: [0, 3]).data(9, [])) == empty)
    #expect(try decoded(tensorHeader("w", type: 7, dims: [0]))?.elements == .int64([]))
    #expect(try decoded(tensorHeader("w", type: 6, dims: [0]).data(5, []))?.elements == .int32([]))
  }

  @Test("Types without support are named with their tensor")
  func unsupportedTypes() {
    let names: [Int64: String] = [
      8: "string", 14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz",
      19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4e2m1",
      24: "float8e8m0", 25: "uint2", 26: "int2", 27: "float6e2m3", 28: "float6e3m2",
    ]
    for (type, name) in names {
      let error = refused(tensorHeader("w", type: type, dims: [1]).data(9, [0]))
      #expect(error?.code == .unsupported)
      #expect(error?.message == "the tensor 'w' has elements of type \(name)")
      #expect(error?.node == "m.onnx: w")
    }
    #expect(refused(tensorHeader("w", type: 99, dims: [1]))?.code == .unsupported)
    #expect(refused(tensorHeader("w", type: 0, dims: [1]))?.code == .invalidData)
    let segment = tensorHeader("w", type: 1, dims: [1]).message(3, Message().int(1, 0))
    #expect(refused(segment)?.code == .unsupported)
  }

  @Test("Data that do not fill the shape give both counts")
  func wrongLength() {
    let short = refused(tensorHeader("w", type: 1, dims: [2, 3]).data(9, [1, 2, 3]))
    #expect(short?.code == .invalidData)
    #expect(
      short?.description
        == "m.onnx: w: the data of the tensor 'w' do not fill its shape [2, 3] "
        + "(expected 24 bytes of float, found 3)")
    for extra in [[], [1], [1, 2, 3]] as [[UInt64]] {
      let error = refused(tensorHeader("w", type: 7, dims: [2]).packed(7, extra))
      #expect(error?.code == .invalidData)
      #expect(error?.expected == "2 elements")
      #expect(error?.found == "\(extra.count)")
    }
    // Data in the field of another type are no data.
    #expect(refused(tensorHeader("w", type: 1, dims: [1]).int(7, 1))?.code == .invalidData)
    #expect(refused(tensorHeader("w", type: 1, dims: [1]).int(4, 1))?.code == .invalidData)
  }

  @Test(
    "Impossible sizes are refused before anything is allocated",
    arguments: [
      [.min], [-1], [.max], [1 << 62], [1 << 32, 1 << 32], [1 << 40], [0, .max, .max],
      [.max, .max, 0],
    ] as [[Int64]])
  func impossibleSizes(dims: [Int64]) {
    for type in [1, 2, 7, 10] as [Int64] {
      let error = refused(tensorHeader("w", type: type, dims: dims).data(9, [0, 0, 0, 0]))
      #expect(error?.code == .invalidData)
      #expect(error?.node == "m.onnx: w")
    }
    // In typed form the number of elements is not known from a length.
    #expect(refused(tensorHeader("w", type: 7, dims: dims).packed(7, [1]))?.code == .invalidData)
  }

  @Test("Elements that their type cannot hold are refused")
  func outOfRange() {
    func typed(_ type: Int64, _ field: UInt64, _ value: Int64) -> CoalitionError? {
      refused(tensorHeader("w", type: type, dims: [1]).int(field, value))
    }
    #expect(typed(2, 5, 256)?.code == .invalidData)
    #expect(typed(2, 5, -1)?.code == .invalidData)
    #expect(typed(3, 5, 128)?.code == .invalidData)
    #expect(typed(10, 5, 0x1_0000)?.code == .invalidData)
    #expect(typed(12, 11, 1 << 32)?.code == .invalidData)
    #expect(typed(13, 11, -1)?.found == "18446744073709551615")
    let large = tensorHeader("w", type: 13, dims: [1]).data(9, Message.littleEndian(UInt64.max))
    #expect(refused(large)?.code == .invalidData)
  }

  @Test("Data in two places are refused")
  func twoPlaces() {
    let both = tensorHeader("w", type: 1, dims: [1]).data(9, [0, 0, 0, 0]).float(4, 1)
    #expect(refused(both)?.message == "the tensor 'w' has its data in more than one place")
  }

  @Test("The memory limit counts what the file makes of few bytes")
  func memoryLimit() throws {
    // Two bytes per empty input name.
    let names = Message().raw([UInt8](repeating: 0, count: 200_000).flatMap { [0x0A, $0] })
    let node = names.text(2, "y").text(4, "Sum")
    let bytes = modelBytes(graphMessage(nodes: [node]))
    #expect(throws: Never.self) { try ONNX.decode(bytes, memoryLimit: 10_000_000) }
    let error = #expect(throws: CoalitionError.self) {
      try ONNX.decode(bytes, memoryLimit: 2_000_000)
    }
    #expect(error?.code == .memoryLimit)
    // One byte per element in the file, eight in memory.
    let long = tensorHeader("w", type: 7, dims: [100_000]).data(
      7, .init(repeating: 1, count: 100_000))
    let small = #expect(throws: CoalitionError.self) {
      try ONNX.decode(modelBytes(initializer: long), memoryLimit: 500_000)
    }
    #expect(small?.code == .memoryLimit)
    #expect(throws: Never.self) {
      try ONNX.decode(modelBytes(initializer: long), memoryLimit: 1_000_000)
    }
  }
}
