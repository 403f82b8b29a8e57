// World: runs one scenario: a router on one port, a terminator and a bridge behind it, clients and
// backends. After every call of the loop it checks what must hold.
#ifndef TRESTLE_TESTS_SIMULATION_WORLD_H_
#define TRESTLE_TESTS_SIMULATION_WORLD_H_

#include <string>

#include "tests/simulation/scenario.h"

namespace trestle::simulation {

/// Runs `scenario` until nothing is left to do. Returns the first promise that was broken; empty if
/// all held:
///   - Bytes that arrive are a prefix of the bytes sent, and all of them where the end is clean.
///   - A cut stream never ends cleanly.
///   - Every connection is reported once by every block that took it, or was turned away.
///   - A report without a fault has no error, and an error names a leg that had a fault.
///   - No limit is exceeded, and all blocks of the buffer pool are returned.
///   - Nothing is left to call once all is destroyed.
/// Memory transports check the contract of Transport: no call follows Abort, for example.
std::string RunScenario(const Scenario& scenario);

/// Removes clients, dials, events and faults from a scenario that fails, as long as it still
/// fails. Returns the smallest one found.
Scenario Minimise(Scenario scenario);

}  // namespace trestle::simulation

#endif  // TRESTLE_TESTS_SIMULATION_WORLD_H_
