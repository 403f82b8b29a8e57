// The version of Trestle, by Semantic Versioning 2.0.0: below 1.0.0 a new minor version may change
// the public API. CHANGELOG.md lists what changed.
#ifndef TRESTLE_VERSION_H_
#define TRESTLE_VERSION_H_

/// For #if: `TRESTLE_VERSION >= 200` holds from 0.2.0 on.
#define TRESTLE_VERSION 200  // major * 10000 + minor * 100 + patch

namespace trestle {

/// The same as text.
inline constexpr char kVersion[] = "0.2.0";

}  // namespace trestle

#endif  // TRESTLE_VERSION_H_
