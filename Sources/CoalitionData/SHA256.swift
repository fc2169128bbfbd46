// SHA-256 (FIPS 180-4), for naming models and inputs by their contents. Not for keeping secrets. The arithmetic of
// a block is C (CCodecs/sha256.c); what stands here cuts a message into blocks.

import CCodecs

/// A running SHA-256 of bytes that arrive in pieces.
public struct SHA256: Sendable {
  private var state: [UInt32] = [
    0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB,
    0x5BE0_CD19,
  ]
  /// Bytes that do not fill a block yet.
  private var pending: [UInt8] = []
  private var count: UInt64 = 0
  private let isPortable: Bool

  public init() { self.init(portable: false) }

  /// - Parameter portable: keeps to plain C where the processor has instructions for SHA-256.
  package init(portable: Bool) { isPortable = portable }

  /// The digest of `bytes` in 64 hexadecimal digits.
  public static func hexadecimal(_ bytes: [UInt8]) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finish().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  public mutating func update(_ bytes: [UInt8]) {
    count += UInt64(bytes.count)
    var start = 0
    if !pending.isEmpty {
      start = min(64 - pending.count, bytes.count)
      pending += bytes[..<start]
      guard pending.count == 64 else { return }
      compress(pending[...])
      pending.removeAll(keepingCapacity: true)
    }
    let end = start + (bytes.count - start) / 64 * 64
    compress(bytes[start..<end])
    pending += bytes[end...]
  }

  /// Whole blocks of 64 bytes.
  private mutating func compress(_ blocks: ArraySlice<UInt8>) {
    blocks.withUnsafeBufferPointer {
      codec_sha256(&state, $0.baseAddress, $0.count / 64, isPortable ? 1 : 0)
    }
  }

  /// The 32 bytes of the digest of everything so far.
  public consuming func finish() -> [UInt8] {
    let bits = count &* 8
    let zeros = (119 - pending.count % 64) % 64
    update([0x80] + Array(repeating: 0, count: zeros))
    update((0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * $0)) })
    var digest: [UInt8] = []
    for index in 0..<8 {
      for shift in [24, 16, 8, 0] as [UInt32] {
        digest.append(UInt8(truncatingIfNeeded: state[index] >> shift))
      }
    }
    return digest
  }
}
