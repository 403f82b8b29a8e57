// Findings: checks the results of a demonstration, and prints them as tables and as commands to
// try.
#ifndef TRESTLE_EXAMPLES_QUICKSTART_FINDINGS_H_
#define TRESTLE_EXAMPLES_QUICKSTART_FINDINGS_H_

#include <string>
#include <vector>

#include "examples/quickstart/demonstration.h"

namespace trestle::examples {

/// Compares the results with the expected values; returns a sentence for each difference.
/// `arrived`: the backend received the request with its secret.
std::vector<std::string> FindFailures(const Scenario& scenario, bool arrived);

/// Returns a table of the three modes, and one of the passthrough's names.
std::string ModesTable(const std::vector<Scenario>& scenarios);
std::string NamesTable(const std::vector<Scenario>& scenarios);

/// Returns a table of the requests through the gateway.
std::string PathsTable(const Paths& paths);

/// Returns commands to test each leg manually. `ca_path` is the file of the CA certificate.
std::string LinesToTry(const Demonstration& demonstration, const std::string& ca_path);

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_QUICKSTART_FINDINGS_H_
