// The two 16-bit formats of floating-point numbers. (`Float16` does not exist on every platform.)

/// Values of 16 bits, widened without loss.
package enum HalfPrecision {
  /// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. Subnormals are built by arithmetic on normal
  /// numbers, so that a thread that flushes subnormals reads the same values.
  package static func float16(_ bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits) & 0x3FF
    let magnitude: UInt32
    switch exponent {
    case 0: magnitude = (Float(fraction) * 0x1p-24).bitPattern
    case 31: magnitude = 0x7F80_0000 | fraction << 13
    default: magnitude = (exponent + 112) << 23 | fraction << 13
    }
    return Float(bitPattern: sign | magnitude)
  }

  /// The upper half of a binary32.
  package static func bfloat16(_ bits: UInt16) -> Float {
    Float(bitPattern: UInt32(bits) << 16)
  }
}
