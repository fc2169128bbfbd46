import CoalitionBase
func samplingScheme(
  for estimator: Estimator, value: PlayerValue, playerCount: Int, groups: [Int]?, antithetic: Bool,
  seed: UInt64, rows: Int?
) throws(CoalitionError) -> any SamplingScheme {
  throw CoalitionError(.unsupported, "not yet")
}
