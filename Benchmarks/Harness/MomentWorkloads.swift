// The workloads of Shapley values by moments: passes of moments per second beside plain forward passes.

import Coalition

extension Workload {
  static let moments = [
    moment("lenet-pixels", Network.lenet, ShapleyTask(), dasp(16), batches: "64,256"),
    moment("lenet-patches", Network.lenet, .patches(4), dasp(10), batches: "80,320,980"),
    moment("tabular-18", Network.tabular, ShapleyTask(), dasp(18), batches: "648"),
    moment("mlp-64", Network.mlp, ShapleyTask(), dasp(64), batches: "1024,4096,8192"),
    moment(
      "lenet-pixels/gradient", Network.lenet, ShapleyTask(),
      MomentTask(estimator: .momentGradient, passes: 8, inputs: 4), batches: "8,32"),
    moment(
      "tabular-18/gradient", Network.tabular, ShapleyTask(),
      MomentTask(estimator: .momentGradient, passes: 8, inputs: 4), batches: "8,32"),
  ]

  private static func dasp(_ sizes: Int) -> MomentTask {
    MomentTask(estimator: .dasp, passes: sizes)
  }

  private static func moment(
    _ name: String, _ network: @escaping @Sendable () -> Network, _ task: ShapleyTask,
    _ moments: MomentTask, batches: String
  ) -> Workload {
    Workload(
      name: "dasp/\(name)", unit: .passes, network: network,
      engine: { try await MomentEngine($0, task.players, task.inputs, moments, $1) },
      peers: Peers(
        script: "moment_peers.py",
        arguments: [
          "--players", task.playersText, "--batches", batches, "--sweep-seconds", "0.2",
          moments.estimator == .dasp ? "--sizes" : "--nodes", "\(moments.passes)",
        ], names: ["torch-written", "torch-compile"]),
      rounds: 3, shapley: task)
  }
}
