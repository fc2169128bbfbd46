import CoalitionBase
import Testing

@testable import CoalitionData

@Suite("preprocessing")
struct PreprocessingTests {
  private let image: Tensor

  init() throws {
    image = try Tensor(
      shape: [23, 17, 3],
      elements: .uint8(Fixture.pixels(height: 23, width: 17, channels: 3)))
  }

  private func apply(
    _ image: Tensor, _ options: (inout Preprocessing) throws -> Void
  ) throws -> Tensor {
    var preprocessing = Preprocessing()
    try options(&preprocessing)
    return try preprocessing.apply(toImage: image)
  }

  @Test(
    "resampling is Pillow's, bit for bit",
    arguments: ["11x9", "40x31", "23x5", "60x17", "1x1", "22x16"])
  func resize(size: String) throws {
    let expected = try Fixture.bytes("resized_\(size).u8").map { Float($0) }
    let result = try apply(image) {
      $0.resize = try .init(parsing: size)
      $0.layout = .nhwc
    }
    #expect(result.elements == .float32(expected))
  }

  @Test("the shorter side decides, the longer one is rounded")
  func shorterSide() throws {
    // 10 * 23 / 17 = 13.53
    let tall = try apply(image) { $0.resize = .shorterSide(10) }
    #expect(tall.shape == [1, 3, 14, 10])
    let wide = try image.reshaped(to: [17, 23, 3])
    #expect(try apply(wide) { $0.resize = .shorterSide(10) }.shape == [1, 3, 10, 14])
  }

