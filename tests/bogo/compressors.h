// The three compressions of certificates that BoGo made up. Its clients undo them.
#ifndef TRESTLE_TESTS_BOGO_COMPRESSORS_H_
#define TRESTLE_TESTS_BOGO_COMPRESSORS_H_

#include <memory>
#include <vector>

#include "tests/bogo/flags.h"
#include "trestle/tls/certificate_compressor.h"

namespace trestle::bogo {

/// Returns the compressors that the flags install, in BoGo's order of preference.
std::vector<std::shared_ptr<const CertificateCompressor>> CompressorsOf(const Flags& flags);

}  // namespace trestle::bogo

#endif  // TRESTLE_TESTS_BOGO_COMPRESSORS_H_
