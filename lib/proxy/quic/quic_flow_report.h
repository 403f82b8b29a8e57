// The report about a flow. Private to the router of QUIC.
#ifndef TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_REPORT_H_
#define TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_REPORT_H_

#include <array>
#include <cstdint>
#include <optional>

#include "lib/proxy/quic/quic_flow.h"
#include "lib/proxy/quic/quic_flow_story.h"
#include "trestle/base/bytes.h"
#include "trestle/io/scheduler.h"
#include "trestle/proxy/observer.h"
#include "trestle/tls/quic_hello_reader.h"

namespace trestle {

/// Returns what the complete hello of `reader` says.
QuicFlowStory TellStory(const QuicHelloReader& reader,
                        std::array<uint8_t, 32> (*ja4_sha256)(ByteView bytes));

/// Makes the report about a flow so far, without an error.
ConnectionReport MakeFlowReport(const QuicFlow& flow, const Scheduler& scheduler);

}  // namespace trestle

#endif  // TRESTLE_LIB_PROXY_QUIC_QUIC_FLOW_REPORT_H_
