// Findings: judges what a demonstration found, and prints it as a table and as lines to try.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_FINDINGS_H_
#define TRESTLE_EXAMPLES_QUICKSTART_FINDINGS_H_

#include <string>
#include <vector>

#include "examples/quickstart/demonstration.h"

namespace trestle::examples {

/// Compares what was found with what was expected; each difference is a sentence. `arrived`: the
/// backend read the request with its secret.
std::vector<std::string> FindFailures(const Scenario& scenario, bool arrived);

/// The three modes side by side, and the passthrough's names.
std::string ModesTable(const std::vector<Scenario>& scenarios);
std::string NamesTable(const std::vector<Scenario>& scenarios);

/// Commands that take each leg by hand. `ca_path` is where the CA certificate is.
std::string LinesToTry(const Demonstration& demonstration, const std::string& ca_path);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_FINDINGS_H_
