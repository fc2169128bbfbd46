// One libFuzzer entry for all readers: COALITION_FUZZ_TARGET names the reader. fuzz.sh builds and runs it.
//
// A reader passes when it returns or throws CoalitionError on any bytes, within the time and memory that
// fuzz.sh allows. A new reader is one more row of `targets`. `plan` goes on to run what it has read
// (PlanTarget.swift).

import Glibc

private let limit = 64 << 20

private typealias Reader = @Sendable ([UInt8]) throws(CoalitionError) -> Void

private let targets: [String: Reader] = [
  "npy": { bytes throws(CoalitionError) in _ = try Npy.decodeArray(bytes, limit: limit) },
  "npz": { bytes throws(CoalitionError) in
    let archive = try ZipArchive(bytes)
    for member in archive.members { _ = try archive.contents(of: member, limit: limit) }
    _ = try Npz.decode(bytes, limit: limit)
  },
  "idx": { bytes throws(CoalitionError) in _ = try IDX.decode(bytes, limit: limit) },
  "png": { bytes throws(CoalitionError) in
    // The checksums of chunks would stop nearly every mutation: they are made right first.
    _ = try ImageFile.decode(withRightChecksums(bytes), limit: limit)
  },
  "jpeg": { bytes throws(CoalitionError) in _ = try ImageFile.decode(bytes, limit: limit) },
  "json": { bytes throws(CoalitionError) in
    let value = try JSONValue(parsing: bytes)
    // What is written must read as the same value.
    guard try JSONValue(parsing: value.utf8) == value else {
      preconditionFailure("JSON does not survive a round trip")
    }
  },
  "onnx": { bytes throws(CoalitionError) in
    let written = try ONNX.encode(ONNX.decode(bytes, memoryLimit: limit))
    // Bytes are compared: a graph with a NaN differs from itself.
    guard let again = try? ONNX.encode(ONNX.decode(written)), again == written else {
      preconditionFailure("a model does not survive a round trip")
    }
  },
  "plan": { bytes throws(CoalitionError) in try PlanTarget.check(bytes) },
  "result": { bytes throws(CoalitionError) in _ = try ResultFile(json: bytes) },
]

private let chosen: Reader = {
  guard let name = getenv("COALITION_FUZZ_TARGET").map({ String(cString: $0) }),
    let target = targets[name]
  else {
    print("COALITION_FUZZ_TARGET must be one of \(targets.keys.sorted())")
    exit(64)
  }
  return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  try? chosen(Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

private func withRightChecksums(_ bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  var position = 8
  while position + 12 <= bytes.count {
    let length = bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
    guard length <= bytes.count - position - 12 else { break }
    let end = position + 8 + length
    let checksum = CRC32.of(bytes, position + 4..<end)
    for index in 0..<4 {
      bytes[end + index] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * index))
    }
    position = end + 4
  }
  return bytes
}