  @Test("crops the centre")
  func crop() throws {
    let result = try apply(image) {
      $0.crop = .init(height: 3, width: 5)
      $0.layout = .nhwc
    }
    #expect(result.shape == [1, 3, 5, 3])
    // 23 - 3 = 20 rows and 17 - 5 = 12 columns are left out.
    var expected: [Float] = []
    for y in 10..<13 {
      for x in 6..<11 {
        for c in 0..<3 { expected.append(Float((37 * y + 11 * x + 71 * c) % 256)) }
      }
    }
    #expect(result.elements == .float32(expected))
    #expect(throws: CoalitionError.self) {
      try apply(image) { $0.crop = .init(height: 24, width: 5) }
    }
  }

  @Test("channels: BGR reverses, gray is Pillow's luma, gray images become colour by repetition")
  func channels() throws {
    let rgb = try apply(image) { $0.channels = .rgb }.floats
    let bgr = try apply(image) { $0.channels = .bgr }.floats
    let plane = 23 * 17
    #expect(Array(bgr[..<plane]) == Array(rgb[(2 * plane)...]))
    #expect(Array(bgr[plane..<2 * plane]) == Array(rgb[plane..<2 * plane]))
    let gray = try apply(image) { $0.channels = .gray }
    #expect(gray.shape == [1, 1, 23, 17])
    #expect(try gray.floats == Fixture.bytes("luma_23x17.u8").map { Float($0) })
    let single = try Tensor(shape: [1, 2, 1], elements: .uint8([7, 9]))
    #expect(try apply(single) { _ in }.shape == [1, 1, 1, 2])
    #expect(try apply(single) { $0.channels = .bgr }.elements == .float32([7, 9, 7, 9, 7, 9]))
  }

  @Test("scale comes before mean, mean before standard deviation, each by channel")
  func normalization() throws {
    let pixel = try Tensor(shape: [1, 1, 3], elements: .uint8([255, 0, 51]))
    let result = try apply(pixel) {
      $0.scale = 1.0 / 255
      $0.mean = [0.5, 0.25, 0.2]
      $0.standardDeviation = [0.5, 0.25, 2]
    }
    let expected: [Float] = [1, -1, 0]
    #expect(zip(result.floats, expected).allSatisfy { abs($0 - $1) < 1e-7 })
    #expect(throws: CoalitionError.self) { try apply(pixel) { $0.mean = [1, 2] } }
    #expect(throws: CoalitionError.self) { try apply(pixel) { $0.standardDeviation = [0] } }
    #expect(throws: CoalitionError.self) { try apply(pixel) { $0.scale = .infinity } }
  }

  @Test("byte arrays are normalized along their channel axis and keep their shape")
  func arrays() throws {
    var preprocessing = Preprocessing()
    preprocessing.mean = [1, 10]
    let bytes = Tensor.Elements.uint8([1, 2, 3, 4, 5, 6, 7, 8])
    let nchw = try Tensor(shape: [1, 2, 2, 2], elements: bytes)
    #expect(
      try preprocessing.apply(toArray: nchw).elements
        == .float32([0, 1, 2, 3, -5, -4, -3, -2]))
    preprocessing.layout = .nhwc
    #expect(
      try preprocessing.apply(toArray: nchw).elements
        == .float32([0, -8, 2, -6, 4, -4, 6, -2]))
    // One example without its axis.
    let single = try Tensor(shape: [2, 2, 2], elements: bytes)
    #expect(
      try preprocessing.apply(toArray: single, isOneExample: true).elements
        == .float32([0, -8, 2, -6, 4, -4, 6, -2]))
    preprocessing.layout = .nchw
    #expect(
      try preprocessing.apply(toArray: single, isOneExample: true).elements
        == .float32([0, 1, 2, 3, -5, -4, -3, -2]))
    let features = try Tensor(shape: [2], elements: .uint8([1, 2]))
    #expect(
      try preprocessing.apply(toArray: features, isOneExample: true).elements == .float32([0, -8]))
    let images = try Tensor(shape: [2, 2, 2], elements: bytes)
    #expect(throws: CoalitionError.self) { try preprocessing.apply(toArray: images) }
    preprocessing.mean = [1]
    preprocessing.scale = 2
    #expect(
      try preprocessing.apply(toArray: images).elements
        == .float32([1, 3, 5, 7, 9, 11, 13, 15]))
    let empty = try Tensor(shape: [0, 2, 3, 3], elements: .uint8([]))
    #expect(try preprocessing.apply(toArray: empty).shape == [0, 2, 3, 3])
  }

  @Test("options of images do not apply to arrays, and none to numbers that are no bytes")
  func arrayRefusals() throws {
    var preprocessing = Preprocessing()
    let numbers = Tensor(.float32([1]))
    #expect(try preprocessing.apply(toArray: numbers) == numbers)
    preprocessing.crop = .init(height: 1, width: 1)
    #expect(throws: CoalitionError.self) { try preprocessing.apply(toArray: numbers) }
    #expect(throws: CoalitionError.self) {
      try preprocessing.apply(toArray: Tensor(.uint8([1])))
    }
  }

  @Test("sizes past the limit are refused before they are allocated")
  func limit() throws {
    var preprocessing = Preprocessing()
    preprocessing.resize = .exactly(height: 65_535, width: 65_535)
    let options = preprocessing
    let image = image
    #expect(
      code { () throws(CoalitionError) in
        _ = try options.apply(toImage: image, limit: 1 << 30)
      } == .memoryLimit)
    preprocessing.resize = .shorterSide(65_535)
    let longer = preprocessing
    #expect(
      code { () throws(CoalitionError) in _ = try longer.apply(toImage: image) } == .usage)
  }

  @Test("parses sizes strictly")
  func parsing() throws {
    #expect(try Preprocessing.Resize(parsing: "short:256") == .shorterSide(256))
    #expect(try Preprocessing.Resize(parsing: "2x3") == .exactly(height: 2, width: 3))
    for text in [
      "", "3", "x", "3x", "0x1", "1x2x3", "short:", "short:0", "short:-1", "+1x2", "٣x٣",
    ] {
      #expect(
        code { () throws(CoalitionError) in _ = try Preprocessing.Resize(parsing: text) }
          == .usage, "\(text)")
    }
  }

  @Test("records what is set in the order of its effect")
  func fields() throws {
    var preprocessing = Preprocessing()
    #expect(preprocessing.fields.map(\.name) == ["layout"])
    preprocessing.standardDeviation = [1]
    preprocessing.mean = [104, 117, 123]
    preprocessing.scale = 2
    preprocessing.channels = .bgr
    preprocessing.crop = .init(height: 227, width: 227)
    preprocessing.resize = .shorterSide(256)
    #expect(
      preprocessing.fields.map(\.name)
        == ["resize", "crop", "channels", "scale", "mean", "std", "layout"])
    #expect(preprocessing.fields.first?.value == "short:256")
  }

  @Test(
    "photographs become the inputs that SqueezeNet's reference outputs were made from",
    arguments: ["pelican.jpeg", "tabby_cat.jpg"])
  func squeezeNet(photo: String) throws {
    let data = Fixture.folder + "../../../../shared/data/"
    let name = String(photo.prefix { $0 != "." })
    let reference = data + "model-squeezenet-dc/ref_input_\(name)_1x3x227x227.f32"
    guard Files.exists(reference) else { return }
    var preprocessing = Preprocessing()
    preprocessing.resize = .shorterSide(256)
    preprocessing.crop = .init(height: 227, width: 227)
    preprocessing.channels = .bgr
    preprocessing.mean = [104, 117, 123]
    let found = try ArrayFile.loadInput(data + "photos/" + photo, preprocessing: preprocessing)
    let expected = try ArrayFile.load(
      reference, options: .init(exampleShape: [3, 227, 227]))
    #expect(found.shape == expected.shape)
    // Equal with the libjpeg that the references were made with; others may differ by a level or two.
    let worst = zip(found.floats, expected.floats).map { abs($0 - $1) }.max()
    #expect(worst ?? 255 <= 2)
  }
}
