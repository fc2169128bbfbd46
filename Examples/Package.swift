// swift-tools-version: 6.2
// Programs that use Coalition as a library. `swift run -c release improving-values` in this folder.
import PackageDescription

let package = Package(
  name: "examples",
  dependencies: [.package(name: "coalition", path: "..")],
  targets: [
    .executableTarget(
      name: "improving-values",
      dependencies: [.product(name: "Coalition", package: "coalition")])
  ]
)
