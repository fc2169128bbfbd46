// Which vector instructions the kernels use. All give the same bytes.

import CLanes
public import CoalitionBase

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

public enum InstructionSet: String, Sendable, Hashable, CaseIterable {
  case generic, avx2, avx512, neon

  var encoded: ln_isa {
    switch self {
    case .generic: LN_GENERIC
    case .avx2: LN_AVX2
    case .avx512: LN_AVX512
    case .neon: LN_NEON
    }
  }

  /// Compiled in, and this processor has it.
  public var isAvailable: Bool { ln_isa_available(encoded) != 0 }

  /// The sets that can run here.
  public static var available: [InstructionSet] { allCases.filter(\.isAvailable) }

  /// The widest available set, or the one that the environment variable LANES_ISA names.
  /// - Throws: `usage` when LANES_ISA names an unknown set or one that this processor does not have.
  public static func selected() throws(CoalitionError) -> InstructionSet {
    guard let value = getenv("LANES_ISA"), value.pointee != 0 else {
      return allCases.first { $0.encoded == ln_isa_best() } ?? .generic
    }
    let name = String(cString: value)
    guard let set = InstructionSet(rawValue: name), set.isAvailable else {
      throw CoalitionError(
        .usage, "LANES_ISA names an instruction set that cannot run here",
        expected: available.map(\.rawValue).joined(separator: ", "), found: name)
    }
    return set
  }
}
