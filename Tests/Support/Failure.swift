// Errors that tests expect.

package import CoalitionBase
package import Testing

/// The error that a body throws.
package func failure(
  _ body: () async throws -> Void, location: SourceLocation = #_sourceLocation
) async -> CoalitionError {
  do {
    try await body()
  } catch let error as CoalitionError {
    return error
  } catch {
    Issue.record("\(error)", sourceLocation: location)
  }
  Issue.record("nothing was thrown", sourceLocation: location)
  return CoalitionError(.internalFault, "nothing was thrown")
}
