// The command `coalition`: arguments in, exit code out. Everything else is in the verbs.

import CoalitionBase
import CoalitionNet

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

ProcessMemory.keepFreed()
let work = Task.detached { await Command.main(Array(CommandLine.arguments.dropFirst())) }
Signals.watch { work.cancel() }
exit(await work.value)
