// Preprocessing of images and bytes, in the order in which it acts.

import CoalitionBase
import CoalitionData

enum PreprocessingFlags {
  static let resize = Option(
    "resize", "HxW|short:N", "resizes images (bilinear), or their shorter side to N",
    as: ValueFormat { text throws(CoalitionError) in try resize(text) })
  static let crop = Option(
    "crop", "HxW", "cuts out the centre",
    as: ValueFormat { text throws(CoalitionError) in try Preprocessing.Size(parsing: text) })
  static let channels = Option<Preprocessing.Channels>(
    "channels", "ORDER", "rgb, bgr or gray", default: "as stored", as: .choice)
  static let scale = Option("scale", "A", "x * A", default: "1", as: .number)
  static let mean = Option("mean", "A,B,C", "x - mean, per channel or one number", as: .numbers)
  static let deviation = Option("std", "A,B,C", "x / std, per channel or one number", as: .numbers)
  static let layout = Option<Preprocessing.Layout>(
    "layout", "ORDER", "nchw or nhwc", default: "nchw", as: .choice)

  static let group = OptionGroup(
    title: "Preprocessing of images and bytes (0 to 255), in this order",
    options: [
      resize.declaration, crop.declaration, channels.declaration, scale.declaration,
      mean.declaration, deviation.declaration, layout.declaration,
    ])

  private static func resize(_ text: String) throws(CoalitionError) -> Preprocessing.Resize {
    do throws(CoalitionError) {
      return try Preprocessing.Resize(parsing: text)
    } catch {
      let isShort = text.hasPrefix("short:")
      let sides = (isShort ? text.dropFirst(6) : text[...])
        .split(separator: "x", omittingEmptySubsequences: false)
      // Well formed, and still refused.
      guard sides.count == (isShort ? 1 : 2),
        sides.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber } }),
        sides.allSatisfy({ side in side.contains { $0 != "0" } })
      else { throw error }
      throw CoalitionError(.usage, "the size is too large for an image", found: "'\(text)'")
    }
  }

  static func read(_ arguments: Arguments) -> Preprocessing {
    var preprocessing = Preprocessing()
    preprocessing.resize = arguments[resize]
    preprocessing.crop = arguments[crop]
    preprocessing.channels = arguments[channels]
    preprocessing.scale = arguments[scale]
    preprocessing.mean = arguments[mean] ?? []
    preprocessing.standardDeviation = arguments[deviation] ?? []
    preprocessing.layout = arguments[layout] ?? .nchw
    return preprocessing
  }
}
