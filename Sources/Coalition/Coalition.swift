// The umbrella: everything that `import Coalition` brings.

@_exported public import CoalitionBase
@_exported public import CoalitionNet
@_exported public import CoalitionONNX
