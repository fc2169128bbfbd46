// swift-tools-version: 6.2
import PackageDescription

// Dependencies run one way:
//   CLanes <- CoalitionNet <- CoalitionONNX <- Coalition <- CoalitionCLI
//   CoalitionNet <- CoalitionExplain <- CoalitionEvaluate <- Coalition
//   CoalitionExplain <- CoalitionShapley <- CoalitionPrune <- CoalitionTrain <- Coalition
//   CCodecs <- CoalitionData <- CoalitionCLI
//   CoalitionFigures <- CoalitionCLI
// CoalitionBase (tensors, errors, files) is under all of the Swift modules. No target that a
// dependent builds carries unsafe flags: OpenMP is reached through its runtime's entry point.

let swift: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
]

/// Debian's libomp-dev exports the runtime as libomp5.so; libm holds the scalar references.
let openMP: [LinkerSetting] = [
  .linkedLibrary("omp5", .when(platforms: [.linux])),
  .linkedLibrary("m", .when(platforms: [.linux])),
]

let package = Package(
  name: "coalition",
  products: [
    .library(name: "Coalition", targets: ["Coalition"]),
    .executable(name: "coalition", targets: ["CoalitionCLI"]),
  ],
  targets: [
    // MARK: C
    .target(
      name: "CLanes", path: "csrc",
      cSettings: [.define("NDEBUG", .when(configuration: .release))],
      linkerSettings: openMP),
    .target(
      name: "CCodecs",
      linkerSettings: [.linkedLibrary("z"), .linkedLibrary("png16"), .linkedLibrary("jpeg")]),

    // MARK: Library
    .target(name: "CoalitionBase", swiftSettings: swift),
    .target(name: "CoalitionNet", dependencies: ["CLanes", "CoalitionBase"], swiftSettings: swift),
    .target(
      name: "CoalitionONNX", dependencies: ["CoalitionBase", "CoalitionNet"], swiftSettings: swift),
    .target(
      name: "CoalitionExplain", dependencies: ["CoalitionBase", "CoalitionNet"],
      swiftSettings: swift),
    .target(
      name: "CoalitionEvaluate",
      dependencies: ["CoalitionBase", "CoalitionExplain", "CoalitionNet"], swiftSettings: swift),
    .target(
      name: "CoalitionShapley",
      dependencies: ["CoalitionBase", "CoalitionExplain", "CoalitionNet"], swiftSettings: swift),
    .target(
      name: "CoalitionPrune",
      dependencies: ["CoalitionBase", "CoalitionExplain", "CoalitionNet", "CoalitionShapley"],
      swiftSettings: swift),
    .target(
      name: "CoalitionTrain", dependencies: ["CoalitionBase", "CoalitionNet", "CoalitionPrune"],
      swiftSettings: swift),
    .target(
      name: "Coalition",
      dependencies: [
        "CoalitionBase", "CoalitionEvaluate", "CoalitionExplain", "CoalitionNet", "CoalitionONNX",
        "CoalitionPrune", "CoalitionShapley", "CoalitionTrain",
      ],
      swiftSettings: swift),
    .target(
      name: "CoalitionData", dependencies: ["CCodecs", "CoalitionBase"], swiftSettings: swift),

    .target(name: "CoalitionFigures", dependencies: ["CoalitionBase"], swiftSettings: swift),

    // MARK: Command
    .target(name: "CDemoData", exclude: ["data"]),
    .executableTarget(
      name: "CoalitionCLI",
      dependencies: [
        "CDemoData", "Coalition", "CoalitionBase", "CoalitionData", "CoalitionExplain",
        "CoalitionFigures", "CoalitionNet", "CoalitionONNX", "CoalitionPrune", "CoalitionShapley",
        "CoalitionTrain",
      ],
      swiftSettings: swift),

    // MARK: Benchmarks
    .executableTarget(
      name: "Bench",
      dependencies: [
        "Coalition", "CoalitionData", "CoalitionFigures", "CoalitionNet", "CoalitionPrune",
      ],
      path: "Benchmarks/Harness", swiftSettings: swift),

    // MARK: Tests
    .target(
      name: "TestSupport", dependencies: ["CoalitionBase"], path: "Tests/Support",
      swiftSettings: swift),
    .executableTarget(
      name: "NodeTests",
      dependencies: ["CoalitionBase", "CoalitionData", "CoalitionNet", "CoalitionONNX"],
      path: "Tests/Conformance", exclude: ["node_tests.py", "pruned_models.py"],
      swiftSettings: swift),
    .testTarget(
      name: "CoalitionCLITests",
      dependencies: [
        "CoalitionBase", "CoalitionCLI", "CoalitionData", "CoalitionExplain", "CoalitionNet",
        "CoalitionONNX", "TestSupport",
      ],
      exclude: ["Fixtures"], swiftSettings: swift),
    .testTarget(
      name: "CoalitionNetTests",
      dependencies: ["CLanes", "CoalitionBase", "CoalitionNet", "TestSupport"],
      swiftSettings: swift),
    .testTarget(
      name: "CoalitionExplainTests",
      dependencies: [
        "CoalitionBase", "CoalitionData", "CoalitionExplain", "CoalitionNet", "CoalitionONNX",
        "TestSupport",
      ], exclude: ["Fixtures"],
      swiftSettings: swift),
    .testTarget(
      name: "CoalitionEvaluateTests",
      dependencies: ["CoalitionBase", "CoalitionEvaluate", "CoalitionExplain", "CoalitionNet"],
      swiftSettings: swift),
    .testTarget(
      name: "CoalitionShapleyTests",
      dependencies: [
        "CoalitionBase", "CoalitionExplain", "CoalitionNet", "CoalitionONNX", "CoalitionShapley",
        "TestSupport",
      ],
      exclude: ["Fixtures", "make_fixtures.py"], swiftSettings: swift),
    .testTarget(
      name: "CoalitionPruneTests",
      dependencies: [
        "CoalitionBase", "CoalitionNet", "CoalitionONNX", "CoalitionPrune", "CoalitionShapley",
        "TestSupport",
      ],
      swiftSettings: swift),
    .testTarget(
      name: "CoalitionTrainTests",
      dependencies: [
        "CDemoData", "CoalitionBase", "CoalitionData", "CoalitionNet", "CoalitionONNX",
        "CoalitionPrune", "CoalitionTrain", "TestSupport",
      ],
      swiftSettings: swift),
    .testTarget(name: "CLanesTests", dependencies: ["CLanes"], swiftSettings: swift),
    .testTarget(
      name: "CoalitionDataTests", dependencies: ["CoalitionBase", "CoalitionData", "TestSupport"],
      exclude: ["Fixtures", "make_fixtures.py"],
      swiftSettings: swift),
    .testTarget(
      name: "CoalitionFiguresTests",
      dependencies: ["CoalitionBase", "CoalitionData", "CoalitionFigures"], swiftSettings: swift),
    .testTarget(
      name: "CoalitionONNXTests",
      dependencies: ["CoalitionBase", "CoalitionNet", "CoalitionONNX", "TestSupport"],
      exclude: ["Fixtures"], swiftSettings: swift),
  ]
)
