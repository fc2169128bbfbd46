// What values by moments would take, without making them.

import Coalition
import CoalitionBase
import CoalitionExplain

struct MomentForecast {
  let game: any Game
  let options: ShapleyOptions
  let held: Int
  /// Of the program that evaluates coalitions, before and after the moments.
  let programBytes: Int
  let memoryLimit: Int
  let execution: Execution

  func text() throws(CoalitionError) -> String {
    let forecast = try Shapley(game, options).momentForecast(threads: execution.threads)
    return """
      examples         \(Numbers.grouped(game.exampleCount))
      players          \(Numbers.grouped(game.playerCount))
      moment passes    \(Numbers.grouped(forecast.passes)) for an example, each of \
      \(Numbers.significant(forecast.passCost, 2)) plain forward passes behind the first layer
      in front of them \(Numbers.significant(forecast.frontCost, 2)) plain forward passes for an example, for what players contribute
      evaluations      \(Numbers.grouped(forecast.evaluations)) for an example at most, to check the values
      memory           \(Numbers.bytes(held + max(forecast.memory, programBytes))) of \(Numbers.bytes(memoryLimit)) allowed
      threads          \(execution.threads)
      instruction set  \(execution.instructionSet.rawValue)
      time             not tried: a pass takes longer than its arithmetic says where functions and maxima are many

      """
  }
}
