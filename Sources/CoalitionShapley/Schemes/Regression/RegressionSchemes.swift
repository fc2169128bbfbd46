// The regression estimators by name.

package import CoalitionBase

/// The scheme of one of the estimators kernel, kernelUnbiased, leverage and oddRegression.
/// - Parameter budget: coalitions that will be drawn in all, when known.
package func regressionScheme(
  for estimator: Estimator, playerCount: Int, seed: UInt64, budget: Int? = nil
) throws(CoalitionError) -> any SamplingScheme {
  throw CoalitionError(.unsupported, "estimator \(estimator.rawValue) is not available yet")
}
