// The benchmark harness: `make bench`.
//
// Measures Coalition against peer libraries on the same work, in turns, and prints ratios from one run. What is
// not installed is reported as "not measured".

import Coalition
import Foundation

let arguments = try Arguments(CommandLine.arguments)
try await Harness(arguments).run()
