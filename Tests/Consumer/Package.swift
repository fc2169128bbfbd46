// swift-tools-version: 6.2
// A dependent of Coalition by version tag; .ci/consumer fills in where the tag is.
import PackageDescription

let package = Package(
  name: "consumer",
  dependencies: [.package(url: "@COALITION@", from: "99.0.0")],
  targets: [
    .executableTarget(
      name: "consumer", dependencies: [.product(name: "Coalition", package: "coalition")]),
    // From Examples/.
    .executableTarget(
      name: "improving-values",
      dependencies: [.product(name: "Coalition", package: "coalition")]),
  ]
)
