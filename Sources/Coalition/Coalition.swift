// The umbrella: everything that `import Coalition` brings.

@_exported public import CoalitionBase
@_exported public import CoalitionEvaluate
@_exported public import CoalitionExplain
@_exported public import CoalitionNet
@_exported public import CoalitionONNX
@_exported public import CoalitionPrune
@_exported public import CoalitionShapley
@_exported public import CoalitionTrain
