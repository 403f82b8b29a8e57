// QuicFlowStory: what a flow's hello said, for its reports. Packed into one block of memory,
// because flows keep it all their life.
#ifndef TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_STORY_H_
#define TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_STORY_H_

#include <memory>
#include <string>

#include "trestle/proxy/observer.h"

namespace trestle {

struct QuicFlowStory {
  std::string server_name;
  std::string route;
  HelloReport hello;
};

/// Null if there is none.
using PackedStory = std::unique_ptr<char[]>;

/// Keeps the first of the hello's protocols, those of at most 256 bytes in total: the client chose
/// them, and memory is bounded.
PackedStory Pack(const QuicFlowStory& story);

QuicFlowStory Unpack(const PackedStory& packed);

PackedStory Copy(const PackedStory& packed);

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_STORY_H_
