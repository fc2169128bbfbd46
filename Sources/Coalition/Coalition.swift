@_exported public import CoalitionBase
