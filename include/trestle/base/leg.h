// The two legs of a proxied connection.
#ifndef TRESTLE_BASE_LEG_H_
#define TRESTLE_BASE_LEG_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace trestle {

/// One side of a proxied connection: the front leg leads to the client, the back leg to the
/// backend.
enum class Leg : uint8_t { kFront, kBack };

/// The leg on the other side.
constexpr Leg Other(Leg leg) { return leg == Leg::kFront ? Leg::kBack : Leg::kFront; }

/// Returns a leg's name: "front" or "back".
constexpr absl::string_view EnumName(Leg leg) { return leg == Leg::kFront ? "front" : "back"; }

}  // namespace trestle

#endif  // TRESTLE_BASE_LEG_H_
